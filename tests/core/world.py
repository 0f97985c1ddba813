"""Both outside sides, the people, and the part of a service that the core stands on; in simulated time.

Written from the descriptions of Graph and 3CX and from what the shell promises, not from the core: nothing
here knows a rule. What may go wrong is drawn by the tests and put into `faults`.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playbook import stored

from presencebridge.core.commands import (
    AnyCommand,
    ChangeStatus,
    ClearPresence,
    Note,
    ReadPresence,
    SetPresence,
)
from presencebridge.core.events import (
    AnyEvent,
    LegsSeen,
    Paused,
    PbxLost,
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Resumed,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TimerFired,
)
from presencebridge.core.machine import next_wake, step
from presencebridge.core.model import Because, LegState, Presence, State, parse_pair
from presencebridge.core.policy import SEED, Policy

OFFLINE = Presence("Offline", "Offline")
RANK = {"DoNotDisturb": 4, "Busy": 3, "Available": 2, "Away": 1, "BeRightBack": 1, "Offline": 0}
LINK_S, NOTICE_S, POLL_S, RECONCILE_S = 0.05, 1.0, 2.0, 300.0
TEAMS, PBX = "teams", "3cx"


@dataclass(frozen=True)
class Wrote:
    """A write that really changed, or refreshed, what an outside side holds."""

    at: float
    side: str
    command: AnyCommand
    by_hand_before: bool = False
    """True if somebody's own status was replaced."""

    @property
    def is_renewal(self) -> bool:
        return self.command.because is Because.LEASE_RENEWED


@dataclass
class Faults:
    """What the next of each kind meets; taken once, and then all is well again."""

    status_write: list[str] = field(default_factory=list)
    """`before`: fails and nothing was done. `after`: was done, and the answer is lost. `ignored`."""
    presence_write: list[str] = field(default_factory=list)
    read_delay_s: list[float] = field(default_factory=list)
    notices: list[Sequence[float]] = field(default_factory=list)
    """For the next notification, after how many seconds it comes, each time that it comes."""
    crash: str | None = None
    """At the next step that asks for a write: `before save`, `before send` or `after send`."""


