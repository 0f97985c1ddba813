"""A node in a cluster: tells the process which sites to run, and gives each of them what it stands on."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

import structlog

from presencebridge.adapters import Outside
from presencebridge.cluster.engine import Engine, EngineError, Entry
from presencebridge.cluster.files import Seal, SharedFiles
from presencebridge.cluster.guard import Guard
from presencebridge.cluster.key_check import CURE, DOES_NOT_FIT, KeyCheck
from presencebridge.cluster.moving_in import move_in
from presencebridge.cluster.notices import Delivery, Intake, OnRefused
from presencebridge.cluster.outside import SharedOutside
from presencebridge.cluster.ownership import Ownership, Tenure
from presencebridge.cluster.records import ALL_SIGN_INS, NodeRecord, sign_in_of, site_prefix
from presencebridge.cluster.session import Clock, Session
from presencebridge.cluster.store import SharedStore
from presencebridge.cluster.writer import Writer
from presencebridge.ending import ended
from presencebridge.web.views import ClusterView, NodeView

_log = structlog.get_logger()

_AGAIN_S: Final = 1.0
_SOON_S: Final = 0.1
_LOOK_FOR_SIGN_INS_EVERY_S: Final = 10.0
_LEAVE_WITHIN_S: Final = 30.0
_LOOK_AT_KEY_EVERY_S: Final = 3.0

_NO_LEASE: Final = "this node has no lease just now: NATS does not answer it"

EngineOf = Callable[[], contextlib.AbstractAsyncContextManager[Engine]]


class Runs(Protocol):
    """The process, as far as it is told what to run."""

    def take_up(self, site: str, outside: Outside | None = None) -> None: ...
    async def lay_down(self, site: str, *, at_once: bool = False) -> None: ...
    def take(self, site: str, body: bytes) -> bool: ...


class Cluster:
    """One process's part in it; it outlives a lost lease."""

    def __init__(  # noqa: PLR0913 - keywords, each once
        self,
        engine_of: EngineOf,
        seal: Seal,
        *,
        name: str,
        lease_s: float = 10.0,
        outside: Outside | None = None,
        clock: Clock | None = None,
        new_incarnation: Callable[[], str] = secrets.token_hex,
    ) -> None:
        self._engine_of, self._seal = engine_of, seal
        self.name = name
        self._lease_s = lease_s
        self._outside = outside or Outside()
        self._clock = clock or Clock()
        self._new_incarnation = new_incarnation
        self._sites: Mapping[str, Path] = {}
        """Their state folders, by their names."""
        self._intake: Intake | None = None
        self.on_refused: OnRefused = lambda _site, _why, _count: None
        self.trouble = "it has not reached NATS yet"
        """Why this node is no part of it just now; empty if it is."""
        self.session: Session | None = None
        self.ownership: Ownership | None = None
        self._held: dict[str, _Held] = {}
        self._has_started = asyncio.Event()
        """Set when a site has come, for which a sign-in may lie ready."""

    # What the process asks

    def known(self, sites: Mapping[str, Path]) -> None:
        """These are the sites that the config has by now, and their state folders."""
        self._sites = dict(sites)
        if self.ownership is not None:
            self.ownership.look()

    async def take(self, site: str, body: bytes) -> bool:
        """Take in a notification for any site; True once the engine has it."""
        if self._intake is None:
            self.on_refused(site, "no_part", 1)
            return False
        return await self._intake.take(site, body)

    def view(self) -> ClusterView:
        """Nodes and owners, as last seen: within a lease or so."""
        session, ownership = self.session, self.ownership
        if session is None or ownership is None:
            return ClusterView(self.trouble, [], dict.fromkeys(self._sites, ""))
        alive = session.nodes()
        owners = dict.fromkeys(self._sites, "")
        for site, owner in ownership.owners.items():
            node = alive.get(owner.node)
            if site in owners and node and node.incarnation == owner.incarnation and not owner.released:
                owners[site] = owner.node
        owners |= dict.fromkeys(ownership.tenures, self.name)
        count = Counter(owners.values())
        nodes = [NodeView(name, count[name], name == self.name) for name in sorted(alive)]
        elsewhere = {site: node for site, node in sorted(owners.items()) if node != self.name}
        trouble = self.trouble or ("" if session.may_act else session.waits_for or _NO_LEASE)
        return ClusterView(trouble, nodes, elsewhere)

    async def leave(self) -> None:
        """Hand over everything, if there is anybody to hand it to, while notifications are still taken in."""
        if self.ownership is not None and self.session is not None and self.session.may_act:
            left = await self.ownership.leave_all(_LEAVE_WITHIN_S)
            _log.info("left", handed_over=left)

    async def run(self, node: Runs) -> None:
        """Be part of it until cancelled."""
        while True:
            try:
                async with self._engine_of() as engine:
                    keys = KeyCheck(engine, self._seal)
                    while True:
                        await self._until_it_fits(keys)
                        while waits := await move_in(engine, self._seal, self._sites):
                            self._say_trouble(waits)
                            await asyncio.sleep(_AGAIN_S)
                        self._intake = Intake(engine, self._seal, self.on_refused)
                        await self._live(node, engine, keys)
            except EngineError as error:
                self.trouble = str(error)
                _log.warning("no engine", reason=str(error))
                await asyncio.sleep(_AGAIN_S)
            finally:
                self._intake = None

    def _say_trouble(self, what: str) -> None:
        if what != self.trouble:
            _log.error("no part in the cluster", reason=what)
        self.trouble = what

    async def _until_it_fits(self, keys: KeyCheck) -> None:
        """Whoever has another key than the others is no part of it, and says so. Raises `EngineError`."""
        while not keys.fits and not await keys.look():
            if self.session is not None:
                self.session = self.ownership = None
            self.trouble = f"{DOES_NOT_FIT}; cure: {CURE}"
            await asyncio.sleep(_AGAIN_S)

    async def _look_at_key(self, keys: KeyCheck, session: Session) -> None:
        """Returns when it does not fit any more."""
        while keys.fits:
            await asyncio.sleep(_LOOK_AT_KEY_EVERY_S)
            with contextlib.suppress(EngineError):
                await keys.look(session.nodes().values() if session.has_looked and session.may_act else ())
            if session.record.keys != self._seal.marks:
                session.has_keys(self._seal.marks)
        self._intake = None

    async def _live(self, node: Runs, engine: Engine, keys: KeyCheck) -> None:
        """Until the lease is lost, or the key does not fit any more: then all of it begins anew."""
        record = NodeRecord(
            self.name,
            self._new_incarnation(),
            generation=0,
            beat=0,
            lease_s=self._lease_s,
            takes_sites=True,
            version=_version(),
            keys=self._seal.marks,
        )
        session = self.session = Session(engine, record, self._clock)
        async with asyncio.TaskGroup() as tasks:
            ownership = self.ownership = Ownership(
                engine,
                session,
                lambda: self._sites,
                partial(self._start, node, engine, tasks),
                partial(self._stop, node),
            )
            self.trouble = ""
            others = [tasks.create_task(session.run()), tasks.create_task(self._look_for_sign_ins(engine))]
            owning = tasks.create_task(ownership.run())
            looking = tasks.create_task(self._look_at_key(keys, session))
            try:
                await asyncio.wait([owning, looking], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await ended([owning, looking, *others])
                for site in list(self._held):
                    held = self._held.pop(site)
                    await held.end()
                    await node.lay_down(site, at_once=True)
                await session.end()

    async def _start(self, node: Runs, engine: Engine, tasks: asyncio.TaskGroup, tenure: Tenure) -> None:
        site = tenure.site
        found = await _found(engine, tenure)
        if not found:
            return  # the lease was lost meanwhile
        writer, guard = Writer(engine, tenure), Guard(tenure)
        files = SharedFiles(site, writer, self._seal, found)
        if files.unreadable:
            _log.error("cluster key", site=site, unreadable=files.unreadable)
        store = SharedStore(site, writer, found)
        delivery = Delivery(site, engine, writer, found, partial(node.take, site))
        held = self._held[site] = _Held(guard, files, delivery)
        held.tasks = [
            tasks.create_task(work) for work in (files.run(), delivery.read(), delivery.keep_place())
        ]
        self._has_started.set()
        node.take_up(site, SharedOutside(self._outside, guard, store, files, self._seal))

    async def _stop(self, node: Runs, tenure: Tenure) -> None:
        held = self._held.pop(tenure.site, None)
        if held is None:
            return
        await held.guard.quiet()
        await node.lay_down(tenure.site)
        await held.end()
        await held.delivery.stop()
        await held.files.flush()

    async def _look_for_sign_ins(self, engine: Engine) -> None:
        """Somebody signed in on any machine: the site's owner takes it to the other files."""
        while True:
            self._has_started.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_FOR_SIGN_INS_EVERY_S):
                    await self._has_started.wait()
            with contextlib.suppress(EngineError, OSError):
                for key, entry in (await engine.under(ALL_SIGN_INS)).items():
                    try:
                        site, name = sign_in_of(key)
                    except ValueError:  # not written by us
                        continue
                    held = self._held.get(site)
                    content = self._seal.open(f"{site}/{name}", entry.value)
                    if held is None or content is None:
                        continue
                    held.files.write(name, content)
                    if await held.files.flush():
                        await engine.put(key, b"", entry.revision)


async def _found(engine: Engine, tenure: Tenure) -> Mapping[str, Entry]:
    """All that there is of the site, up to the write that made it ours; nothing if it is ours no more."""
    while tenure.is_held:
        with contextlib.suppress(EngineError):
            return await engine.under(site_prefix(tenure.site), tenure.fence.revision)
        await asyncio.sleep(_SOON_S)
    return {}


class _Held:
    """What belongs to a site that runs here."""

    def __init__(self, guard: Guard, files: SharedFiles, delivery: Delivery) -> None:
        self.guard, self.files, self.delivery = guard, files, delivery
        self.tasks: list[asyncio.Task[None]] = []

    async def end(self) -> None:
        await ended(self.tasks)


def _version() -> str:
    return version("presencebridge")
