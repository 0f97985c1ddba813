"""The last hours of each person, for a picture of their day. In memory only, and only if it was asked for.

What is kept of a person is bounded: `MOST_CHANGES` changes of a hundred bytes, none older than the hours that
the config names. Whoever leaves is forgotten at once, and with the process everything.
"""

import itertools
import sys
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from presencebridge.core.model import LegState, State

MOST_CHANGES: Final = 400
_SWEEP_EVERY_S: Final = 60.0

_LOUDEST: Final = (
    LegState.CONNECTED, LegState.HOLD, LegState.HELD, LegState.DIALING, LegState.RINGING, LegState.UNDEFINED,
)  # fmt: skip
"""Of several connections the first of these is what the person does."""


class Lane(IntEnum):
    TEAMS = 0
    STATUS = 1
    CALLS = 2
    OURS_TEAMS = 3
    OURS_STATUS = 4


class Stretch(msgspec.Struct, frozen=True):
    """A time in which a lane showed one thing. `end` is None while it still does."""

    lane: Lane
    value: str
    begin: float
    end: float | None


_Shown = tuple[str, str, str, str, str]


class Day:
    """The changes of everybody's lanes."""

    def __init__(self, hours: float) -> None:
        self.hours = hours
        self._shown: dict[str, _Shown] = {}
        self._changes: dict[str, list[tuple[float, Lane, str]]] = {}
        self._swept_at = 0.0

    def note(self, person: str, state: State, now: float) -> None:
        """What is known of a person now."""
        old, new = self._shown.get(person, ("", "", "", "", "")), _shown(state)
        if new == old:
            return
        self._shown[person] = new
        changes = self._changes.setdefault(person, [])
        changes.extend((now, lane, new[lane]) for lane in Lane if new[lane] != old[lane])
        del changes[:-MOST_CHANGES]
        if now - self._swept_at > _SWEEP_EVERY_S:
            self._swept_at = now
            for one in self._changes.values():
                self._sweep(one, now)

    def forget(self, person: str) -> None:
        """Who gets the extension next has a day of their own."""
        self._shown.pop(person, None)
        self._changes.pop(person, None)

    def of(self, person: str, now: float) -> list[Stretch]:
        """A person's stretches, lane by lane, oldest first."""
        changes = self._changes.get(person, [])
        self._sweep(changes, now)
        return [stretch for lane in Lane for stretch in _stretches(lane, changes, now - self.hours * 3600)]

    def _sweep(self, changes: list[tuple[float, Lane, str]], now: float) -> None:
        """Drop what is too old; of each lane the last change before that tells what it showed since."""
        oldest = now - self.hours * 3600
        last: dict[Lane, str] = {}
        count = 0
        while count < len(changes) and changes[count][0] < oldest:
            _, lane, value = changes[count]
            last[lane] = value
            count += 1
        changes[:count] = [(oldest, lane, value) for lane, value in last.items() if value]


def _shown(state: State) -> _Shown:
    return (
        sys.intern(str(state.shown)) if state.shown else "",
        state.status or "",
        next((leg.value for leg in _LOUDEST if leg in (state.legs or ())), ""),
        sys.intern(str(state.teams_claim.pair)) if state.teams_claim else "",
        state.status_claim.value if state.status_claim else "",
    )


def _stretches(lane: Lane, changes: list[tuple[float, Lane, str]], oldest: float) -> Iterator[Stretch]:
    own = [(max(at, oldest), value) for at, of, value in changes if of is lane]
    for (begin, value), after in itertools.zip_longest(own, own[1:]):
        if value:
            yield Stretch(lane, value, begin, after[0] if after else None)
