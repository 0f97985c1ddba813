"""SQLite with one writer thread: whatever waits is written in one transaction.

Only what a restart must not lose is kept: for each person the current claims, the spell and the pause.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec

from presencebridge.core.model import State
from presencebridge.errors import Misconfigured, Problem
from presencebridge.files import give_to_owner_of_folder

_SCHEMA: Final = (
    # 1
    """CREATE TABLE person (key TEXT PRIMARY KEY, state BLOB NOT NULL) STRICT, WITHOUT ROWID""",
)
FILE: Final = "presencebridge.sqlite"
_MOST_IN_ONE_COMMIT: Final = 200
_WAIT_FOR_LOCK_S: Final = 2.0
"""A service that is just ending may still hold the file."""


class _Job(NamedTuple):
    """What somebody waits for: rows to write, or to delete where there is no state."""

    rows: Sequence[tuple[str, bytes | None]]
    done: "asyncio.Future[None]"


class StoreError(OSError):
    """The state could not be read or written."""


class StoreInUse(StoreError):
    """Another process has it."""


class SqliteStore:
    """State by person's key, in `presencebridge.sqlite` inside the state folder (mode 0600)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._encode = msgspec.json.Encoder().encode
        self._connection = self._open(folder)

    def _open(self, folder: Path) -> sqlite3.Connection:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make()
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",  # it is there: SQLite is to make none
                uri=True,
                timeout=_WAIT_FOR_LOCK_S,
                check_same_thread=False,
                isolation_level=None,
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            # Held until we end: two services on one state folder would undo each other's work.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise self._unusable(error) from error
        except Misconfigured:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """The file, if there is none. A link is not followed: root would make, or use, what it names."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            if error.errno != errno.ELOOP or not self._path.is_symlink():
                raise
            what = f"{self._path} is a link, and links are not followed there"
            cure = "name the folder that it leads to, or delete it: what was held is found again by looking"
            raise Misconfigured([Problem("[state] dir", what, cure)]) from error
        give_to_owner_of_folder(self._path)  # SQLite does the same with its files beside it

    def _unusable(self, error: Exception) -> StoreError:
        folder = self._path.parent
        if "locked" in str(error):
            cure = "stop the other one, or give this one a [state] dir of its own"
            return StoreInUse(f"another presencebridge uses {folder} (database is locked)\n    cure: {cure}")
        cure = f"make {folder} a folder that this account may write, with room on the disk; a file that is"
        return StoreError(f"{self._path} can't be used: {error}\n    cure: {cure} no database can be deleted")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_SCHEMA):
            # No trouble that passes by itself, so it ends the program as a wrong config does.
            cure = "install that version, or move the file away: what was held is found again by looking"
            raise Misconfigured([Problem("[state] dir", f"{self._path} is of a newer version", cure)])
        for number, change in enumerate(_SCHEMA[version:], version + 1):
            connection.execute("BEGIN")
            connection.execute(change)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait until everything is on the disk, and let the file go. It does no harm to do it twice."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        self._connection.close()

    def load(self) -> dict[str, State]:
        """Everybody's state. What can't be read is left out: it is found again by looking at both sides."""
        decode = msgspec.json.Decoder(State).decode
        states = {}
        try:
            for key, blob in self._connection.execute("SELECT key, state FROM person"):
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    states[key] = decode(blob)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} can't be read: {error}") from error
        return states

    async def save(self, states: Mapping[str, State]) -> None:
        """Return when all of them are on the disk. Raises `StoreError`, and then none of them is."""
        await self._submit([(key, self._encode(state)) for key, state in states.items()])

    async def forget(self, keys: Iterable[str]) -> None:
        """Delete the state of people who are not served any more."""
        if rows := [(key, None) for key in keys]:
            await self._submit(rows)

    async def _submit(self, rows: Sequence[tuple[str, bytes | None]]) -> None:
        job = _Job(rows, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        await job.done

    def _write(self) -> None:
        is_over = False
        while not is_over and (job := self._jobs.get()) is not None:
            jobs, count = [job], len(job.rows)
            with contextlib.suppress(queue.Empty):
                while count < _MOST_IN_ONE_COMMIT:
                    more = self._jobs.get_nowait()
                    if more is None:
                        is_over = True
                        break
                    jobs.append(more)
                    count += len(more.rows)
            error = self._commit(itertools.chain.from_iterable(one.rows for one in jobs))
            job.done.get_loop().call_soon_threadsafe(_finish, jobs, error)

    def _commit(self, rows: Iterable[tuple[str, bytes | None]]) -> StoreError | None:
        connection = self._connection
        try:
            connection.execute("BEGIN")
            for key, blob in rows:
                if blob is None:
                    connection.execute("DELETE FROM person WHERE key = ?", (key,))
                else:
                    connection.execute(
                        "INSERT INTO person VALUES (?, ?)"
                        " ON CONFLICT (key) DO UPDATE SET state = excluded.state",
                        (key, blob),
                    )
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            return StoreError(f"{self._path} can't be written: {error}")
        return None


def _finish(jobs: list[_Job], error: StoreError | None) -> None:
    for job in jobs:
        if job.done.done():
            continue
        if error is None:
            job.done.set_result(None)
        else:
            job.done.set_exception(error)
