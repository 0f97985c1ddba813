"""3CX's side: token, rights, extensions, statuses, what would fight with us; and the bridges."""

from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from presencebridge.adapters import status_bridge
from presencebridge.config import PbxBridge, secret
from presencebridge.core.model import AVAILABLE, AWAY
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import Verdict, fine, listed, not_tried, warning, wrong
from presencebridge.doctor.service import is_paused
from presencebridge.doctor.site import Site
from presencebridge.errors import Gone, LinkError, Malformed, Refused
from presencebridge.pbx import v20, v20_calls
from presencebridge.pbx.answers import Licence, StatusChange
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_statuses import V20Statuses
from presencebridge.pbx.web_api_client import NeverAnswered, WebApiClient
from presencebridge.runtime.matching import DOUBLE, Left, Matching, Named, Reason, in_words, match

_DAY_S: Final = 86_400
_SOON_DAYS: Final = 30
_VERSION_PATH: Final = "/xapi/v1/Defs?$select=Id"


# V20: the API client and its rights ---------------------------------------------------------------


async def token(site: Site, http: httpx2.AsyncClient) -> Verdict:
    """Whether the API client gets a token. It has one at a time, so a running service is left its own."""
    pbx = site.config.pbx
    if site.service_link in ("connected", "degraded") and not site.wishes.take_token:
        return not_tried(
            f"the running service holds the API client's one token, and its link is {site.service_link}; "
            "--take-token tries it all the same, and costs the service a moment"
        )
    key = secret("pbx-client-secret", pbx.client_secret_file) or ""
    client = V20Client(http, pbx.client_id, lambda: key, pbx.timeout_s, site.outside.clock().now)
    try:
        await client.token()
    except Refused as error:
        file = str(pbx.client_secret_file or "PRESENCEBRIDGE_PBX_CLIENT_SECRET")
        what = f"3CX does not take client_id {pbx.client_id} with its key: {error}"
        return wrong(Fault.API_CLIENT_REFUSED, what, file=file)
    except (Gone, Malformed) as error:
        return wrong(Fault.NOT_V20, f"what answers at {pbx.url} is no 3CX V20: {error}")
    except LinkError as error:
        if await _is_the_old_bridge(http):
            return wrong(Fault.NOT_V20, f"what answers at {pbx.url} is 3cx-web-API, and no 3CX V20")
        return wrong(Fault.PBX_FAILS, str(error))
    site.v20 = client
    return fine(f"the API client {pbx.client_id} gets one")


async def _is_the_old_bridge(http: httpx2.AsyncClient) -> bool:
    try:
        return "idle" in (await http.get("/")).text.casefold()[:200]
    except httpx2.HTTPError:
        return False


async def configuration_api(site: Site, http: httpx2.AsyncClient) -> Verdict:
    """Whether the API client may see users; and which version it is."""
    client = _v20(site)
    try:
        site.pbx_users = await client.users()
        headers = {"Authorization": f"Bearer {await client.token()}"}
        version = (await http.get(_VERSION_PATH, headers=headers)).headers.get("x-3cx-version", "")
    except (Refused, Gone) as error:
        what = f"the API client may not see the users: {error}"
        return wrong(Fault.NO_CONFIGURATION_API, what, client=site.config.pbx.client_id)
    except (LinkError, httpx2.HTTPError) as error:
        return wrong(Fault.PBX_FAILS, str(error))
    if not site.pbx_users:
        return wrong(Fault.LIST_EMPTY, "3CX shows us no users at all")
    return fine(f"{len(site.pbx_users)} users" + (f"; version {version}" if version else ""))


async def licence(site: Site) -> Verdict:
    """Whether 3CX's licence is alive, where the role may see that."""
    told = await _v20(site).licence()
    if told is None:
        return not_tried("the API client's role does not show it")
    return licence_verdict(told, site.outside.clock().wall())


