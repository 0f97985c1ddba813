"""What an engine promises: the real one and the simulated one, by the same tests."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from nats.aio.client import Client
from nats_kit import NatsServers

from presencebridge.cluster import nats_engine as nats_engine_module
from presencebridge.cluster.engine import Engine, EngineError, Fence, Stale
from presencebridge.cluster.nats_engine import Access, nats_engine
from presencebridge.cluster.simulated_engine import SimulatedEngine, World

pytestmark = pytest.mark.timeout(60)

MakeEngine = Callable[[], contextlib.AbstractAsyncContextManager[Engine]]


@pytest.fixture(params=["simulated", "nats"])
def connected(request: pytest.FixtureRequest) -> MakeEngine:
    """Makes engines that see the same."""
    if request.param == "simulated":
        world = World(random.Random(1))

        @contextlib.asynccontextmanager
        async def simulated() -> AsyncIterator[Engine]:
            yield SimulatedEngine(world, "a")

        return simulated
    servers: NatsServers = request.getfixturevalue("servers")
    access = Access(servers.urls, prefix=f"t{uuid.uuid4().hex[:8]}")
    return lambda: nats_engine(access, "test")


@pytest.fixture
async def engine(connected: MakeEngine) -> AsyncIterator[Engine]:
    async with connected() as one:
        yield one


async def eventually(engine: Engine, key: str, value: bytes) -> None:
    """Reads may be late."""
    async with asyncio.timeout(10):
        while (found := await engine.get(key)) is None or found.value != value:
            await asyncio.sleep(0.01)


async def test_a_value_is_written_only_over_what_is_expected(engine: Engine) -> None:
    first = await engine.put("a.b", b"1", 0)
    with pytest.raises(Stale):
        await engine.put("a.b", b"2", 0)
    second = await engine.put("a.b", b"2", first)
    assert second > first
    with pytest.raises(Stale):
        await engine.put("a.b", b"3", first)
    await eventually(engine, "a.b", b"2")
    assert await engine.get("a.c") is None


async def test_only_one_of_many_is_the_first(engine: Engine) -> None:
    tries = await asyncio.gather(
        *(engine.put("lease", str(number).encode(), 0) for number in range(20)), return_exceptions=True
    )
    won = [number for number, result in enumerate(tries) if isinstance(result, int)]
    assert len(won) == 1
    assert all(isinstance(result, int | Stale) for result in tries)
    await eventually(engine, "lease", str(won[0]).encode())


async def test_a_fence_that_was_moved_lets_nothing_through(engine: Engine) -> None:
    first = await engine.put("site.x.owner", b"me", 0)
    await engine.write(Fence("site.x.owner", first), {"site.x.person.1": b"a", "site.x.person.2": b"b"})
    await engine.put("site.x.owner", b"you", first)
    for changes in ({"site.x.person.1": b"c"}, {"site.x.person.1": b"c", "site.x.person.3": b"d"}):
        with pytest.raises(Stale):
            await engine.write(Fence("site.x.owner", first), changes)
    found = await engine.under("site.x.", first + 1)
    assert {key: entry.value for key, entry in found.items()} == {
        "site.x.owner": b"you",
        "site.x.person.1": b"a",
        "site.x.person.2": b"b",
    }


async def test_fences_of_different_sites_do_not_disturb_each_other(engine: Engine) -> None:
    async def site(name: str) -> None:
        fence = Fence(f"site.{name}.owner", await engine.put(f"site.{name}.owner", b"me", 0))
        for number in range(10):
            await engine.write(fence, {f"site.{name}.person.{one}": b"%d" % number for one in range(5)})

    await asyncio.gather(*(site(f"s{number}") for number in range(10)))
    found = await engine.under("site.*.owner")
    assert set(found) == {f"site.s{number}.owner" for number in range(10)}


async def test_more_people_than_go_in_a_batch_or_a_page(engine: Engine) -> None:
    first = await engine.put("site.big.owner", b"me", 0)
    people = {f"site.big.person.{number}": b"x" * 100 for number in range(1300)}
    await engine.write(Fence("site.big.owner", first), people)
    second = await engine.put("site.big.owner", b"me again", first)
    found = await engine.under("site.big.", second)
    assert len(found) == 1301
    assert found["site.big.owner"].revision == second


async def test_what_was_emptied_is_not_there(engine: Engine) -> None:
    fence = Fence("site.y.owner", await engine.put("site.y.owner", b"me", 0))
    await engine.write(fence, {"site.y.person.1": b"a", "site.y.person.2": b"b"})
    await engine.write(fence, {"site.y.person.1": b""})
    last = await engine.put("site.y.owner", b"me", fence.revision)
    assert set(await engine.under("site.y.", last)) == {"site.y.owner", "site.y.person.2"}


async def test_a_reader_on_another_connection_sees_all_that_was_there_before(connected: MakeEngine) -> None:
    async with connected() as writer, connected() as reader:
        revision = await writer.put("site.z.owner", b"0", 0)
        for number in range(50):
            fence = Fence("site.z.owner", revision)
            await writer.write(fence, {f"site.z.person.{number}": b"1"})
            revision = await reader.put("site.z.owner", b"%d" % number, revision)
            assert len(await reader.under("site.z.", revision)) == number + 2


async def test_messages_come_in_order_from_where_one_was_and_once(engine: Engine) -> None:
    for number in range(130):
        await engine.publish("one", b"%d" % number, f"id{number}")
        await engine.publish("other", b"x", f"other{number}")
    await engine.publish("one", b"0", "id0")  # sent again by somebody who had no answer
    bodies: list[bytes] = []
    after = 0
    async with asyncio.timeout(10):
        while len(bodies) < 130:
            for message in await engine.messages("one", after, 50):
                bodies.append(message.body)
                after = message.sequence
    assert bodies == [b"%d" % number for number in range(130)]
    assert not await engine.messages("one", after, 50)
    assert not await engine.messages("nothing", 0, 50)


async def test_a_nudge_wakes_who_listens(connected: MakeEngine) -> None:
    async with connected() as one, connected() as other:
        heard: list[int] = []
        async with other.listening("news", heard.append), asyncio.timeout(10):
            while not heard:
                await one.nudge("news", 17)
                await asyncio.sleep(0.02)
        assert set(heard) == {17}


async def test_only_servers_that_are_named_are_spoken_to(servers: NatsServers) -> None:
    """Others that a server tells of would be ways around a wire that is cut, or names without certificate."""
    async with nats_engine(Access(servers.urls[:1], prefix="named"), "test") as engine:
        assert engine.client.discovered_servers == []


async def test_nobody_there_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_engine_module, "_CONNECT_WITHIN_S", 0.5)
    with pytest.raises(EngineError, match="no NATS server"):
        async with nats_engine(Access(["nats://127.0.0.1:1"]), "test"):
            pass


async def test_a_client_that_does_not_hear_that_it_is_to_stop_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def deaf(*_: object, **__: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # as `asyncio.wait_for` does now and then
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    monkeypatch.setattr(Client, "connect", deaf)
    monkeypatch.setattr(nats_engine_module, "_CONNECT_WITHIN_S", 0.05)
    with pytest.raises(EngineError, match="no NATS server"):
        async with nats_engine(Access([]), "test"):
            pass
