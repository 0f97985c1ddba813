"""Nodes that share sites on a bad engine, in virtual time: who acts, and whose writes are taken.

A site here is nothing but somebody who acts and saves again and again, as often as they may.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping

import msgspec

from presencebridge.cluster.engine import EngineError, Entry, Fence, Stale
from presencebridge.cluster.guard import Guard
from presencebridge.cluster.ownership import Ownership, Tenure
from presencebridge.cluster.records import NodeRecord, OwnerRecord, owner_key, person_prefix
from presencebridge.cluster.session import Clock, Session
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.cluster.writer import Writer
from presencebridge.simulation.virtual_loop import run

LEASE_S = 10.0
SITES = [f"site{number}" for number in range(6)]


class DriftingClock(Clock):
    """A clock that is a little too fast or too slow, and of which the wall's part may be set."""

    def __init__(self, rate: float) -> None:
        self.rate, self.wall_offset = rate, 0.0

    def reading(self) -> tuple[float, float]:
        now = self.pace()
        return now, now + self.wall_offset

    def since(self, earlier: tuple[float, float]) -> float:
        return max(now - then for now, then in zip(self.reading(), earlier, strict=True))

    def pace(self) -> float:
        return asyncio.get_running_loop().time() * self.rate

    def generation(self) -> int:
        return int(self.pace())


class Act(msgspec.Struct, frozen=True):
    at: float
    site: str
    epoch: int
    node: str


class Node:
    """One process: `incarnation` after `incarnation` until it is killed."""

    def __init__(self, trial: "Trial", name: str) -> None:
        self.trial, self.name = trial, name
        self.engine = SimulatedEngine(trial.world, name)
        self.clock = DriftingClock(trial.dice.uniform(0.97, 1.03))
        self.session: Session | None = None
        self.ownership: Ownership | None = None
        self._working: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def live(self) -> None:
        while True:
            key = f"{self.trial.dice.getrandbits(64):x}"
            record = NodeRecord(self.name, key, 0, 0, LEASE_S, takes_sites=True)
            self.session = Session(self.engine, record, self.clock)
            self.ownership = Ownership(self.engine, self.session, lambda: SITES, self._start, self._stop)
            async with asyncio.TaskGroup() as self._tasks:
                renewing = self._tasks.create_task(self.session.run())
                await self.ownership.run()
                renewing.cancel()
                for working in self._working.values():
                    working.cancel()
                self._working = {}

    async def drain(self) -> bool:
        if self.ownership is None or self.session is None:
            return False
        done = await self.ownership.leave_all(30)
        await self.session.end()
        return done

    async def _start(self, tenure: Tenure) -> None:
        if self._tasks is not None:
            self._working[tenure.site] = self._tasks.create_task(self._work(tenure))

    async def _stop(self, tenure: Tenure) -> None:
        working = self._working.pop(tenure.site, None)
        if working is not None:
            working.cancel()
            await asyncio.wait([working])

    async def _work(self, tenure: Tenure) -> None:
        writer, guard, dice = Writer(self.engine, tenure), Guard(tenure), self.trial.dice
        found: Mapping[str, Entry] = {}
        while not found:
            with contextlib.suppress(EngineError):
                found = await self.engine.under(f"site.{tenure.site}.", tenure.fence.revision)
        last = found.get(person_prefix(tenure.site) + "1")
        self.trial.loaded(tenure, last.value if last else b"0")
        number = 0
        while True:
            await asyncio.sleep(dice.uniform(0.05, 0.4))
            while self.engine.thaws_at > self.trial.world.now():
                await asyncio.sleep(self.engine.thaws_at - self.trial.world.now())
            with contextlib.suppress(Exception):
                async with guard.request():
                    self.trial.acted(self, tenure)
                    await asyncio.sleep(dice.uniform(0.01, 0.2))
            number += 1
            value = f"{tenure.epoch}.{number:06}".encode()
            with contextlib.suppress(EngineError, Stale):
                await writer.write({person_prefix(tenure.site) + "1": value})
                self.trial.saved(tenure, value)


