"""Everybody's presence, and what has to be announced as the clock goes on."""

import heapq
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from presencebridge.emulators.graph import presence
from presencebridge.emulators.graph.presence import OFFLINE, Pair, Presence


class StatusMessage(msgspec.Struct, frozen=True):
    """The note under a user's name."""

    content: str
    published: float
    expires: float | None = None


class Entry(msgspec.Struct):
    """One user on the board. `published` is the pair that was last announced, `turn` the next look."""

    presence: Presence = Presence()
    published: Pair = OFFLINE
    sequence: str = ""
    turn: float | None = None
    message: StatusMessage | None = None
    manual_location: dict[str, Any] | None = None
    automatic_location: dict[str, Any] | None = None


class Board:
    """Holds every user's presence; calls `announce(user_id, pair)` whenever a shown pair changes."""

    def __init__(self, user_ids: Iterable[str], now: float, announce: Callable[[str, Pair], None]) -> None:
        self._announce = announce
        self._stamp = 0
        self._turns: list[tuple[float, str]] = []
        self._entries = {user_id: Entry(sequence=self._next_stamp(now)) for user_id in user_ids}

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._entries

    def add(self, user_id: str, now: float) -> None:
        """Somebody new, who has no session yet."""
        self._entries[user_id] = Entry(sequence=self._next_stamp(now))

    def remove(self, user_id: str) -> None:
        del self._entries[user_id]
        self._turns = [turn for turn in self._turns if turn[1] != user_id]
        heapq.heapify(self._turns)

    def entry(self, user_id: str) -> Entry:
        return self._entries[user_id]

    def put(self, user_id: str, changed: Presence, now: float) -> None:
        """Takes what is now said about a user and announces the pair, should it differ."""
        entry = self._entries[user_id]
        entry.presence = presence.pruned(changed, now)
        turn = presence.next_turn(entry.presence, now)
        if turn is not None and (entry.turn is None or turn < entry.turn):
            entry.turn = turn
            heapq.heappush(self._turns, (turn, user_id))
        pair = presence.shown(entry.presence, now)
        if pair != entry.published:
            entry.published = pair
            self.touch(user_id, now)
            self._announce(user_id, pair)

    def touch(self, user_id: str, now: float) -> None:
        """The presence object has a new version: its sequence number goes up."""
        self._entries[user_id].sequence = self._next_stamp(now)

    @property
    def next_turn(self) -> float | None:
        return self._turns[0][0] if self._turns else None

    def turn(self) -> None:
        """Does what is due first, at its own moment."""
        moment, user_id = heapq.heappop(self._turns)
        entry = self._entries[user_id]
        if entry.turn == moment:  # otherwise an earlier look took its place
            entry.turn = None
            self.put(user_id, entry.presence, moment)

    def _next_stamp(self, now: float) -> str:
        # learn.microsoft.com/graph/api/resources/presence: lexicographically sortable, no more is said.
        self._stamp = max(self._stamp + 1, int(now * 1000))
        return f"A{self._stamp:012X}"
