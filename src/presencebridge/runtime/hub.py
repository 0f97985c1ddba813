"""One mailbox for each person: event -> step -> saved -> commands.

A person's events are worked through one after another; different people side by side. A mailbox comes with
the first event and goes when it is empty. What was decided for people whose turn it is at the same time is
saved together, and after some people whatever else waits for the loop gets its turn.

The core never has more than one write under way for each side of a person, so a slow write holds up nobody,
and what is wanted meanwhile is decided when it is done: writes are coalesced to the newest wish.
"""

import asyncio
import collections
import contextlib
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Final, NamedTuple

import msgspec
import structlog
from msgspec.structs import replace

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
    Recognized,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TeamsFound,
    TimerFired,
)
from presencebridge.core.machine import maybe_over, next_wake, step, without_session
from presencebridge.core.model import Because, State, StatusClaim
from presencebridge.core.policy import Policy
from presencebridge.errors import Gone, LinkError, TryAgain
from presencebridge.metrics import Metrics
from presencebridge.runtime.hops import PBX, TEAMS, Hops, Step, is_owed
from presencebridge.runtime.journal import Decision, Entry, Journal
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.runtime.ports import Clock, Statuses, Store, Teams
from presencebridge.runtime.wall_pauses import WallPauses

_log = structlog.get_logger()
_decisions = structlog.get_logger("presencebridge.decisions")
_has_readers: Final = logging.getLogger("presencebridge.decisions")

_MOST_WAITING: Final = 200
"""Events of one person. Beyond that a newer sighting takes the place of the oldest of its kind: what it said
is not so any more. What became of a write is never dropped, and there is at most one for each side."""
_SAVE_AGAIN_S: Final = 1.0
_AT_A_TIME: Final = 50
"""People whose turn it is before whatever else waits for the loop: a millisecond or two."""

_QUIET: Final = frozenset({Because.ECHO, Because.OVERTAKEN})
"""Not worth a line in the log; `why` tells them."""


Mailbox = list[tuple[AnyEvent, float]]
"""A person's events, each with the time at which it came. They are hardly ever more than one or two."""


class _Decided(NamedTuple):
    """A step of the core, before it is saved and carried out."""

    member: Member
    event: AnyEvent
    seen_at: float
    now: float
    decided_at: float
    new: State
    commands: tuple[AnyCommand, ...]


class _Batch(msgspec.Struct, eq=False):
    """What is saved together, by person."""

    since: float
    decided: dict[str, tuple[_Decided, Mailbox]]


