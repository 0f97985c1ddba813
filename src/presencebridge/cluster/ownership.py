"""Which sites this node runs: it takes those that are its by `spreading`, and hands over those that are not.

A site is free if its owner released it or the owner's lease was ended. It is taken by a write that is refused
if somebody else was quicker, and its epoch grows. Whatever is written for the site from then on is fenced by
the revision of that write.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from presencebridge.cluster.engine import Engine, EngineError, Entry, Fence, Stale
from presencebridge.cluster.records import ALL_OWNERS, NUDGE_OWNERS, OwnerRecord, owner_in, owner_key
from presencebridge.cluster.session import MARGIN, Session
from presencebridge.cluster.spreading import spread
from presencebridge.ending import ended

_log = structlog.get_logger()

_LOOK_EVERY_S: Final = 1.0
_AGAIN_S: Final = 0.03
_MOST_AT_A_TIME: Final = 16
"""Sites that come or go side by side, so that a node that takes over hundreds does not choke."""


class Tenure:
    """A site is ours, from an epoch on: what its clients and its store ask before they do anything."""

    def __init__(self, site: str, record: OwnerRecord, revision: int, session: Session) -> None:
        self.site, self.record, self.epoch = site, record, record.epoch
        self.fence = Fence(owner_key(site), revision)
        self._session = session
        self._over = False
        self.is_lost = False
        """Set when the engine has refused a write: the site has another owner."""
        self._cuts: list[Callable[[], None]] = []

    @property
    def may_act(self) -> bool:
        return not self._over and self.is_held

    @property
    def is_held(self) -> bool:
        """Whether the store may be written: also while the site is being handed over."""
        return not self.is_lost and self._session.may_act

    def end(self) -> None:
        """Nothing is begun any more."""
        self._over = True

    async def put(self, engine: Engine, record: OwnerRecord) -> None:
        """Write the owner's record anew, which moves the fence: what is still on its way is refused.

        Raises `Stale` if the site is not ours any more, and `EngineError`.
        """
        value = msgspec.json.encode(record)
        try:
            revision = await engine.put(self.fence.key, value, self.fence.revision)
        except Stale:
            found = await engine.get(self.fence.key)
            if found is None or found.value != value or found.revision < self.fence.revision:
                if found is not None and found.revision <= self.fence.revision:
                    raise EngineError("the engine is writing") from None
                raise
            revision = found.revision  # an earlier try had arrived
        self.fence = Fence(self.fence.key, revision)

    def on_cut(self, cut: Callable[[], None]) -> None:
        """`cut` is called when whatever is still under way has to be dropped."""
        self._cuts.append(cut)

    def cut(self) -> None:
        for cut in self._cuts:
            cut()


class Ownership:
    """`start` is called with what was taken, `stop` when it is to go; both return when that is done."""

    def __init__(
        self,
        engine: Engine,
        session: Session,
        sites: Callable[[], Collection[str]],
        start: Callable[[Tenure], Awaitable[None]],
        stop: Callable[[Tenure], Awaitable[None]],
    ) -> None:
        self._engine, self._session, self._sites = engine, session, sites
        self._start, self._stop = start, stop
        self.tenures: dict[str, Tenure] = {}
        self.owners: dict[str, OwnerRecord] = {}
        """By site, as last seen."""
        self._spread_for: tuple[frozenset[str], frozenset[str]] | None = None
        self._homes: Mapping[str, str] = {}
        self._strays_at = float("-inf")
        """When to look next for sites that we took by a write whose answer did not come."""
        self._moving: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._room = asyncio.Semaphore(_MOST_AT_A_TIME)
        session.on_nodes = self._wake.set

    def look(self) -> None:
        """The sites have changed."""
        self._wake.set()

    @property
    def homes(self) -> Mapping[str, str]:
        """Where each site belongs, by what we know of the nodes."""
        nodes = frozenset(name for name, record in self._session.nodes().items() if record.takes_sites)
        sites = frozenset(self._sites())
        if self._spread_for != (sites, nodes):
            self._spread_for, self._homes = (sites, nodes), spread(sites, nodes)
        return self._homes

    async def run(self) -> None:
        """Take and hand over until the lease is lost or it is cancelled. Raises nothing of the engine's."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                with contextlib.suppress(EngineError):
                    await stack.enter_async_context(self._engine.listening(NUDGE_OWNERS, self._nudged))
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(self._watch_lease())
                    while not self._session.lost.is_set():
                        self._wake.clear()
                        with contextlib.suppress(EngineError):
                            await self._settle(tasks)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(_LOOK_EVERY_S):
                                await self._wake.wait()
                    await ended({watching, *self._tasks})
        finally:
            for tenure in self.tenures.values():
                tenure.end()
                tenure.cut()

    def _nudged(self, _number: int) -> None:
        self._session.look_soon()
        self._wake.set()

    async def leave_all(self, within_s: float) -> bool:
        """Hand over every site; tell whether each has a new owner."""
        await self._session.change(takes_sites=False)
        await self._engine.nudge(NUDGE_OWNERS)
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._others_take_sites() and not await self._all_elsewhere():
                    await asyncio.sleep(0.05)
                return not self.tenures
        return False

    def _others_take_sites(self) -> bool:
        return any(record.takes_sites for record in self._session.nodes().values())

    async def _all_elsewhere(self) -> bool:
        if self.tenures or self._moving:
            return False
        with contextlib.suppress(EngineError):
            await self._read_owners()
        ours = self._session.record.incarnation
        return not any(
            owner.released or owner.incarnation == ours
            for site, owner in self.owners.items()
            if site in self._sites()
        )

    async def _watch_lease(self) -> None:
        """What is under way when the lease runs out is cut off within the margin."""
        margin = MARGIN * self._session.record.lease_s
        while True:
            left = self._session.left_s + 0.8 * margin
            if left <= 0:
                for tenure in self.tenures.values():
                    tenure.cut()
            await asyncio.sleep(max(0.05 * margin, min(left, margin)))

    async def _settle(self, tasks: asyncio.TaskGroup) -> None:
        if not self._session.may_act or not self._session.has_looked:
            return  # without knowing the others, all would seem to be ours
        ours, homes = self._session.record.name, self.homes
        for site, tenure in list(self.tenures.items()):
            gone = site not in self._sites()
            if site not in self._moving and (gone or homes.get(site, ours) != ours):
                self._move(tasks, site, self._hand_over(tenure))
        wanted = [
            site
            for site, home in homes.items()
            if home == ours and site not in self.tenures and site not in self._moving
        ]
        now = asyncio.get_running_loop().time()
        if not wanted and now < self._strays_at:
            return
        found = await self._read_owners()
        self._strays_at = now + self._session.record.lease_s
        for site, owner in self.owners.items():
            held = site in self.tenures or site in self._moving or homes.get(site) == ours
            if owner.incarnation == self._session.record.incarnation and not owner.released and not held:
                stray = Tenure(site, owner, found[owner_key(site)].revision, self._session)
                self._move(tasks, site, self._release(stray))
        for site in wanted:
            entry = found.get(owner_key(site))
            if site not in self._moving and await self._is_free(self.owners.get(site)):
                self._move(tasks, site, self._take(site, entry))

    def _move(self, tasks: asyncio.TaskGroup, site: str, work: Awaitable[None]) -> None:
        async def moved() -> None:
            try:
                async with self._room:
                    await work
            finally:
                self._moving.discard(site)

        self._moving.add(site)
        task = tasks.create_task(moved(), name=f"site {site} moves")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_owners(self) -> dict[str, Entry]:
        found = await self._engine.under(ALL_OWNERS)
        self.owners = {}
        for site in self._sites():
            entry = found.get(owner_key(site))
            if entry is not None and (owner := owner_in(entry.value)):
                self.owners[site] = owner
        return found

    async def _is_free(self, owner: OwnerRecord | None) -> bool:
        if owner is None or owner.released:
            return True
        if owner.incarnation == self._session.record.incarnation:
            return True  # ours, by a write whose answer did not come
        return await self._session.is_over(owner.node, owner.generation)

    async def _take(self, site: str, entry: Entry | None) -> None:
        before = self.owners.get(site)
        us = self._session.record
        record = OwnerRecord((before.epoch if before else 0) + 1, us.name, us.incarnation, us.generation)
        try:
            revision = await self._engine.put(
                owner_key(site), msgspec.json.encode(record), entry.revision if entry else 0
            )
        except EngineError:
            return  # nobody knows whether it was: the next look tells
        except Stale:
            # Somebody was quicker, or just writing. Not at once, or we would be at it without a pause.
            asyncio.get_running_loop().call_later(_AGAIN_S, self._wake.set)
            return
        self.owners[site] = record
        tenure = Tenure(site, record, revision, self._session)
        self.tenures[site] = tenure
        _log.info("site taken", site=site, epoch=record.epoch)
        await self._start(tenure)

    async def _hand_over(self, tenure: Tenure) -> None:
        tenure.end()
        await self._stop(tenure)
        tenure.cut()
        await self._release(tenure)
        _log.info("site handed over", site=tenure.site, epoch=tenure.epoch)

    async def _release(self, tenure: Tenure) -> None:
        """Free for the next one. Where the engine does not answer, the end of our lease does it."""
        record = replace(tenure.record, released=True)
        while not self._session.lost.is_set():
            with contextlib.suppress(EngineError):
                try:
                    await tenure.put(self._engine, record)
                except Stale:
                    pass  # somebody else has it
                else:
                    self.owners[tenure.site] = record
                break
            await asyncio.sleep(0.2)
        if self.tenures.get(tenure.site) is tenure:
            del self.tenures[tenure.site]
        await self._engine.nudge(NUDGE_OWNERS)
