"""`teams ...`: presence and subscriptions by hand, as the old shell scripts did it."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from presencebridge.cli.saying import say
from presencebridge.cli.which import config_of
from presencebridge.config import Config
from presencebridge.core.model import Presence
from presencebridge.errors import BridgeError, Conflict, Misconfigured, Problem

if TYPE_CHECKING:
    from presencebridge.graph.client import GraphClient
    from presencebridge.graph.teams import GraphTeams

teams = App(name="teams", help="Presence and subscriptions by hand.")
subscriptions = App(name="subscriptions", help="The presence subscriptions of a watcher account.")
teams.command(subscriptions)

_SESSION = {
    "busy": Presence("Busy", "InACall"),
    "dnd": Presence("DoNotDisturb", "Presenting"),
    "away": Presence("Away", "Away"),
    "available": Presence("Available", "Available"),
}
_PREFERRED = {
    "busy": Presence("Busy", "Busy"),
    "dnd": Presence("DoNotDisturb", "DoNotDisturb"),
    "away": Presence("Away", "Away"),
    "available": Presence("Available", "Available"),
}


@teams.command
async def get(person: str, *, config: Path) -> None:
    """What Teams shows of somebody.

    Parameters
    ----------
    person
        Extension, user principal name, mail or object id.
    config
        The config file.
    """
    loaded = config_of(config)
    async with _as_app(loaded) as graph:
        found = await graph.presences([await _user(loaded, graph, person)])
    if not found:
        raise BridgeError(f"Graph does not tell the presence of {person}")
    say(f"{found[0].availability}/{found[0].activity}")


@teams.command(name="set")
async def set_(
    person: str,
    presence: Literal["busy", "dnd", "away", "available"],
    *,
    config: Path,
    duration: Annotated[str, Parameter(name="--for")] = "1h",
    preferred: bool = False,
) -> None:
    """Set somebody's presence, as the app's session. A running service uses the same one, and replaces it.

    Parameters
    ----------
    person
        Extension, user principal name, mail or object id.
    presence
        What to show.
    config
        The config file.
    duration
        How long, such as 30m or 2h; Graph takes 5m to 4h for a session.
    preferred
        Set the preferred presence instead: it overrides what the person chose in Teams.
    """
    loaded, seconds = config_of(config), _seconds(duration)
    if not preferred and not 300 <= seconds <= 14400:
        raise Misconfigured([Problem("--for", f"{duration} is out of range", "Graph takes 5m to 4h")])
    pair = (_PREFERRED if preferred else _SESSION)[presence]
    async with _as_app(loaded) as graph:
        user = await _user(loaded, graph, person)
        if preferred:
            await graph.set_preferred(user, pair, seconds)
        else:
            await graph.set_presence(user, pair, seconds)
    say(f"{person}: {'preferred presence' if preferred else 'session'} {pair} for {duration}")


@teams.command
async def clear(person: str, *, config: Path, preferred: bool = False) -> None:
    """End the app's session on somebody.

    Parameters
    ----------
    person
        Extension, user principal name, mail or object id.
    config
        The config file.
    preferred
        Clear the preferred presence instead.
    """
    loaded = config_of(config)
    async with _as_app(loaded) as graph:
        user = await _user(loaded, graph, person)
        await (graph.clear_preferred(user) if preferred else graph.clear_presence(user))
    say(f"{person}: cleared")


@subscriptions.command(name="list")
async def list_(*, config: Path, watcher: str = "default") -> None:
    """The account's subscriptions for this app."""
    from presencebridge.graph.watcher import list_all

    async with _as_watcher(config_of(config), watcher) as graph:
        found = await list_all(graph)
    for one in found:
        people = one.resource.count("'") // 2 or 1
        say(f"{one.id}  until {one.expiration_date_time:%Y-%m-%d %H:%M:%S} UTC  {people} people")
    if not found:
        say("none")


