"""Config -> clients of the two outside systems, and all else of the real world that the service stands on."""

import asyncio
import contextlib
import functools
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
import msgspec

from presencebridge.config import CLOUDS, Config, Pbx, PbxBridge, is_loopback, parse_listen, secret
from presencebridge.errors import Misconfigured, Problem
from presencebridge.files import Files, FolderFiles
from presencebridge.graph.auth import AppTokens, SignIn, WatcherTokens, certificate_credential
from presencebridge.graph.client import Tokens
from presencebridge.graph.client_states import ClientStates
from presencebridge.graph.receiver import WORKERS
from presencebridge.metrics import Metrics
from presencebridge.pbx.status_ways import StatusWays
from presencebridge.pbx.status_web_api_client import StatusWebApiClient
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_feed import Dial, V20Calls
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.pbx.websocket import websocket_dial
from presencebridge.quick_http import Http, QuickClient
from presencebridge.runtime.clock import SteadyClock
from presencebridge.runtime.expiry import SERVERS_SOON_DAYS, Deadline, Look
from presencebridge.runtime.ports import Calls, Clock, Statuses, Store
from presencebridge.serving import Listener
from presencebridge.store.sqlite import SqliteStore

_PATIENCE_S: Final = 10.0
"""With a server that is asked for its certificate only."""


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities, and a private one if it is named.

    There are a hundred and more authorities, and reading them takes 10 ms and 1 MB: so what trusts the same
    ones shares a context, for as long as the file is the same.
    """
    stamp = ca_file.stat().st_mtime_ns if ca_file is not None else 0
    return _tls(ca_file, stamp)


@functools.lru_cache(maxsize=64)
def _tls(ca_file: Path | None, _stamp: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def http_client(url: str, ca_file: Path | None) -> httpx2.AsyncClient:
    """A client for one outside system. The environment's proxy is used, except for loopback."""
    return httpx2.AsyncClient(base_url=url, verify=tls(ca_file), trust_env=_is_outside(url), timeout=30)


def quick_client(url: str, ca_file: Path | None) -> QuickClient | httpx2.AsyncClient:
    """The client of the service itself.

    httpx2 knows all about proxies, so it is taken where one is to be used. Everywhere else it would be most
    of the service's work.
    """
    if _is_outside(url) and _has_proxy(url):
        return http_client(url, ca_file)
    return QuickClient(url, tls(ca_file))


def _has_proxy(url: str) -> bool:
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    return bool({parts.scheme, "all"} & proxies.keys()) and not urllib.request.proxy_bypass(
        parts.hostname or ""
    )


def _is_outside(url: str) -> bool:
    return not is_loopback(urlsplit(url).hostname or "")


async def certificate_end(url: str, ca_file: Path | None) -> float | None:
    """When the certificate of a server ends (seconds since 1970); None without one, or behind a proxy.

    Raises `OSError` or `TimeoutError` where the server can't be reached, or its certificate is not believed.
    """
    parts = urlsplit(url)
    proxied = _is_outside(url) and urllib.request.getproxies().get("https")
    if parts.scheme != "https" or (proxied and not urllib.request.proxy_bypass(parts.hostname or "")):
        return None
    async with asyncio.timeout(_PATIENCE_S):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=tls(ca_file))
    ends = writer.get_extra_info("peercert").get("notAfter")
    writer.close()
    return ssl.cert_time_to_seconds(ends) if ends else None


class Listening(Protocol):
    @property
    def url(self) -> str: ...


class Outside:
    """Clock, sockets, threads and disk. A test that wants none of them brings an outside of its own."""

    def clock(self) -> Clock:
        return SteadyClock()

    def http(self, url: str, ca_file: Path | None) -> contextlib.AbstractAsyncContextManager[Http]:
        """A client for what is at `url`."""
        return quick_client(url, ca_file)

    async def certificate_end(self, url: str, ca_file: Path | None) -> float | None:
        """When the certificate of the server there ends; see the function of that name."""
        return await certificate_end(url, ca_file)

    def probe_http(self, url: str, ca_file: Path | None) -> httpx2.AsyncClient:
        """A client that tells more of what goes wrong, and takes its time."""
        return http_client(url, ca_file)

    def dial(self, pbx: Pbx) -> Dial:
        """Opens websockets to V20."""
        return websocket_dial(pbx.url, tls(pbx.ca_file), pbx.timeout_s, use_proxy=_is_outside(pbx.url))

    def app_tokens(self, config: Config) -> Tokens:
        """Raises `Misconfigured` where the credential can't be used."""
        return app_tokens(config)

    def files(self, config: Config) -> Files:
        """Where the site's keys, subscriptions and sign-ins are kept."""
        return FolderFiles(config.state.dir)

    def client_states(self, mark: str) -> ClientStates:
        """Of a site's subscriptions; `mark` stands before each."""
        return ClientStates(mark)

    def watcher_tokens(self, config: Config, name: str, files: Files | None = None) -> Tokens:
        """Of an account whose sign-in is among the site's files."""
        return watcher_tokens(config, name, files or self.files(config))

    @contextlib.asynccontextmanager
    async def store(self, config: Config) -> AsyncIterator[Store]:
        """Raises `OSError` where the state folder can't be had.

        A disk that is slow, or a file that somebody else holds, is waited for in a thread: it is one site's
        trouble.
        """
        store = await asyncio.to_thread(SqliteStore, config.state.dir)
        with store:
            try:
                yield store
            finally:
                await asyncio.to_thread(store.close)

    def workers(self) -> contextlib.AbstractContextManager[Executor]:
        """Threads for decrypting, which all sites share."""
        return contextlib.nullcontext(self._threads)

    @functools.cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(WORKERS, "decrypt")

    def listener(
        self, where: str, app: Any, listen: str
    ) -> contextlib.AbstractAsyncContextManager[Listening]:
        """Serves an application; `where` is the word of the config, for the error.

        Raises `Misconfigured` where the address can't be had.
        """
        host, port = parse_listen(listen)
        try:
            return Listener(app, host, port, date_header=False)
        except OSError as error:
            what = f"{host}:{port} can't be had: {error.strerror}"
            cure = "stop what uses it (another presencebridge?), or name another address or port"
            raise Misconfigured([Problem(where, what, cure)]) from error


