"""Small private files of a site, by name: keys, subscriptions, sign-ins.

They are in its state folder, unless whoever runs the site keeps them elsewhere.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """Called from any thread. What was written is safe when `write` returns, whole or not at all."""

    def names(self) -> Sequence[str]: ...
    def read(self, name: str) -> bytes | None:
        """None where there is no such file, or it can't be read."""

    def write(self, name: str, content: bytes) -> None:
        """Raises `OSError`."""

    def delete(self, name: str) -> None:
        """Raises `OSError`; it is no error if there is none."""


class FolderFiles:
    """Each in a file of mode 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> Sequence[str]:
        try:
            return sorted(file.name for file in self._folder.iterdir() if file.is_file())
        except OSError:
            return ()

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        write_private(self._folder / name, content)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all. Raises `OSError`."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    give_to_owner_of_folder(part)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)  # a full disk is no place for halves
        raise


def give_to_owner_of_folder(file: Path) -> None:
    """What root writes for a service has to be read by the service; nobody else can give a file away."""
    if os.geteuid() == 0:
        owner = file.parent.stat()
        # Not what a link names: it would be a way to be given a file of root's.
        os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)
