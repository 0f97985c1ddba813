"""Microsoft's side: the app's sign-in, each permission by its real effect, people, webhook, subscriptions."""

import asyncio
import contextlib
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import jwt
from msgspec.structs import replace

from presencebridge.config import StateSection, is_loopback
from presencebridge.core.model import Presence
from presencebridge.doctor import network
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import Verdict, fine, listed, not_tried, warning, wrong
from presencebridge.doctor.service import is_paused
from presencebridge.doctor.site import Site
from presencebridge.errors import Gone, LinkError, Misconfigured, Refused
from presencebridge.graph import calls, wire
from presencebridge.graph.client import GraphClient
from presencebridge.graph.teams import GraphTeams
from presencebridge.graph.watcher import list_all
from presencebridge.web.webhook import Webhook

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOBODY: Final = "00000000-0000-4000-8000-000000000000"
"""An object id that nobody has."""
_IN_A_CALL: Final = Presence("Busy", "InACall")
_SHOWN_WITHIN_S: Final = 15
_SOON_S: Final = 300.0
_HANDSHAKE_WITHIN_S: Final = 10.0
"""https://learn.microsoft.com/graph/change-notifications-delivery-webhooks"""

_BY_NUMBER: Final = {
    "90002": Fault.TENANT_UNKNOWN,
    "900023": Fault.TENANT_UNKNOWN,
    "700016": Fault.APP_UNKNOWN,
    "7000215": Fault.SECRET_WRONG,
    "7000222": Fault.SECRET_ENDED,
    "700027": Fault.CERTIFICATE_UNREGISTERED,
    "7000112": Fault.APP_DISABLED,
    "700024": Fault.CLOCK_WRONG,
}
"""Entra's numbers: https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""


# The app ------------------------------------------------------------------------------------------


async def token(site: Site, http: httpx2.AsyncClient) -> Verdict:
    """Whether the app may sign in."""
    try:
        tokens = site.outside.app_tokens(site.config)
        site.token = await tokens.token()
    except Misconfigured as error:  # it was told as the credential
        return not_tried(error.problems[0].what)
    except LinkError as error:
        return sign_in_verdict(site, error)
    site.graph = GraphClient(http, tokens)
    site.teams = GraphTeams(site.graph, site.config.teams.client_id)
    roles = roles_of(site.token)
    return fine("the app signs in" + (f"; by the token it has {', '.join(roles)}" if roles else ""))


def sign_in_verdict(site: Site, error: LinkError) -> Verdict:
    """What Entra's refusal means, by its number."""
    teams = site.config.teams
    if not isinstance(error, Refused):
        return wrong(Fault.SIGN_IN_FAILS, str(error))
    found = re.search(r"AADSTS(\d+)", str(error))
    fault = _BY_NUMBER.get(found[1], Fault.SIGN_IN_REFUSED) if found else Fault.SIGN_IN_REFUSED
    if not found and "tenant_id" in error.cure:  # msal found no authority of that name
        fault = Fault.TENANT_UNKNOWN
    file = teams.client_secret_file or "PRESENCEBRIDGE_TEAMS_CLIENT_SECRET"
    if teams.certificate_file:
        file = teams.certificate_file.with_suffix(".crt")
    return wrong(fault, str(error), file=str(file))


