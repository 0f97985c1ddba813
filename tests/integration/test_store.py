"""The two stores are one to whoever uses them; and the one on the disk outlasts what happens to disks."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from presencebridge.core.model import (
    Because,
    LegState,
    Presence,
    Released,
    Spell,
    State,
    StatusClaim,
    TeamsClaim,
    Write,
)
from presencebridge.errors import Misconfigured
from presencebridge.store import sqlite
from presencebridge.store.memory import MemoryStore
from presencebridge.store.sqlite import SqliteStore, StoreError

BUSY = Presence("Busy", "InACall")
FULL = State(
    shown=BUSY,
    person=Presence("Ümläut", "…"),
    legs=(LegState.HOLD,),
    spell=Spell("Away", 1.5),
    teams_claim=TeamsClaim(BUSY, Because.IN_CALL, 1.0, None, 301.0, 2.0, (BUSY,)),
    status_claim=StatusClaim("Away", "Available", BUSY, 3.0, confirmed=True, ours=("Away",)),
    released=Released((BUSY,), 4.0),
    teams_write=Write(Because.CALL_OVER, 3, 5.0, "x"),
    paused=True,
    paused_until=1e12,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore | SqliteStore]:
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SqliteStore(tmp_path) as opened:
            yield opened


# Either store -------------------------------------------------------------------------------------


async def test_a_new_store_is_empty(store):
    assert store.load() == {}


async def test_a_state_comes_back_as_it_was(store):
    await store.save({"101": FULL})
    await store.save({"102": State()})
    assert store.load() == {"101": FULL, "102": State()}


async def test_the_last_state_of_a_person_counts(store):
    for until in range(50):
        await store.save({"101": replace(FULL, paused_until=float(until))})
    assert store.load()["101"].paused_until == 49.0


async def test_states_saved_at_the_same_time_keep_their_order(store):
    async with asyncio.TaskGroup() as tasks:
        for until in range(500):
            for key in ("101", "102"):
                tasks.create_task(store.save({key: replace(FULL, paused_until=float(until))}))
    assert [state.paused_until for state in store.load().values()] == [499.0, 499.0]


async def test_who_is_forgotten_is_gone_and_nobody_else(store):
    for key in ("101", "102", "103"):
        await store.save({key: FULL})
    await store.forget(["101", "103", "unknown"])
    assert list(store.load()) == ["102"]
    await store.forget([])
    await store.save({"101": State()})
    assert set(store.load()) == {"101", "102"}


async def test_what_was_loaded_is_not_changed_by_what_is_saved(store):
    await store.save({"101": FULL})
    before = store.load()
    await store.save({"101": State()})
    await store.save({"102": State()})
    assert before == {"101": FULL}


async def test_a_key_may_be_any_text(store):
    for key in ("", "Ä'\"; DROP TABLE person", "0101", "101"):
        await store.save({key: FULL})
    assert len(store.load()) == 4


# The disk -----------------------------------------------------------------------------------------


def file_of(folder: Path) -> Path:
    return folder / "presencebridge.sqlite"


async def test_a_restart_finds_everything(tmp_path):
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
    with SqliteStore(tmp_path) as store:
        assert store.load() == {"101": FULL}
        await store.save({"101": State()})
    with SqliteStore(tmp_path) as store:
        assert store.load() == {"101": State()}


def test_a_second_service_on_one_folder_is_refused(tmp_path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0.1}))
    with SqliteStore(tmp_path), pytest.raises(StoreError, match="locked"):
        SqliteStore(tmp_path)
    with SqliteStore(tmp_path):
        pass


async def test_nobody_else_can_read_it(tmp_path):
    folder = tmp_path / "a" / "state"
    old = os.umask(0)
    try:
        with SqliteStore(folder) as store:
            await store.save({"101": FULL})
            files = list(folder.iterdir())
            assert {file.name for file in files} >= {"presencebridge.sqlite", "presencebridge.sqlite-wal"}
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


_KILLED = """
import asyncio, os, sys
from pathlib import Path
from presencebridge.core.model import State
from presencebridge.store.sqlite import SqliteStore

