"""Faults put into the service on purpose, and the seeds that find them.

Each is a patch at run time, undone afterwards. Nothing but the tests uses this.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from unittest import mock

import msgspec
from msgspec.structs import replace

from presencebridge.core import events, machine
from presencebridge.core.model import State, Write, parse_pair
from presencebridge.core.policy import Policy
from presencebridge.graph import calls, subscriptions, watcher
from presencebridge.graph.client import GraphClient
from presencebridge.graph.subscriptions import Action
from presencebridge.pbx import v20, v20_calls, web_api
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime import hub
from presencebridge.runtime.directory import MatchedPeople
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.simulation.disk import DiskStore
from presencebridge.simulation.making import Faults, plan_of
from presencebridge.simulation.plan import Plan, Trouble

Patch = contextlib.AbstractContextManager[Any]


class Mutant(msgspec.Struct, frozen=True):
    """What is wrong with it, how it is made so, and where it is found."""

    what: str
    patch: Callable[[], Patch]
    seed: int
    faults: Faults = "none"
    hours: float = 4.0
    """How much of the seed's day it takes."""
    also: Trouble | None = None
    """A trouble beside those of the seed."""
    nodes: int = 1

    def plan(self) -> Plan:
        plan = plan_until(self.seed, self.faults, self.hours, self.nodes)
        if self.also is None:
            return plan
        deeds = sorted((*plan.deeds, self.also), key=lambda deed: deed.at)
        return replace(plan, deeds=tuple(deeds), rests=())


def plan_until(seed: int, faults: Faults, hours: float, nodes: int = 1) -> Plan:
    """The first so many hours of a seed's first day."""
    whole, end = plan_of(seed, 1, faults, nodes), hours * 3600
    deeds = tuple(deed for deed in whole.deeds if deed.at < end)
    return replace(whole, deeds=deeds, rests=tuple(rest for rest in whole.rests if rest <= end), ends=end)


# A mock would write down every call, so these are plain functions.


def _handler(event: type, make: Callable[[Callable[..., State]], Callable[..., State]]) -> Patch:
    """Another handler for an event of the core, made from the real one."""
    return mock.patch.dict(machine._ON, {event: make(machine._ON[event])})  # noqa: SLF001


def _echo_ignored() -> Patch:
    return mock.patch.object(machine, "_explained", lambda *_: False)  # noqa: PT008


@contextlib.contextmanager
def _lease_not_renewed() -> Iterator[None]:
    with (
        mock.patch.object(machine, "_renew_at", lambda *_: float("inf")),  # noqa: PT008
        mock.patch.object(machine, "_end_lease", lambda state, _now, _say: state),
    ):
        yield


def _sent_before_saved() -> Patch:
    def work(self: hub.Hub, *of: Any) -> None:
        real(self, *of)
        for one, mailbox in self._unsaved.values():
            self._spawn(kept(self, {one.member.key: one.new}), one.member.key)
            self._takes_turn(one.member, mailbox, one)
        self._unsaved.clear()

    async def kept(self: hub.Hub, states: Mapping[str, State]) -> None:
        while True:
            with contextlib.suppress(OSError):
                return await self._store.save(states)
            await asyncio.sleep(1)

    real = hub.Hub._work  # noqa: SLF001
    return mock.patch.object(hub.Hub, "_work", work)


def _second_leg_clears() -> Patch:
    def make(real: Callable[..., State]) -> Callable[..., State]:
        def legs_seen(state: State, event: events.LegsSeen, *rest: Any) -> State:
            fewer = state.legs is not None and len(event.legs) < len(state.legs)
            return real(state, events.LegsSeen(()) if fewer else event, *rest)

        return legs_seen

    return _handler(events.LegsSeen, make)


def _claim_outlives_a_hand() -> Patch:
    def make(real: Callable[..., State]) -> Callable[..., State]:
        def seen(state: State, event: events.StatusSeen, *rest: Any) -> State:
            after = real(state, event, *rest)
            return replace(after, status_claim=state.status_claim, spell=state.spell)

        return seen

    return _handler(events.StatusSeen, make)


