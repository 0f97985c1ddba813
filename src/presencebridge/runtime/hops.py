"""How long each hop takes, from what was seen to the write that was accepted; and who waits for a write.

A write is owed from the step that asked for it until it is accepted, or nothing is wanted any more. What it
took is counted once for each change, whatever number of tries it needed.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from presencebridge.core.events import AnyEvent, LegsSeen, PresenceSeen, StatusSeen
from presencebridge.core.model import State, Write
from presencebridge.metrics import Metrics

TEAMS: Final = "teams"
PBX: Final = "3cx"


_LATE_S: Final = 5.0
"""A try that comes so much later than it was due still is the next try of the same write."""


class Step(NamedTuple):
    """A step of the core by the clock: when its event came, when it was decided, and when that was saved."""

    seen_at: float
    decided_at: float
    saved_at: float


class _Owed(NamedTuple):
    since: float
    seen: str
    """What asked for it; empty where that was the time or an answer, and no change outside."""


class Hops:
    """The writes that are owed to each side, and what the ones before them took."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._owed: dict[tuple[str, str], _Owed] = {}

    def decided(self, key: str, old: State, new: State, event: AnyEvent, at: Step) -> None:
        """A step changed the writes of a person."""
        self._of_side((key, TEAMS), old.teams_write, new.teams_write, event, at)
        self._of_side((key, PBX), old.status_write, new.status_write, event, at)

    def _of_side(self, whose: tuple[str, str], old: Write, new: Write, event: AnyEvent, at: Step) -> None:
        if not is_owed(new, at.decided_at):
            self._owed.pop(whose, None)
        elif whose not in self._owed or not is_owed(old, at.decided_at - _LATE_S):
            seen = _seen(event)
            self._owed[whose] = _Owed(at.seen_at, seen)
            if seen:
                self._metrics.hop_seconds.labels(seen, "decided").observe(at.decided_at - at.seen_at)
                self._metrics.hop_seconds.labels(seen, "saved").observe(at.saved_at - at.decided_at)

    def accepted(self, key: str, side: str, now: float) -> None:
        """The other side accepted a write."""
        owed = self._owed.pop((key, side), None)
        if owed and owed.seen:
            self._metrics.change_seconds.labels(owed.seen, side).observe(now - owed.since)

    def forget(self, key: str) -> None:
        """Somebody is not served any more."""
        for side in (TEAMS, PBX):
            self._owed.pop((key, side), None)

    def owed(self, side: str) -> Iterator[tuple[str, float]]:
        """Who waits for a write to a side, or did so when they were last decided on; and since when."""
        return ((key, owed.since) for (key, of), owed in self._owed.items() if of == side)


def is_owed(write: Write, now: float) -> bool:
    """Whether a write is on its way, or waits for its next try."""
    return write.doing is not None or write.retry_at >= now


def _seen(event: AnyEvent) -> str:
    match event:
        case PresenceSeen():
            return event.source.value
        case LegsSeen():
            return "calls"
        case StatusSeen():
            return "status"
        case _:
            return ""