def roles_of(token: str) -> list[str]:
    """The rights that the token names: a hint, since nobody but Graph is meant to read it."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return []
    roles = claims.get("roles")
    return sorted(map(str, roles)) if isinstance(roles, list) else []


# Rights -------------------------------------------------------------------------------------------


async def may_read_presence(site: Site) -> Verdict:
    """By asking for the presence of nobody."""
    permission = "Presence.Read.All"
    try:
        await _graph(site).run(calls.read_presences([_NOBODY]))
    except LinkError as error:
        if error.status != 400:  # an id that it does not like is no question of rights
            return _right(error, Fault.NO_PRESENCE_READ, permission)
    return fine(f"{permission} works: presence can be read")


async def may_find_people(site: Site) -> Verdict:
    """By looking for the people of the config, or for anybody where they are matched by address."""
    permission = "User.ReadBasic.All"
    by_mail = site.config.people.match == "email"
    names = [teams for _, teams in site.served]
    if not by_mail:
        site.users = {name: wire.User(name) for name in names if _GUID.fullmatch(name)}
    if not by_mail and len(site.users) == len(set(names)):
        return fine("nobody has to be looked up: all are given by object id")
    teams = _teams(site)
    try:
        if not by_mail:
            found = await teams.find(names)
            site.users = {name: users[0] for name, users in found.items() if len(users) == 1}
            site.several = {name: users for name, users in found.items() if len(users) > 1}
            return fine(f"{permission} works: people can be found")
        everybody = await teams.everybody()
    except LinkError as error:
        needed = "User.Read.All" if by_mail else permission
        return _right(error, Fault.NO_USER_READ, needed)
    site.entra = everybody.users
    if not everybody.in_full:
        what = f"{permission} works; further addresses, blocked accounts and guests are not shown to us"
        return warning(Fault.NO_USER_READ_ALL, what, permission="User.Read.All")
    return fine(f"User.Read.All works: {len(everybody.users)} users in Entra")


async def may_set_presence(site: Site) -> Verdict:
    """By ending a session that there is not, which changes nothing: 404 where we may, 403 where not.

    https://learn.microsoft.com/graph/api/presence-clearpresence
    """
    permission = "Presence.ReadWrite.All"
    named = permission in roles_of(site.token)
    user = _anybody(site)
    if user:
        try:
            await _graph(site).run(calls.clear_presence(user, secrets.token_hex(16)))
        except Gone:
            return fine(f"{permission} works: presence can be set")
        except LinkError as error:
            if error.status in (401, 403):
                return _right(error, Fault.NO_PRESENCE_WRITE, permission)
            if error.status != 400:
                return wrong(Fault.GRAPH_FAILS, str(error))
        else:
            return fine(f"{permission} works: presence can be set")
    if named:
        return fine(f"{permission} is in the token; --session-test EXTENSION proves it")
    return wrong(Fault.NO_PRESENCE_WRITE, f"{permission} is not in the token", permission=permission)


def _anybody(site: Site) -> str:
    found = [user.id for user in site.users.values()] or [user.id for user in site.entra]
    return found[0] if found else ""


def _right(error: LinkError, fault: Fault, permission: str) -> Verdict:
    if error.status == 403:
        return wrong(fault, f"Graph refuses what {permission} is for: {error}", permission=permission)
    return wrong(Fault.GRAPH_FAILS, str(error))


def _graph(site: Site) -> GraphClient:
    assert site.graph is not None  # noqa: S101 - the token comes first
    return site.graph


def _teams(site: Site) -> GraphTeams:
    assert site.teams is not None  # noqa: S101 - likewise
    return site.teams


# People -------------------------------------------------------------------------------------------


async def people(site: Site) -> Verdict:
    """Whether everybody in the config is somebody in Entra, and nobody is there twice."""
    named = site.served
    if site.config.people.match == "email" or not named:
        return fine("told below, with 3CX's list")
    for extension, teams in named:
        if teams in site.several:
            names = " and ".join(user.user_principal_name or user.id for user in site.several[teams])
            what = f"{teams} is the mail address of {names}"
            return wrong(Fault.PEOPLE_SEVERAL, what, who=f"{teams} ({extension})")
    unknown = [f"{teams} ({extension})" for extension, teams in named if teams not in site.users]
    if unknown:
        return wrong(Fault.PEOPLE_UNKNOWN, f"Entra has nobody called {listed(unknown)}", who=unknown[0])
    by_user: dict[str, list[str]] = {}
    for extension, teams in named:
        by_user.setdefault(site.users[teams].id.casefold(), []).append(extension)
    for extensions in by_user.values():
        if len(extensions) > 1:
            who = " and ".join(extensions)
            return wrong(Fault.PEOPLE_DOUBLE, f"{who} are the same Teams user", who=who)
    return fine(f"{len(named)} found in Entra")


async def presences(site: Site) -> Verdict:
    """Whether Teams shows anything of them."""
    ids = {user.casefold(): extension for extension, user in site.user_ids.items()}
    if not ids:
        return not_tried("who takes part is not known")
    asked = list(ids)[: calls.MOST_IDS]
    try:
        found = await _teams(site).presences(asked)
    except LinkError as error:
        return wrong(Fault.GRAPH_FAILS, str(error))
    shown = {one.id.casefold() for one in found if one.availability != "PresenceUnknown"}
    without = [ids[user] for user in asked if user not in shown]
    if without:
        what = f"Teams shows no presence of the people with extension {listed(without)}"
        return warning(Fault.PEOPLE_WITHOUT_PRESENCE, what, who=f"the person of {without[0]}")
    return fine("Teams shows what each of them is at")


async def session(site: Site) -> Verdict:
    """Shows somebody in a call for a moment, if that was asked for."""
    extension = site.wishes.session_of
    if not extension:
        return not_tried("it changes what Teams shows: --session-test EXTENSION does it")
    user = site.user_ids.get(extension, "")
    if not user:
        return not_tried(f"nobody is known to have the extension {extension}")
    if not is_paused(site, extension):
        return not_tried(f"the running service serves them: presencebridge pause {extension} first")
    teams = _teams(site)
    try:
        await teams.set_presence(user, _IN_A_CALL, 300)
        try:
            shown = await _shown_within(teams, user)
        finally:
            await teams.clear_presence(user)
    except LinkError as error:
        return _right(error, Fault.NO_PRESENCE_WRITE, "Presence.ReadWrite.All")
    if shown.same_as(_IN_A_CALL):
        return fine(f"{extension} was shown in a call, and is no longer")
    return warning(Fault.SESSION_NOT_SHOWN, f"In a call was taken, and Teams showed {shown}", who=user)


async def _shown_within(teams: GraphTeams, user: str) -> Presence:
    shown = Presence("PresenceUnknown", "PresenceUnknown")
    for _ in range(_SHOWN_WITHIN_S):
        for one in await teams.presences([user]):
            shown = Presence(one.availability, one.activity)
        if shown.same_as(_IN_A_CALL):
            break
        await asyncio.sleep(1)
    return shown


# The webhook --------------------------------------------------------------------------------------


async def webhook(site: Site) -> Verdict:
    """Graph's handshake, made from here. While the service does not run, we stand in for it."""
    hook = site.config.teams.webhook
    if hook is None:
        return not_tried("there is no [teams.webhook]")
    async with contextlib.AsyncExitStack() as stack:
        if site.service is None:
            app = Webhook(urlsplit(hook.public_url).path, lambda _body: True, lambda: None)
            await stack.enter_async_context(site.outside.listener("[teams.webhook] listen", app, hook.listen))
        return await handshake(hook.public_url, hook.listen)


