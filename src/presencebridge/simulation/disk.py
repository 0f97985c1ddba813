"""The disk under the service: what was committed outlasts a kill, what was not is lost.

It stands for `store.sqlite`: a save returns when it is committed, and whatever waits is committed together.
"""

import asyncio
import contextlib
import errno
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from presencebridge.core.model import State
from presencebridge.simulation.line import Sender

_TAKES_S: Final = (0.0005, 0.02)
"""The shortest and the longest commit."""

_SHARE_THAT_FAILS: Final = 0.5


class Disk:
    """What is on the disk, by person's key."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.kept: dict[str, bytes] = {}
        self.full = 0
        """How many reasons there are just now for it to be full."""
        self.failing = 0
        """How many reasons there are for every other commit to fail."""
        self.on_save: Callable[[], None] = lambda: None
        """Called when the service hands over something to be kept, which is just before it acts."""
        self.on_committed: Callable[[str, State], None] = lambda _key, _state: None
        self.on_load: Callable[[], None] = lambda: None

    def tear(self, share: float) -> list[str]:
        """Some rows can't be read any more. Returns whose."""
        torn = [key for key in sorted(self.kept) if self._dice.random() < share]
        for key in torn:
            self.kept[key] = self.kept[key][:-5]
        return torn

    @contextlib.contextmanager
    def mounted(self, service: Sender) -> Iterator["DiskStore"]:
        yield DiskStore(self, service)

    def takes_s(self) -> float:
        return self._dice.uniform(*_TAKES_S)

    def commit(self, jobs: dict[str, bytes | None]) -> None:
        """All of them or none. Raises `OSError`."""
        if self.full:
            raise OSError(errno.ENOSPC, "database or disk is full")
        if self.failing and self._dice.random() < _SHARE_THAT_FAILS:
            raise OSError(errno.EIO, "disk I/O error")
        for key, blob in jobs.items():
            if blob is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = blob
                self.on_committed(key, msgspec.json.decode(blob, type=State))


class DiskStore:
    """The store of one life of the service."""

    def __init__(self, disk: Disk, service: Sender) -> None:
        self._disk = disk
        self._service = service
        self._waiting: list[tuple[dict[str, bytes | None], asyncio.Future[None]]] = []

    def load(self) -> dict[str, State]:
        """As the real one: what can't be read is left out."""
        self._disk.on_load()
        states = {}
        for key, blob in self._disk.kept.items():
            with contextlib.suppress(msgspec.DecodeError):
                states[key] = msgspec.json.decode(blob, type=State)
        return states

    async def save(self, states: Mapping[str, State]) -> None:
        await self._submit({key: msgspec.json.encode(state) for key, state in states.items()})

    async def forget(self, keys: Iterable[str]) -> None:
        if rows := dict.fromkeys(keys):
            await self._submit(rows)

    async def _submit(self, rows: dict[str, bytes | None]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._disk.on_save()
        if not self._waiting:
            loop.call_later(self._disk.takes_s(), self._commit)
        self._waiting.append((rows, done))
        await done

    def _commit(self) -> None:
        if not self._service.alive:
            return
        jobs, self._waiting = self._waiting, []
        error: OSError | None = None
        try:
            self._disk.commit({key: blob for rows, _ in jobs for key, blob in rows.items()})
        except OSError as caught:
            error = caught
        for _, done in jobs:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
