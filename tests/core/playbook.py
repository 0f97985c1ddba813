"""A test as a story: what is seen, what is asked for, how time goes by.

    at_rest(SEED).feed(legs(CONNECTED)).expect(say_in_a_call()).wait(60).expect()

Commands are compared one by one and in order; notes are compared apart, by their cause. A playbook that
was fed and never checked fails its test: see `conftest.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

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
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TimerFired,
)
from presencebridge.core.machine import next_wake, step
from presencebridge.core.model import AVAILABLE, AWAY, Because, LegState, Presence, State, parse_pair
from presencebridge.core.policy import IN_A_CALL, SEED, Policy

NOON = 1_000_000.0
Moment = Callable[[float], AnyEvent]

open_playbooks: list[Playbook] = []


class Playbook:
    def __init__(self, policy: Policy = SEED, state: State | None = None, now: float = NOON) -> None:
        self.policy, self.state, self.now = policy, state or State(), now
        self._commands: list[AnyCommand] = []
        self._notes: list[Because] = []
        self._story: list[str] = []
        self.unchecked = False
        open_playbooks.append(self)

    def feed(self, *moments: AnyEvent | Moment) -> Playbook:
        """Let things be seen, all at the present time."""
        self._notes.clear()
        for moment in moments:
            event = moment(self.now) if callable(moment) else moment
            self._story.append(f"{self.now - NOON:8.2f}  >> {event}")
            before = self.state
            self.state, commands = step(before, event, self.now, self.policy)
            wake = next_wake(self.state, self.now, self.policy)
            assert wake is None or wake > self.now, f"it would spin: {wake} is not after {self.now}"
            for command in commands:
                self._story.append(f"{'':8}  << {command}")
                if isinstance(command, Note):
                    self._notes.append(command.because)
                else:
                    self._commands.append(command)
        self.unchecked = True
        return self

    def expect(self, *commands: AnyCommand | Callable[[float], AnyCommand]) -> Playbook:
        """Exactly these were asked for since the last check, in this order."""
        wanted = [command(self.now) if callable(command) else command for command in commands]
        got, self._commands, self.unchecked = self._commands, [], False
        if got != wanted:
            lines = difflib.unified_diff(
                [*map(str, wanted)], [*map(str, got)], "expected", "got", lineterm=""
            )
            raise AssertionError("\n".join(["", *lines, "", "the story so far:", *self._story]))
        return self

    def notes(self, *causes: Because) -> Playbook:
        """Exactly these were noted since the last feed."""
        story = "\n".join(self._story)
        assert self._notes == [*causes], f"noted {self._notes}, not {[*causes]}\n{story}"
        return self

    def wait(self, seconds: float) -> Playbook:
        """Let time go by, with a `TimerFired` whenever one is wanted."""
        end = self.now + seconds
        while (wake := next_wake(self.state, self.now, self.policy)) is not None and wake <= end:
            self.now = wake
            self.feed(TimerFired())
        self.now = end
        return self

    def restart(self, after_s: float = 5.0) -> Playbook:
        """The process dies, and another one starts from what was stored."""
        self.now += after_s
        self.state = stored(self.state)
        return self.feed(Started())


def stored(state: State) -> State:
    """The state as the store gives it back: the durable part and nothing else."""
    names = ("spell", "teams_claim", "status_claim", "released", "paused", "paused_until", "user")
    return State(**dict(zip(names, state.durable(), strict=True)))


def play(policy: Policy = SEED) -> Playbook:
    """A person of whom nothing is known yet."""
    return Playbook(policy)


def at_rest(
    policy: Policy = SEED, on_teams: str = "Available/Available", on_3cx: str = AVAILABLE
) -> Playbook:
    """A person who has been looked at on both sides, and whom nothing is to be done about."""
    book = play(policy).feed(Started(), legs(), status(on_3cx), teams(on_teams)).expect()
    book.now += 60
    return book


def taken(policy: Policy = SEED, on_teams: str = "Busy/InAMeeting") -> Playbook:
    """A person in a meeting, with our `Away` on 3CX."""
    return at_rest(policy).feed(teams(on_teams)).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()


def in_call(policy: Policy = SEED, **rest: str) -> Playbook:
    """A person in a call, with our session on Teams."""
    book = at_rest(policy, **rest).feed(legs(LegState.CONNECTED)).expect(say_in_a_call())
    return book.feed(PresenceWritten(cleared=False)).expect()


# What is seen


def teams(pair: str, asked_ago: float = 0.0, sequence: str | None = None) -> Moment:
    """A read shows this."""
    return lambda now: PresenceSeen(parse_pair(pair), Source.READ, now - asked_ago, sequence)


def notified(pair: str) -> Moment:
    return lambda now: PresenceSeen(parse_pair(pair), Source.NOTIFICATION, now)


def status(name: str, asked_ago: float = 0.0) -> Moment:
    return lambda now: StatusSeen(name, now - asked_ago)


def legs(*states: LegState) -> LegsSeen:
    return LegsSeen(states)


def wrote(before: str, after: str) -> StatusWritten:
    return StatusWritten(before, after, wrote=True)


def left(status_: str) -> StatusWritten:
    """3CX was read, and there was nothing to write."""
    return StatusWritten(status_, status_, wrote=False)


SESSION_SET = PresenceWritten(cleared=False)
SESSION_CLEARED = PresenceWritten(cleared=True)
TEAMS_FAILS = PresenceWriteFailed("no answer")
PBX_FAILS = StatusWriteFailed("no answer")


# What is asked for


def take(value: str = AWAY, instead_of: tuple[str, ...] = (AVAILABLE,)) -> ChangeStatus:
    return ChangeStatus(Because.TEAMS_BUSY, instead_of, value)


def give_back(value: str = AWAY, to: str = AVAILABLE, because: Because = Because.TEAMS_FREE) -> ChangeStatus:
    return ChangeStatus(because, (value,), to)


def set_free(*values: str) -> ChangeStatus:
    return ChangeStatus(Because.TEAMS_FREE_UNCLAIMED, values or (AWAY,), AVAILABLE)


def say_in_a_call(pair: Presence = IN_A_CALL, lease_s: int = 300) -> SetPresence:
    return SetPresence(Because.IN_CALL, pair, lease_s)


def renew(pair: Presence = IN_A_CALL) -> SetPresence:
    return SetPresence(Because.LEASE_RENEWED, pair, 300)


def clear(pair: Presence = IN_A_CALL, because: Because = Because.CALL_OVER) -> ClearPresence:
    return ClearPresence(because, pair)


def look(because: Because, in_s: float = 0.0) -> Callable[[float], ReadPresence]:
    return lambda now: ReadPresence(because, now + in_s)


def look_after_session() -> Callable[[float], ReadPresence]:
    return look(Because.SESSION_CLEARED)
