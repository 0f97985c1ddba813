"""`presencebridge run` with faults that are planted in one site: SIGUSR1 a bug, SIGUSR2 a full disk.

python faulty_run.py FOLDER SITE
"""

import contextlib
import errno
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from presencebridge.adapters import Outside
from presencebridge.cli.service import run
from presencebridge.core.model import State
from presencebridge.node import Site
from presencebridge.runtime.hub import Hub

VICTIM = sys.argv[2]
planted = {"bug": False, "full": False}


def switch(what: str) -> Any:
    def turn(*_: object) -> None:
        planted[what] = not planted[what]

    return turn


class FullStore:
    """The real store, until the disk is full."""

    def __init__(self, store: Any, site_folder: Path) -> None:
        self._store = store
        self._is_victim = site_folder.name == VICTIM

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save(self, states: Mapping[str, State]) -> None:
        if self._is_victim and planted["full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        await self._store.save(states)


real_store, real_start, real_seen = Outside.store, Site.run, Hub.seen
victims: set[int] = set()


@contextlib.asynccontextmanager
async def store(self: Outside, config: Any) -> AsyncIterator[Any]:
    async with real_store(self, config) as found:
        yield FullStore(found, config.state.dir)


async def start(self: Site, *arguments: Any) -> None:
    def started() -> None:
        if self.name == VICTIM:
            victims.add(id(self.hub))
        for one in arguments:
            one()

    await real_start(self, started)


def seen(self: Hub, member: Any, event: Any) -> None:
    if planted["bug"] and id(self) in victims:
        raise RuntimeError("a bug, planted by the benchmark")
    real_seen(self, member, event)


Outside.store, Site.run, Hub.seen = store, start, seen  # type: ignore[method-assign,assignment]
signal.signal(signal.SIGUSR1, switch("bug"))
signal.signal(signal.SIGUSR2, switch("full"))
run(config=Path(sys.argv[1]))