class Trial:
    """`kinds` are the faults that there may be, by their number in `_fault`; all unless it is said."""

    def __init__(self, seed: int, kinds: tuple[int, ...] = tuple(range(9)), nodes: int = 3) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - no secrets
        self._kinds = kinds
        self.world = World(self.dice)
        self.world.on_written = self._written
        self.nodes = [Node(self, f"node{number}") for number in range(nodes)]
        self.acts: list[Act] = []
        self.wrong: list[str] = []
        self._saved: dict[str, bytes] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}

    # What is judged

    def acted(self, node: Node, tenure: Tenure) -> None:
        self.acts.append(Act(self.world.now(), tenure.site, tenure.epoch, node.name))

    def saved(self, tenure: Tenure, value: bytes) -> None:
        self._saved[tenure.site] = max(value, self._saved.get(tenure.site, b"0"), key=_order)

    def loaded(self, tenure: Tenure, value: bytes) -> None:
        """What was acknowledged to any owner is there for the next one."""
        if _order(value) < _order(self._saved.get(tenure.site, b"0")):
            self.wrong.append(f"{tenure.site}: {self._saved[tenure.site]!r} was saved, and {value!r} found")

    def _written(self, who: str, fence: Fence, changes: Mapping[str, bytes]) -> None:
        owner = msgspec.json.decode(self.world.values[fence.key].value, type=OwnerRecord)
        for key, value in changes.items():
            before = self.world.values.get(key)
            if _order(value)[0] != owner.epoch:
                self.wrong.append(f"{key}: {who} wrote {value!r}, and it is {owner}'s")
            if before and _order(value) < _order(before.value):
                self.wrong.append(f"{key}: {value!r} was written after {before.value!r}")

    def verdict(self) -> list[str]:
        """Property 9: at most one owner acts; after an act of an epoch there is none of an earlier one."""
        newest: dict[str, Act] = {}
        for act in self.acts:
            last = newest.get(act.site)
            if last is not None and act.epoch < last.epoch:
                self.wrong.append(f"{act} after {last}")
            newest[act.site] = act
        return self.wrong

    def gaps(self) -> list[float]:
        """How long nobody acted when a site changed hands."""
        last: dict[str, Act] = {}
        gaps = []
        for act in self.acts:
            before = last.get(act.site)
            if before is not None and before.epoch != act.epoch:
                gaps.append(act.at - before.at)
            last[act.site] = act
        return gaps

    # What goes on

    async def run(self, seconds: float, *, faults: bool = True) -> None:
        async with asyncio.TaskGroup() as tasks:
            for node in self.nodes:
                self._start(tasks, node)
            end = self.world.now() + seconds
            while faults and self.world.now() < end and not self.wrong:
                await asyncio.sleep(self.dice.expovariate(1 / 4))
                await self._fault(tasks)
            if not faults:
                await asyncio.sleep(seconds)
            self._heal(tasks)
            await asyncio.sleep(5 * LEASE_S)
            self._everybody_is_served()
            for life in self._lives.values():
                life.cancel()

    def _start(self, tasks: asyncio.TaskGroup, node: Node) -> None:
        fresh = Node(self, node.name)
        self.nodes[self.nodes.index(node)] = fresh
        self._lives[node.name] = tasks.create_task(fresh.live(), name=node.name)

    async def _fault(self, tasks: asyncio.TaskGroup) -> None:
        dice, world, node = self.dice, self.world, self.dice.choice(self.nodes)
        match dice.choice(self._kinds):
            case 0:
                node.engine.is_cut_off = not node.engine.is_cut_off
            case 1:
                node.engine.thaws_at = world.now() + dice.choice((1, LEASE_S, 3 * LEASE_S))
            case 2:
                self.kill(node)
                if dice.random() < 0.7:
                    self._start(tasks, node)
            case 3:
                world.is_down = not world.is_down
            case 4:
                world.answers_lost = dice.choice((0, 0.1, 0.5))
            case 5:
                world.slow_s = dice.choice((0, 0.1, 1, 4))
            case 6:
                world.stale_s = dice.choice((0, 0.5, 5))
                world.nudges_lost = dice.choice((0, 0.5, 1))
            case 7:
                node.clock.wall_offset += dice.choice((-3600, -5, 5))
            case _:
                if self._lives[node.name].done():
                    self._start(tasks, node)

    def kill(self, node: Node) -> None:
        node.engine.alive = False
        self._lives[node.name].cancel()

    def _heal(self, tasks: asyncio.TaskGroup) -> None:
        world = self.world
        world.is_down = False
        world.answers_lost = world.slow_s = world.stale_s = world.nudges_lost = 0.0
        for node in list(self.nodes):
            node.engine.is_cut_off = False
            if self._lives[node.name].done() or not node.engine.alive:
                self._start(tasks, node)

    def _everybody_is_served(self) -> None:
        for site in SITES:
            recent = [act for act in self.acts if act.site == site and act.at > self.world.now() - 2]
            if not recent:
                owner = self.world.values.get(owner_key(site))
                self.wrong.append(f"{site} is served by nobody, {LEASE_S * 5:g} s after all is well: {owner}")


def _order(value: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in value.split(b"."))


def played(seed: int, seconds: float, nodes: int) -> list[str]:
    """Play one seed, with all kinds of faults. Returns what was wrong."""
    trial = Trial(seed, nodes=nodes)
    run(trial.run(seconds))
    return trial.verdict()
