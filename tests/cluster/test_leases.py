"""At most one owner acts, whatever happens: in virtual time, by seeds; and what is broken is found."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from presencebridge.cluster import ownership, session
from presencebridge.cluster.ownership import Ownership, Tenure
from presencebridge.cluster.records import NodeRecord
from presencebridge.cluster.session import Session
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.cluster.writer import Writer
from presencebridge.simulation.leases import LEASE_S, SITES, DriftingClock, Trial
from presencebridge.simulation.virtual_loop import run

pytestmark = pytest.mark.timeout(300)


ALL = tuple(range(9))


def tried(seed: int, seconds: float = 150.0, kinds: tuple[int, ...] = ALL) -> list[str]:
    trial = Trial(seed, kinds)
    run(trial.run(seconds))
    return trial.verdict()


@pytest.mark.parametrize("seed", range(5))
def test_at_most_one_owner_acts_and_everybody_is_served_in_the_end(seed: int) -> None:
    assert tried(seed) == []


def test_without_faults_nothing_moves_and_all_have_their_share() -> None:
    trial = Trial(1)
    run(trial.run(20, faults=False))
    assert trial.verdict() == []
    assert len({(act.site, act.epoch) for act in trial.acts if act.at > 5}) == len(SITES)
    assert {node.name: len(node.ownership.tenures) for node in trial.nodes if node.ownership} == {
        "node0": 2, "node1": 2, "node2": 2,
    }  # fmt: skip


def test_a_node_that_dies_is_followed_after_its_lease() -> None:
    trial = Trial(2)

    async def one_dies() -> None:
        async with asyncio.TaskGroup() as tasks:
            for node in list(trial.nodes):
                trial._start(tasks, node)
            await asyncio.sleep(20)
            trial.kill(trial.nodes[0])
            await asyncio.sleep(30)
            for life in trial._lives.values():
                life.cancel()

    run(one_dies())
    assert trial.verdict() == []
    gaps = trial.gaps()
    assert len(gaps) >= 2
    assert all(LEASE_S * 0.7 < gap < LEASE_S * 1.5 for gap in gaps if gap > 2)


def test_a_node_that_leaves_hands_over_at_once() -> None:
    trial = Trial(3)

    async def one_leaves() -> None:
        async with asyncio.TaskGroup() as tasks:
            for node in list(trial.nodes):
                trial._start(tasks, node)
            await asyncio.sleep(20)
            assert await trial.nodes[0].drain()
            assert not trial.nodes[0].ownership.tenures
            await asyncio.sleep(5)
            for life in trial._lives.values():
                life.cancel()

    run(one_leaves())
    assert trial.verdict() == []
    assert max(trial.gaps()) < 1.5, trial.gaps()


def test_the_lease_is_counted_from_before_the_renewal_left() -> None:
    class Late(SimulatedEngine):
        """Carries out at once and answers late."""

        async def put(self, key: str, value: bytes, expected: int) -> int:
            revision = await super().put(key, value, expected)
            await asyncio.sleep(2)
            return revision

    async def renewed() -> float:
        engine = Late(World(random.Random(1)), "a")
        one = Session(engine, NodeRecord("a", "x", 0, 0, LEASE_S, takes_sites=True), DriftingClock(1.0))
        await one._beat()
        return one.left_s

    assert run(renewed()) == pytest.approx(LEASE_S * 0.75 - 2, abs=0.05)


def test_a_machine_that_was_asleep_does_not_act() -> None:
    """Whichever of the two clocks noticed it."""

    async def after(wall_s: float) -> bool:
        clock = DriftingClock(1.0)
        engine = SimulatedEngine(World(random.Random(1)), "a")
        one = Session(engine, NodeRecord("a", "x", 0, 0, LEASE_S, takes_sites=True), clock)
        await one._beat()
        assert one.may_act
        clock.wall_offset += wall_s
        return one.may_act

    assert not run(after(wall_s=60))
    assert run(after(wall_s=-60))


# Broken on purpose --------------------------------------------------------------------------------


def _deadline_ignored() -> Any:
    held = property(lambda self: not self.lost.is_set() and self.joined.is_set())
    return mock.patch.object(Session, "may_act", held)


def _ended_too_early() -> Any:
    """Others are thought dead as soon as they miss a few beats."""
    look = Session._look

    async def hasty(self: Session) -> None:
        for name, seen in list(self._others.items()):
            self._others[name] = session._Watched(seen.revision, seen.since - 8, seen.record)
        await look(self)

    return mock.patch.object(Session, "_look", hasty)


def _ended_without_asking() -> Any:
    """Who is silent counts as dead, and nothing is written that would be refused if they were not."""

    async def end_other(self: Session, entry: Any, record: Any) -> None:
        import msgspec  # noqa: PLC0415

        ended = msgspec.structs.replace(record, ended=True)
        self._others[record.name] = session._Watched(entry.revision, self._clock.pace(), ended)

    return mock.patch.object(Session, "_end_other", end_other)


def _epoch_not_checked() -> Any:
    """A write is made whoever the owner is by now."""
    return mock.patch.object(World, "holds", return_value=True)


def _taken_from_the_living() -> Any:
    async def is_free(_self: Ownership, _owner: Any) -> bool:
        return True

    return mock.patch.object(Ownership, "_is_free", is_free)


def _released_before_it_is_over() -> Any:
    """The site is free for the next owner while this one still acts."""

    async def hand_over(self: Ownership, tenure: Tenure) -> None:
        await self._release(tenure)
        await asyncio.sleep(2)
        tenure.end()
        await self._stop(tenure)

    return mock.patch.object(Ownership, "_hand_over", hand_over)


def _lost_take_forgotten() -> Any:
    """A site that was taken by a write without an answer is nobody's."""
    real = Ownership._settle

    async def settle(self: Ownership, tasks: asyncio.TaskGroup) -> None:
        self._strays_at = float("inf")
        await real(self, tasks)

    return mock.patch.object(ownership.Ownership, "_settle", settle)


