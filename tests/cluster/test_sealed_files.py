import asyncio
import random
from pathlib import Path

import pytest

from presencebridge.cluster.files import Seal, SharedFiles, new_key
from presencebridge.cluster.ownership import Ownership, Tenure
from presencebridge.cluster.records import NodeRecord, OwnerRecord, owner_key, site_prefix
from presencebridge.cluster.session import Session
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.cluster.store import SharedStore
from presencebridge.cluster.writer import Writer
from presencebridge.core.model import State

SITES = [f"s{number}" for number in range(6)]


class Office:
    """A site that is ours."""

    def __init__(self) -> None:
        self.world = World(random.Random(1))
        self.engine = SimulatedEngine(self.world, "a")
        self.session = Session(self.engine, NodeRecord("a", "x", 0, 0, 10.0, takes_sites=True))

    async def taken(self) -> Writer:
        await self.session._beat()
        revision = await self.engine.put(owner_key("s"), b"", 0)
        tenure = Tenure("s", OwnerRecord(1, "a", "x", 0), revision, self.session)
        return Writer(self.engine, tenure)


async def test_who_has_just_joined_looks_who_else_is_there_before_it_takes_anything() -> None:
    office = Office()
    await Session(office.engine, NodeRecord("b", "y", 0, 0, 10.0, takes_sites=True))._beat()
    writes = office.world.sequence
    taken: list[str] = []

    async def start(tenure: Tenure) -> None:
        taken.append(tenure.site)

    ownership = Ownership(office.engine, office.session, lambda: SITES, start, start)
    async with asyncio.TaskGroup() as tasks:
        await office.session._beat()
        await ownership._settle(tasks)
        assert (office.world.sequence, taken) == (writes + 1, [])
        await office.session._look()
        await ownership._settle(tasks)
    assert 0 < len(taken) <= len(SITES) / 2, "the other one has its share"


def seal(folder: Path, *keys: str) -> Seal:
    file = folder / "key"
    file.write_text("\n".join(keys))
    return Seal(file)


async def test_files_follow_their_site_and_the_engine_can_not_read_them(tmp_path: Path) -> None:
    office = Office()
    writer = await office.taken()
    ours = seal(tmp_path, new_key())
    files = SharedFiles("s", writer, ours, {})
    files.write("subscription-default.json", b"a secret")
    assert await files.flush()
    found = await office.engine.under(site_prefix("s"))
    assert all(b"secret" not in entry.value for entry in found.values())
    assert SharedFiles("s", writer, ours, found).read("subscription-default.json") == b"a secret"
    await asyncio.to_thread(files.delete, "subscription-default.json")
    assert SharedFiles("s", writer, ours, await office.engine.under(site_prefix("s"))).names() == []


async def test_a_key_is_replaced_while_all_goes_on(tmp_path: Path) -> None:
    office = Office()
    writer = await office.taken()
    old, new = new_key(), new_key()
    files = SharedFiles("s", writer, seal(tmp_path, old), {})
    await asyncio.to_thread(files.write, "a", b"1")
    found = await office.engine.under(site_prefix("s"))
    assert SharedFiles("s", writer, seal(tmp_path, new, old), found).read("a") == b"1"
    lacking = SharedFiles("s", writer, seal(tmp_path, new), found)
    assert (lacking.names(), lacking.unreadable) == ([], ["a"])


async def test_what_was_sealed_for_another_site_does_not_open(tmp_path: Path) -> None:
    ours = seal(tmp_path, new_key())
    assert ours.open("s/a", ours.close("s/a", b"1")) == b"1"
    assert ours.open("t/a", ours.close("s/a", b"1")) is None
    assert ours.open("s/b", ours.close("s/a", b"1")) is None


@pytest.mark.parametrize("content", ["", "short", "not a key that could be one, at all, ever !!!!"])
def test_a_file_that_holds_no_key_is_told_and_not_quoted(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match="file") as caught:
        seal(tmp_path, content)
    assert not content or content not in str(caught.value)


async def test_state_is_there_for_the_next_owner() -> None:
    office = Office()
    writer = await office.taken()
    store = SharedStore("s", writer, {})
    await store.save({"101": State(paused=True)})
    await store.save({"anna@example.org": State()})
    await store.forget(["101"])
    await store.save({"102": State(paused=True)})
    found = await office.engine.under(site_prefix("s"))
    assert SharedStore("s", writer, found).load() == {
        "anna@example.org": State(), "102": State(paused=True)
    }  # fmt: skip


async def test_who_is_cancelled_takes_none_of_the_others_along() -> None:
    office = Office()
    store = SharedStore("s", await office.taken(), {})
    async with asyncio.timeout(20):
        for _ in range(20):
            saves = [asyncio.ensure_future(store.save({f"{number}": State()})) for number in range(20)]
            await asyncio.sleep(0.001)
            for save in saves[::3]:
                save.cancel()
            ends = await asyncio.gather(*saves, return_exceptions=True)
            assert all(end is None for end, number in zip(ends, range(20), strict=True) if number % 3)
        await store.save({"last": State()})
    assert set(store.load()) >= {"1", "2", "4", "last"}
