"""The office with several nodes: any of them takes notifications in, one at a time serves the people."""

import asyncio
import base64
import contextlib
import hashlib
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from presencebridge.cluster.engine import Fence
from presencebridge.cluster.files import Seal
from presencebridge.cluster.records import (
    ALL_NODES,
    node_in,
    original,
    owner_in,
    owner_key,
    person_prefix,
)
from presencebridge.cluster.simulated_engine import World
from presencebridge.core.model import State
from presencebridge.emulators.graph.background import Background
from presencebridge.metrics import Metrics
from presencebridge.simulation import chronicle
from presencebridge.simulation.line import Answer, Sender
from presencebridge.simulation.machines import SITE, Machine, NodeLife, Tenant
from presencebridge.simulation.owners import Act, Ledger, Renewal
from presencebridge.simulation.plan import Plan
from presencebridge.simulation.stage import Office, in_words, total_of

_PACE: Final = (0.97, 1.03)
_OPENS_S: Final = 0.15
_START_WITHIN_S: Final = 60.0
_BALANCER_NOTICES_S: Final = 5.0
"""How long a load balancer goes on sending to a node that answers nothing."""
_LOOK_S: Final = 0.1


class Branches(Office):
    """As `Office`; `life` is that of the node which took the site up last."""

    def __init__(self, plan: Plan, folder: Path, tasks: Background) -> None:
        super().__init__(plan, folder, tasks)
        self.node_dice = random.Random(f"nodes {plan.seed}")  # noqa: S311 - no secrets
        self.world = World(random.Random(f"engine {plan.seed}"))  # noqa: S311
        self.world.on_written = self._saved
        self.world.on_put = self._put
        key = folder / "cluster.key"
        key.write_bytes(base64.urlsafe_b64encode(self.node_dice.randbytes(32)))
        self.seal = Seal(key)
        self.machines = [
            Machine(self, number, self.node_dice.uniform(*_PACE)) for number in range(plan.site.nodes)
        ]
        self.lives: list[NodeLife] = []
        self.owner: Tenant | None = None
        self.ledger = Ledger()
        """What is known of who did what, for the onlooker."""
        self.on_saved: Callable[[], None] = lambda: None
        """Called when something of the owner's has been kept."""
        self._measured: dict[int, Metrics] = {}
        self._granted: dict[str, int] = {}
        for line in (self.teams_line, self.pbx_line):
            line.on_leaving = self._leaves
            line.opens_s = _OPENS_S

    # The service

    async def start(self) -> None:
        """All nodes; returns when one of them serves."""
        self.count("start")
        begun = self.time()
        for machine in self.machines:
            machine.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_WITHIN_S):
                while self.owner is None:
                    await asyncio.sleep(_LOOK_S)
        self.tell_trouble(begun, self.time(), "nodes", "all nodes start", total=True)

    def died(self, node: str, error: Exception) -> None:
        what = f"{node} died of itself: {in_words(error)}"
        self.deaths.append(chronicle.Violation(0, self.time(), None, what))

    def end(self) -> None:
        for life in self.lives:
            life.end()

    def decisions(self) -> int:
        return sum(total_of(metrics.commands) for metrics in self._measured.values())

    def check_failures(self) -> None:
        """The site ends by itself on no node."""
        count = sum(total_of(metrics.failures) for metrics in self._measured.values())
        if count:
            what = f"the site ended by itself {count} times"
            self.deaths.append(chronicle.Violation(0, self.time(), None, what))

    def measured_by(self, metrics: Metrics) -> None:
        self._measured[id(metrics)] = metrics

    @property
    def serves(self) -> bool:
        owner = self.owner
        return owner is not None and owner.life.machine.answers and not owner.life.engine.is_cut_off

    async def posted(self, request: httpx2.Request, body: bytes) -> Answer:
        """A load balancer hands it to any node that has answered lately."""
        able = [one for one in self.machines if self._is_tried(one)]
        machine = self.node_dice.choice(able) if able else None
        if machine is None or machine.life is None or machine.life.webhook is None:
            raise httpx2.ConnectError("nobody listens there")
        answer = await machine.life.asks(machine.life.webhook, request, body)
        if body and 200 <= answer[0] < 300 and not request.url.query:
            self.ledger.accepted.setdefault(_mark(body), self.time())
        return answer

    def _is_tried(self, machine: Machine) -> bool:
        return machine.down_since is None or self.time() - machine.down_since < _BALANCER_NOTICES_S

    def next_owner(self, since: float, after: str) -> float:
        """When another node than that one took the site up after that; infinity if none did."""
        return min(
            (
                one.at
                for one in self.happened
                if isinstance(one, chronicle.Owns) and one.at > since and one.node != after
            ),
            default=float("inf"),
        )

    # What the onlooker hears of

    def taken_up(self, life: NodeLife) -> Tenant:
        name = life.machine.name
        tenant = Tenant(life, self._granted[name])
        self.owner, self.life = tenant, life
        self.pauses_loaded()
        if self.ledger.acts:
            last = max(act.left for act in self.ledger.acts[-100:])
            self.tell_trouble(last, self.time(), "service", f"the site changes hands, to {name}")
        self.happened.append(chronicle.Owns(self.time(), name, tenant.epoch))
        self.count("change of owner")
        return tenant

    def laid_down(self, life: NodeLife) -> None:
        if self.owner is not None and self.owner.life is life:
            self.owner = None

    def handed_on(self, body: bytes) -> None:
        self.ledger.handed.setdefault(_mark(body), self.time())

    def _leaves(self, sender: Sender, what: str) -> Callable[[], None]:
        if not isinstance(sender, Tenant):
            raise TypeError(f"{what} is sent by nobody")
        act = Act(self.time(), sender.node, sender.epoch, what)
        self.ledger.acts.append(act)

        def arrived() -> None:
            act.carried = self.time()

        return arrived

    def _put(self, _who: str, key: str, value: bytes) -> None:
        if key == owner_key(SITE):
            if (owner := owner_in(value)) is not None:
                self._granted[owner.node] = owner.epoch
        elif key.startswith(ALL_NODES) and (node := node_in(value)) is not None:
            self.ledger.renewals.append(Renewal(self.time(), node.name, node.ended))

    def _saved(self, _who: str, _fence: Fence, changes: Mapping[str, bytes]) -> None:
        self.on_saved()
        prefix = person_prefix(SITE)
        for key, value in changes.items():
            if key.startswith(prefix) and value:
                person = original(key.removeprefix(prefix))
                self._committed(person, msgspec.json.decode(value, type=State))


def _mark(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