def _answered_again_and_again() -> Patch:
    return mock.patch.object(machine, "_answered", lambda spell, _claim: spell)


def _paused_is_written_to() -> Patch:
    real = machine.step

    def step(state: State, event: Any, now: float, policy: Policy) -> Any:
        if not state.paused or isinstance(event, events.Resumed):
            return real(state, event, now, policy)
        after, commands = real(replace(state, paused=False), event, now, policy)
        return replace(after, paused=True), commands

    return mock.patch.object(hub, "step", step)


def _excluded_is_served() -> Patch:
    from presencebridge.config import Config  # noqa: PLC0415

    return mock.patch.object(Config, "is_excluded", lambda *_: False)  # noqa: PT008


@contextlib.contextmanager
def _never_subscribed_again() -> Iterator[None]:
    real = subscriptions.plan

    def plan(held: Any, wanted: Any, now: float) -> Action:
        return real(held, wanted, now) if held is None else Action.NOTHING

    with (
        mock.patch.object(watcher, "plan", plan),
        mock.patch.object(watcher, "next_look", lambda _, now: now + 300),
        mock.patch.object(watcher.Watcher, "suspect", lambda _: None),  # noqa: PT008
    ):
        yield


async def _blind_old(
    self: WebApiClient, extension: str, expected: tuple[str, ...], wanted: str
) -> StatusChange:
    await self._get(web_api.change_path(extension, wanted), extension)
    return StatusChange(expected[0], wanted, wrote=True)


async def _blind_v20(
    self: V20Statuses, extension: str, expected: tuple[str, ...], wanted: str
) -> StatusChange:
    user = await self._user(extension)
    await self._client.ask("PATCH", v20.change_path(user.id), v20.change_body(wanted))
    return StatusChange(expected[0], wanted, wrote=True)


@contextlib.contextmanager
def _written_blindly() -> Iterator[None]:
    with (
        mock.patch.object(WebApiClient, "change_status", _blind_old),
        mock.patch.object(V20Statuses, "change_status", _blind_v20),
    ):
        yield


def _forgets_at_restart() -> Patch:
    return mock.patch.object(DiskStore, "load", lambda _: {})  # noqa: PT008


def _gives_up() -> Patch:
    def again(write: Write, _now: float, reason: str, _after: float | None) -> Write:
        return Write(None, write.attempts + 1, 1e12, reason)

    return mock.patch.object(machine, "_again", again)


def _ringing_counts() -> Patch:
    return mock.patch.object(Policy, "counts", lambda *_: True)  # noqa: PT008


def _hold_is_no_call() -> Patch:
    return mock.patch.object(Policy, "counts", lambda _self, leg: leg in {"Dialing", "Connected"})


def _call_never_ends() -> Patch:
    """Rule 4 is forgotten."""
    real = machine._legs_seen  # noqa: SLF001

    def legs_seen(state: State, event: events.LegsSeen, *rest: Any) -> State:
        return real(state, event, *rest) if event.legs else state

    return mock.patch.dict(machine._ON, {events.LegsSeen: legs_seen})  # noqa: SLF001


def _away_of_others_freed() -> Patch:
    real = Policy.freeable

    def freeable(self: Policy) -> tuple[str, ...]:
        return real(replace(self, manual_wins=False))

    return mock.patch.object(Policy, "freeable", freeable)


def _told_of_the_wrong_person() -> Patch:
    real = hub.Hub.seen

    def seen(self: hub.Hub, member: Any, event: Any) -> None:
        others = [one for one in self._people if one is not member]
        wrong = isinstance(event, events.PresenceSeen) and others and event.presence.activity == "InACall"
        real(self, others[0] if wrong else member, event)

    return mock.patch.object(hub.Hub, "seen", seen)