def licence_verdict(told: Licence, now: float) -> Verdict:
    """What there is to say of 3CX's licence."""
    if not told.active or (told.ends_at is not None and told.ends_at < now):
        return wrong(Fault.LICENCE_ENDED, "3CX's licence is not active, and its API needs one")
    if told.ends_at is None:
        return fine(f"active {told.product}".rstrip())
    days = int((told.ends_at - now) // _DAY_S)
    if days < _SOON_DAYS:
        return warning(Fault.LICENCE_ENDS_SOON, f"3CX's licence ends in {days} days")
    return fine(f"{told.product or 'it'} is active for another {days} days")


async def matching(site: Site) -> Verdict:
    """Who has the same address on both sides, and who has not."""
    config = site.config
    named = [Named(one.extension, one.teams, config.is_excluded(one)) for one in config.person]
    if not site.entra:
        return wrong(Fault.LIST_EMPTY, "Entra shows us no users at all")
    site.matching = match(site.pbx_users, site.entra, named, config.people.exclude)
    return matching_verdict(site.matching)


def matching_verdict(found: Matching) -> Verdict:
    """What there is to say of who was matched."""
    left = [one for one in found.left if one.why is not Reason.EXCLUDED]
    left.sort(key=lambda one: one.why not in DOUBLE)
    first = _told(left[0]) if left else ("", "")
    if not found.matched:
        return wrong(Fault.NOBODY_MATCHED, "nobody has the same address on both sides" + _such_as(first[0]))
    if left:
        doubles = sum(one.why in DOUBLE for one in left)
        what = f"{found.matched} matched, {len(left)} not ({doubles} double)" + _such_as(first[0])
        return warning(Fault.PEOPLE_UNMATCHED, what, first=first[1])
    return fine(f"{found.matched} matched")


def _told(one: Left) -> tuple[str, str]:
    what, cure = in_words(one)
    return f"{one.extension} {one.name}: {what}", cure


def _such_as(what: str) -> str:
    return f"; such as {what}" if what else ""


async def extensions(site: Site) -> Verdict:
    """Whether everybody's extension is there."""
    there = {user.number for user in site.pbx_users}
    missing = [number for number, _ in site.served if number not in there]
    if missing:
        what = f"3CX shows us no extension {listed(missing)}"
        return wrong(Fault.EXTENSIONS_UNKNOWN, what, who=missing[0])
    return fine(f"{len(_served(site))} of our people have theirs")


async def statuses(site: Site) -> Verdict:
    """Whether every status is one that we know."""
    reader = V20Statuses(_v20(site), site.outside.clock().now)
    try:
        known = await reader.all_statuses()
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    for number in _served(site):
        if number not in known:
            try:
                known[number] = await reader.status(number)
            except LinkError as error:
                return wrong(Fault.STATUS_NAME_UNKNOWN, str(error), who=number)
    site.statuses = known
    return fine("everybody's can be read")


async def call_control(site: Site) -> Verdict:
    """Whether calls can be followed, and of whom."""
    pbx, client = site.config.pbx, _v20(site)
    if pbx.calls_via == "active-calls":
        return fine("not used: calls_via is active-calls")
    try:
        found = v20_calls.parse_call_control(await client.ask("GET", v20_calls.CALLS_PATH))
    except (Refused, Gone) as error:
        what = f"the API client may not follow calls: {error}"
        return wrong(Fault.NO_CALL_CONTROL, what, client=pbx.client_id)
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    missing = [number for number in _served(site) if number not in found]
    if missing:
        what = f"not among the extensions to monitor: {listed(missing)}"
        return wrong(Fault.NOT_MONITORED, what, client=pbx.client_id, who=", ".join(missing))
    return fine("everybody's calls can be followed")


async def websocket(site: Site) -> Verdict:
    """Whether 3CX tells of calls as they happen."""
    pbx = site.config.pbx
    if pbx.calls_via == "active-calls":
        return fine("not used: calls_via is active-calls")
    try:
        socket = await site.outside.dial(pbx)(await _v20(site).token())
    except LinkError as error:
        return wrong(Fault.NO_WEBSOCKET, f"calls have to be polled: {error}", url=pbx.url)
    await socket.close()
    return fine("opens")


async def active_calls(site: Site) -> Verdict:
    """The list of calls: the only source with calls_via = "active-calls", else the one to fall back on."""
    pbx = site.config.pbx
    try:
        v20_calls.parse_active_calls(await _v20(site).ask("GET", v20_calls.ACTIVE_CALLS_PATH))
    except (Refused, Gone) as error:
        told = wrong if pbx.calls_via == "active-calls" else warning
        return told(Fault.NO_ACTIVE_CALLS, f"the list of calls is not for us: {error}", client=pbx.client_id)
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    return fine("can be read" + ("" if pbx.calls_via == "active-calls" else ", should Call Control fail"))


async def own_sync(site: Site) -> Verdict:
    """Whether 3CX's own sync with Teams works against us."""
    try:
        does = await _v20(site).own_sync()
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    if does:
        return wrong(
            Fault.OWN_SYNC, f"3CX's own sync with Teams is on ({does}) and works against this service"
        )
    return fine("3CX's own sync with Teams is off, as far as we may see")


# Setting a status ---------------------------------------------------------------------------------


async def may_set_status(site: Site) -> Verdict:
    """Sets somebody's status to what it is, which proves the right and changes nothing.

    Somebody who is Available: with any other status it could be a temporary one that is shown, and would be
    made to stay.
    """
    pbx, client = site.config.pbx, _v20(site)
    if "xapi" not in pbx.status_via:
        return fine("not used: status_via does not name xapi")
    free = next((number for number in _served(site) if site.statuses.get(number) == AVAILABLE), "")
    if not free:
        return not_tried("nobody is Available just now, and with another status it might change something")
    try:
        user = v20.parse_user(free, await client.ask("GET", v20.user_path(free)))
        if user.current_profile_name != AVAILABLE:
            return not_tried(f"{free} has just changed")
        await client.ask("PATCH", v20.change_path(user.id), v20.change_body(AVAILABLE))
    except (Refused, Gone) as error:
        what = f"3CX does not let us set a status: {error}"
        return wrong(Fault.NO_STATUS_WRITE, what, client=pbx.client_id)
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    return fine("3CX takes a change; whether it carries it out: --write-test EXTENSION")


async def write_test(site: Site) -> Verdict:
    """Changes a status and sets it back, by each way of the config, if that was asked for."""
    extension = site.wishes.status_of
    if not extension:
        return not_tried("it changes a status for a moment: --write-test EXTENSION does it")
    if extension not in {number for number, _ in site.served} | set(_served(site)):
        return not_tried(f"nobody in the config has the extension {extension}")
    if not is_paused(site, extension):
        return not_tried(f"the running service serves them: presencebridge pause {extension} first")
    ignored: list[str] = []
    done: list[str] = []
    failed = ""
    for name, way in _ways(site).items():
        try:
            change = await _there_and_back(way, extension)
        except LinkError as error:
            failed = failed or f"{name}: {error}"
            continue
        (done if change.after != change.before else ignored).append(name)
    if done:
        more = f"; {' and '.join(ignored)} is ignored" if ignored else ""
        return fine(f"{extension} was changed and set back by {' and '.join(done)}{more}")
    if ignored:
        what = f"3CX accepts changes of a status by {' and '.join(ignored)} and does not carry them out"
        fault = Fault.BRIDGE_IGNORES if site.web_api else Fault.STATUS_WRITE_IGNORED
        return wrong(fault, what, who=extension)
    return wrong(Fault.STATUS_WRITE_FAILS, failed, who=extension)


async def _there_and_back(way: Any, extension: str) -> StatusChange:
    there: StatusChange = await way.change_status(extension, (AVAILABLE,), AWAY)
    if not there.wrote:  # it was not Available
        back = there.before
        there = await way.change_status(extension, (back,), AVAILABLE)
        if there.after == AVAILABLE:
            await way.change_status(extension, (AVAILABLE,), back)
    elif there.after == AWAY:
        await way.change_status(extension, (AWAY,), AVAILABLE)
    return there


def _ways(site: Site) -> dict[str, Any]:
    if site.web_api is not None:
        return {"3cx-web-API": site.web_api}
    ways: dict[str, Any] = {}
    for name in site.config.pbx.status_via:
        if name == "xapi" and site.v20 is not None:
            ways[name] = V20Statuses(site.v20, site.outside.clock().now)
        elif name == "bridge" and site.status_bridge is not None:
            ways[name] = site.status_bridge
    return ways


async def bridge_of_v20(site: Site, bridge: PbxBridge, http: httpx2.AsyncClient) -> Verdict:
    """The second way of setting statuses: whether it answers, and takes the key."""
    client = status_bridge(bridge, http, site.config.pbx.timeout_s)
    number = next(iter(_served(site)), "")
    if not number:
        return not_tried("nobody is served yet")
    try:
        if isinstance(client, WebApiClient):
            await client.legs()
        # asked for a change from no status at all, it reads and leaves it at that
        await client.change_status(number, (), AVAILABLE)
    except Refused as error:
        if error.status == 401:
            file = str(bridge.api_key_file or "PRESENCEBRIDGE_PBX_BRIDGE_API_KEY")
            return wrong(Fault.STATUS_BRIDGE_KEY, "the bridge for statuses does not take our key", file=file)
        return wrong(Fault.STATUS_BRIDGE_FAILS, str(error))
    except LinkError as error:
        return wrong(Fault.STATUS_BRIDGE_FAILS, str(error))
    site.status_bridge = client
    return fine(f"{bridge.kind} answers")


def _v20(site: Site) -> V20Client:
    assert site.v20 is not None  # noqa: S101 - the token comes first
    return site.v20


def _served(site: Site) -> list[str]:
    """The extensions of everybody who is served, as far as it is known."""
    matched = [one.extension for one in site.matching.served if one.user and not one.excluded]
    return matched or [number for number, _ in site.served]


# The old bridge -----------------------------------------------------------------------------------


async def bridge(site: Site, http: httpx2.AsyncClient) -> Verdict:
    """Whether it is 3cx-web-API, and connected to the PBX: then it tells the calls."""
    pbx = site.config.pbx
    client = WebApiClient(http, pbx.timeout_s)
    port = str(urlsplit(pbx.url).port or 8889)
    try:
        await client.legs()
    except NeverAnswered as error:
        what = f"it takes requests and does not answer them, as when it has lost the PBX: {error}"
        return wrong(Fault.BRIDGE_SILENT, what, port=port)
    except Malformed as error:
        return wrong(Fault.NOT_THE_BRIDGE, f"what answers at {pbx.url} is not 3cx-web-API: {error}")
    except LinkError as error:
        return wrong(Fault.PBX_FAILS, str(error))
    site.web_api = client
    return fine("3cx-web-API answers and tells the calls")


async def bridge_extensions(site: Site) -> Verdict:
    """Whether it knows everybody's extension: it never answers for one that it does not know."""
    client = site.web_api
    assert client is not None  # noqa: S101 - the bridge comes first
    unanswered = []
    for number, _ in site.served:
        try:
            site.statuses[number] = await client.status(number)
        except NeverAnswered:
            unanswered.append(number)
        except LinkError as error:
            return wrong(Fault.STATUS_NAME_UNKNOWN, str(error), who=number)
    if unanswered:
        what = f"the bridge never answers for {listed(unanswered)}, as for an extension that is not there"
        return wrong(Fault.EXTENSIONS_UNANSWERED, what, who=", ".join(unanswered))
    return fine(f"the status of all {len(site.served)} can be read")
