"""Notifications on their way from node to owner: few questions where they come thick, and in order."""

import asyncio
import json
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats_kit import NatsServers

from presencebridge.cluster.client_states import SignedStates
from presencebridge.cluster.engine import Engine, Message
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.nats_engine import Access, nats_engine
from presencebridge.cluster.notices import Delivery, Intake
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.web.door import mark_of

SITE = "berlin"


class Lagging(SimulatedEngine):
    """Asked for messages, its replica is behind for a while after each nudge; questions are counted."""

    lag_s = 0.0
    asked = 0

    async def messages(self, subject: str, after: int, most: int) -> Sequence[Message]:
        self.asked += 1
        known = await super().messages(subject, after, most)
        now = asyncio.get_running_loop().time()
        return [one for one in known if now >= self.arrived.get(one.sequence, 0.0) + self.lag_s]

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.arrived: dict[int, float] = {}


class Owner:
    def __init__(self, world: World) -> None:
        self.engine = Lagging(world, "owner")
        self.got: list[tuple[float, bytes]] = []
        writer: Any = SimpleNamespace()
        self.delivery = Delivery(SITE, cast("Engine", self.engine), writer, {}, self._offer)

    def _offer(self, body: bytes) -> bool:
        self.got.append((asyncio.get_running_loop().time(), body))
        return True

    async def until_it_has(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.got) < count:
                await asyncio.sleep(0.001)


def body(seal: Seal, number: int, **more: str) -> bytes:
    item = {"subscriptionId": f"{number}", "clientState": SignedStates(seal, mark_of(SITE)).new(), **more}
    return json.dumps({"value": [item]}).encode()


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    (tmp_path / "key").write_text(new_key())
    return Seal(tmp_path / "key")


@pytest.mark.looptime
async def test_what_a_nudge_told_of_is_looked_for_until_the_replica_has_it() -> None:
    world = World(random.Random(1))
    owner, node = Owner(world), SimulatedEngine(world, "node")
    owner.engine.lag_s = 0.08
    reading = asyncio.ensure_future(owner.delivery.read())
    await asyncio.sleep(1)
    asked, now = owner.engine.asked, asyncio.get_running_loop().time()
    sequence = await node.publish(SITE, b"1", "1")
    owner.engine.arrived[sequence] = now
    await node.nudge(f"notices.{SITE}", sequence)
    await owner.until_it_has(1)
    assert owner.got[0][0] - now < 0.5, "not only at the next look, after seconds"
    # Who has all that it was told of asks no more.
    more = owner.engine.asked
    await asyncio.sleep(1)
    assert (more - asked <= 6, owner.engine.asked) == (True, more)
    reading.cancel()


@pytest.mark.looptime
async def test_many_of_a_site_cost_few_nudges_and_few_questions(seal: Seal) -> None:
    world = World(random.Random(1))
    owner, node = Owner(world), SimulatedEngine(world, "node")
    nudges: list[int] = []
    reading = asyncio.ensure_future(owner.delivery.read())
    await asyncio.sleep(1)
    asked = owner.engine.asked
    intake = Intake(node, seal)
    async with node.listening(f"notices.{SITE}", nudges.append):
        numbers = iter(range(300))

        async def some() -> None:
            for number in numbers:
                assert await intake.take(SITE, body(seal, number))

        await asyncio.gather(*(some() for _ in range(30)))
        await owner.until_it_has(300)
        await asyncio.sleep(0.1)
    assert max(nudges) == world.sequence, "the last one is told of"
    assert len(set(nudges)) < 30
    assert owner.engine.asked - asked < 30
    assert {body_ for _, body_ in owner.got} == {one.body for one in world.messages(SITE, 0, 1000)}
    reading.cancel()


async def test_the_parts_of_a_large_batch_are_kept_in_its_order(servers: NatsServers, seal: Seal) -> None:
    states = SignedStates(seal, mark_of(SITE))
    items = [
        {"subscriptionId": f"{number}", "clientState": states.new(), "encryptedContent": "x" * 3000}
        for number in range(650)
    ]
    async with nats_engine(Access(servers.urls, prefix=f"t{uuid.uuid4().hex[:8]}"), "test") as engine:
        assert await Intake(engine, seal).take(SITE, json.dumps({"value": items}).encode())
        found: list[Message] = []
        async with asyncio.timeout(20):
            while sum(len(json.loads(one.body)["value"]) for one in found) < len(items):
                found += await engine.messages(SITE, found[-1].sequence if found else 0, 100)
    assert len(found) > 3
    ids = [item["subscriptionId"] for one in found for item in json.loads(one.body)["value"]]
    assert ids == [f"{number}" for number in range(650)]