class World:
    def __init__(
        self, policy: Policy = SEED, client: str = "Available/Available", tie: str = "newest"
    ) -> None:
        self.policy, self.now, self._count = policy, 1_000_000.0, 0
        self.tie = tie
        # Teams
        self.client: Presence | None = parse_pair(client)
        self.client_at = self.now
        self.preferred: Presence | None = None
        self.session: Presence | None = None
        self.session_at = self.session_ends = self.now
        self.graph_up = True
        self.numbered = True
        self._sequence, self._notified = 0, self.shown()
        self.lag_s = 0.0
        self._shown_since = [(0.0, self._notified, 0)]
        # 3CX
        self.status, self.by_hand, self.murky = "Available", True, False
        self.ever_by_hand = False
        self.legs: dict[str, LegState] = {}
        self.pbx_up = True
        # the service
        self.state, self.saved = State(), State()
        self.alive, self.life = False, 0
        self._wake: float | None = None
        self._out: set[str] = set()
        self._read_at: float | None = None
        self.faults = Faults()
        self.probing = False
        # what happened
        self.wrote: list[Wrote] = []
        self.asked: list[AnyCommand] = []
        self._steps_at: tuple[float, int] = (0.0, 0)
        self._queue: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._later(RECONCILE_S, "_reconcile_for_ever")
        self.start()

    def fork(self) -> World:
        """A second world that goes its own way from here."""
        twin = copy.copy(self)
        twin._shown_since = list(self._shown_since)
        twin.legs, twin._out, twin._queue = dict(self.legs), set(self._out), list(self._queue)
        twin.wrote, twin.asked, twin.faults = list(self.wrote), list(self.asked), copy.deepcopy(self.faults)
        return twin

    # Teams

    def without_us(self) -> Presence:
        """What Teams would show if there were no bridge."""
        if self.client is None:
            return OFFLINE
        return self.preferred or self.client

    def shown(self) -> Presence:
        """preferred presence > DoNotDisturb > Busy > Available > Away; among equals it is not documented."""
        live = [(self.client, self.client_at)] if self.client else []
        if self.session and self.now < self.session_ends:
            live.append((self.session, self.session_at if self.tie == "newest" else 0.0))
        if not live:
            return OFFLINE
        if self.preferred:
            return self.preferred
        return max(live, key=lambda one: (RANK[one[0].availability], one[1]))[0]

    def set_client(self, pair: str | None) -> None:
        self.client, self.client_at = pair and parse_pair(pair), self.now
        self._teams_changed()

    def set_preferred(self, pair: str | None) -> None:
        self.preferred = pair and parse_pair(pair)
        self._teams_changed()

    def _teams_changed(self) -> None:
        if self.shown() == self._notified:
            return
        self._notified = self.shown()
        self._sequence += 1
        self._shown_since.append((self.now, self._notified, self._sequence))
        for delay in self.faults.notices.pop(0) if self.faults.notices else (NOTICE_S,):
            self._later(delay, "_notify", self.shown())

    def _notify(self, presence: Presence) -> None:
        self._see(PresenceSeen(presence, Source.NOTIFICATION, self.now))

    def _session_may_have_ended(self) -> None:
        if self.session and self.now >= self.session_ends:
            self.session = None
        self._teams_changed()

    # 3CX

    def set_by_hand(self, status: str) -> None:
        if status == self.status:
            return
        # Whoever cannot look at this moment cannot know whose the next status is.
        self.murky = (
            not (self.alive and self.pbx_up) or PBX in self._out or self.state.status_write.attempts > 0
        )
        self.status, self.by_hand, self.ever_by_hand = status, True, True
        self._later(POLL_S, "_poll_status", self.life)

    def set_leg(self, name: str, leg: LegState | None) -> None:
        if leg is None:
            self.legs.pop(name, None)
        else:
            self.legs[name] = leg
        self._later(LINK_S, "_poll_legs", self.life)

    def lose_link(self) -> None:
        self.pbx_up = False
        self._see(PbxLost())

    def link_back(self) -> None:
        self.pbx_up = True
        self._poll_legs(self.life)
        self._poll_status(self.life)

    def in_call(self) -> bool:
        return any(leg not in {LegState.RINGING, LegState.UNDEFINED} for leg in self.legs.values())

    def _poll_legs(self, life: int) -> None:
        if self.pbx_up and life == self.life:
            self._see(LegsSeen(tuple(self.legs.values())))

    def _poll_status(self, life: int) -> None:
        if self.pbx_up and life == self.life and self.alive:
            delay = self._slowness()
            self._later(delay, "_answer", self.life, StatusSeen(self.status, self.now))

    # The service

    def start(self) -> None:
        self.alive, self.life = True, self.life + 1
        self._out.clear()
        self._read_at = None
        self.state = stored(self.saved)
        self._see(Started())
        self._reconcile()

    def crash(self) -> None:
        self.alive = False

    def pause(self, for_s: float | None = None) -> None:
        self._see(Paused(None if for_s is None else self.now + for_s))

    def resume(self) -> None:
        self._see(Resumed())

    def _reconcile(self) -> None:
        self._want_read(self.now)
        self._poll_legs(self.life)
        self._poll_status(self.life)

    def _reconcile_for_ever(self) -> None:
        self._reconcile()
        self._later(RECONCILE_S, "_reconcile_for_ever")

    def _see(self, event: AnyEvent) -> None:
        if not self.alive:
            return
        at, steps = self._steps_at
        self._steps_at = (self.now, steps + 1 if at == self.now else 1)
        assert self._steps_at[1] < 50, "it spins"
        self.state, commands = step(self.state, event, self.now, self.policy)
        self._wake = next_wake(self.state, self.now, self.policy)
        assert self._wake is None or self._wake > self.now, "it spins"
        writes = [one for one in commands if not isinstance(one, Note | ReadPresence)]
        crash = self.faults.crash if writes else None
        if crash:
            self.faults.crash = None
        if crash != "before save":
            self.saved = self.state
        if crash not in {"before save", "before send"}:
            for command in commands:
                self._send(command)
        if crash:
            self.crash()

    def _send(self, command: AnyCommand) -> None:
        self.asked.append(command)
        if isinstance(command, ReadPresence):
            self._want_read(command.not_before)
        elif isinstance(command, ChangeStatus):
            self._write(PBX, command, self.faults.status_write)
        elif not isinstance(command, Note):
            self._write(TEAMS, command, self.faults.presence_write)

    def _write(self, side: str, command: AnyCommand, faults: list[str]) -> None:
        assert not self.policy.excluded, "an excluded person gets no write"
        assert not self.state.paused, "a paused person gets no write"
        assert side not in self._out, "one write at a time"
        self._out.add(side)
        self._later(LINK_S, f"_apply_{side}", command, faults.pop(0) if faults else "", self.life)

    def _apply_3cx(self, command: ChangeStatus, fault: str, life: int) -> None:
        if fault == "before" or not self.pbx_up:
            self._later(LINK_S, "_result", life, PBX, StatusWriteFailed("no answer"))
            return
        before, wrote = self.status, self.status in command.expected
        if wrote and fault != "ignored":
            self.wrote.append(Wrote(self.now, PBX, command, self.by_hand and not self.murky))
            self.status, self.by_hand, self.murky = command.wanted, False, False
        result = StatusWritten(before, self.status, wrote)
        lost = fault == "after"
        self._later(LINK_S, "_result", life, PBX, StatusWriteFailed("no answer") if lost else result)

    def _apply_teams(self, command: SetPresence | ClearPresence, fault: str, life: int) -> None:
        if fault == "before" or not self.graph_up:
            self._later(LINK_S, "_result", life, TEAMS, PresenceWriteFailed("no answer"))
            return
        self.wrote.append(Wrote(self.now, TEAMS, command))
        if isinstance(command, SetPresence):
            if command.pair != self.session:
                self.session, self.session_at = command.pair, self.now
            self.session_ends = self.now + command.lease_s
            self._later(command.lease_s, "_session_may_have_ended")
        else:
            self.session = None
        self._teams_changed()
        result = PresenceWritten(cleared=isinstance(command, ClearPresence))
        lost = fault == "after"
        self._later(LINK_S, "_result", life, TEAMS, PresenceWriteFailed("no answer") if lost else result)

    def _result(self, life: int, side: str, event: AnyEvent) -> None:
        if life == self.life:
            self._out.discard(side)
            self._see(event)

    def _want_read(self, not_before: float) -> None:
        at = max(self.now, not_before)
        if self._read_at is None or self._read_at < at:
            self._read_at = at
            self._later(at - self.now, "_read", self.life)

    def _read(self, life: int) -> None:
        if life != self.life or not self.alive:
            return
        if self._read_at is not None and self._read_at <= self.now:
            self._read_at = None
        if not self.graph_up:
            self._want_read(self.now + 5)
            return
        known = [one for one in self._shown_since if one[0] <= self.now - self.lag_s]
        _, shown, sequence = known[-1]
        seen = PresenceSeen(shown, Source.READ, self.now, f"{sequence:08}" if self.numbered else None)
        self._later(self._slowness(), "_answer", life, seen)

    def _slowness(self) -> float:
        return self.faults.read_delay_s.pop(0) if self.faults.read_delay_s else LINK_S

    def _answer(self, life: int, event: AnyEvent) -> None:
        if life == self.life:
            self._see(event)

    # Time

    def _later(self, delay: float, what: str, *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay, self._count, what, args))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            wake = self._wake if self.alive else None
            due = self._queue[0][0] if self._queue else end
            at = min(end, due, wake or end)
            if self.probing and self.alive and at > self.now:
                self._probe((self.now + at) / 2)
            self.now = at
            if wake == at and due > at:
                self._see(TimerFired())
            elif due <= at:
                _, _, what, args = heapq.heappop(self._queue)
                getattr(self, what)(*args)
            elif at == end:
                return

    def _probe(self, at: float) -> None:
        """Between two events and before the next wake there is nothing to do."""
        state, commands = step(self.state, TimerFired(), at, self.policy)
        assert (state, commands) == (self.state, ()), f"asleep at {at} with something due: {commands}"

    def come_to_rest(self) -> None:
        """All faults are over, and everything is read a few times."""
        self.faults = Faults()
        self.graph_up, self.lag_s = True, 0.0
        if not self.alive:
            self.start()
        if not self.pbx_up:
            self.link_back()
        if self.state.paused_until is not None:
            self.run(self.state.paused_until - self.now + 1)
        self.run(2 * RECONCILE_S + self.policy.lease_s + 100)

    # What to check

    def writes(self, side: str) -> int:
        return sum(one.side == side and not one.is_renewal for one in self.wrote)

    def end_state(self) -> tuple[str, Presence | None, Presence]:
        return self.status, self.session, self.shown()