async def handshake(url: str, listen: str) -> Verdict:
    """https://learn.microsoft.com/graph/change-notifications-delivery-webhooks"""
    said = f"Validation: from this machine {secrets.token_hex(8)} & more"
    outside = not is_loopback(urlsplit(url).hostname or "")
    words = {"url": url, "listen": listen}
    target = network.Target("webhook", url, None, "[teams.webhook]", "public_url")
    try:
        # Graph goes by the public authorities alone, so no ca_file here.
        async with httpx2.AsyncClient(trust_env=outside, timeout=_HANDSHAKE_WITHIN_S) as http:
            joined = url + ("&" if urlsplit(url).query else "?")
            got = await http.post(
                f"{joined}validationToken={_quoted(said)}",
                headers={"Content-Type": "text/plain; charset=utf-8"},
            )
    except httpx2.HTTPError as error:
        found = await network.unanswered(target, error)
        if found.fault and found.fault.name.startswith("CERTIFICATE"):
            return wrong(Fault.WEBHOOK_CERTIFICATE, f"{url}: {found.what}")
        return wrong(Fault.WEBHOOK_UNREACHABLE, f"{url}: {found.what}", **words)
    if got.status_code in (502, 503, 504):
        what = f"{url}: the web server in front answers {got.status_code}, it does not reach {listen}"
        return wrong(Fault.WEBHOOK_UNREACHABLE, what, **words)
    kind = got.headers.get("content-type", "").partition(";")[0]
    if got.status_code != 200 or got.text != said or kind != "text/plain":
        how = f"{got.status_code}, {kind or 'no content type'}" + (
            "" if got.text == said else ", another text"
        )
        what = f"{url} does not give the handshake back as Graph wants it ({how})"
        return wrong(Fault.WEBHOOK_ANSWERS_OTHERWISE, what, **words)
    return fine(f"{url} answers the handshake, as far as that can be known from here")


