"""Faults that are put into the service on purpose: patches at run time, undone afterwards."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

from msgspec.structs import replace

from presencebridge.core import events, machine
from presencebridge.core.model import State, Write, parse_pair
from presencebridge.core.policy import Policy
from presencebridge.graph import calls, subscriptions, watcher
from presencebridge.graph.client import GraphClient
from presencebridge.graph.subscriptions import Action
from presencebridge.node.site import Site
from presencebridge.pbx import v20, v20_calls, web_api
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime import hub
from presencebridge.runtime.directory import MatchedPeople
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.simulation.disk import DiskStore

Patch = contextlib.AbstractContextManager[Any]


# A mock would write down every call, so these are plain functions.


def _handler(event: type, make: Callable[[Callable[..., State]], Callable[..., State]]) -> Patch:
    """Another handler for an event of the core, made from the real one."""
    return mock.patch.dict(machine._ON, {event: make(machine._ON[event])})  # noqa: SLF001


def echo_ignored() -> Patch:
    return mock.patch.object(machine, "_explained", lambda *_: False)  # noqa: PT008


@contextlib.contextmanager
def lease_not_renewed() -> Iterator[None]:
    with (
        mock.patch.object(machine, "_renew_at", lambda *_: float("inf")),  # noqa: PT008
        mock.patch.object(machine, "_end_lease", lambda state, _now, _say: state),
    ):
        yield


def sent_before_saved() -> Patch:
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


def second_leg_clears() -> Patch:
    def make(real: Callable[..., State]) -> Callable[..., State]:
        def legs_seen(state: State, event: events.LegsSeen, *rest: Any) -> State:
            fewer = state.legs is not None and len(event.legs) < len(state.legs)
            return real(state, events.LegsSeen(()) if fewer else event, *rest)

        return legs_seen

    return _handler(events.LegsSeen, make)


def claim_outlives_a_hand() -> Patch:
    def make(real: Callable[..., State]) -> Callable[..., State]:
        def seen(state: State, event: events.StatusSeen, *rest: Any) -> State:
            after = real(state, event, *rest)
            return replace(after, status_claim=state.status_claim, spell=state.spell)

        return seen

    return _handler(events.StatusSeen, make)


def answered_again_and_again() -> Patch:
    return mock.patch.object(machine, "_answered", lambda spell, _claim: spell)


def paused_is_written_to() -> Patch:
    real = machine.step

    def step(state: State, event: Any, now: float, policy: Policy) -> Any:
        if not state.paused or isinstance(event, events.Resumed):
            return real(state, event, now, policy)
        after, commands = real(replace(state, paused=False), event, now, policy)
        return replace(after, paused=True), commands

    return mock.patch.object(hub, "step", step)


def excluded_is_served() -> Patch:
    from presencebridge.config import Config  # noqa: PLC0415

    return mock.patch.object(Config, "is_excluded", lambda *_: False)  # noqa: PT008


@contextlib.contextmanager
def never_subscribed_again() -> Iterator[None]:
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
def written_blindly() -> Iterator[None]:
    with (
        mock.patch.object(WebApiClient, "change_status", _blind_old),
        mock.patch.object(V20Statuses, "change_status", _blind_v20),
    ):
        yield


def forgets_at_restart() -> Patch:
    return mock.patch.object(DiskStore, "load", lambda _: {})  # noqa: PT008


def gives_up() -> Patch:
    def again(write: Write, _now: float, reason: str, _after: float | None) -> Write:
        return Write(None, write.attempts + 1, 1e12, reason)

    return mock.patch.object(machine, "_again", again)


def ringing_counts() -> Patch:
    return mock.patch.object(Policy, "counts", lambda *_: True)  # noqa: PT008


def hold_is_no_call() -> Patch:
    return mock.patch.object(Policy, "counts", lambda _self, leg: leg in {"Dialing", "Connected"})


def call_never_ends() -> Patch:
    """Rule 4 is forgotten."""
    real = machine._legs_seen  # noqa: SLF001

    def legs_seen(state: State, event: events.LegsSeen, *rest: Any) -> State:
        return real(state, event, *rest) if event.legs else state

    return mock.patch.dict(machine._ON, {events.LegsSeen: legs_seen})  # noqa: SLF001


def away_of_others_freed() -> Patch:
    real = Policy.freeable

    def freeable(self: Policy) -> tuple[str, ...]:
        return real(replace(self, manual_wins=False))

    return mock.patch.object(Policy, "freeable", freeable)


def told_of_the_wrong_person() -> Patch:
    real = hub.Hub.seen

    def seen(self: hub.Hub, member: Any, event: Any) -> None:
        others = [one for one in self._people if one is not member]
        wrong = isinstance(event, events.PresenceSeen) and others and event.presence.activity == "InACall"
        real(self, others[0] if wrong else member, event)

    return mock.patch.object(hub.Hub, "seen", seen)


def one_waits_for_all() -> Patch:
    """One mailbox for everybody."""
    real, lock = hub.Hub._write_status, asyncio.Lock()  # noqa: SLF001

    async def write(self: hub.Hub, *args: Any) -> None:
        async with lock:
            await real(self, *args)
            await asyncio.sleep(240)

    return mock.patch.object(hub.Hub, "_write_status", write)


@contextlib.contextmanager
def retry_after_ignored() -> Iterator[None]:
    with mock.patch.object(calls, "retry_after", return_value=None):
        yield


def socket_kept_for_ever() -> Patch:
    """A websocket that is mute is never found to be."""
    return mock.patch.object(v20_calls.Picture, "is_silent", lambda _: False)  # noqa: PT008


@contextlib.contextmanager
def renewed_blindly() -> Iterator[None]:
    """A link that is lost counts as a call that goes on."""
    real = machine._pbx_lost  # noqa: SLF001

    def lost(state: State, *rest: Any) -> State:
        return replace(real(state, *rest), pbx_up=True, legs=state.legs, status=state.status)

    with mock.patch.dict(machine._ON, {events.PbxLost: lost}):  # noqa: SLF001
        yield


def ignored_taken_for_done() -> Patch:
    """What 3CX accepts is believed to be done."""
    real = machine._status_written  # noqa: SLF001

    def written(state: State, event: events.StatusWritten, *rest: Any) -> State:
        claim = state.status_claim
        if event.wrote and event.before == event.after and claim:
            event = replace(event, after=claim.value)
        return real(state, event, *rest)

    return mock.patch.dict(machine._ON, {events.StatusWritten: written})  # noqa: SLF001


def pause_never_ends() -> Patch:
    return mock.patch.object(machine, "_end_pause", lambda state, *_: state)


def freed_at_start() -> Patch:
    """The first look after a start counts as a change to Available."""
    real = machine._person_shows  # noqa: SLF001

    def shows(state: State, *rest: Any) -> State:
        return real(replace(state, person=state.person or parse_pair("Busy/Busy"), veiled=False), *rest)

    return mock.patch.object(machine, "_person_shows", shows)


def leaver_kept() -> Patch:
    """Who is to be served no more is served all the same."""
    return mock.patch.object(MatchedPeople, "_is_still", lambda *_: True)  # noqa: PT008


def leaver_dropped() -> Patch:
    """Who leaves is forgotten, and what is ours is not given back."""

    async def leave(self: hub.Hub, member: Any, _within_s: float) -> None:
        self._leaving[member.key] = asyncio.Event()
        self._stop(member.key)
        await self._drop(member)

    return mock.patch.object(hub.Hub, "leave", leave)


def one_watcher_of_two() -> Patch:
    """Only the first watcher's people are watched."""
    real = subscriptions.share

    def share(ids: tuple[str, ...], watchers: int, most: int) -> list[tuple[str, ...]]:
        first, *others = real(ids, watchers, most)
        return [first, *(() for _ in others)]

    return mock.patch.object(subscriptions, "share", share)


