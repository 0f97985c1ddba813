"""Faults put into the service on purpose, and the seeds that find them.

Each is a patch at run time, undone afterwards. Nothing but the tests uses this.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

import msgspec
from msgspec.structs import replace

from presencebridge import app
from presencebridge.core import events, machine
from presencebridge.core.model import State, Write
from presencebridge.core.policy import Policy
from presencebridge.graph import subscriptions, watcher
from presencebridge.graph.subscriptions import Action
from presencebridge.pbx import v20, web_api
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime import hub
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.simulation.disk import DiskStore
from presencebridge.simulation.making import Faults, plan_of
from presencebridge.simulation.plan import Plan

Patch = contextlib.AbstractContextManager[Any]


class Mutant(msgspec.Struct, frozen=True):
    """What is wrong with it, how it is made so, and where it is found."""

    what: str
    patch: Callable[[], Patch]
    seed: int
    faults: Faults = "none"

    def plan(self) -> Plan:
        """The morning of that seed: it is long enough."""
        return morning(self.seed, self.faults)


def morning(seed: int, faults: Faults) -> Plan:
    """The first half of a seed's first day."""
    whole = plan_of(seed, 1, faults)
    noon = whole.rests[0]
    deeds = tuple(deed for deed in whole.deeds if deed.at < noon)
    return replace(whole, deeds=deeds, rests=(noon,), ends=noon)


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
    real = hub.Hub._save  # noqa: SLF001

    async def save(self: hub.Hub, key: str, state: State) -> None:
        self._spawn(real(self, key, state), key)

    return mock.patch.object(hub.Hub, "_save", save)


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
        return Action.NOTHING if held is not None and held.renewed_at else real(held, wanted, now)

    with (
        mock.patch.object(watcher, "plan", plan),
        mock.patch.object(watcher.Watcher, "suspect", lambda _: None),  # noqa: PT008
    ):
        yield


@contextlib.contextmanager
def _never_reconciled() -> Iterator[None]:
    def for_ever(self: PresenceReader, _seconds: float) -> None:
        self._every_s = 1e9

    with (
        mock.patch.object(PresenceReader, "read_all_every", for_ever),
        mock.patch.object(app, "_PROBE_EVERY_S", None),
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


MUTANTS: Final = {
    "echo ignored": Mutant("our own session counts as the person's", _echo_ignored, 3),
    "lease not renewed": Mutant("the session is not renewed", _lease_not_renewed, 3),
    "sent before saved": Mutant("a command leaves before the state is kept", _sent_before_saved, 1, "all"),
    "second leg clears": Mutant("the end of one of two calls clears", _second_leg_clears, 3),
    "claim outlives a hand": Mutant("what somebody changed is still ours", _claim_outlives_a_hand, 1),
    "answered again": Mutant("rule 1 acts more than once in a spell", _answered_again_and_again, 3),
    "paused is written to": Mutant("a pause stops nothing", _paused_is_written_to, 3),
    "excluded is served": Mutant("who is excluded is served", _excluded_is_served, 4),
    "never subscribed again": Mutant(
        "a subscription is made once, and its silence not noticed", _never_subscribed_again, 3
    ),
    "never reconciled": Mutant("what no notification told is never read", _never_reconciled, 27, "all"),
    "written blindly": Mutant("the status is not read before it is written", _written_blindly, 3),
    "forgets at restart": Mutant("the store is not read", _forgets_at_restart, 0, "all"),
    "gives up": Mutant("a write that failed is not tried again", _gives_up, 3, "all"),
    "ringing counts": Mutant("a ringing phone is a call", _ringing_counts, 3),
    "hold is no call": Mutant("a call on hold is none", _hold_is_no_call, 3),
}
"""By name. Each has a seed in which the service, without the fault, does nothing wrong."""
