"""What was decided for each person and why: in memory only, a few entries each. Nothing of it is stored."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

import msgspec

from presencebridge.core.commands import AnyCommand, ChangeStatus, ClearPresence, Note, SetPresence
from presencebridge.core.events import AnyEvent

_ENTRIES_A_PERSON: Final = 60
_MOST_BEHIND: Final = 500


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A step: what was seen, and what followed."""

    at: float
    person: str
    seen: AnyEvent
    said: tuple[AnyCommand, ...]


class Decision(NamedTuple):
    """One command of a step, for the log: in fields for programs, and a terminal says it in words."""

    seen: AnyEvent
    command: AnyCommand

    def fields(self) -> dict[str, Any]:
        return {
            "seen": type(self.seen).__name__,
            "did": type(self.command).__name__,
            "because": self.command.because.value,
            "detail": _detail(self.command),
        }


def _detail(command: AnyCommand) -> str:
    match command:
        case SetPresence() | ClearPresence():
            return str(command.pair)
        case ChangeStatus():
            return f"{'/'.join(command.expected)} -> {command.wanted}"
        case Note():
            return command.detail
        case _:
            return ""


class Journal:
    """The last entries of each person, and a feed of new ones."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Entry, ...]] = {}
        """Few entries for most people. Tuples are small, and soon none of the collector's business."""
        self._readers: set[asyncio.Queue[Entry | None]] = set()
        self.on_change: Callable[[Entry | None], None] = lambda _entry: None
        """Called with each entry, and with None where something else changed."""
        self.closed = False

    def add(self, entry: Entry) -> None:
        before = self._entries.get(entry.person, ())
        self._entries[entry.person] = (*before[-_ENTRIES_A_PERSON + 1 :], entry)
        self.changed(entry)

    def changed(self, entry: Entry | None = None) -> None:
        """Tell the readers of an entry, or just that something changed."""
        self.on_change(entry)
        for reader in self._readers:
            if reader.qsize() < _MOST_BEHIND:  # a reader that slow reads everything anew
                reader.put_nowait(entry)

    def forget(self, person: str) -> None:
        """Who gets the extension next has a history of their own."""
        self._entries.pop(person, None)

    def close(self) -> None:
        """Nothing more will come: whoever follows may go."""
        self.closed = True
        self.changed()

    def of(self, person: str) -> tuple[Entry, ...]:
        return self._entries.get(person, ())

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[asyncio.Queue[Entry | None]]:
        """A queue of what comes from now on."""
        queue: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._readers.add(queue)
        try:
            yield queue
        finally:
            self._readers.discard(queue)
