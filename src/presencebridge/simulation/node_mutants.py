"""Faults put into what several nodes do on purpose, and the seeds that find them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final
from unittest import mock

from presencebridge.cluster.guard import Guard
from presencebridge.cluster.notices import Delivery
from presencebridge.cluster.ownership import Ownership, Tenure
from presencebridge.cluster.session import Session
from presencebridge.cluster.store import SharedStore
from presencebridge.core.model import State
from presencebridge.runtime.hub import Hub
from presencebridge.simulation.defects import Patch
from presencebridge.simulation.mutants import Mutant
from presencebridge.simulation.plan import Trouble

_SAVED_LATER_S: Final = 0.5
_MOST: Final = 1_000_000


@contextlib.contextmanager
def _guard_left_out() -> Iterator[None]:
    @contextlib.asynccontextmanager
    async def request(_self: Guard) -> AsyncIterator[None]:
        yield

    with mock.patch.object(Guard, "request", request), _looked_once():
        yield


def _looked_once() -> Patch:
    """The lease is looked at before there is a connection, and not again."""

    async def look_again(_self: Guard, _event: str, _info: Any) -> None:
        pass

    return mock.patch.object(Guard, "look_again", look_again)


def _deadline_ignored() -> Patch:
    """A lease counts until somebody says that it was ended."""
    held = property(lambda self: not self.lost.is_set() and self.joined.is_set())
    return mock.patch.object(Session, "may_act", held)


def _begun_with_nothing() -> Patch:
    return mock.patch.object(SharedStore, "load", lambda _: {})  # noqa: PT008


def _read_from_now_on() -> Patch:
    """What had been taken in before is not read by the new owner."""
    real = Delivery.read

    async def read(self: Delivery) -> None:
        for message in await self._engine.messages(self._subject, self._at, _MOST):
            self._at = message.sequence
        await real(self)

    return mock.patch.object(Delivery, "read", read)


def _saved_after() -> Patch:
    """What follows from a decision leaves first, and is kept a moment later."""

    def work(self: Hub, *of: Any) -> None:
        real(self, *of)
        for one, mailbox in self._unsaved.values():
            self._spawn(kept(self, {one.member.key: one.new}), one.member.key)
            self._takes_turn(one.member, mailbox, one)
        self._unsaved.clear()

    async def kept(self: Hub, states: Mapping[str, State]) -> None:
        await asyncio.sleep(_SAVED_LATER_S)
        with contextlib.suppress(OSError):
            await self._store.save(states)

    real = Hub._work  # noqa: SLF001
    return mock.patch.object(Hub, "_work", work)


def _taken_from_the_living() -> Patch:
    async def is_free(_self: Ownership, _owner: Any) -> bool:
        return True

    return mock.patch.object(Ownership, "_is_free", is_free)


def _released_too_soon() -> Patch:
    """The site is free for the next owner while this one still acts."""

    async def hand_over(self: Ownership, tenure: Tenure) -> None:
        await self._release(tenure)
        await asyncio.sleep(2)
        tenure.end()
        await self._stop(tenure)

    return mock.patch.object(Ownership, "_hand_over", hand_over)


_FROZEN: Final = Trouble(345.0, 17.0, "node frozen connecting", number=1)
_DRAINED: Final = Trouble(424.8, 30.0, "node drained")


def _mutant(what: str, patch: Callable[[], Patch], seed: int, hours: float, also: Trouble) -> Mutant:
    return Mutant(what, patch, seed, "none", 0.0, hours, also, nodes=3)


MUTANTS: Final = {
    "guard left out": _mutant("requests leave whoever the owner is", _guard_left_out, 4, 0.15, _FROZEN),
    "looked once": _mutant("the lease is not looked at once connected", _looked_once, 4, 0.15, _FROZEN),
    "deadline ignored": _mutant("a lease lasts until it is ended", _deadline_ignored, 4, 0.15, _FROZEN),
    "taken from the living": _mutant("nobody's lease is heeded", _taken_from_the_living, 4, 0.15, _DRAINED),
    "released too soon": _mutant("handed over before it is over", _released_too_soon, 4, 0.15, _DRAINED),
    "read from now on": _mutant(
        "a new owner leaves what was taken in",
        _read_from_now_on,
        3,
        0.19,
        Trouble(528.1, 60.0, "node killed writing", number=2),
    ),
    "begun with nothing": _mutant(
        "a new owner does not read the state",
        _begun_with_nothing,
        8,
        0.45,
        Trouble(901.1, 60.0, "node killed", number=10),
    ),
    "sent before saved": _mutant(
        "a command leaves before the state is kept",
        _saved_after,
        10,
        0.45,
        Trouble(261.7, 20.0, "node killed writing", number=2),
    ),
}
"""By name. Each has a seed in which the service, without the fault, does nothing wrong."""