def _one_waits_for_all() -> Patch:
    """One mailbox for everybody."""
    real, lock = hub.Hub._write_status, asyncio.Lock()  # noqa: SLF001

    async def write(self: hub.Hub, *args: Any) -> None:
        async with lock:
            await real(self, *args)
            await asyncio.sleep(240)

    return mock.patch.object(hub.Hub, "_write_status", write)


@contextlib.contextmanager
def _retry_after_ignored() -> Iterator[None]:
    with mock.patch.object(calls, "retry_after", return_value=None):
        yield


def _socket_kept_for_ever() -> Patch:
    """A websocket that is mute is never found to be."""
    return mock.patch.object(v20_calls.Picture, "is_silent", lambda _: False)  # noqa: PT008


@contextlib.contextmanager
def _renewed_blindly() -> Iterator[None]:
    """A link that is lost counts as a call that goes on."""
    real = machine._pbx_lost  # noqa: SLF001

    def lost(state: State, *rest: Any) -> State:
        return replace(real(state, *rest), pbx_up=True, legs=state.legs, status=state.status)

    with mock.patch.dict(machine._ON, {events.PbxLost: lost}):  # noqa: SLF001
        yield


def _ignored_taken_for_done() -> Patch:
    """What 3CX accepts is believed to be done."""
    real = machine._status_written  # noqa: SLF001

    def written(state: State, event: events.StatusWritten, *rest: Any) -> State:
        claim = state.status_claim
        if event.wrote and event.before == event.after and claim:
            event = replace(event, after=claim.value)
        return real(state, event, *rest)

    return mock.patch.dict(machine._ON, {events.StatusWritten: written})  # noqa: SLF001


def _pause_never_ends() -> Patch:
    return mock.patch.object(machine, "_end_pause", lambda state, *_: state)


def _freed_at_start() -> Patch:
    """The first look after a start counts as a change to Available."""
    real = machine._person_shows  # noqa: SLF001

    def shows(state: State, *rest: Any) -> State:
        return real(replace(state, person=state.person or parse_pair("Busy/Busy"), veiled=False), *rest)

    return mock.patch.object(machine, "_person_shows", shows)


def _leaver_kept() -> Patch:
    """Who is to be served no more is served all the same."""
    return mock.patch.object(MatchedPeople, "_is_still", lambda *_: True)  # noqa: PT008


def _leaver_dropped() -> Patch:
    """Who leaves is forgotten, and what is ours is not given back."""

    async def leave(self: hub.Hub, member: Any, _within_s: float) -> None:
        self._leaving[member.key] = asyncio.Event()
        self._stop(member.key)
        await self._drop(member)

    return mock.patch.object(hub.Hub, "leave", leave)


def _one_watcher_of_two() -> Patch:
    """Only the first watcher's people are watched."""
    real = subscriptions.share

    def share(ids: tuple[str, ...], watchers: int, most: int) -> list[tuple[str, ...]]:
        first, *others = real(ids, watchers, most)
        return [first, *(() for _ in others)]

    return mock.patch.object(subscriptions, "share", share)


def _stale_poll_wins() -> Patch:
    """A read is taken to be as new as its answer."""
    real = PresenceReader._hear  # noqa: SLF001

    def hear(self: PresenceReader, user: str, read: Any, _asked_at: float) -> None:
        real(self, user, read, self._clock.now())

    return mock.patch.object(PresenceReader, "_hear", hear)


def _over_at_once() -> Patch:
    """The end of our session is not looked after."""

    def over(state: State, _claim: Any, now: float, _say: Any) -> State:
        return replace(state, teams_claim=None, released=None, veiled=False, presence_mark=now)

    return mock.patch.object(machine, "_session_over", over)


def _token_kept() -> Patch:
    """A token that Graph refuses is used again and again."""
    real = GraphClient.run

    async def run(self: GraphClient, call: Any) -> Any:
        tokens = self._tokens
        kept = mock.patch.object(tokens, "token", lambda **_: type(tokens).token(tokens))  # noqa: PT008
        with kept:
            return await real(self, call)

    return mock.patch.object(GraphClient, "run", run)