def servers_deadlines(config: Config, outside: Outside) -> list[Look]:
    """How to ask the servers that are the operator's own when their certificates end."""
    pbx, bridge, hook = config.pbx, config.pbx.bridge, config.teams.webhook
    servers = [(pbx.url, pbx.ca_file)] + ([(bridge.url, bridge.ca_file)] if bridge else [])
    if config.teams.delivery == "webhook" and hook:
        servers.append((hook.public_url, None))

    async def look(url: str, ca_file: Path | None) -> list[Deadline]:
        ends = await outside.certificate_end(url, ca_file)
        host = urlsplit(url).hostname or ""
        cure = f"renew the certificate on {host}, or see why it was not renewed by itself"
        found = Deadline("server certificate", host, ends or 0.0, cure, SERVERS_SOON_DAYS)
        return [found] if ends else []

    return [partial(look, *server) for server in dict.fromkeys(servers)]


def licence_deadline(directory: V20Client) -> Look:
    """How to ask 3CX when its licence ends."""

    async def look() -> list[Deadline]:
        told = await directory.licence()
        ends = told.ends_at if told else None
        return [Deadline("3CX licence", "", ends, "renew the licence of 3CX in good time")] if ends else []

    return look


# Graph --------------------------------------------------------------------------------------------


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


def watcher_tokens(config: Config, name: str, files: Files | None = None) -> WatcherTokens:
    return WatcherTokens(sign_in(config), files or FolderFiles(config.state.dir), name)


# 3CX ----------------------------------------------------------------------------------------------


class PbxSide(msgspec.Struct, frozen=True):
    """A phone system, by whatever its kind offers."""

    calls: Calls
    statuses: Statuses
    feed: V20Calls | None = None
    """Calls as they happen; None for the kinds that have to be asked."""
    directory: V20Client | None = None
    """Who has an extension; None for the kinds that do not tell."""
    ways: StatusWays | None = None
    """The ways in which a status is set; None for the kinds that have but one."""


@contextlib.asynccontextmanager
async def pbx_side(
    pbx: Pbx,
    now: Callable[[], float],
    is_wanted: Callable[[str], bool] = lambda _extension: True,
    outside: Outside | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[PbxSide]:
    """Clients for the kind of PBX that the config names; calls are followed for the extensions wanted."""
    outside = outside or Outside()
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(outside.http(pbx.url, pbx.ca_file))
        if pbx.kind == "3cx-web-api":
            bridge = WebApiClient(http, pbx.timeout_s)
            yield PbxSide(bridge, bridge)
            return
        client = V20Client(http, pbx.client_id, _key_of(pbx), pbx.timeout_s, now)
        dial = outside.dial(pbx) if pbx.calls_via == "call-control" else None
        calls = V20Calls(client, dial, is_wanted, now, metrics=metrics)
        xapi = V20Statuses(client, now)
        ways: dict[str, V20Statuses | WebApiClient | StatusWebApiClient] = {}
        for way in pbx.status_via:
            if way == "xapi":
                ways[way] = xapi
            elif pbx.bridge is not None:
                http = await stack.enter_async_context(outside.http(pbx.bridge.url, pbx.bridge.ca_file))
                ways[way] = status_bridge(pbx.bridge, http, pbx.timeout_s)
        statuses = StatusWays(xapi, ways, metrics=metrics)
        yield PbxSide(calls, statuses, calls if dial else None, client, statuses)


def _key_of(pbx: Pbx) -> Callable[[], str]:
    def key() -> str:
        try:
            return secret("pbx-client-secret", pbx.client_secret_file) or ""
        except (OSError, UnicodeDecodeError):
            return ""  # it is just being replaced; 3CX refuses this one

    return key


def status_bridge(bridge: PbxBridge, http: Http, timeout_s: float) -> WebApiClient | StatusWebApiClient:
    """The program on the machine of a V20 through which statuses can be set."""
    if bridge.kind == "3cx-web-api":
        return WebApiClient(http, timeout_s, "[pbx.bridge]")
    return StatusWebApiClient(http, secret("pbx-bridge-api-key", bridge.api_key_file) or "", timeout_s)
