"""Secrets that follow their site: notification keys, subscriptions, sign-ins. The engine sees them sealed.

The key is a file that every node has. Its first line seals, every line opens, so a key is replaced by putting
a new one before it on all nodes.
"""

from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from presencebridge.cluster.engine import Entry
from presencebridge.cluster.records import file_prefix, original, plain
from presencebridge.cluster.writer import Writer


class Seal:
    """Raises `OSError` where the file can't be read, and `ValueError` where it holds no keys."""

    def __init__(self, key_file: Path) -> None:
        lines = key_file.read_text("utf-8").split()
        if not lines:
            raise ValueError("the file is empty")
        try:
            self._keys = MultiFernet([Fernet(line) for line in lines])
        except ValueError:  # its text may quote the key
            raise ValueError("a line of the file is no key: each has 44 characters") from None

    def close(self, name: str, text: str) -> bytes:
        """`name` is sealed too: a value that was moved to another place does not open there."""
        return self._keys.encrypt(f"{name}\n{text}".encode())

    def open(self, name: str, value: bytes) -> str | None:
        """None where it was sealed with a key that we do not have, or elsewhere."""
        try:
            inside, _, text = self._keys.decrypt(value).decode().partition("\n")
        except (InvalidToken, UnicodeDecodeError):
            return None
        return text if inside == name else None


def new_key() -> str:
    """A line for the key file."""
    return Fernet.generate_key().decode()


class SharedFiles:
    """Texts by name, in memory as long as the site is ours, and sealed in the engine."""

    def __init__(self, site: str, writer: Writer, seal: Seal, found: Mapping[str, Entry]) -> None:
        self._site, self._prefix = site, file_prefix(site)
        self._writer, self._seal = writer, seal
        self.texts: dict[str, str] = {}
        self.unreadable: list[str] = []
        """Sealed with a key that is not in our key file."""
        for key, entry in found.items():
            if not key.startswith(self._prefix):
                continue
            name = original(key.removeprefix(self._prefix))
            text = seal.open(self._sealed_as(name), entry.value)
            if text is None:
                self.unreadable.append(name)
            else:
                self.texts[name] = text

    async def write(self, name: str, text: str) -> None:
        """Return when the engine has it. Raises `OSError`."""
        self.texts[name] = text
        await self._writer.write({self._prefix + plain(name): self._seal.close(self._sealed_as(name), text)})

    async def delete(self, name: str) -> None:
        """Raises `OSError`."""
        self.texts.pop(name, None)
        await self._writer.write({self._prefix + plain(name): b""})

    def _sealed_as(self, name: str) -> str:
        return f"{self._site}/{name}"