MUTANTS: Final = {
    "echo ignored": Mutant("our own session counts as the person's", _echo_ignored, 3, "none", 1.0),
    "lease not renewed": Mutant("the session is not renewed", _lease_not_renewed, 3, "none", 1.0),
    "sent before saved": Mutant(
        "a command leaves before the state is kept",
        _sent_before_saved,
        10,
        "none",
        0.7,
        Trouble(2151.818, 170.425, "killed", number=4),
    ),
    "second leg clears": Mutant("the end of one of two calls clears", _second_leg_clears, 3, "none", 1.0),
    "claim outlives a hand": Mutant(
        "what somebody changed is still ours", _claim_outlives_a_hand, 3, "none", 2.0
    ),
    "answered again": Mutant(
        "rule 1 acts more than once in a spell", _answered_again_and_again, 3, "none", 1.0
    ),
    "paused is written to": Mutant("a pause stops nothing", _paused_is_written_to, 42, "none", 1.1),
    "excluded is served": Mutant("who is excluded is served", _excluded_is_served, 4, "none", 1.0),
    "never subscribed again": Mutant(
        "a subscription is made once, and its silence not noticed", _never_subscribed_again, 3, "none", 3.0
    ),
    "written blindly": Mutant(
        "the status is not read before it is written", _written_blindly, 3, "none", 2.0
    ),
    "forgets at restart": Mutant("the store is not read", _forgets_at_restart, 55, "all", 2.0),
    "gives up": Mutant("a write that failed is not tried again", _gives_up, 8, "all", 1.3),
    "call never ends": Mutant("the end of the last call is not seen", _call_never_ends, 3, "none", 1.0),
    "Away of others freed": Mutant("manual_wins is not heeded", _away_of_others_freed, 3, "none", 2.0),
    "wrong person": Mutant("a call in Teams is somebody else's", _told_of_the_wrong_person, 3, "none", 1.0),
    "one waits for all": Mutant("a write holds up everybody's", _one_waits_for_all, 3, "none", 1.0),
    "ringing counts": Mutant("a ringing phone is a call", _ringing_counts, 3, "none", 2.0),
    "Retry-After ignored": Mutant("it asks again before it may", _retry_after_ignored, 155, "all", 1.2),
    "socket kept": Mutant("a mute websocket is never replaced", _socket_kept_for_ever, 100, "all", 2.0),
    "renewed blindly": Mutant("a lost link counts as a call that goes on", _renewed_blindly, 115, "all", 1.2),
    "ignored taken for done": Mutant(
        "what 3CX accepted counts as done", _ignored_taken_for_done, 8, "all", 1.3
    ),
    "pause never ends": Mutant("a pause until a time has no end", _pause_never_ends, 42, "none", 1.1),
    "freed at start": Mutant("a start counts as a change to Available", _freed_at_start, 55, "all", 2.0),
    "leaver kept": Mutant("who leaves is served all the same", _leaver_kept, 134, "none", 1.2),
    "leaver dropped": Mutant("who leaves keeps what is ours", _leaver_dropped, 112, "none", 1.3),
    "one watcher of two": Mutant("the second watcher watches nobody", _one_watcher_of_two, 3, "none", 1.2),
    "stale poll wins": Mutant("a read counts as of when it is answered", _stale_poll_wins, 22, "none", 0.25),
    "over at once": Mutant("what our session hid is not read after it", _over_at_once, 136, "none", 0.27),
    "token kept": Mutant("a refused token is never renewed", _token_kept, 110, "all", 1.1),
    "hold is no call": Mutant("a call on hold is none", _hold_is_no_call, 3, "none", 2.0),
}
"""By name. Each has a seed in which the service, without the fault, does nothing wrong."""