def stale_poll_wins() -> Patch:
    """A read is taken to be as new as its answer."""
    real = PresenceReader._hear  # noqa: SLF001

    def hear(self: PresenceReader, user: str, read: Any, _asked_at: float) -> None:
        real(self, user, read, self._clock.now())

    return mock.patch.object(PresenceReader, "_hear", hear)


def over_at_once() -> Patch:
    """The end of our session is not looked after."""

    def over(state: State, _claim: Any, now: float, _say: Any) -> State:
        return replace(state, teams_claim=None, released=None, veiled=False, presence_mark=now)

    return mock.patch.object(machine, "_session_over", over)


def token_kept() -> Patch:
    """A token that Graph refuses is used again and again."""
    real = GraphClient.run

    async def run(self: GraphClient, call: Any) -> Any:
        tokens = self._tokens
        kept = mock.patch.object(tokens, "token", lambda **_: type(tokens).token(tokens))  # noqa: PT008
        with kept:
            return await real(self, call)

    return mock.patch.object(GraphClient, "run", run)


def pause_forgotten() -> Patch:
    """A restart ends every pause."""

    def make(real: Callable[..., State]) -> Callable[..., State]:
        return lambda state, *rest: real(replace(state, paused=False, paused_until=None), *rest)

    return _handler(events.Started, make)


def sent_once() -> Patch:
    """A write without an answer counts as one that never arrived."""
    return mock.patch.object(machine, "_maybe_sent", lambda claim, *_: claim)


def late_ones_believed_again() -> Patch:
    """Notifications are acted on at once, however many were late before."""
    return mock.patch.object(machine, "_DOUBT_S", 0.0)


def hint_believed() -> Patch:
    """A notification is taken for as true and as new as a read."""

    def make(real: Callable[..., State]) -> Callable[..., State]:
        def seen(state: State, event: events.PresenceSeen, now: float, *rest: Any) -> State:
            if event.source is events.Source.NOTIFICATION:
                event = replace(event, source=events.Source.READ, asked_at=now)
            return real(state, event, now, *rest)

        return seen

    return _handler(events.PresenceSeen, make)


def never_reconciled() -> Patch:
    """Who is notified of is not read in turn any more, nor to see whether Graph is there."""
    real = Site._set_pace  # noqa: SLF001

    def set_pace(self: Site) -> None:
        real(self)
        teams, reader = self._config.teams, self._reader
        if reader.interval_s == teams.reconcile_every_s:
            reader.read_all_every(float("inf"))
            reader.probe_every_s = None

    return mock.patch.object(Site, "_set_pace", set_pace)
