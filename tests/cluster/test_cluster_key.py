"""A node whose key is not the cluster's says so and takes no part; a key is replaced without a gap."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from presencebridge.adapters import Outside
from presencebridge.cluster.client_states import SignedStates
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.joined import Cluster
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.simulation.leases import DriftingClock
from presencebridge.web.door import mark_of

pytestmark = pytest.mark.looptime

SITES = ["berlin", "bonn", "hamburg", "kiel"]


class Process:
    """A node's process as far as the cluster knows one, with its key file."""

    def __init__(self, world: World, folder: Path, name: str, *keys: str) -> None:
        self.name, self.file = name, folder / name
        self.has(*keys)
        self.runs: set[str] = set()
        self.engine = SimulatedEngine(world, name)
        self.seal = Seal(self.file)

        @contextlib.asynccontextmanager
        async def engine() -> AsyncIterator[SimulatedEngine]:
            yield self.engine

        incarnations = (f"{name}{number}" for number in range(1000))
        self.cluster = Cluster(
            engine,
            self.seal,
            name=name,
            clock=DriftingClock(1.0),
            new_incarnation=lambda: next(incarnations),
        )
        self.cluster.known(dict.fromkeys(SITES, folder / "state"))

    def has(self, *keys: str) -> None:
        self.file.write_text("\n".join(keys))

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        self.runs.add(site)

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        self.runs.discard(site)

    def take(self, site: str, body: bytes) -> bool:
        return True

    async def answers(self, made_by: "Process") -> bool:
        """What it says to a notification of a subscription that the other one has made."""
        state = SignedStates(made_by.seal, mark_of("berlin")).new()
        return await self.cluster.take("berlin", json.dumps({"value": [{"clientState": state}]}).encode())


@contextlib.asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(process.cluster.run(process)) for process in processes]
        yield
        for life in lives:
            life.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.1)


@pytest.fixture
def world() -> World:
    return World(random.Random(1))


async def test_a_node_with_another_key_owns_nothing_and_says_so_until_it_has_the_right_one(
    world: World, tmp_path: Path
) -> None:
    key = new_key()
    right, wrong = Process(world, tmp_path, "right", key), Process(world, tmp_path, "wrong", new_key())
    async with running(right):
        await until(lambda: len(right.runs) == len(SITES))
        async with running(wrong):
            await asyncio.sleep(60)
            assert (len(right.runs), wrong.runs) == (len(SITES), set())
            assert await right.answers(right)
            assert not await wrong.answers(right), "Graph is to send it to another one"
            assert world.messages("berlin", 0, 100)
            trouble = wrong.cluster.view().trouble
            assert "cluster key does not fit" in trouble
            assert "cure: copy the file" in trouble
            assert key not in trouble
            assert right.cluster.view().trouble == ""
            wrong.has(key)
            await until(lambda: len(wrong.runs) == len(right.runs) == len(SITES) / 2)
            assert await wrong.answers(right)
            assert wrong.cluster.view().trouble == ""


async def test_a_node_whose_file_becomes_a_wrong_one_gives_its_sites_away(
    world: World, tmp_path: Path
) -> None:
    key = new_key()
    one, other = Process(world, tmp_path, "one", key), Process(world, tmp_path, "other", key)
    async with running(one, other):
        await until(lambda: len(one.runs) == len(other.runs) == len(SITES) / 2)
        other.has(new_key())
        await until(lambda: len(one.runs) == len(SITES))
        assert other.runs == set()
        assert not await other.answers(one)
        assert await one.answers(one)


async def test_a_file_that_can_not_be_used_any_more_changes_nothing(world: World, tmp_path: Path) -> None:
    one = Process(world, tmp_path, "one", new_key())
    async with running(one):
        await until(lambda: len(one.runs) == len(SITES))
        one.has("")
        await asyncio.sleep(30)
        assert len(one.runs) == len(SITES)
        assert await one.answers(one)


async def test_a_new_key_is_used_once_every_node_has_it(world: World, tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    one, other = Process(world, tmp_path, "one", old), Process(world, tmp_path, "other", old)
    async with running(one, other):
        await until(lambda: len(one.runs) == len(other.runs) == len(SITES) / 2)
        one.has(new, old)
        await asyncio.sleep(60)
        assert one.seal.in_use == other.seal.in_use, "what the one signs, the other knows"
        assert await other.answers(one)
        other.has(new, old)
        await until(lambda: one.seal.in_use == other.seal.in_use == one.seal.newest)
        one.has(new)
        await asyncio.sleep(30)
        assert await other.answers(one)
        assert await one.answers(other)
        assert len(one.runs) == len(other.runs) == len(SITES) / 2, "nothing has moved for it"
    late = Process(world, tmp_path, "late", old)
    async with running(late):
        await asyncio.sleep(30)
        assert late.runs == set()
