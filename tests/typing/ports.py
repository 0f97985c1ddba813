"""Type-checked and never run: the adapters fit the ports by shape."""

from pathlib import Path

from presencebridge.graph.auth import AppTokens, WatcherTokens
from presencebridge.graph.client import GraphClient, Tokens
from presencebridge.graph.teams import GraphTeams
from presencebridge.graph.watcher import Link as WatcherLink
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime.clock import SteadyClock
from presencebridge.runtime.dry_run import DryPbx, DryTeams
from presencebridge.runtime.links import Link
from presencebridge.runtime.ports import Clock, Pbx, Store, Teams
from presencebridge.store.memory import MemoryStore
from presencebridge.store.sqlite import SqliteStore


def teams(graph: GraphClient) -> Teams:
    return GraphTeams(graph, "an app")


def pbx(client: WebApiClient) -> Pbx:
    return client


def dry_teams(graph: GraphClient) -> Teams:
    return DryTeams(teams(graph))


def dry_pbx(client: WebApiClient) -> Pbx:
    return DryPbx(client)


def stores(folder: Path) -> tuple[Store, Store]:
    return SqliteStore(folder), MemoryStore()


def clock() -> Clock:
    return SteadyClock()


def link(clock: Clock) -> WatcherLink:
    return Link("subscription", clock.now)


def tokens(app: AppTokens, watcher: WatcherTokens) -> tuple[Tokens, Tokens]:
    return app, watcher