class Hub:
    """Everybody's state, and the only thing that changes it."""

    def __init__(  # noqa: PLR0913 - what it stands on, each once
        self,
        people: People,
        store: Store,
        teams: Teams,
        statuses: Statuses,
        clock: Clock,
        journal: Journal,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._people = people
        self._store = WallPauses(store, clock)
        self._teams = teams
        self._statuses = statuses
        self._clock = clock
        self._journal = journal
        self._metrics = metrics = metrics or Metrics()
        # Once for each label, and not for each step.
        self._events = functools.cache(metrics.events.labels)
        self._commands = functools.cache(metrics.commands.labels)
        self._states: dict[str, State] = {}
        self._hops = Hops(metrics)
        self._mailboxes: dict[str, Mailbox] = {}
        self._turns: collections.deque[tuple[Member, Mailbox, _Decided | None]] = collections.deque()
        """Whose turn it is, and with it what was decided for them and is saved by now."""
        self._has_turns = asyncio.Event()
        self._unsaved: dict[str, tuple[_Decided, Mailbox]] = {}
        """What has to be saved first, since the last batch."""
        self._batches: list[_Batch] = []
        """Those that wait for the disk."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._leaving: dict[str, asyncio.Event] = {}
        """Set when nothing is held any more for somebody who is to go."""
        self._strangers: dict[str, State] = {}
        """States of people who are not served: of the last run, paused, or with a status to be given back."""
        self._left: set[str] = set()
        """Those of them who were served since the start."""
        self._tasks: asyncio.TaskGroup | None = None
        self.on_read_wanted: Callable[[Member, float], None] = lambda _member, _not_before: None
        self.on_teams_failed: Callable[[Member], None] = lambda _member: None
        """Called when a write to Teams failed: a read should tell whether it is Graph or the person."""
        self.on_changed: Callable[[str, State, float], None] = lambda _key, _state, _now: None
        """Called with what is known of somebody when it changed."""
        self.on_left: Callable[[str], None] = lambda _key: None
        self.plots = Plots(clock.now)
        self.logs_decisions = False
        """Whether decisions may be kept where the log is kept: they name the extension."""
        self.on_unsaved: Callable[[str], None] = lambda _reason: None
        self.on_saved: Callable[[], None] = lambda: None

    async def load(self, *, all_are_known: bool = True) -> None:
        """Everybody's claims from the store; people who are not served any more are forgotten.

        Unless `all_are_known`, who is not served yet may still come: `part_with_strangers` ends that.
        """
        known = self._store.load()
        self._states = {member.key: known.pop(member.key, State()) for member in self._people}
        if all_are_known:
            await self._store.forget(known)
        else:
            self._strangers = known

    @property
    def has_strangers(self) -> bool:
        """Whether the store knows people who are not served."""
        return bool(self._strangers)

    async def part_with_strangers(self) -> None:
        """Forget who was served before and is not any more.

        A status of ours is given back first. As long as 3CX doesn't let us they are kept, and the next call
        tries again. A session on Teams has ended by itself, or will. Who left while paused is left as they
        are, and is kept as long as we live: that somebody was missing for a while must not end their pause.
        """
        for key in tuple(self._strangers):  # one at a time: whoever comes back meanwhile is none any more
            state = self._strangers.get(key)
            if state is None:
                continue
            if _is_paused(state, self._clock.now()):
                if key in self._left:
                    continue
            elif not await self._is_given_back(key, state.status_claim):
                continue
            if self._strangers.get(key) is state:
                del self._strangers[key]
                self._left.discard(key)
                with contextlib.suppress(OSError):
                    await self._store.forget([key])

    async def _is_given_back(self, key: str, claim: StatusClaim | None) -> bool:
        """Give a stranger's status back; True also where there is nothing to give, or nobody to give to."""
        if claim is None or not _is_to_give_back(claim):
            return True
        try:
            change = await self._statuses.change_status(key, claim.ours, claim.before)
        except Gone as error:
            return error.status is None  # else it is not the extension that was not found
        except LinkError:
            return False
        return not (change.wrote and change.after == change.before)

    def join(self, member: Member) -> None:
        """Serve somebody from now on."""
        self._people.add(member)
        self._states[member.key] = self._strangers.pop(member.key, State())
        self._left.discard(member.key)
        self._begin(member)

    def _begin(self, member: Member) -> None:
        self.post(member.key, Started())
        self.recognized(member)

    def needs_status(self, member: Member) -> bool:
        """Whether their status is to be read from 3CX: who is excluded may have to get one back first."""
        return not member.policy.excluded or self._states[member.key].status_claim is not None

    def recognized(self, member: Member) -> None:
        """Who they are in Entra is known: what is kept of somebody else is not theirs."""
        if member.user is not None:
            self.post(member.key, Recognized(member.user))

    def change_policy(self, member: Member, policy: Policy) -> None:
        """Other rules from now on."""
        if member.policy != policy:
            member.policy = policy
            self.post(member.key, TimerFired())

    async def leave(self, member: Member, within_s: float) -> None:
        """Serve somebody no longer: what we hold is given back, and they are forgotten.

        It is given back by the rules themselves, as if nothing were wanted on either side any more. A status
        that can't be given back now is tried again by `part_with_strangers`.
        """
        key, state = member.key, self._states[member.key]
        silent = state.paused
        member.policy = member.policy.letting_go()
        done = self._leaving[key] = asyncio.Event()
        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(within_s):
                if self._tasks is not None and state.pbx_up and not silent:
                    self.post(key, TimerFired())
                    await done.wait()
        self._stop(key)
        left = self._states[key].teams_claim
        with contextlib.suppress(TimeoutError, LinkError):
            async with asyncio.timeout(within_s):
                if left and member.user is not None and not silent:  # the rules wait for 3CX with it
                    await self._teams.clear_presence(member.user)
        await self._drop(member, _kept_of(member, self._states[key]))

    def _stop(self, key: str) -> None:
        """Nothing more is decided or done for this person, and nothing more of them is handed to the disk."""
        self._mailboxes.pop(key, None)
        for waiting in (self._unsaved, *(batch.decided for batch in self._batches)):
            waiting.pop(key, None)

    async def _drop(self, member: Member, kept: State | None = None) -> None:
        """Forget somebody, but for what they are still owed, and that they are paused if they come back."""
        key = member.key
        self._people.remove(member)
        del self._states[key], self._leaving[key]
        self._hops.forget(key)
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        self._journal.forget(key)
        self.on_left(key)
        if kept is not None:
            if not kept.paused:
                _log.warning("status not given back yet", person=key)
            self._strangers[key] = kept
            self._left.add(key)
        with contextlib.suppress(OSError):  # else the next start sees to it
            await (self._store.forget([key]) if kept is None else self._store.save({key: kept}))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for member in self._people:
                    self._begin(member)
                while True:
                    await self._has_turns.wait()
                    self._has_turns.clear()
                    while self._turns:
                        self._work_some()
                        await asyncio.sleep(0)
            finally:
                # Before the group ends what is under way: while it does, it takes nothing new.
                self._tasks = None
                for timer in self._timers.values():
                    timer.cancel()

    def state(self, key: str) -> State:
        return self._states[key]

    def owed(self) -> dict[str, dict[str, float]]:
        """For each side, who waits for a write to it, and since when."""
        now = self._clock.now()
        teams = ((key, since) for key, since in self._hops.owed(TEAMS) if key in self._states)
        pbx = ((key, since) for key, since in self._hops.owed(PBX) if key in self._states)
        return {
            TEAMS: {key: since for key, since in teams if is_owed(self._states[key].teams_write, now)},
            PBX: {key: since for key, since in pbx if is_owed(self._states[key].status_write, now)},
        }

    @property
    def saving_since(self) -> float | None:
        """Since when the disk has said nothing to somebody who waits for it; None if nobody does."""
        return min((batch.since for batch in self._batches), default=None)

    def seen(self, member: Member, event: AnyEvent) -> None:
        """Post what is about this very person, unless they have gone, whoever has the extension now."""
        if self._people.has(member):
            self.post(member.key, event)

    def teams_found(self) -> None:
        """Graph answers again: whatever waits for its next try may try."""
        for member in self._people:
            if self._states[member.key].teams_write.retry_at:
                self.post(member.key, TeamsFound())

    def post(self, key: str, event: AnyEvent) -> None:
        """Put an event into a person's mailbox. Events of a hub that does not run are dropped."""
        if self._tasks is None or key not in self._states:
            return
        mailbox = self._mailboxes.get(key)
        if mailbox is None:
            mailbox = self._mailboxes[key] = []
            self._takes_turn(self._people[key], mailbox)
        elif len(mailbox) >= _MOST_WAITING:
            oldest = next((waiting for waiting in mailbox if type(waiting[0]) is type(event)), None)
            if oldest is not None:
                mailbox.remove(oldest)
        mailbox.append((event, self._clock.now()))

    def _takes_turn(self, member: Member, mailbox: Mailbox, saved: _Decided | None = None) -> None:
        self._turns.append((member, mailbox, saved))
        self._has_turns.set()

    def _work_some(self) -> None:
        """Let some people have their turn, and save what has to be saved."""
        for _ in range(min(len(self._turns), _AT_A_TIME)):
            member, mailbox, saved = self._turns.popleft()
            if self._mailboxes.get(member.key) is mailbox:  # or else the person has gone
                if saved is not None:
                    self._done(saved)
                self._work(member, mailbox)
        if self._unsaved and self._tasks is not None:
            unsaved, self._unsaved = self._unsaved, {}
            self._tasks.create_task(self._save(unsaved), name="save")

    def _work(self, member: Member, mailbox: Mailbox) -> None:
        """Work through a mailbox, until it is empty or something has to be saved first."""
        key, now = member.key, self._clock.now
        while mailbox:
            event, seen_at = mailbox.pop(0)
            began_at = now()
            old = self._states[key]
            new, commands = step(old, event, began_at, member.policy)
            decided = _Decided(member, event, seen_at, began_at, now(), new, commands)
            if new.durable() != old.durable():
                self._unsaved[key] = decided, mailbox
                return
            self._done(decided)
        # Nothing happens between "empty" and here: an event in between would be lost.
        self._mailboxes.pop(key, None)

    def _done(self, decided: _Decided) -> None:
        """What was decided is so from here on, and is carried out."""
        member, event, new = decided.member, decided.event, decided.new
        key = member.key
        old, self._states[key] = self._states[key], new
        if new.teams_write is not old.teams_write or new.status_write is not old.status_write:
            times = Step(decided.seen_at, decided.decided_at, self._clock.now())
            self._hops.decided(key, old, new, event, times)
            self._plot(event, decided.seen_at)
        self._events(type(event).__name__).inc()
        if decided.commands or _looks_different(old, new):
            self.on_changed(key, new, decided.now)
            self._tell(Entry(decided.now, key, event, decided.commands), decided.decided_at - decided.now)
        for command in decided.commands:
            self._carry_out(member, command)
        self._set_timer(member, new, decided.now)
        if key in self._leaving and _holds_nothing(new):
            self._leaving[key].set()

    def _plot(self, event: AnyEvent, seen_at: float) -> None:
        """How long it took from what was seen to what was decided and saved."""
        if isinstance(event, LegsSeen | StatusSeen):
            self.plots.took(Hop.PBX_SEEN, self._clock.now() - seen_at)
        elif isinstance(event, PresenceSeen) and event.source is Source.NOTIFICATION:
            self.plots.took(Hop.TEAMS_NOTIFIED, self._clock.now() - event.asked_at)

    async def _save(self, decided: dict[str, tuple[_Decided, Mailbox]]) -> None:
        """Nothing is sent before it is saved, so a full disk stops these people here, and tells."""
        while decided:  # who goes meanwhile goes from here, too
            batch = _Batch(self._clock.now(), decided)
            self._batches.append(batch)
            try:
                await self._store.save({key: one.new for key, (one, _) in decided.items()})
            except OSError as error:
                self.on_unsaved(str(error))
                await asyncio.sleep(_SAVE_AGAIN_S)
            else:
                self.on_saved()
                break
            finally:
                self._batches.remove(batch)
        for one, mailbox in decided.values():
            self._takes_turn(one.member, mailbox, one)

    def _carry_out(self, member: Member, command: AnyCommand) -> None:
        self._commands(type(command).__name__, command.because.value).inc()
        match command:
            case ReadPresence():
                self.on_read_wanted(member, command.not_before)
            case SetPresence() | ClearPresence():
                self._spawn(self._write_presence(member, command), member.key)
            case ChangeStatus():
                self._spawn(self._write_status(member, command), member.key)
            case Note():
                pass

    def _spawn(self, work: Coroutine[None, None, None], key: str) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work, name=f"write {key}")

    async def _write_presence(self, member: Member, command: SetPresence | ClearPresence) -> None:
        kind = "set" if isinstance(command, SetPresence) else "clear"
        try:
            if member.user is None:
                raise TryAgain(member.troubles.get("teams", "not yet found in Entra"))
            with self._metrics.write_seconds.labels("teams").time(), self.plots.timed(Hop.TEAMS_WRITE):
                if isinstance(command, SetPresence):
                    await self._teams.set_presence(member.user, command.pair, command.lease_s)
                else:
                    await self._teams.clear_presence(member.user)
        except LinkError as error:
            self._metrics.writes.labels(TEAMS, kind, type(error).__name__).inc()
            self.seen(member, PresenceWriteFailed(_in_words(error), _after(error)))
            self.on_teams_failed(member)
        else:
            self._hops.accepted(member.key, TEAMS, self._clock.now())
            self._metrics.writes.labels(TEAMS, kind, "done").inc()
            self.seen(member, PresenceWritten(isinstance(command, ClearPresence)))

    async def _write_status(self, member: Member, command: ChangeStatus) -> None:
        try:
            with self._metrics.write_seconds.labels("3cx").time(), self.plots.timed(Hop.PBX_WRITE):
                change = await self._statuses.change_status(member.key, command.expected, command.wanted)
        except LinkError as error:
            self._metrics.writes.labels(PBX, "status", type(error).__name__).inc()
            self.seen(member, StatusWriteFailed(_in_words(error), _after(error)))
        else:
            ignored = change.wrote and change.after == change.before
            if not ignored:
                self._hops.accepted(member.key, PBX, self._clock.now())
            self._metrics.writes.labels(PBX, "status", "ignored" if ignored else "done").inc()
            self.seen(member, StatusWritten(change.before, change.after, change.wrote))

    def _set_timer(self, member: Member, state: State, now: float) -> None:
        timer = self._timers.pop(member.key, None)
        if timer:
            timer.cancel()
        wake = next_wake(state, now, member.policy)
        if wake is not None:
            loop = asyncio.get_running_loop()
            # A hair later than asked, so that the time has certainly come by our clock too.
            self._timers[member.key] = loop.call_later(
                wake - now + 0.001, self.post, member.key, TimerFired()
            )

    def _tell(self, entry: Entry, took_s: float) -> None:
        self._journal.add(entry)
        level = logging.INFO if self.logs_decisions else logging.DEBUG
        if not _has_readers.isEnabledFor(level):  # a line that nobody sees costs as much as the decision
            return
        for command in entry.said:
            if command.because in _QUIET or isinstance(command, ReadPresence):
                continue
            decided, took_ms = Decision(entry.seen, command), round(took_s * 1000, 3)
            _decisions.log(level, "decision", person=entry.person, decided=decided, took_ms=took_ms)

    async def let_go(self, within_s: float) -> int:
        """End our presence sessions before the process ends. Returns how many are left to their lease.

        Those of people who are paused are left too, as nothing is written for them.
        """
        holding = [member for member in self._people if self._states[member.key].teams_claim]

        async def keep(member: Member, state: State) -> None:
            self._states[member.key] = state
            with contextlib.suppress(OSError):
                await self._store.save({member.key: state})

        async def clear(member: Member) -> None:
            state = self._states[member.key]
            claim = state.teams_claim
            if member.user is None or claim is None:
                return
            # If no answer comes, the next life must know.
            await keep(member, replace(state, teams_claim=maybe_over(claim)))
            with contextlib.suppress(LinkError):
                await self._teams.clear_presence(member.user)
                await keep(member, without_session(state, claim, self._clock.now()))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
                for member in holding:
                    if not self._states[member.key].paused:
                        tasks.create_task(clear(member))
        return sum(self._states[member.key].teams_claim is not None for member in holding)


