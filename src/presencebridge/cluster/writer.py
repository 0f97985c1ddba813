"""Writes of a site's owner: whatever waits goes in one batch, fenced by the owner's epoch.

At most one batch is under way. Where it is not known whether one was carried out, the fence is moved before
the next one is written, so that the lost one can't come after it.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from presencebridge.cluster.engine import Engine, EngineError, Stale
from presencebridge.cluster.ownership import Tenure

_LOOK_AGAIN_S: Final = 0.02
_LOOKS: Final = 25


class Writer:
    """One for each tenure."""

    def __init__(self, engine: Engine, tenure: Tenure) -> None:
        self._engine, self._tenure = engine, tenure
        self._waiting: dict[str, bytes] = {}
        self._done: asyncio.Future[None] | None = None
        self._unsure = False
        self._turn = asyncio.Lock()

    async def write(self, changes: Mapping[str, bytes]) -> None:
        """Return when the engine has it. Raises `EngineError`, `Stale` if the site is not ours any more."""
        self._waiting |= changes
        if self._done is None:
            self._done = asyncio.get_running_loop().create_future()
            self._done.add_done_callback(_heard)
        done = self._done
        async with self._turn:
            if not done.done():
                await self._flush(done)
        await asyncio.shield(done)  # who is cancelled takes none of the others along

    async def _flush(self, done: "asyncio.Future[None]") -> None:
        changes, self._waiting, self._done = self._waiting, {}, None
        try:
            await self._write(changes)
        except OSError as error:
            done.set_exception(error)
        except asyncio.CancelledError:
            self._unsure = True
            done.set_exception(EngineError("it was dropped before the engine had answered"))
            raise
        else:
            done.set_result(None)

    async def _write(self, changes: dict[str, bytes]) -> None:
        for _ in range(_LOOKS):
            if not self._tenure.is_held:
                raise EngineError("the node's lease has to be renewed first")
            if self._unsure:
                await self._tenure.put(self._engine, self._tenure.record)
                self._unsure = False
            try:
                await self._engine.write(self._tenure.fence, changes)
            except EngineError:
                self._unsure = True
                raise
            except Stale:
                # Perhaps only because the engine is writing for somebody who wants to be the next owner.
                found = await self._engine.get(self._tenure.fence.key)
                if found is None or found.revision > self._tenure.fence.revision:
                    self._tenure.is_lost = True
                    raise
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return
        raise EngineError("the engine refuses each write, and nobody else has the site")


def _heard(done: "asyncio.Future[None]") -> None:
    """Whoever asked may be gone: nobody has to hear of it."""
    if not done.cancelled():
        done.exception()