def _read_before_the_barrier() -> Any:
    """What is loaded may be older than the take-over."""
    real = SimulatedEngine.under

    async def under(self: SimulatedEngine, prefix: str, at_least: int = 0) -> Any:
        return await real(self, prefix, 0)

    return mock.patch.object(SimulatedEngine, "under", under)


def _fence_not_moved() -> Any:
    """A write of which no answer came is followed by the next one, and may come after it."""
    real = Writer._write

    async def write(self: Writer, changes: Any) -> None:
        self._unsure = False
        await real(self, changes)

    return mock.patch.object(Writer, "_write", write)


CUT_OFF, FROZEN, KILLED, DOWN, UNANSWERED, SLOW, STALE, CLOCK = range(8)

MUTANTS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "deadline ignored": (_deadline_ignored, (CUT_OFF, FROZEN)),
    "ended too early": (_ended_too_early, (CUT_OFF, FROZEN)),
    "ended without asking": (_ended_without_asking, (CUT_OFF, STALE)),
    "epoch not checked": (_epoch_not_checked, (SLOW, SLOW, KILLED)),
    "taken from the living": (_taken_from_the_living, (CUT_OFF, KILLED)),
    "released before it is over": (_released_before_it_is_over, (KILLED,)),
    "lost take forgotten": (_lost_take_forgotten, (UNANSWERED, CUT_OFF)),
    "read before the barrier": (_read_before_the_barrier, (STALE, KILLED)),
    "fence not moved": (_fence_not_moved, (SLOW, UNANSWERED)),
}
"""Each with the faults among which it shows."""
_SEEDS = 20


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_broken_is_found(name: str) -> None:
    patch, kinds = MUTANTS[name]
    with patch():
        assert any(tried(seed, 100.0, kinds) for seed in range(_SEEDS)), f"{name} was not found"


@pytest.mark.parametrize("kinds", sorted({kinds for _, kinds in MUTANTS.values()}))
def test_nothing_is_found_where_nothing_is_broken(kinds: tuple[int, ...]) -> None:
    assert tried(1, 60.0, kinds) == []
