"""The composition root of the process: which sites run in it, and who listens for them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import structlog

from presencebridge import words
from presencebridge.adapters import Outside
from presencebridge.config import Config, parse_listen, secret
from presencebridge.metrics import Metrics
from presencebridge.node.keeper import Keeper
from presencebridge.node.ownership import Alone, Ownership
from presencebridge.node.site import End, Site
from presencebridge.node.source import NODE_WEBHOOK, OWN_WEBHOOK, Source
from presencebridge.notify import Standing
from presencebridge.runtime.journal import Journal
from presencebridge.web.door import Door
from presencebridge.web.node import operator_app

_log = structlog.get_logger()


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
        self._metrics: dict[str, Metrics] = {}
        self._journals: dict[str, Journal] = {}
        """Both outlast the lives of a site, and its moving to another node and back."""
        self._keepers: dict[str, Keeper] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._door = Door(self.take, self._too_large)
        self._died: BaseException | None = None
        self._stop = asyncio.Event()
        self.operator_url = ""
        self.webhook_url = ""
        if metrics is not None and source.alone is not None:
            self._metrics[source.alone] = metrics

    @property
    def alone(self) -> str | None:
        return self._source.alone

    def sites(self) -> Mapping[str, Site]:
        """Those that run here."""
        return {name: keeper.site for name, keeper in self._keepers.items()}

    @property
    def site(self) -> Site:
        """The one that there is."""
        return self._keepers[self.alone or ""].site

    async def run(self, stop: asyncio.Event, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set. Raises `OSError` where an address can't be had.

        A site that stands alone takes the process with it, when it can't begin or ends by itself.
        """
        async with contextlib.AsyncExitStack() as stack:
            self._open_door()
            await self._listen_to_graph(stack)
            await self._listen_to_operators(stack)
            async with asyncio.TaskGroup() as self._tasks:
                others = [self._tasks.create_task(self._wait_for(stop), name="stop")]
                if self.alone is not None:
                    self.take_up(self.alone)
                    await self._keepers[self.alone].settled.wait()
                else:
                    self._ownership.known(self._found.sites)
                    others.append(self._tasks.create_task(self._ownership.run(self), name="ownership"))
                if not self._stop.is_set():
                    on_listening()
                await self._stop.wait()
                for task in others:
                    task.cancel()
                for keeper in self._keepers.values():
                    keeper.end(End.STOPPED)
                if self._running:
                    await asyncio.wait(self._running.values())
            self._tasks = None
            for journal in self._journals.values():
                journal.close()
        if self._died is not None:
            raise self._died

    async def _wait_for(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stop.set()

    # Which sites

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        """Run this site from now on, unless it runs already."""
        config = self._found.sites.get(site)
        if site in self._keepers or self._tasks is None or not isinstance(config, Config):
            return
        keeper = Keeper(
            site,
            config,
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
            await keeper.run()
        except Exception as error:  # noqa: BLE001 - raised by `run`
            self._died = error
            self._stop.set()

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        """Run it no longer; returns when nothing of it runs any more."""
        keeper = self._keepers.get(site)
        if keeper is None:
            return
        running = self._running[site]
        if at_once:
            running.cancel()
        else:
            keeper.end(End.AGAIN)
        await asyncio.wait([running])
        if self._keepers.get(site) is keeper:
            del self._keepers[site], self._running[site]

    # Who listens

    def _open_door(self) -> None:
        paths: dict[str, list[str]] = {}
        for name, config in self._found.sites.items():
            hook = config.teams.webhook if isinstance(config, Config) else None
            if hook is not None and isinstance(config, Config) and config.teams.delivery == "webhook":
                paths.setdefault(urlsplit(hook.public_url).path, []).append(name)
        self._door.open_to(paths)
        self._paths = paths

    async def _listen_to_graph(self, stack: contextlib.AsyncExitStack) -> None:
        if not self._paths or self._dry_run:
            return
        where = NODE_WEBHOOK if self.alone is None else OWN_WEBHOOK
        listen = self._found.node.webhook.listen
        listener = await stack.enter_async_context(self._outside.listener(where, self._door, listen))
        self.webhook_url = listener.url + (next(iter(self._paths)) if self.alone else "")

    def take(self, site: str, body: bytes) -> bool:
        """Take a notification in for a site that runs here. False if the sender should come again later."""
        keeper = self._keepers.get(site)
        return keeper is not None and keeper.site.offer(body)

    def _too_large(self, site: str) -> None:
        if site in self._keepers:
            self._keepers[site].site.too_large()

    async def _listen_to_operators(self, stack: contextlib.AsyncExitStack) -> None:
        operator = self._found.node.operator
        host, _ = parse_listen(operator.listen)
        token = secret("operator-token", operator.token_file) or ""
        app = operator_app(self, ["localhost", host, *operator.hosts], token, self._outside.clock().now)
        listener = await stack.enter_async_context(
            self._outside.listener("[operator] listen", app, operator.listen)
        )
        self.operator_url = listener.url

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
        return Standing(not self.stuck(), words.many(site.overview().ready for site in self.sites().values()))
