"""Where a node's config comes from: one file, or a folder with a file for each site."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from presencebridge.config import (
    NODE_FILE,
    Config,
    Loaded,
    NodeConfig,
    NodeWebhook,
    load_site,
    node_of,
    not_shared,
    site_files,
    site_of,
)
from presencebridge.errors import Misconfigured

OWN_WEBHOOK: Final = "[teams.webhook] listen"
NODE_WEBHOOK: Final = "[webhook] listen"

Stamp = tuple[int, int, int]


class Found(msgspec.Struct, frozen=True):
    """What the files say by now."""

    node: NodeConfig
    sites: Mapping[str, Loaded | Misconfigured]
    """By name; what is wrong with its file, where that can't be used."""


class Source(Protocol):
    @property
    def alone(self) -> str | None:
        """The name of the one site that there can be; None for a folder."""

    def read(self) -> Found:
        """Read everything. Raises `Misconfigured` where the node's own part can't be used."""

    def has_changed(self) -> bool:
        """Whether files are others than were read, and stay so: to be asked at intervals."""


class OneFile:
    """A file that is the config of one site and of its node. It is read again when that is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.alone: str | None = path.stem

    def read(self) -> Found:
        return found_alone(self._path.stem, load_site(self._path))

    def has_changed(self) -> bool:
        return False


class Given:
    """A config that is here already."""

    def __init__(self, name: str, config: Config) -> None:
        self._name = name
        self.alone: str | None = name
        self.change(config)

    def change(self, config: Config, keys: str = "") -> None:
        """It is another one from now on, or its `keys` are: see `Loaded`."""
        self.found = found_alone(self._name, Loaded(config, keys))

    def read(self) -> Found:
        return self.found

    def has_changed(self) -> bool:
        return False


class Folder:
    """A file for each site, and `node.toml` for what they have in common."""

    alone: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first: NodeConfig | None = None
        self._read: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}

    def read(self) -> Found:
        self._read = self._seen = self._stamps()
        node = node_of(self._folder)
        # The state does not move while it is in use.
        self._first = self._first or node
        node = replace(node, state=self._first.state)
        return Found(node, not_shared({name: site_of(file, node) for name, file in self._files().items()}))

    def has_changed(self) -> bool:
        """A file that is just being written is waited for until it is the same at two looks."""
        try:
            now = self._stamps()
        except Misconfigured:
            return False
        settled, self._seen = now == self._seen, now
        return settled and now != self._read

    def _files(self) -> dict[str, Path]:
        return site_files(self._folder)

    def _stamps(self) -> dict[str, Stamp]:
        files = {**self._files(), NODE_FILE: self._folder / NODE_FILE}
        return {name: stamp for name, file in files.items() if (stamp := _stamp(file))}


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def found_alone(name: str, loaded: Loaded) -> Found:
    """The config of one site says what its node needs to know, too."""
    config = loaded.config
    hook = config.teams.webhook
    webhook = NodeWebhook(listen=hook.listen) if hook else NodeWebhook()
    return Found(NodeConfig(operator=config.operator, webhook=webhook, state=config.state), {name: loaded})
