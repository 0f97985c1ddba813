"""The composition root: config -> adapters -> moving parts. The whole life of the service is on this page."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog

from presencebridge import metrics
from presencebridge.config import CLOUDS, Config, is_loopback, parse_listen, secret
from presencebridge.core.events import Paused, PresenceSeen, Resumed, Source
from presencebridge.core.model import Presence
from presencebridge.errors import LinkError, Misconfigured, Problem
from presencebridge.graph import calls, subscriptions
from presencebridge.graph.auth import AppTokens, SignIn, WatcherTokens, certificate_credential
from presencebridge.graph.client import Budget, GraphClient
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.notices import Reject
from presencebridge.graph.receiver import NoticeReceiver, Watched
from presencebridge.graph.signing_keys import SigningKeys
from presencebridge.graph.teams import GraphTeams
from presencebridge.graph.watcher import Watcher
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime.clock import SteadyClock
from presencebridge.runtime.dry_run import DryPbx, DryTeams
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.links import LinkReport, Links
from presencebridge.runtime.pbx_poller import PbxPoller
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.ports import Clock, Pbx
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.serving import Listener
from presencebridge.store.memory import MemoryStore
from presencebridge.store.sqlite import SqliteStore
from presencebridge.web import views
from presencebridge.web.operator import operator_app
from presencebridge.web.webhook import Webhook

_log = structlog.get_logger()

_LET_GO_WITHIN_S: Final = 2.0
_PROBE_EVERY_S: Final = 15.0
_LOOK_UP_AGAIN_S: Final = 600.0
_FIRST_RETRY_S: Final = 2.0
_LONGEST_RETRY_S: Final = 60.0
_NO_PROGRESS_S: Final = 120.0
_TELL_AGAIN_S: Final = 3600.0


# Adapters -----------------------------------------------------------------------------------------


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities, and a private one if it is named."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def http_client(url: str, ca_file: Path | None) -> httpx2.AsyncClient:
    """A client for one outside system. The environment's proxy is used, except for loopback."""
    outside = not is_loopback(urlsplit(url).hostname or "")
    return httpx2.AsyncClient(base_url=url, verify=tls(ca_file), trust_env=outside, timeout=30)


def sign_in(config: Config) -> SignIn:
    teams = config.teams
    scope = CLOUDS[teams.cloud][0]
    return SignIn(config.login_url, teams.tenant_id, teams.client_id, scope, tls(teams.ca_file))


def app_tokens(config: Config) -> AppTokens:
    """The app's own tokens. Raises `Misconfigured` where the credential can't be used."""
    teams = config.teams
    try:
        if teams.certificate_file:
            pem = teams.certificate_file.read_text("utf-8")
            return AppTokens(sign_in(config), certificate_credential(pem))
        text = secret("teams-client-secret", teams.client_secret_file)
    except (OSError, ValueError) as error:
        cure = "name a PEM file with certificate and private key, or a file with the client secret"
        raise Misconfigured([Problem("[teams]", f"the credential can't be used: {error}", cure)]) from error
    return AppTokens(sign_in(config), text or "")


def watcher_tokens(config: Config, name: str) -> WatcherTokens:
    return WatcherTokens(sign_in(config), config.state.dir, name)


def pbx_client(config: Config, http: httpx2.AsyncClient) -> WebApiClient | V20Client:
    """The client for the kind of PBX that the config names."""
    pbx = config.pbx
    if pbx.kind == "3cx-web-api":
        return WebApiClient(http, pbx.timeout_s)
    key = secret("pbx-client-secret", pbx.client_secret_file) or ""
    return V20Client(http, pbx.client_id, key, pbx.timeout_s, SteadyClock().now)


def new_watcher(config: Config, name: str, graph: GraphClient, site: "WatcherSite") -> Watcher:
    """The keeper of one account's subscription."""
    file = config.state.dir / f"subscription-{name}.json"
    link = site.links.named(f"subscription {name}")
    return Watcher(graph, site.keys, site.watched, link, file, site.clock.now, site.clock.wall)


