"""Config -> clients of the two outside systems."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec

from presencebridge.config import CLOUDS, Config, Pbx, PbxBridge, is_loopback, secret
from presencebridge.errors import Misconfigured, Problem
from presencebridge.graph.auth import AppTokens, SignIn, WatcherTokens, certificate_credential
from presencebridge.pbx.status_ways import StatusWays
from presencebridge.pbx.status_web_api_client import StatusWebApiClient
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_feed import V20Calls
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.pbx.websocket import websocket_dial
from presencebridge.runtime.ports import Calls, Statuses


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """The system's authorities, and a private one if it is named."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def http_client(url: str, ca_file: Path | None) -> httpx2.AsyncClient:
    """A client for one outside system. The environment's proxy is used, except for loopback."""
    return httpx2.AsyncClient(base_url=url, verify=tls(ca_file), trust_env=_is_outside(url), timeout=30)


def _is_outside(url: str) -> bool:
    return not is_loopback(urlsplit(url).hostname or "")


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


def watcher_tokens(config: Config, name: str) -> WatcherTokens:
    return WatcherTokens(sign_in(config), config.state.dir, name)


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
    config: Config, now: Callable[[], float], is_wanted: Callable[[str], bool] = lambda _extension: True
) -> AsyncIterator[PbxSide]:
    """Clients for the kind of PBX that the config names; calls are followed for the extensions wanted."""
    pbx = config.pbx
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(http_client(pbx.url, pbx.ca_file))
        if pbx.kind == "3cx-web-api":
            bridge = WebApiClient(http, pbx.timeout_s)
            yield PbxSide(bridge, bridge)
            return
        key = secret("pbx-client-secret", pbx.client_secret_file) or ""
        client = V20Client(http, pbx.client_id, key, pbx.timeout_s, now)
        dial = None
        if pbx.calls_via == "call-control":
            use_proxy = _is_outside(pbx.url)
            dial = websocket_dial(pbx.url, tls(pbx.ca_file), pbx.timeout_s, use_proxy=use_proxy)
        calls = V20Calls(client, dial, is_wanted, now)
        xapi = V20Statuses(client, now)
        ways: dict[str, V20Statuses | WebApiClient | StatusWebApiClient] = {}
        for way in pbx.status_via:
            if way == "xapi":
                ways[way] = xapi
            elif pbx.bridge is not None:
                ways[way] = await stack.enter_async_context(_bridge(pbx, pbx.bridge))
        statuses = StatusWays(xapi, ways)
        yield PbxSide(calls, statuses, calls if dial else None, client, statuses)


@contextlib.asynccontextmanager
async def _bridge(pbx: Pbx, bridge: PbxBridge) -> AsyncIterator[WebApiClient | StatusWebApiClient]:
    async with http_client(bridge.url, bridge.ca_file) as http:
        if bridge.kind == "3cx-web-api":
            yield WebApiClient(http, pbx.timeout_s)
        else:
            key = secret("pbx-bridge-api-key", bridge.api_key_file) or ""
            yield StatusWebApiClient(http, key, pbx.timeout_s)
