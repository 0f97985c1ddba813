"""How long each hop takes, for the plots of the page: the last quarter of an hour in memory.

A hop is one part of the way from what was seen to what came of it. Only numbers are kept, nothing of people.
"""

import collections
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import msgspec

SLOT_S: Final = 20.0
SLOTS: Final = 45
"""A quarter of an hour."""


class Hop(StrEnum):
    """By link and what is timed, as the page and the metrics name them."""

    TEAMS_OPENED = "teams_opened"
    """A notification's arrival at the webhook -> it is verified and decrypted."""
    TEAMS_NOTIFIED = "teams_notified"
    """From there -> the decision that follows is made and saved."""
    TEAMS_READ = "teams_read"
    """A read of presences: question -> answer."""
    TEAMS_WRITE = "teams_write"
    """The decision to write -> Graph accepted it."""
    PBX_SEEN = "3cx_seen"
    """A change on 3CX is here -> the decision that follows is made and saved."""
    PBX_READ = "3cx_read"
    """A read of the calls: question -> answer."""
    PBX_WRITE = "3cx_write"
    """The decision to write -> 3CX shows it; the reads before and after are part of it."""


class Slot(msgspec.Struct):
    """What was timed in `SLOT_S` seconds."""

    number: int
    count: int = 0
    sum_s: float = 0.0
    worst_s: float = 0.0


class Plots:
    """The times of a site. The metrics count the same in histograms, which forget nothing."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._slots: dict[Hop, collections.deque[Slot]] = {
            hop: collections.deque(maxlen=SLOTS) for hop in Hop
        }

    def took(self, hop: Hop, seconds: float) -> None:
        """A hop was made, and took so long."""
        number = int(self._now() / SLOT_S)
        slots = self._slots[hop]
        if not slots or slots[-1].number != number:
            slots.append(Slot(number))
        slot = slots[-1]
        slot.count += 1
        slot.sum_s += seconds
        slot.worst_s = max(slot.worst_s, seconds)

    @contextmanager
    def timed(self, hop: Hop) -> Iterator[None]:
        """Time what is done inside, if it works; what fails says nothing of how long it takes."""
        begun = self._now()
        yield
        self.took(hop, max(0.0, self._now() - begun))

    def of(self, hop: Hop) -> list[Slot | None]:
        """The last `SLOTS` slots, oldest first; None where nothing was timed."""
        newest = int(self._now() / SLOT_S)
        by_number = {slot.number: slot for slot in self._slots[hop]}
        return [by_number.get(number) for number in range(newest - SLOTS + 1, newest + 1)]