def _is_paused(state: State, now: float) -> bool:
    return state.paused and (state.paused_until is None or now < state.paused_until)


def _kept_of(member: Member, state: State) -> State | None:
    """What is kept of somebody who goes; None if that is nothing."""
    claim = state.status_claim
    if claim is not None and not _is_to_give_back(claim):
        claim = None
    if claim is None and not state.paused:
        return None
    return State(user=member.user, status_claim=claim, paused=state.paused, paused_until=state.paused_until)


def _is_to_give_back(claim: StatusClaim) -> bool:
    """Whether a status of ours may stand on 3CX, and it is known what was there before."""
    return bool(claim.ours and claim.before)


def _holds_nothing(state: State) -> bool:
    writing = state.teams_write.doing or state.status_write.doing
    return not (state.teams_claim or state.status_claim or writing)


def _looks_different(old: State, new: State) -> bool:
    return (old.shown, old.status, old.legs, old.paused, old.teams_claim, old.status_claim) != (
        new.shown,
        new.status,
        new.legs,
        new.paused,
        new.teams_claim,
        new.status_claim,
    )


def _in_words(error: LinkError) -> str:
    return f"{error} ({error.cure})" if error.cure else str(error)


def _after(error: LinkError) -> float | None:
    return error.after_s if isinstance(error, TryAgain) else None
