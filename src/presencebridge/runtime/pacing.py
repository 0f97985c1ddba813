"""PURE: whom to ask next, and when. Everybody stands in groups around a ring; the pace is how fast it turns.

All times are in seconds of one clock that only goes forward.
"""

from collections.abc import Sequence
from typing import Final

from presencebridge.core.backoff import doubled

MOST_PER_S: Final = 24.0
"""Reads a second, evenly spaced: 721 in any 30 s, less than half of the lower one of the two limits that
Microsoft publishes for presence (1,500 in 30 s). The other half is for writes, and for whatever else counts.
https://learn.microsoft.com/graph/api/cloudcommunications-getpresencesbyuserid"""

FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 30.0

_STEPS_BACK: Final = 16
"""Answers until the full pace is reached again from next to nothing."""
_LEAST_SHARE: Final = 1 / 64
_NEVER: Final = float("-inf")
_LATE: Final = 0.01
"""Share of the interval by which a turn may be late."""


class Pace:
    """How soon one request may follow another.

    While Graph answers, requests follow evenly. What it refuses as too much (429, 503) halves the pace, which
    comes back step by step, one step an answer. In trouble one request goes at a time to see how it is, later
    each time, whether the last one was answered or not; and none before Graph said.
    """

    def __init__(self, most_per_s: float) -> None:
        self._most = most_per_s
        self.rate = most_per_s
        """Requests a second for now."""
        self._next_at = _NEVER
        self._closed_until = _NEVER
        self._tries = 0
        self._longest_s = LONGEST_RETRY_S
        self._left_at = _NEVER
        self._slowed_at = _NEVER
        self._newest_failed = _NEVER
        self._newest_answered = _NEVER
        """When the newest request left that failed, or was answered: later news count."""

    @property
    def next_at(self) -> float:
        """When the next request may leave."""
        return max(self._next_at, self._closed_until)

    @property
    def is_slowed(self) -> bool:
        return self.rate < self._most

    def left(self, now: float) -> None:
        """A request leaves."""
        self._left_at = now
        if self._tries:
            self._tries += 1
            self._next_at = now + self._rest()
        else:
            gap = 1 / self.rate
            is_late = now < self._next_at + gap  # a timer's fault, which is not to add up
            self._next_at = (self._next_at if is_late else now) + gap

    @property
    def part_at(self) -> float:
        """When a part of a request may follow that was refused as a whole: in trouble it is the same try."""
        return max(self._left_at + 1 / self.rate, self._closed_until)

    def part_left(self, now: float) -> None:
        """Such a part leaves."""
        self._left_at = now
        self._next_at = max(self._next_at, now + 1 / self.rate)

    def answered(self, left_at: float, now: float) -> None:
        """The request that left then was answered."""
        self._newest_answered = max(self._newest_answered, left_at)
        if left_at < self._newest_failed:
            return  # it is from before the trouble
        self.rate = min(self._most, self.rate + self._most / _STEPS_BACK)
        if self._tries:
            self._tries = 0
            self._next_at = min(self._next_at, now + 1 / self.rate)

    def failed(
        self, left_at: float, now: float, after_s: float | None, *, too_many: bool, longest_s: float
    ) -> bool:
        """The request that left then failed. False if a later one was answered, so that Graph is well.

        `after_s` is Graph's Retry-After; `longest_s` is the longest rest between two tries.
        """
        if after_s is not None:
            self._closed_until = max(self._closed_until, now + after_s)
        if too_many and left_at >= self._slowed_at:  # what left before is of the same crowd
            self._slowed_at = now
            self.rate = max(self.rate / 2, self._most * _LEAST_SHARE)
        if left_at < self._newest_answered:
            return False
        self._newest_failed = max(self._newest_failed, left_at)
        self._longest_s = longest_s
        self._tries = max(self._tries, 1)
        if left_at >= self._left_at or self._tries == 1:
            self._next_at = max(self._next_at, now + self._rest())
        return True

    def _rest(self) -> float:
        return rest(self._tries, self._longest_s)


def rest(tries: int, longest_s: float = LONGEST_RETRY_S) -> float:
    """How long to wait after so many tries."""
    return doubled(FIRST_RETRY_S, tries - 1, longest_s)


class Group:
    """People who are asked about in one request."""

    __slots__ = ("asked_at", "tries", "users", "want_at")

    def __init__(self, users: tuple[str, ...], want_at: float) -> None:
        self.users = users
        self.asked_at = _NEVER
        self.want_at = want_at
        """It is to be asked then, if it was not since."""
        self.tries = 0
        """In vain, while others were answered."""

    def failed(self, asked_at: float, again_at: float) -> None:
        """The request of that time failed."""
        if asked_at >= self.asked_at:  # otherwise a newer one is under way
            self.asked_at, self.want_at = _NEVER, again_at


class Ring:
    """Everybody in groups of the same size, whose turns are spread evenly over the interval."""

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._begun = now
        self.users: tuple[str, ...] = ()
        self.groups: list[Group] = []

    def seat(self, users: Sequence[str], now: float) -> None:
        """Who is to be read from now on. As far as it goes, groups keep their turns."""
        self.users = tuple(users)
        count = -(-len(users) // self._most)
        size, larger = divmod(len(users), count) if count else (0, 0)
        groups = []
        start = 0
        for number in range(count):
            end = start + size + (number < larger)
            group = Group(self.users[start:end], now)
            if number < len(self.groups):
                before = self.groups[number]
                group.asked_at, group.want_at = before.asked_at, before.want_at
            groups.append(group)
            start = end
        self.groups = groups

    def want(self, now: float) -> None:
        """Everybody is to be asked now."""
        for group in self.groups:
            group.want_at = now

    def first(self, every_s: float) -> tuple[float, Group | None]:
        """The group whose turn is next, and when it is."""
        best, chosen = float("inf"), None
        for number, group in enumerate(self.groups):
            turn = self._turn(number, group, every_s)
            if turn < best:
                best, chosen = turn, group
        return best, chosen

    def _turn(self, number: int, group: Group, every_s: float) -> float:
        """An interval after the last time; earlier, by half of it at most, where that leads into step."""
        if group.asked_at < group.want_at:
            return group.want_at
        turn = group.asked_at + every_s
        seat = self._begun + number * every_s / len(self.groups)
        ahead = (turn - seat + every_s / 2) % every_s - every_s / 2
        return turn - (every_s / 2 if ahead < -_LATE * every_s else ahead)