class WatcherSite:
    """What the watchers of a site share."""

    def __init__(self, config: Config, clock: Clock, links: Links | None = None) -> None:
        self.clock = clock
        self.keys = EncryptionKeys(config.state.dir, clock.wall)
        self.watched = Watched()
        self.links = links or Links(clock.now)


# The service --------------------------------------------------------------------------------------


class Service:
    """One site, running: everything that the listeners show, and what they may ask for."""

    def __init__(self, config: Config, *, dry_run: bool = False, clock: Clock | None = None) -> None:
        self._config = config
        self._dry_run = dry_run
        self._clock = clock or SteadyClock()
        self._budget = Budget()
        self.journal = Journal()
        self.links = Links(self._clock.now)
        self.links.on_change = lambda _report: self.journal.changed()
        self.people = People(
            [Member(person.extension, person.teams, config.policy_of(person)) for person in config.person]
        )
        self._watched = Watched()
        self._watchers: dict[str, Watcher] = {}
        self._watching = False
        self._rejects = _Rarely()
        self.operator_url = ""
        self.webhook_url = ""

    async def run(self, stop: asyncio.Event, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set. Raises `OSError` where an address or the state folder can't be had."""
        config = self._config
        async with contextlib.AsyncExitStack() as stack:
            store = MemoryStore() if self._dry_run else stack.enter_context(SqliteStore(config.state.dir))
            graph_http = await stack.enter_async_context(http_client(config.graph_url, config.teams.ca_file))
            pbx_http = await stack.enter_async_context(http_client(config.pbx.url, config.pbx.ca_file))
            graph_teams = GraphTeams(
                GraphClient(graph_http, app_tokens(config), self._budget), config.teams.client_id
            )
            real_pbx = pbx_client(config, pbx_http)
            pbx: Pbx = DryPbx(real_pbx) if self._dry_run else real_pbx
            self.hub = Hub(
                self.people,
                store,
                DryTeams(graph_teams) if self._dry_run else graph_teams,
                pbx,
                self._clock,
                self.journal,
            )
            await self.hub.load()
            self._connect_store()
            self._connect_readers(graph_teams, pbx)
            receiver = await self._connect_webhook(stack, graph_http)
            await self._listen_to_operators(stack)
            on_listening()

            async with asyncio.TaskGroup() as tasks:
                work = [
                    self.hub.run(),
                    self._identify(graph_teams),
                    self._reader.run(),
                    self._poller.run(),
                ]
                if receiver:
                    work.append(receiver.run())
                running = [tasks.create_task(part) for part in work]
                await stop.wait()
                for task in running:
                    task.cancel()
            self.journal.close()
            if config.teams.on_stop == "clear" and not self._dry_run:
                left = await self.hub.let_go(_LET_GO_WITHIN_S)
                _log.info("stopped", sessions_left_to_their_lease=left)

    def _connect_store(self) -> None:
        link = self.links.named("store")
        self.hub.on_saved = link.connected
        self.hub.on_unsaved = lambda reason: link.degraded(
            f"nothing is written to either side: {reason}", "free the disk, or mend the state folder's rights"
        )
        link.connected()

    def _connect_readers(self, teams: GraphTeams, pbx: Pbx) -> None:
        config = self._config
        polling = config.teams.delivery == "poll" or self._dry_run
        every_s = config.teams.poll_every_s if polling else config.teams.reconcile_every_s
        graph = self.links.named("graph")
        self._reader = PresenceReader(self.people, teams, graph, self._clock, calls.MOST_IDS, every_s)
        self._reader.on_seen = lambda member, event: self.hub.post(member.key, event)
        self._reader.probe_every_s = _PROBE_EVERY_S
        self.hub.on_read_wanted = self._reader.want
        self.hub.on_teams_failed = lambda member: self._reader.want(member, self._clock.now())
        self._poller = PbxPoller(
            self.people,
            pbx,
            self.links.named("3cx"),
            self._clock,
            config.pbx.poll_every_s,
            config.pbx.status_every_s,
        )
        self._poller.on_seen = lambda member, event: self.hub.post(member.key, event)

    async def _connect_webhook(
        self, stack: contextlib.AsyncExitStack, graph_http: httpx2.AsyncClient
    ) -> NoticeReceiver | None:
        """The way of notifications: listener -> receiver -> hub, and a watcher for each account."""
        config, hook = self._config, self._config.teams.webhook
        if config.teams.delivery != "webhook" or hook is None or self._dry_run:
            return None
        login_http = await stack.enter_async_context(http_client(config.login_url, config.teams.ca_file))
        site = WatcherSite(config, self._clock, self.links)
        self._watched = site.watched
        for name in hook.watchers:
            graph = GraphClient(graph_http, watcher_tokens(config, name), self._budget)
            watcher = new_watcher(config, name, graph, site)
            watcher.on_gap = self._reader.want_all
            self._watchers[name] = watcher
        self._reader.on_silence = self._suspect
        self.links.on_change = self._link_changed

        tenant = config.teams.tenant_id if len(config.teams.tenant_id) == 36 else ""
        logins = (CLOUDS["global"][1], config.login_url)
        executor = stack.enter_context(ThreadPoolExecutor(2, "decrypt"))
        receiver = NoticeReceiver(
            (config.teams.client_id, tenant, logins),
            site.watched,
            site.keys,
            SigningKeys(login_http, config.login_url),
            executor,
            self._clock.wall,
        )
        receiver.on_presence = self._notified
        receiver.on_lifecycle = self._lifecycle
        receiver.on_reject = self._rejected
        host, port = parse_listen(hook.listen)
        path = urlsplit(hook.public_url).path
        webhook = Webhook(path, receiver.offer, lambda: self._rejected(Reject.SIZE))
        listener = _listener("[teams.webhook] listen", webhook, host, port)
        await stack.enter_async_context(listener)
        self.webhook_url = listener.url + path
        return receiver

    async def _listen_to_operators(self, stack: contextlib.AsyncExitStack) -> None:
        host, port = parse_listen(self._config.operator.listen)
        named = f"[{host}]" if ":" in host else host  # as a Host header has it
        hosts = ["localhost", "127.0.0.1", named] if is_loopback(host) else ["*"]
        listener = _listener("[operator] listen", operator_app(self, hosts), host, port)
        await stack.enter_async_context(listener)
        self.operator_url = listener.url

    # Who is who

    async def _identify(self, teams: GraphTeams) -> None:
        """Find everybody in Entra; who is not found is looked for again from time to time."""
        failures = 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                missing = [one for one in self.people if one.user is None and not one.policy.excluded]
                try:
                    found = await teams.find([member.teams for member in missing])
                except LinkError as error:
                    self.links.named("graph").failed(error)
                    await asyncio.sleep(min(_FIRST_RETRY_S * 2.0**failures, _LONGEST_RETRY_S))
                    failures += 1
                    continue
                for member in missing:
                    user = found.get(member.teams)
                    if user is None:
                        what = f"Entra has nobody whose user principal name or mail is {member.teams}"
                        member.trouble("teams", what)
                    elif other := self.people.of_user(user.id):
                        member.trouble(
                            "teams", f"{member.teams} is {other.teams}, and belongs to {other.key}"
                        )
                    else:
                        self.people.identify(member, user.id, user.display_name or "")
                self._watch(tasks)
                if missing:
                    self._reader.want_all()
                await asyncio.sleep(_LOOK_UP_AGAIN_S)

    def _watch(self, tasks: asyncio.TaskGroup) -> None:
        """Spread the people over the watchers; the first time, set them to work."""
        hook = self._config.teams.webhook
        if not self._watchers or hook is None:
            return
        first, self._watching = not self._watching, True
        users = self.people.users()
        self._watched.people = frozenset(users)
        shares = subscriptions.share(users, len(self._watchers), calls.MOST_IDS)
        for watcher, share in zip(self._watchers.values(), shares, strict=True):
            watcher.watch(share, hook.public_url)
            if first:
                tasks.create_task(watcher.run())

    # Notifications

    def _notified(self, user: str, presence: Presence) -> None:
        metrics.NOTIFICATIONS.labels("believed").inc()
        metrics.LAST_SEEN.labels("teams_notification").set(self._clock.now())
        member = self.people.of_user(user)
        if member is not None:
            self._reader.notified(member, presence)
            self.hub.post(member.key, PresenceSeen(presence, Source.NOTIFICATION, self._clock.now()))

    def _lifecycle(self, subscription: str, event: str) -> None:
        _log.info("lifecycle", event_name=event)
        for watcher in self._watchers.values():
            if watcher.owns(subscription):
                watcher.lifecycle(event)

    def _rejected(self, why: Reject) -> None:
        metrics.NOTIFICATIONS.labels(why.value).inc()
        if self._rejects.is_time(why.value, self._clock.now()):
            _log.warning("notification not believed", why=why.value)

    def _link_changed(self, _report: LinkReport) -> None:
        """Without notifications everybody is read as often as with delivery "poll"."""
        teams = self._config.teams
        notified = all(self.links.named(f"subscription {name}").is_up for name in self._watchers)
        self._reader.read_all_every(teams.reconcile_every_s if notified else teams.poll_every_s)
        self.journal.changed()

    def _suspect(self, users: list[str]) -> None:
        for name, watcher in self._watchers.items():
            if watcher.held and not set(users).isdisjoint(watcher.held.ids):
                _log.warning("subscription is silent", watcher=name, changes_not_notified=len(users))
                watcher.suspect()

    # What the listeners ask

    def overview(self) -> views.Overview:
        for name, watcher in self._watchers.items():
            if watcher.held:
                metrics.SUBSCRIPTION_END.labels(name).set(watcher.held.expires_at)
        return views.Overview(
            self.links.all_up,
            self._dry_run,
            [views.link(report) for report in self.links.reports()],
            [self._view(member) for member in self.people],
        )

    def person(self, name: str) -> views.PersonPage | None:
        member = self.people.find(name)
        if member is None:
            return None
        return views.person_page(self._view(member), self.journal.of(member.key), dry_run=self._dry_run)

    def _view(self, member: Member) -> views.PersonView:
        return views.person(member, self.hub.state(member.key), links_up=self.links.all_up)

    def pause(self, name: str, seconds: float | None) -> bool:
        until = None if seconds is None else self._clock.now() + seconds
        return self._order(name, Paused(until))

    def resume(self, name: str) -> bool:
        return self._order(name, Resumed())

    def _order(self, name: str, event: Paused | Resumed) -> bool:
        member = self.people.find(name)
        if member is not None:
            _log.info("operator", order=type(event).__name__, person=member.key)
            self.hub.post(member.key, event)
        return member is not None

    def refresh(self) -> None:
        self._reader.want_all()

    @property
    def alive(self) -> bool:
        """Whether the loops that everything hangs on go round."""
        beats = (self._reader.beat_at, self._poller.beat_at)
        slowest = max(_NO_PROGRESS_S, 2 * self._config.teams.reconcile_every_s)
        return self._clock.now() - min(beats) < slowest


def _listener(where: str, app: Any, host: str, port: int) -> Listener:
    """Raises `Misconfigured` where the address can't be had."""
    try:
        return Listener(app, host, port, date_header=False)
    except OSError as error:
        what = f"{host}:{port} can't be had: {error.strerror}"
        cure = "stop what uses it (another presencebridge?), or name another address or port"
        raise Misconfigured([Problem(where, what, cure)]) from error


class _Rarely:
    """Lets each kind of news through once, and then at most once an hour."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_time(self, kind: str, now: float) -> bool:
        if now - self._told.get(kind, float("-inf")) < _TELL_AGAIN_S:
            return False
        self._told[kind] = now
        return True
