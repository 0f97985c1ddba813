"""The account of the service, where root examines for it: root may read what the service may not."""

import os
import pwd
import stat
from pathlib import Path
from typing import Final, NamedTuple, Self

from presencebridge.config import Config

_NAME: Final = "presencebridge"
_HANDED_OVER: Final = Path("/etc/presencebridge/secrets")
"""systemd gives the service copies of what is in here (packaging/debian/presencebridge.service)."""


class Account(NamedTuple):
    """Somebody on this machine, as the rights of files have it."""

    name: str
    user: int
    groups: frozenset[int]

    @classmethod
    def of_the_service(cls) -> Self | None:
        """The package's account, if it is root who asks and there is one; else whoever asks is meant."""
        if os.geteuid() != 0:
            return None
        try:
            found = pwd.getpwnam(_NAME)
        except KeyError:
            return None
        return cls(_NAME, found.pw_uid, frozenset(os.getgrouplist(_NAME, found.pw_gid)))

    def may_read(self, file: Path) -> bool:
        """By owner, group and mode of the file and the folders above it; one that is not there is let be."""
        path = file.resolve()
        try:
            return self._may(path, stat.S_IROTH) and all(
                self._may(folder, stat.S_IXOTH) for folder in path.parents
            )
        except OSError:
            return True

    def _may(self, path: Path, right: int) -> bool:
        about = path.stat()
        if about.st_uid == self.user:
            right <<= 6
        elif about.st_gid in self.groups:
            right <<= 3
        return bool(about.st_mode & right)


def needed(config: Config, file: Path) -> list[Path]:
    """What the service itself opens: the config, and what it names, less what systemd hands over."""
    teams, pbx = config.teams, config.pbx
    named = [
        teams.certificate_file,
        teams.client_secret_file,
        teams.ca_file,
        pbx.client_secret_file,
        pbx.ca_file,
    ]
    if pbx.bridge:
        named += [pbx.bridge.api_key_file, pbx.bridge.ca_file]
    named.append(config.operator.token_file)
    return [file, *(one for one in named if one is not None and one.parent != _HANDED_OVER)]
