"""From one process to a cluster: what was held, who was paused and who is signed in goes along, once."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats_kit import NatsServers

from presencebridge.cluster.engine import Engine, Fence
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.joined import Cluster
from presencebridge.cluster.moving_in import move_in
from presencebridge.cluster.nats_engine import Access, nats_engine
from presencebridge.cluster.records import owner_key, sign_in_key, site_prefix
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.cluster.store import SharedStore
from presencebridge.core.model import State
from presencebridge.store.sqlite import FILE, SqliteStore

pytestmark = pytest.mark.timeout(60)

SITE = "berlin"
STATES = {"101": State(paused=True, status="Away"), "anna@example.org": State(paused_until=17.0)}


@pytest.fixture(params=["simulated", "nats"])
def connected(request: pytest.FixtureRequest) -> contextlib.AbstractAsyncContextManager[Engine]:
    if request.param == "simulated":
        return contextlib.nullcontext(SimulatedEngine(World(random.Random(1)), "a"))
    servers: NatsServers = request.getfixturevalue("servers")
    return nats_engine(Access(servers.urls, prefix=f"t{uuid.uuid4().hex[:8]}"), "test")


@pytest.fixture
async def engine(connected: contextlib.AbstractAsyncContextManager[Engine]) -> AsyncIterator[Engine]:
    async with connected as one:
        yield one


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    (tmp_path / "key").write_text(new_key())
    return Seal(tmp_path / "key")


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """What one process has left."""
    with SqliteStore(tmp_path / SITE) as store:
        await store.save(STATES)
    (tmp_path / SITE / "watcher-default.json").write_bytes(b"a sign-in")
    (tmp_path / SITE / "support-key").write_bytes(b"stays")
    return tmp_path / SITE


async def loaded(engine: Engine, at_least: int) -> dict[str, State]:
    found = await engine.under(site_prefix(SITE), at_least)
    return SharedStore(SITE, None, found).load()  # type: ignore[arg-type]


def files_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def test_the_first_owner_finds_what_the_one_process_has_left(
    engine: Engine, seal: Seal, folder: Path
) -> None:
    nobody = folder.parent / "without"
    assert await move_in(engine, seal, {SITE: folder, "without": nobody}) == ""
    revision = await engine.put(owner_key(SITE), b"the first", 0)
    assert await loaded(engine, revision) == STATES
    sign_in = await engine.get(sign_in_key(SITE, "watcher-default.json"))
    assert sign_in is not None
    assert seal.open(f"{SITE}/watcher-default.json", sign_in.value) == b"a sign-in"
    assert files_in(folder) == {f"{FILE}.before-cluster", "support-key"}
    assert not nobody.exists()


async def test_what_the_cluster_knows_already_is_not_written_over(
    engine: Engine, seal: Seal, folder: Path
) -> None:
    first = await engine.put(owner_key(SITE), b"the first", 0)
    await engine.write(Fence(owner_key(SITE), first), {f"{site_prefix(SITE)}person.101": b"{}"})
    second = await engine.put(owner_key(SITE), b"the second", first)
    assert await move_in(engine, seal, {SITE: folder}) == ""
    assert await loaded(engine, second) == {"101": State()}
    assert await engine.get(sign_in_key(SITE, "watcher-default.json")) is None
    assert files_in(folder) == {FILE, "support-key", "watcher-default.json"}


@pytest.mark.looptime
async def test_who_still_runs_there_is_waited_for_and_a_broken_file_is_not(
    tmp_path: Path, seal: Seal
) -> None:
    (tmp_path / "bonn").mkdir()
    (tmp_path / "bonn" / FILE).write_bytes(b"no database" * 1000)
    engine = SimulatedEngine(World(random.Random(1)), "a")
    assert await move_in(engine, seal, {"bonn": tmp_path / "bonn"}) == ""
    taken: list[str] = []

    class Process:
        def take_up(self, site: str, outside: object = None) -> None:
            taken.append(site)

        async def lay_down(self, site: str, *, at_once: bool = False) -> None: ...

        def take(self, site: str, body: bytes) -> bool:
            raise AssertionError("no notification was sent")

    @contextlib.asynccontextmanager
    async def engine_of() -> AsyncIterator[Engine]:
        yield engine

    cluster = Cluster(engine_of, seal, name="a")
    cluster.known({SITE: tmp_path / SITE, "bonn": tmp_path / "bonn"})
    async with asyncio.timeout(300):
        with SqliteStore(tmp_path / SITE):
            running = asyncio.ensure_future(cluster.run(Process()))
            while "is in use: stop the presencebridge" not in cluster.view().trouble:
                await asyncio.sleep(1)
            assert taken == []
        while sorted(taken) != [SITE, "bonn"]:
            await asyncio.sleep(1)
    running.cancel()