@subscriptions.command
async def create(*, config: Path, watcher: str = "default") -> None:
    """Make the account's subscription for the people of the config; a running service does it by itself."""
    from presencebridge.files import FolderFiles
    from presencebridge.node.site import WatcherSite, new_watcher
    from presencebridge.runtime.clock import SteadyClock

    loaded = config_of(config)
    hook = loaded.teams.webhook
    if hook is None:
        cure = "add [teams.webhook] with public_url: it is where Graph sends notifications"
        raise Misconfigured([Problem("[teams.webhook]", "is missing", cure)])
    async with _as_app(loaded) as graph:
        names = [person.teams for person in loaded.person if not loaded.is_excluded(person)]
        found = (await graph.find(names)).values()
        ids = tuple(users[0].id for users in found if len(users) == 1)
    async with _as_watcher(loaded, watcher) as graph:
        try:
            site = WatcherSite(FolderFiles(loaded.state.dir), SteadyClock())
            held = await new_watcher(watcher, graph, site).create(ids, hook.public_url)
        except Conflict as error:
            error.cure = "the account has one already: presencebridge teams subscriptions renew, or delete"
            raise
    say(f"{held.id}: created for {len(ids)} people")


@subscriptions.command
async def renew(
    subscription: str | None = None, *, config: Path, watcher: str = "default", reauthorize: bool = False
) -> None:
    """Give a subscription another hour.

    Parameters
    ----------
    subscription
        Its id; every presence subscription of the account if none is named.
    config
        The config file.
    watcher
        The account.
    reauthorize
        Only reauthorize, without a new end.
    """
    from presencebridge.graph import calls
    from presencebridge.graph.watcher import end_of_life
    from presencebridge.runtime.clock import SteadyClock

    end = end_of_life(SteadyClock().now())
    async with _as_watcher(config_of(config), watcher) as graph:
        for one in await _named(graph, subscription):
            if reauthorize:
                await graph.run(calls.reauthorize_subscription(one))
                say(f"{one}: reauthorized")
            else:
                made = await graph.run(calls.renew_subscription(one, end))
                until = made.expiration_date_time if made else end
                say(f"{one}: until {until:%Y-%m-%d %H:%M:%S} UTC")


@subscriptions.command
async def delete(subscription: str | None = None, *, config: Path, watcher: str = "default") -> None:
    """Delete a subscription.

    Parameters
    ----------
    subscription
        Its id; every presence subscription of the account if none is named.
    config
        The config file.
    watcher
        The account.
    """
    from presencebridge.graph import calls

    async with _as_watcher(config_of(config), watcher) as graph:
        for one in await _named(graph, subscription):
            await graph.run(calls.delete_subscription(one))
            say(f"{one}: deleted")


async def _named(graph: "GraphClient", subscription: str | None) -> list[str]:
    from presencebridge.graph.watcher import list_all

    if subscription:
        return [subscription]
    found = [one.id for one in await list_all(graph) if "presences" in one.resource.casefold()]
    if not found:
        say("none")
    return found


async def _user(config: Config, graph: "GraphTeams", person: str) -> str:
    """The object id of whoever is meant. Raises `BridgeError` where Entra knows nobody by that name."""
    name = person
    for one in config.person:
        if person.casefold() in (one.extension.casefold(), one.teams.casefold()):
            name = one.teams
    found = await graph.find([name])
    if name not in found:
        raise BridgeError(
            f"Entra has nobody whose user principal name or mail is {name}\n"
            "    cure: check the spelling, or use the object id from Entra"
        )
    users = found[name]
    if len(users) > 1:
        names = " and ".join(user.user_principal_name or user.id for user in users)
        raise BridgeError(
            f"{name} is the mail address of {names}\n"
            "    cure: use the user principal name, or the object id from Entra"
        )
    return users[0].id


@contextlib.asynccontextmanager
async def _as_app(config: Config) -> "AsyncIterator[GraphTeams]":
    from presencebridge.adapters import app_tokens, http_client
    from presencebridge.graph.client import GraphClient
    from presencebridge.graph.teams import GraphTeams

    async with http_client(config.graph_url, config.teams.ca_file) as http:
        yield GraphTeams(GraphClient(http, app_tokens(config)), config.teams.client_id)


@contextlib.asynccontextmanager
async def _as_watcher(config: Config, name: str) -> "AsyncIterator[GraphClient]":
    from presencebridge.adapters import http_client, watcher_tokens
    from presencebridge.graph.client import GraphClient

    async with http_client(config.graph_url, config.teams.ca_file) as http:
        yield GraphClient(http, watcher_tokens(config, name))


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or found is None:
        raise Misconfigured([Problem("--for", f"{text!r} is not a duration", "such as 30m, 2h or 1h30m")])
    hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return hours * 3600 + minutes * 60 + seconds
