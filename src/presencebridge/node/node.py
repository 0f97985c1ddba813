"""The composition root of the process: which sites run in it, and who listens for them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from presencebridge import words
from presencebridge.adapters import Outside
from presencebridge.config import Loaded, NodeConfig, parse_listen, secret
from presencebridge.ending import ended
from presencebridge.errors import Misconfigured
from presencebridge.metrics import DoorMetrics, Metrics
from presencebridge.node.keeper import Keeper, path_of
from presencebridge.node.no_site import NoSite, in_short
from presencebridge.node.ownership import Alone, Ownership
from presencebridge.node.site import End, Site
from presencebridge.node.source import NODE_WEBHOOK, OWN_WEBHOOK, Found, Source
from presencebridge.notify import Standing
from presencebridge.runtime.journal import Journal
from presencebridge.web.door import Door
from presencebridge.web.guard import Guard
from presencebridge.web.node import node_app
from presencebridge.web.views import ClusterView

_log = structlog.get_logger()

_LOOK_EVERY_S: Final = 3.0
"""At the files of a folder; one that is being written is waited for."""


_BEGIN_AT_A_TIME: Final = 16
_BEGINS_WITHIN_S: Final = 3.0
"""Sites that begin take turns, each as long as it takes to get in step, or so long: two hundred at once would
hold up each other, and whatever runs already."""


class Node:
    """A process. Raises `Misconfigured` where what it can't do without can't be used."""

    def __init__(
        self,
        source: Source,
        *,
        dry_run: bool = False,
        outside: Outside | None = None,
        ownership: Ownership | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._source = source
        self._dry_run = dry_run
        self._outside = outside or Outside()
        self._ownership = ownership or Alone()
        self._found = source.read()
        self._begun_with = self._found.node
        """Addresses are held for as long as the process lives."""
        self._metrics: dict[str, Metrics] = {}
        self._journals: dict[str, Journal] = {}
        """Both outlast the lives of a site, and its moving to another node and back."""
        self._keepers: dict[str, Keeper] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._broken: dict[str, NoSite] = {}
        """Sites of which no config could be used so far."""
        self._tasks: asyncio.TaskGroup | None = None
        self._stack = contextlib.AsyncExitStack()
        self._doors: dict[str, DoorMetrics] = {}
        self._ownership.on_refused = self._refused
        self._door = Door(self._ownership.take or self._take_here, self._too_large)
        self._guard: Guard | None = None
        self._wanted = asyncio.Event()
        self._died: Exception | None = None
        self._stop = asyncio.Event()
        self._turns = asyncio.Semaphore(_BEGIN_AT_A_TIME)
        self.on_reloaded: Callable[[], None] = lambda: None
        """Called when the config has been read anew."""
        self.trouble = ""
        """Why what is said of the node itself can't be used, or not before the next start."""
        self.operator_url = ""
        self.webhook_url = ""
        if metrics is not None and source.alone is not None:
            self._metrics[source.alone] = metrics

    @property
    def alone(self) -> str | None:
        return self._source.alone

    def sites(self) -> Mapping[str, Site | NoSite]:
        """Those that run here, and those that should and can't."""
        found: dict[str, Site | NoSite] = {name: keeper.site for name, keeper in self._keepers.items()}
        found |= self._broken
        return dict(sorted(found.items()))

    def cluster(self) -> ClusterView | None:
        """Who else there is; None where there can be nobody."""
        return self._ownership.view()

    @property
    def site(self) -> Site:
        """The one that there is."""
        return self._keepers[self.alone or ""].site

    async def run(self, stop: asyncio.Event, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set. Raises `OSError` where an address can't be had.

        A site that stands alone takes the process with it, when it can't begin or ends by itself.
        """
        async with self._stack:
            await self._listen_to_operators(self._stack)
            async with asyncio.TaskGroup() as self._tasks:
                others = [self._tasks.create_task(self._wait_for(stop), name="stop")]
                owning: list[asyncio.Task[None]] = []
                await self._take_over(self._found)
                if self.alone is not None:
                    self.take_up(self.alone)
                    await self._keepers[self.alone].settled.wait()
                else:
                    owning.append(self._tasks.create_task(self._ownership.run(self), name="ownership"))
                if not self._stop.is_set():
                    others.append(self._tasks.create_task(self._keep_looking(), name="config"))
                    on_listening()
                await self._stop.wait()
                for task in others:
                    task.cancel()
                await self._ownership.leave()
                for keeper in self._keepers.values():
                    keeper.end(End.STOPPED)
                if self._running:
                    await asyncio.wait(self._running.values())
                await ended(owning)  # not before: what it holds is needed to the end
            self._tasks = None
            for journal in self._journals.values():
                journal.close()
        if self._died is not None:
            raise self._died

    async def _wait_for(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stop.set()

    # The config, again and again

    def reload(self) -> None:
        """Read everything anew, keys and tokens too."""
        self._wanted.set()

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S if self.alone is None else None):
                    await self._wanted.wait()
            if self._wanted.is_set() or self._source.has_changed():
                await self._read_again()

    async def _read_again(self) -> None:
        asked = self._wanted.is_set()
        self._wanted.clear()
        try:
            # Aside: two hundred files take a while, and those who run must not wait for it.
            found = await asyncio.to_thread(self._source.read)
        except Misconfigured as error:
            self._refuse(error)
        else:
            await self._take_over(found)
        if asked:
            self.on_reloaded()

    def _refuse(self, error: Misconfigured) -> None:
        """What is said of the node can't be used: all goes on as it was."""
        if self.alone is not None:
            self._keepers[self.alone].refuse(error)
            return
        self._say("node.toml is not used: " + "; ".join(in_short(error)))

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _log.error("node", reason=trouble)
        self.trouble = trouble

    async def _take_over(self, found: Found) -> None:
        """What is new begins, what has changed changes, what is gone ends; nothing else notices."""
        self._say(_only_at_the_start(self._begun_with, found.node))
        self._found = found
        self._let_in()
        self._open_door()
        await self._listen_to_graph()
        for name, one in found.sites.items():
            keeper = self._keepers.get(name)
            if isinstance(one, Loaded):
                self._broken.pop(name, None)
                if keeper is not None:
                    keeper.change(one)
            elif keeper is not None:
                keeper.refuse(one)
            else:
                self._broken[name] = self._no_site(name, one)
        for name in [name for name in self._broken if name not in found.sites]:
            del self._broken[name]
        gone = [name for name in self._keepers if name not in found.sites]
        self._ownership.known(_state_folders(found))
        for name in gone:
            _log.info("site removed", site=name)
            self._keepers[name].end(End.REMOVED)

    def _no_site(self, name: str, error: Misconfigured) -> NoSite:
        known = self._broken.get(name)
        if known is None or str(known.error) != str(error):
            _log.error("config refused", site=name, reason="; ".join(in_short(error)))
        return NoSite(name, error, self._outside.clock(), self._metrics.setdefault(name, Metrics()))

    # Which sites

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        """Run this site from now on, unless it runs already."""
        loaded = self._found.sites.get(site)
        if site in self._keepers or self._tasks is None or not isinstance(loaded, Loaded):
            return
        keeper = Keeper(
            site,
            loaded,
            outside or self._outside,
            metrics=self._metrics.setdefault(site, Metrics()),
            journal=self._journals.setdefault(site, Journal()),
            dry_run=self._dry_run,
            is_alone=self.alone is not None,
        )
        self._keepers[site] = keeper
        self._running[site] = self._tasks.create_task(self._keep(keeper), name=f"site {site}")

    async def _keep(self, keeper: Keeper) -> None:
        try:
            with structlog.contextvars.bound_contextvars(**self._named(keeper.name)):
                if self.alone is None:
                    await self._keep_in_turn(keeper)
                else:
                    await keeper.run()
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._died = error
            self._stop.set()
        finally:
            if not self._stop.is_set() and self._keepers.get(keeper.name) is keeper:
                del self._keepers[keeper.name], self._running[keeper.name]
                self._ownership.known(_state_folders(self._found))

    async def _keep_in_turn(self, keeper: Keeper) -> None:
        async with asyncio.TaskGroup() as tasks, self._turns:
            running = tasks.create_task(keeper.run(), name=f"keeper {keeper.name}")
            end = self._outside.clock().now() + _BEGINS_WITHIN_S
            while not running.done() and keeper.site.out_of_step() and self._outside.clock().now() < end:
                await asyncio.sleep(0.05)

    def _named(self, site: str) -> dict[str, str]:
        """What each line of the log says of where it is from."""
        return {} if self.alone is not None else {"site": site}

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        """Run it no longer; returns when nothing of it runs any more."""
        keeper = self._keepers.get(site)
        if keeper is None:
            return
        running = self._running[site]
        keeper.end(End.AGAIN)
        if at_once:
            await ended([running])
        await asyncio.wait([running])

    # Who listens

    def _open_door(self) -> None:
        paths: dict[str, list[str]] = {}
        for name, one in self._found.sites.items():
            # Where the file can't be used, the config before goes on, and its path with it.
            keeper = self._keepers.get(name)
            path = path_of(one.config) if isinstance(one, Loaded) else keeper.path if keeper else None
            if path is not None:
                paths.setdefault(path, []).append(name)
        self._paths = paths
        self._door.open_to(paths)

    async def _listen_to_graph(self) -> None:
        """From when the first site wants to be notified."""
        if not self._paths or self._dry_run or self.webhook_url:
            return
        where = NODE_WEBHOOK if self.alone is None else OWN_WEBHOOK
        try:
            listener = await self._stack.enter_async_context(
                self._outside.listener(where, self._door, self._begun_with.webhook.listen)
            )
        except Misconfigured as error:
            if self._keepers or self._broken:  # others run already, and are read now and then
                self._say("; ".join(in_short(error)))
                return
            raise
        self.webhook_url = listener.url + (next(iter(self._paths)) if self.alone is not None else "")

    def take(self, site: str, body: bytes) -> bool:
        """Take a notification in for a site that runs here. False if the sender should come again later."""
        keeper = self._keepers.get(site)
        return keeper is not None and keeper.site.offer(body)

    def _take_here(self, site: str, body: bytes) -> bool:
        """The same, for what comes at the door where there is no other node."""
        taken = self.take(site, body)
        if not taken:
            keeper = self._keepers.get(site)
            self._refused(site, "full" if keeper is not None and keeper.site.takes_in else "not_running")
        return taken

    def _too_large(self, site: str) -> None:
        self._refused(site, "size")
        if site in self._keepers:
            self._keepers[site].site.too_large()

    def _refused(self, site: str, why: str, count: int = 1) -> None:
        self._doors.setdefault(site, DoorMetrics()).refused.labels(why).inc(count)

    def doors(self) -> Mapping[str, DoorMetrics]:
        """What is counted of all sites, wherever they run."""
        cluster = self.cluster()
        for site in self._found.sites:
            door = self._doors.setdefault(site, DoorMetrics())
            door.takes_part.set(cluster is None or not cluster.trouble)
            door.has_node.set(cluster is None or cluster.elsewhere.get(site) != "")
        return {site: self._doors[site] for site in self._found.sites}

    async def _listen_to_operators(self, stack: contextlib.AsyncExitStack) -> None:
        operator = self._found.node.operator
        host, _ = parse_listen(operator.listen)
        hosts = ["localhost", host, *operator.hosts]
        self._guard = Guard(node_app(self), hosts, "", self._outside.clock().now)
        self._let_in()
        listener = await stack.enter_async_context(
            self._outside.listener("[operator] listen", self._guard, operator.listen)
        )
        self.operator_url = listener.url

    def _let_in(self) -> None:
        """The tokens as their files have them by now; one that can't be read any more stays as it was."""
        node = self._found.node
        try:
            token = secret("operator-token", node.operator.token_file) or ""
            limited = {secret("", one.token_file) or "": one.sites for one in node.access}
        except (OSError, UnicodeDecodeError) as error:
            self._say(f"a token can't be read: {error}")
            return
        if self._guard is not None:
            self._guard.let_in(token, limited)

    # What is asked of the whole

    def stuck(self) -> list[str]:
        """What has not moved for too long, if there is no site that makes progress.

        A site that hangs is no reason to end the others: it is told by the site itself.
        """
        stuck = {name: site.stuck() for name, site in self.sites().items()}
        if self.alone is not None:
            return stuck.get(self.alone, [])
        if not stuck or not all(stuck.values()):
            return []
        return [f"{name}: {'; '.join(what)}" for name, what in stuck.items()]

    @property
    def standing(self) -> Standing:
        """For the service manager."""
        if self.alone is not None:
            return self.site.standing
        in_step = [not site.out_of_step() for site in self.sites().values()]
        return Standing(not self.stuck(), words.many(in_step))


def _state_folders(found: Found) -> dict[str, Path]:
    return {name: one.config.state.dir for name, one in found.sites.items() if isinstance(one, Loaded)}


def _only_at_the_start(old: NodeConfig, new: NodeConfig) -> str:
    """What has changed and can't be taken over while the process lives."""
    words = {
        "[operator] listen": old.operator.listen != new.operator.listen,
        "[operator] hosts": old.operator.hosts != new.operator.hosts,
        "webhook listen": old.webhook.listen != new.webhook.listen,
    }
    changed = [word for word, has_changed in words.items() if has_changed]
    return f"{', '.join(changed)}: changed, which counts from the next start" if changed else ""