async def main():
    with SqliteStore(Path(sys.argv[1])) as store:
        for number in range(20):
            await store.save({str(number): State(paused=True)})
            print(number, flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_what_was_saved_is_there_after_a_kill(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], capture_output=True, check=False, timeout=30
    )
    assert done.returncode == -9, done.stderr
    with SqliteStore(tmp_path) as store:
        assert store.load() == {line: State(paused=True) for line in done.stdout.decode().split()}
        assert len(store.load()) == 20


class Dying(sqlite3.Connection):
    """A process that dies before one statement."""

    dies_before = ""

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if self.dies_before and sql.startswith(self.dies_before):
            raise sqlite3.OperationalError("killed")
        return super().execute(sql, *parameters)


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Dying]]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite.sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Dying))
    yield Dying
    Dying.dies_before = ""


@pytest.mark.parametrize("statement", ["PRAGMA journal", "CREATE TABLE", "PRAGMA user_version =", "COMMIT"])
async def test_a_kill_while_the_file_is_made_does_no_harm(tmp_path, dying, statement):
    dying.dies_before = statement
    with pytest.raises(StoreError, match="killed"):
        SqliteStore(tmp_path)
    dying.dies_before = ""
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
        assert store.load() == {"101": FULL}


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
    with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = file_of(tmp_path).read_bytes()
    with pytest.raises(Misconfigured) as raised:
        SqliteStore(tmp_path)
    assert str(raised.value) == (
        f"[state] dir: {file_of(tmp_path)} is of a newer version\n"
        "    cure: install that version, or move the file away: what was held is found again by looking"
    )
    assert file_of(tmp_path).read_bytes() == before


async def test_an_older_file_is_brought_up_to_date_and_keeps_everybody(tmp_path, monkeypatch):
    """Step by step; one that fails leaves what the steps before it made."""
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
    now = len(sqlite._SCHEMA)
    steps = (
        *sqlite._SCHEMA,
        "CREATE TABLE later (x INTEGER) STRICT",
        "CREATE TABLE later (x INTEGER) STRICT",
    )
    monkeypatch.setattr(sqlite, "_SCHEMA", steps)
    with pytest.raises(StoreError, match="already exists"):
        SqliteStore(tmp_path)
    with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (now + 1,)
    monkeypatch.setattr(sqlite, "_SCHEMA", (*steps[:-1], "ALTER TABLE later ADD COLUMN y INTEGER"))
    with SqliteStore(tmp_path) as store:
        assert store.load() == {"101": FULL}
    with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (now + 2,)
        assert connection.execute("SELECT y FROM later").fetchall() == []


