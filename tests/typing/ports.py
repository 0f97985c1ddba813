"""Type-checked and never run: the adapters fit the ports by shape."""

from pathlib import Path

from presencebridge.graph.auth import AppTokens, WatcherTokens
from presencebridge.graph.client import GraphClient, Tokens
from presencebridge.graph.teams import GraphTeams
from presencebridge.graph.watcher import Link as WatcherLink
from presencebridge.pbx.status_ways import StatusWays
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_feed import V20Calls
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime.clock import SteadyClock
from presencebridge.runtime.dry_run import DryStatuses, DryTeams
from presencebridge.runtime.links import Link
from presencebridge.runtime.ports import (
    CallFeed,
    Calls,
    Clock,
    PbxDirectory,
    Statuses,
    Store,
    Teams,
    TeamsDirectory,
)
from presencebridge.store.memory import MemoryStore
from presencebridge.store.sqlite import SqliteStore


def teams(graph: GraphClient) -> Teams:
    return GraphTeams(graph, "an app")


def directories(graph: GraphClient, pbx: V20Client) -> tuple[TeamsDirectory, PbxDirectory]:
    return GraphTeams(graph, "an app"), pbx


def web_api(client: WebApiClient) -> tuple[Calls, Statuses]:
    return client, client


def v20(
    calls: V20Calls, statuses: V20Statuses, ways: StatusWays
) -> tuple[Calls, CallFeed, Statuses, Statuses]:
    return calls, calls, statuses, ways


def dry_teams(graph: GraphClient) -> Teams:
    return DryTeams(teams(graph))


def dry_statuses(statuses: Statuses) -> Statuses:
    return DryStatuses(statuses)


def stores(folder: Path) -> tuple[Store, Store]:
    return SqliteStore(folder), MemoryStore()


def clock() -> Clock:
    return SteadyClock()


def link(clock: Clock) -> WatcherLink:
    return Link("subscription", clock.now)


def tokens(app: AppTokens, watcher: WatcherTokens) -> tuple[Tokens, Tokens]:
    return app, watcher
