"""State and claims of a site's people in the engine: the port of `store/`, for a site that moves."""

import contextlib
from collections.abc import Iterable, Mapping

import msgspec

from presencebridge.cluster.engine import Entry
from presencebridge.cluster.records import original, person_prefix, plain
from presencebridge.cluster.writer import Writer
from presencebridge.core.model import State


class SharedStore:
    """For all of the site's lives in one tenure. `found` is what the engine had when the site was taken."""

    def __init__(self, site: str, writer: Writer, found: Mapping[str, Entry]) -> None:
        self._prefix = person_prefix(site)
        self._writer = writer
        self._kept = {key: entry.value for key, entry in found.items() if key.startswith(self._prefix)}
        self._encode = msgspec.json.Encoder().encode

    def load(self) -> dict[str, State]:
        """Everybody's state. What can't be read is left out: it is found again by looking at both sides."""
        decode = msgspec.json.Decoder(State).decode
        states = {}
        for key, value in self._kept.items():
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
                states[original(key.removeprefix(self._prefix))] = decode(value)
        return states

    async def save(self, key: str, state: State) -> None:
        """Return when the engine has it. Raises `OSError`."""
        value = self._encode(state)
        await self._writer.write({self._prefix + plain(key): value})
        self._kept[self._prefix + plain(key)] = value

    async def forget(self, keys: Iterable[str]) -> None:
        """Delete the state of people who are not served any more."""
        gone = {self._prefix + plain(key): b"" for key in keys}
        if gone:
            await self._writer.write(gone)
        for key in gone:
            self._kept.pop(key, None)
