"""Secrets that follow their site: notification keys, subscriptions, sign-ins. The engine sees them sealed.

The key is a file that every node has. One line seals (`key_check` says which), every line opens, so a key is
replaced by putting a new one before it on all nodes.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from presencebridge.cluster.engine import Entry
from presencebridge.cluster.records import file_prefix, original, plain
from presencebridge.cluster.writer import Writer

_WITHIN_S: Final = 10.0
_AGAIN_S: Final = 0.5
_MARK_DIGITS: Final = 16


class Seal:
    """Raises `OSError` where the file can't be read, and `ValueError` where it holds no keys."""

    def __init__(self, key_file: Path) -> None:
        self._file = key_file
        self._lines: list[str] = []
        self._in_use = 0
        self.read_again()

    def read_again(self) -> None:
        """Raises as above; then what it said before goes on."""
        lines = self._file.read_text("utf-8").split()
        if not lines:
            raise ValueError("the file is empty")
        if lines == self._lines:
            return
        try:
            keys = [Fernet(line) for line in lines]
        except ValueError:  # its text may quote the key
            raise ValueError("a line of the file is no key: each has 44 characters") from None
        used = self.in_use if self._lines else ""
        self._lines, self._keys = lines, keys
        self._signing = [_derived(b"client states", line) for line in lines]
        self.marks = tuple(_derived(b"mark", line).hex()[:_MARK_DIGITS] for line in lines)
        """What tells one key from another, and nothing of it."""
        self.use(used)

    @property
    def newest(self) -> str:
        """The mark of the first line."""
        return self.marks[0]

    @property
    def in_use(self) -> str:
        """The mark of the line that seals and signs."""
        return self.marks[self._in_use]

    def use(self, mark: str) -> bool:
        """Seal and sign with the line that has this mark, from now on; False if there is none."""
        self._in_use = self.marks.index(mark) if mark in self.marks else 0
        return mark in self.marks

    def close(self, name: str, content: bytes) -> bytes:
        """`name` is sealed too: a value that was moved to another place does not open there."""
        return self._keys[self._in_use].encrypt(name.encode() + b"\n" + content)

    def open(self, name: str, value: bytes) -> bytes | None:
        """None where it was sealed with a key that we do not have, or elsewhere."""
        try:
            inside, _, content = MultiFernet(self._keys).decrypt(value).partition(b"\n")
        except InvalidToken:
            return None
        return content if inside == name.encode() else None

    SIGNATURE_LENGTH: Final = 32

    def sign(self, text: str) -> str:
        """For what is not secret and must be known to be ours, by any node."""
        return _signature(self._signing[self._in_use], text)

    def has_signed(self, text: str, signature: str) -> bool:
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_signature(key, text).encode(), given) for key in self._signing)


def _derived(purpose: bytes, line: str) -> bytes:
    return hashlib.sha256(purpose + line.encode()).digest()


def _signature(key: bytes, text: str) -> str:
    digest = hmac.digest(key, text.encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest)[: Seal.SIGNATURE_LENGTH].decode()


def new_key() -> str:
    """A line for the key file."""
    return Fernet.generate_key().decode()


class SharedFiles:
    """A site's files, in memory as long as the site is ours, and sealed in the engine.

    Who writes from a thread of their own waits until the engine has it. Who writes from the loop can't wait,
    and it is written soon, in order: what is written after a notification key, such as the subscription that
    uses it, is never there without it.
    """

    def __init__(self, site: str, writer: Writer, seal: Seal, found: Mapping[str, Entry]) -> None:
        self._site, self._prefix = site, file_prefix(site)
        self._writer, self._seal = writer, seal
        self._loop = asyncio.get_running_loop()
        self._contents: dict[str, bytes] = {}
        self._unwritten: dict[str, bytes] = {}
        self._wake = asyncio.Event()
        self.unreadable: list[str] = []
        """Sealed with a key that is not in our key file."""
        for key, entry in found.items():
            if not key.startswith(self._prefix):
                continue
            try:
                name = original(key.removeprefix(self._prefix))
            except ValueError:  # not written by us
                continue
            content = seal.open(self._sealed_as(name), entry.value)
            if content is None:
                self.unreadable.append(name)
            else:
                self._contents[name] = content

    def names(self) -> Sequence[str]:
        return sorted(self._contents)

    def read(self, name: str) -> bytes | None:
        return self._contents.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Raises `OSError`."""
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - whether we are in it, without an error
            self._put(name, content)
        else:
            asked = asyncio.run_coroutine_threadsafe(self._written(name, content), self._loop)
            try:
                asked.result(_WITHIN_S)
            except TimeoutError as error:
                raise OSError("the cluster's engine does not answer") from error

    def delete(self, name: str) -> None:
        """Raises `OSError`."""
        self.write(name, b"")

    async def run(self) -> None:
        """Write what was written from the loop, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self.flush():
                await asyncio.sleep(_AGAIN_S)
                self._wake.set()

    async def flush(self) -> bool:
        """Write what is still to be written; tell whether the engine has all of it."""
        changes, self._unwritten = self._unwritten, {}
        try:
            if changes:
                await self._writer.write(changes)
        except OSError:
            self._unwritten = changes | self._unwritten
        return not self._unwritten

    async def _written(self, name: str, content: bytes) -> None:
        self._put(name, content)
        if not await self.flush():
            raise OSError("the cluster's engine has not taken it yet")

    def _put(self, name: str, content: bytes) -> None:
        if content:
            self._contents[name] = content
        else:
            self._contents.pop(name, None)
        sealed = self._seal.close(self._sealed_as(name), content) if content else b""
        self._unwritten[self._prefix + plain(name)] = sealed
        self._wake.set()

    def _sealed_as(self, name: str) -> str:
        return f"{self._site}/{name}"
