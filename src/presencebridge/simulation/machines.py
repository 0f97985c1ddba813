"""The machines of a cluster: the real node on each, in a process that can be killed and frozen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextvars import Context, ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from presencebridge.adapters import Outside
from presencebridge.cluster.engine import Engine
from presencebridge.cluster.joined import Cluster, Runs
from presencebridge.cluster.simulated_engine import SimulatedEngine
from presencebridge.config import Config, Loaded, NodeConfig
from presencebridge.node import Node
from presencebridge.node.source import Found
from presencebridge.simulation.leases import DriftingClock
from presencebridge.simulation.life import Life
from presencebridge.simulation.line import Answer, served
from presencebridge.simulation.outside import InProcess
from presencebridge.simulation.virtual_loop import Process

if TYPE_CHECKING:
    from presencebridge.simulation.branches import Branches

SITE: Final = "office"
_OPERATOR_WAITS_S: Final = 5.0


class Tenant:
    """A node as the site's owner of one epoch: whatever it sends for the site comes from here."""

    def __init__(self, life: "NodeLife", epoch: int) -> None:
        self.life, self.epoch = life, epoch

    @property
    def node(self) -> str:
        return self.life.machine.name

    @property
    def alive(self) -> bool:
        return self.life.alive

    async def gone(self) -> None:
        await self.life.gone()


_tenant: Final[ContextVar[Tenant]] = ContextVar("tenant")
"""Of the tasks of a site that runs."""


class Machine:
    """One of several: a node runs on it, life after life."""

    def __init__(self, office: "Branches", number: int, pace: float) -> None:
        self.office = office
        self.name = f"node{number}"
        self.clock = DriftingClock(pace)
        self.life: NodeLife | None = None
        self.is_in_trouble = False
        self.down_since: float | None = None
        """Since when nobody answers there, as a load balancer would find."""

    def start(self) -> None:
        self.down_since = None
        life = self.life = NodeLife(self)
        self.office.lives.append(life)
        self.office.tasks.spawn(self._lives(life))

    async def _lives(self, life: "NodeLife") -> None:
        try:
            await life.run()
        except Exception as error:  # noqa: BLE001 - that it dies is a finding, whatever it dies of
            self.office.died(self.name, error)
            life.kill()

    @property
    def answers(self) -> bool:
        life = self.life
        return life is not None and life.alive and life.webhook is not None and not life.process.is_stopped

    def kill(self) -> None:
        if self.life is not None:
            self.life.kill()
        self.down_since = self.office.time()

    async def stop(self) -> None:
        """An orderly end: it hands over what it has."""
        life = self.life
        if life is not None and life.alive:
            life.stop()
            await life.ended.wait()
        self.down_since = self.office.time()

    @contextlib.contextmanager
    def frozen(self) -> Any:
        life = self.life
        if life is None or not life.alive:
            yield
            return
        life.process.stop()
        self.down_since = self.office.time()
        try:
            yield
        finally:
            if life.alive:
                life.process.go_on()
                self.down_since = None


class NodeLife(Life):
    """One life of a node's process. When it is killed nothing of it runs on, not even to clean up."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.branches = machine, machine.office
        self.process = Process(self.branches.loop)
        self.engine = SimulatedEngine(self.branches.world, machine.name)
        self._is_over = False
        super().__init__(self.branches)

    def _made(self) -> Node:
        branches, outside = self.branches, NodeOutside(self)
        cluster = _Member(
            self._reached,
            branches.seal,
            name=self.machine.name,
            lease_s=branches.plan.site.node_lease_s,
            outside=outside,
            clock=self.machine.clock,
            new_incarnation=lambda: f"{branches.node_dice.getrandbits(64):x}",
        )
        cluster.life = self
        return Node(SharedSite(branches.config), outside=outside, ownership=cluster)

    @contextlib.asynccontextmanager
    async def _reached(self) -> AsyncIterator[Engine]:
        yield self.engine

    def _context(self) -> Context:
        return self.process.context()

    def kill(self) -> None:
        if not self.alive:
            return
        self.process.stop()
        self._gone()
        self.engine.alive = False
        self.ended.set()

    def end(self) -> None:
        """The story is over, and so is whatever is left of it."""
        self.kill()
        self._is_over = self.engine.is_over = True
        self.process.go_on()
        if self._task is not None:
            self._task.cancel()

    async def gone(self) -> None:
        raise httpx2.ConnectError("it is over")

    async def asks(self, app: Any, request: httpx2.Request, body: bytes) -> Answer:
        """What it answers; whoever loses patience leaves it to go on by itself."""
        answer: asyncio.Future[Answer] = self.branches.loop.create_future()

        async def answered() -> None:
            try:
                found = await served(app, request, body)
            except Exception as error:  # noqa: BLE001 - the other side hears of no answer, whatever it was
                if not answer.done():
                    answer.set_exception(httpx2.ReadError(str(error)))
            else:
                if not answer.done():
                    answer.set_result(found)

        self.process.context().run(self.branches.tasks.spawn, answered())
        return await answer

    async def order(self, person: str, what: str, body: dict[str, Any]) -> bool:
        """To the page of the node that owns the site; nobody waits for it for ever."""
        if self.operator is None:
            return False
        url = f"http://127.0.0.1/sites/{SITE}/api/people/{person}/{what}"
        request = httpx2.Request("POST", url, json=body)
        with contextlib.suppress(TimeoutError, httpx2.RequestError):
            async with asyncio.timeout(_OPERATOR_WAITS_S):
                status, _, _ = await self.asks(self.operator, request, msgspec.json.encode(body))
                return 200 <= status < 300
        return False


class NodeOutside(InProcess):
    """The outside of a node; what is sent for the site is sent by its tenant."""

    def __init__(self, life: NodeLife) -> None:
        super().__init__(life)
        self._node = life

    def http(self, url: str, ca_file: Path | None) -> httpx2.AsyncClient:  # noqa: ARG002
        branches = self._node.branches
        line = branches.pbx_line if "pbx." in url else branches.teams_line
        return line.client(url, _tenant.get())


class SharedSite:
    """A folder with one site in it, which never changes."""

    alone: str | None = None

    def __init__(self, config: Config) -> None:
        self._found = Found(NodeConfig(), {SITE: Loaded(config, "")})

    def read(self) -> Found:
        return self._found

    def has_changed(self) -> bool:
        return False


class _Member(Cluster):
    """The node's part in the cluster; the onlooker hears of what it takes up and lays down."""

    life: NodeLife

    async def run(self, node: Runs) -> None:
        await super().run(_Told(node, self.life))


class _Told:
    def __init__(self, node: Runs, life: NodeLife) -> None:
        self._node, self._life = node, life
        self._branches = life.branches

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        tenant = self._branches.taken_up(self._life)
        _tenant.set(tenant)  # whatever begins from here on belongs to it
        self._node.take_up(site, outside)
        self._branches.measured_by(self._life.node.sites()[site].metrics)

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        await self._node.lay_down(site, at_once=at_once)
        self._branches.laid_down(self._life)

    def take(self, site: str, body: bytes) -> bool:
        taken = self._node.take(site, body)
        if taken:
            self._branches.handed_on(body)
        return taken
