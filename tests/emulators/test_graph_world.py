"""The world file and the emulators' clock."""

import asyncio
import time

import pytest

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph.wire import epoch, moment
from presencebridge.emulators.world import World, load_world


def _written(tmp_path, text: str):
    file = tmp_path / "world.json"
    file.write_text(text)
    return file


def test_every_part_may_be_left_out_and_what_is_unknown_is_ignored(tmp_path):
    assert load_world(_written(tmp_path, "{}")) == World()
    text = '{"phones": 3, "users": [{"userPrincipalName": "a@x.org", "shoe_size": 43}]}'
    (user,) = load_world(_written(tmp_path, text)).users
    assert len(user.id) == 36
    assert load_world(_written(tmp_path, text)).users[0].id == user.id


def test_all_parts_are_read(tmp_path):
    text = """{"tenant_id": "t", "client_id": "c", "client_secret": "s",
        "users": [{"id": "1", "userPrincipalName": "a@x.org", "mail": "a@x.org", "displayName": "A"}],
        "watchers": [{"username": "w@x.org", "id": "2"}],
        "extensions": [{"number": "101", "name": "A", "email": "a@x.org", "status": "Away"}]}"""
    world = load_world(_written(tmp_path, text))
    assert (world.tenant_id, world.client_id, world.client_secret) == ("t", "c", "s")
    assert (world.users[0].display_name, world.watchers[0].username) == ("A", "w@x.org")
    assert (world.extensions[0].number, world.extensions[0].status) == ("101", "Away")


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("{", "write one JSON object"),
        ("[]", "correct that field"),
        ('{"users": [{"id": "1"}]}', "userPrincipalName"),
        ('{"extensions": [{"number": 101}]}', r"\$.extensions\[0\].number"),
        ('{"extensions": [{"number": "1"}, {"number": "1"}]}', "extension 1 appears twice"),
    ],
)
def test_a_bad_file_is_named_with_its_cure(tmp_path, text, cure):
    file = _written(tmp_path, text)
    with pytest.raises(ValueError, match=cure) as caught:
        load_world(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        load_world(tmp_path / "none.json")


def test_the_clock_is_the_wall_clock_plus_what_it_was_advanced_by():
    clock = Clock()
    assert abs(clock.now() - time.time()) < 1
    clock.advance(100)
    assert 99 < clock.now() - clock.base() < 101
    assert clock.shown(clock.meant(5.0)) == 5.0
    with pytest.raises(ValueError, match="can't go back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="can't go back"):
        clock.advance(float("nan"))


async def test_an_advance_wakes_whoever_sleeps():
    clock = Clock(lambda: 0.0)
    async with asyncio.TaskGroup() as tasks:
        sleeper = tasks.create_task(clock.sleep_until(10))
        await asyncio.sleep(0)
        clock.advance(9)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not sleeper.done()
        clock.advance(1)


@pytest.mark.looptime
async def test_a_clock_of_the_loop_wakes_by_itself():
    clock = Clock.of_loop(1000)
    await clock.sleep_until(1500)
    assert clock.now() == pytest.approx(1500, abs=0.1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000),
        ("2027-01-15T09:00:00+01:00", 1_800_000_000),
        ("2027-01-15T08:00:00.5000000Z", 1_800_000_000.5),
        ("2027-01-15T08:00:00", 1_800_000_000),
        ("2027-02-30T08:00:00Z", None),
        ("today", None),
    ],
)
def test_dates_are_read_in_the_forms_clients_write(text, seconds):
    assert epoch(text) == seconds


def test_dates_are_written_with_seven_digits():
    assert moment(1_800_000_000.25) == "2027-01-15T08:00:00.2500000Z"
    assert moment(1_800_000_000.25, digits=0) == "2027-01-15T08:00:00Z"