@pytest.mark.parametrize("torn", [b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_torn_file_is_said_so(tmp_path, torn):
    file_of(tmp_path).write_bytes(torn)
    with pytest.raises(StoreError, match="can't be used"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize("target", ["not there", "a database"])
async def test_a_link_is_not_followed_and_its_cure_is_told(tmp_path, target):
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir()
    if target == "a database":
        with SqliteStore(tmp_path):
            pass
        (tmp_path / sqlite.FILE).rename(elsewhere)
    before = elsewhere.read_bytes() if elsewhere.exists() else None
    (state / sqlite.FILE).symlink_to(elsewhere)
    with pytest.raises(Misconfigured, match="is a link, and links are not followed") as raised:
        SqliteStore(state)
    assert "or delete it" in raised.value.problems[0].cure
    assert (elsewhere.read_bytes() if elsewhere.exists() else None) == before
    assert [file.name for file in state.iterdir()] == [sqlite.FILE]
    (state / sqlite.FILE).unlink()
    with SqliteStore(state) as store:
        assert store.load() == {}


def test_a_link_that_is_laid_after_the_look_makes_no_file_elsewhere(tmp_path, monkeypatch):
    """Whoever owns the folder may be quick: then SQLite follows the link, and finds nothing to open."""

    def swap(file: Path) -> None:
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere")

    monkeypatch.setattr(sqlite, "give_to_owner_of_folder", swap)
    with pytest.raises(StoreError, match="unable to open"):
        SqliteStore(tmp_path / "state")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["with space", "50%", "what?mode=ro", "a#b", "ümläut", "%41"])
async def test_a_folder_may_be_called_anything(tmp_path, name):
    with SqliteStore(tmp_path / name) as store:
        await store.save({"101": FULL})
    assert [file.name for file in (tmp_path / name).iterdir()] == [sqlite.FILE]


def test_a_folder_that_can_not_be_is_said_so(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="can't be used"):
        SqliteStore(tmp_path / "file" / "state")


@pytest.mark.parametrize(
    "blob", [b"", b"{", b"\xff", b'{"person":{"availability":"\xff","activity":"x"}}', b'{"paused":7}', b"[]"]
)
async def test_a_state_that_can_not_be_read_is_left_out(tmp_path, blob):
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
        await store.save({"102": FULL})
    with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection, connection:
        connection.execute("UPDATE person SET state = ? WHERE key = '101'", (blob,))
    with SqliteStore(tmp_path) as store:
        assert store.load() == {"102": FULL}


async def test_a_state_of_an_older_version_is_read(tmp_path):
    with SqliteStore(tmp_path) as store:
        await store.save({"101": State(paused=True)})
    with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection, connection:
        old = msgspec.json.encode({"paused": True, "word_of_old": 1})
        connection.execute("UPDATE person SET state = ?", (old,))
    with SqliteStore(tmp_path) as store:
        assert store.load() == {"101": State(paused=True)}


# Trouble while writing ----------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT", "COMMIT"])
async def test_a_full_disk_is_told_and_writing_goes_on_once_there_is_room(tmp_path, dying, statement):
    with SqliteStore(tmp_path) as store:
        await store.save({"101": FULL})
        dying.dies_before = statement
        outcomes = await asyncio.gather(
            *(store.save({str(number): State()}) for number in range(101, 110)), return_exceptions=True
        )
        assert all(isinstance(outcome, StoreError) for outcome in outcomes)
        assert store.load() == {"101": FULL}
        dying.dies_before = ""
        await store.save({"102": FULL})
        assert store.load() == {"101": FULL, "102": FULL}


async def test_what_waits_together_is_written_together(tmp_path, dying, monkeypatch):
    begun: list[str] = []
    execute = Dying.execute

    def noted(self: Dying, sql: str, *parameters: object) -> sqlite3.Cursor:
        begun.append(sql.partition(" ")[0])
        return execute(self, sql, *parameters)

    monkeypatch.setattr(Dying, "execute", noted)
    with SqliteStore(tmp_path) as store:
        begun.clear()
        await asyncio.gather(*(store.save({str(number): State()}) for number in range(400)))
        assert begun.count("INSERT") == 400
        assert begun.count("COMMIT") < 200
        assert len(store.load()) == 400


async def test_a_save_that_nobody_waits_for_any_more_is_carried_out_all_the_same(tmp_path):
    with SqliteStore(tmp_path) as store:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await store.save({"101": FULL})
        await store.save({"102": FULL})
        assert set(store.load()) == {"101", "102"}


@pytest.mark.parametrize("number", [150, 600])
async def test_what_waits_at_the_end_is_still_written(tmp_path, number):
    async with asyncio.TaskGroup() as tasks:
        with SqliteStore(tmp_path) as store:
            saves = [tasks.create_task(store.save({str(key): State()})) for key in range(number)]
            await asyncio.sleep(0)  # all of them are in the queue, and the end follows at once
    assert all(task.exception() is None for task in saves)
    with SqliteStore(tmp_path) as store:
        assert len(store.load()) == number
