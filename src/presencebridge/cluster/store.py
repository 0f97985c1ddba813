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

    async def save(self, states: Mapping[str, State]) -> None:
        """Return when the engine has all of them. Raises `OSError`."""
        values = {self._prefix + plain(key): self._encode(state) for key, state in states.items()}
        await self._writer.write(values)
        self._kept |= values

    async def forget(self, keys: Iterable[str]) -> None:
        """Delete the state of people who are not served any more."""
        gone = {self._prefix + plain(key): b"" for key in keys}
        if gone:
            await self._writer.write(gone)
        for key in gone:
            self._kept.pop(key, None)