def _quoted(text: str) -> str:
    return str(httpx2.QueryParams({"t": text}))[2:]


async def watcher(site: Site, name: str) -> Verdict:
    """Whether the account's sign-in lives. It is renewed on a copy, so that the service's stays as it is."""
    file = site.config.state.dir / f"watcher-{name}.json"
    if not file.is_file():
        return wrong(Fault.NOT_SIGNED_IN, f"nobody is signed in as {name}", watcher=name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copy(file, copy)
        tokens = site.outside.watcher_tokens(_with_state(site.config, copy), name)
        try:
            token = await tokens.token(renewed=True)
        except Refused as error:
            fault = Fault.NOT_SIGNED_IN if "nobody" in str(error) else Fault.SIGNED_OUT
            return wrong(fault, str(error), watcher=name)
        except LinkError as error:
            return wrong(Fault.SIGN_IN_FAILS, str(error))
    site.watcher_tokens[name] = token
    return fine("signed in, and the sign-in was renewed")


def _with_state(config: Any, folder: Path) -> Any:
    return replace(config, state=StateSection(dir=folder))


class _OneToken:
    """A token that we have already."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, *, renewed: bool = False) -> str:  # noqa: ARG002 - there is no other
        return self._token


async def subscription(site: Site, name: str, http: httpx2.AsyncClient) -> Verdict:
    """What the account is subscribed to, and until when."""
    hook = site.config.teams.webhook
    url = hook.public_url if hook else ""
    try:
        found = await list_all(GraphClient(http, _OneToken(site.watcher_tokens[name])))
    except LinkError as error:
        return _right(error, Fault.NO_PRESENCE_READ, "Presence.Read.All (delegated)")
    presences = [one for one in found if "presences" in one.resource.casefold()]
    now = site.outside.clock().wall()
    lives = {one.notification_url: one.expiration_date_time.timestamp() - now for one in presences}
    return subscription_verdict(name, url, lives, runs=site.service is not None)


def subscription_verdict(name: str, url: str, lives: dict[str, float], *, runs: bool) -> Verdict:
    """`lives`: by the address that is notified, how many seconds the subscription has left."""
    others = [other for other in lives if other != url]
    if others:
        what = f"the account watches for {listed(others)}, which is not this installation's address"
        return (wrong if runs else warning)(Fault.SUBSCRIPTION_ELSEWHERE, what, watcher=name)
    if url not in lives:
        if runs:
            return wrong(Fault.NO_SUBSCRIPTION, "the service runs, and the account has no subscription")
        return fine("none; the service makes it when it starts")
    if runs and lives[url] < _SOON_S:
        what = f"ends in {lives[url] / 60:.0f} minutes, and the service should have renewed it"
        return warning(Fault.SUBSCRIPTION_ENDS_SOON, what, watcher=name)
    return fine(f"lives for another {lives[url] / 60:.0f} minutes, and is renewed by the service")
