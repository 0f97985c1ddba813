"""Reading and writing presence.

From learn.microsoft.com/graph/api: presence-get, presence-setpresence, presence-clearpresence,
 presence-setuserpreferredpresence, presence-clearuserpreferredpresence,
presence-setstatusmessage, presence-setmanuallocation, cloudcommunications-getpresencesbyuserid.
"""

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from presencebridge.emulators.graph import presence, wire
from presencebridge.emulators.graph.board import StatusMessage
from presencebridge.emulators.graph.calls import Answer, Call
from presencebridge.emulators.graph.errors import (
    GraphError,
    bad_request,
    forbidden,
    invalid_argument,
    not_found,
)
from presencebridge.emulators.graph.presence import Pair, Preferred
from presencebridge.emulators.world import User

IDS_AT_MOST = 650
SHORTEST_S, LONGEST_S = 5 * 60.0, 4 * 3600.0
_DAY_S = 86400.0

_READ_APP = ("Presence.Read.All", "Presence.ReadWrite.All")
_PROPERTIES = (
    *("id", "availability", "activity", "statusMessage", "outOfOfficeSettings"),
    *("workLocation", "sequenceNumber"),
)

_Action = Callable[[Call, User, Mapping[str, Any]], None]


async def read(call: Call) -> Answer:
    user = call.user
    own = ("Presence.Read", "Presence.ReadWrite") if call.is_about_me(user) else ()
    call.need(forbidden(), app=_READ_APP, delegated=("Presence.Read.All", *own))
    fragment = f"users('{user.id}')/presence/$entity"
    if "/communications/" in call.request.url.path:
        fragment = "communications/presences/$entity"
    row = _row(call, user, is_own=call.is_about_me(user))
    select = call.request.query_params.get("$select")
    return Answer(200, {"@odata.context": call.context(fragment), **_selected(row, select)})


async def read_many(call: Call) -> Answer:
    """At most 650 ids. What becomes of an unknown id isn't documented: here it is left out."""
    body = wire.parameters(call.json, "getPresencesByUserId", ("ids",))
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(key, str) for key in ids):
        raise invalid_argument("[Ids]: The Ids field is required.")
    call.need(forbidden(), app=_READ_APP, delegated=("Presence.Read.All",))
    if len(ids) > IDS_AT_MOST:
        raise invalid_argument(f"The number of ids must not be more than {IDS_AT_MOST}.")
    by_id = {user.id.casefold(): user for user in call.emulator.directory.users}
    wanted = dict.fromkeys(key.casefold() for key in ids)
    rows = [_row(call, by_id[key], is_own=False) for key in wanted if key in by_id]
    context = call.context("Collection(microsoft.graph.presence)")
    return Answer(200, {"@odata.context": context, "value": rows})


async def act(call: Call) -> Answer:
    """Any of the actions. A body that lacks something is refused before a permission is looked at.

    Microsoft's pages say 200 with an empty body, its OpenAPI 204: live tenants answer 200.
    """
    name = call.request.path_params["action"].removeprefix("microsoft.graph.")
    if name not in _ACTIONS:
        raise GraphError(404, "BadRequest", f"Resource not found for the segment '{name}'.")
    check, perform, known = _ACTIONS[name]
    needs_body = bool(known)
    given = wire.parameters(call.json if needs_body or call.raw.strip() else {}, name, known)
    user = call.user
    check(given)
    app = () if name in _LOCATION else ("Presence.ReadWrite.All",)
    call.need(forbidden(), app=app, delegated=("Presence.ReadWrite",))
    if not call.access.app_only and not call.is_about_me(user):
        raise GraphError(401, "Unauthorized", "Cannot set the presence of another user")
    perform(call, user, given)
    return Answer(200)


# -- sessions


def _set_presence(call: Call, user: User, given: Mapping[str, Any]) -> None:
    pair = _pair(given, presence.SETTABLE)
    lasting = _duration(given, SHORTEST_S)
    if not SHORTEST_S <= lasting <= LONGEST_S:
        raise invalid_argument("The provided [ExpirationDuration] is out of range.")
    emulator = call.emulator
    now = emulator.clock.now()
    before = emulator.board.entry(user.id).presence
    emulator.put_presence(user, presence.told(before, given["sessionId"], pair, now, now + lasting))


def _clear_presence(call: Call, user: User, given: Mapping[str, Any]) -> None:
    emulator = call.emulator
    before = emulator.board.entry(user.id).presence
    session = presence.session_of(before, given["sessionId"], emulator.clock.now())
    # The Teams client's own session has a name on the control port only.
    if session is None or session.session_id == presence.CLIENT_SESSION:
        raise not_found("The presence session was not found.")
    emulator.put_presence(user, presence.without_session(before, given["sessionId"]))


def _set_preferred(call: Call, user: User, given: Mapping[str, Any]) -> None:
    pair = _pair(given, presence.PREFERABLE)
    usual = _DAY_S if pair.availability in {"Busy", "DoNotDisturb"} else 7 * _DAY_S
    lasting = _duration(given, usual)
    if lasting <= 0:
        raise invalid_argument("The provided [ExpirationDuration] is out of range.")
    emulator = call.emulator
    before = emulator.board.entry(user.id).presence
    preferred = Preferred(pair, emulator.clock.now() + lasting)
    emulator.put_presence(user, presence.preferring(before, preferred))


def _clear_preferred(call: Call, user: User, _given: Mapping[str, Any]) -> None:
    # Seen on live tenants: clearing what isn't there is a success too.
    before = call.emulator.board.entry(user.id).presence
    call.emulator.put_presence(user, presence.preferring(before, None))


# -- the status message


def _set_message(call: Call, user: User, given: Mapping[str, Any]) -> None:
    emulator = call.emulator
    now = emulator.clock.now()
    content, until = _message(given)
    expires = None if until is None else emulator.clock.meant(until)
    entry = emulator.board.entry(user.id)
    # No action clears a message; an empty one is the obvious way and is taken as such.
    entry.message = StatusMessage(content, now, expires) if content else None
    emulator.board.touch(user.id, now)


def _message(given: Mapping[str, Any]) -> tuple[str, float | None]:
    whole = given.get("statusMessage")
    if not isinstance(whole, dict):
        raise invalid_argument("[StatusMessage]: The StatusMessage field is required.")
    _closed(whole, "presenceStatusMessage", ("message", "expiryDateTime", "publishedDateTime"))
    item = whole.get("message") or {}
    if not isinstance(item, dict):
        raise bad_request("'message' must be an itemBody.")
    _closed(item, "itemBody", ("content", "contentType"))
    if (item.get("contentType") or "text") != "text":
        raise invalid_argument("The content type of a status message must be text.")
    content = item.get("content") or ""
    if not isinstance(content, str):
        raise bad_request("'content' must be a string.")
    return content, _until(whole.get("expiryDateTime"))


def _until(end: Any) -> float | None:
    """A dateTimeTimeZone. Names of time zones are those of the IANA, or UTC."""
    if end is None:
        return None
    if not isinstance(end, dict):
        raise bad_request("'expiryDateTime' must be a dateTimeTimeZone.")
    _closed(end, "dateTimeTimeZone", ("dateTime", "timeZone"))
    moment = wire.epoch(end.get("dateTime") or "") if isinstance(end.get("dateTime"), str) else None
    if moment is None:
        raise invalid_argument("The provided [ExpiryDateTime] is invalid.")
    zone = end.get("timeZone") or "UTC"
    try:
        return wire.in_zone(moment, ZoneInfo(zone))
    except (KeyError, ValueError, TypeError, OSError):
        raise invalid_argument(f"The provided time zone '{zone}' is invalid.") from None


# -- the work location: learn.microsoft.com/graph/api/resources/userworklocation, delegated only


def _set_location(source: str) -> _Action:
    def perform(call: Call, user: User, given: Mapping[str, Any]) -> None:
        location = {
            "placeId": wire.text_of(given, "placeId"),
            "source": source,
            "workLocationType": given["workLocationType"],
        }
        entry = call.emulator.board.entry(user.id)
        if source == "manual":
            entry.manual_location = location
        else:
            entry.automatic_location = location
        call.emulator.board.touch(user.id, call.emulator.clock.now())

    return perform


def _clear_automatic(call: Call, user: User, _given: Mapping[str, Any]) -> None:
    call.emulator.board.entry(user.id).automatic_location = None
    call.emulator.board.touch(user.id, call.emulator.clock.now())


def _clear_location(call: Call, user: User, given: Mapping[str, Any]) -> None:
    call.emulator.board.entry(user.id).manual_location = None
    _clear_automatic(call, user, given)


# -- checks that come before the permission


def _need_session(given: Mapping[str, Any]) -> None:
    if not wire.text_of(given, "sessionId"):
        raise invalid_argument("[SessionId]: The SessionId field is required.")


def _need_pair(given: Mapping[str, Any]) -> None:
    for name, label in (("availability", "Availability"), ("activity", "Activity")):
        if not wire.text_of(given, name):
            raise invalid_argument(f"[{label}]: The {label} field is required.")


def _need_session_and_pair(given: Mapping[str, Any]) -> None:
    _need_session(given)
    _need_pair(given)


def _need_message(given: Mapping[str, Any]) -> None:
    _message(given)


def _need_location(given: Mapping[str, Any]) -> None:
    if given.get("workLocationType") not in {"office", "remote", "timeOff"}:
        raise invalid_argument("[WorkLocationType]: The value must be one of office, remote, timeOff.")


def _need_nothing(given: Mapping[str, Any]) -> None:
    pass


_PAIR = ("availability", "activity", "expirationDuration")
_PLACE = ("workLocationType", "placeId")
_ACTIONS: Mapping[str, tuple[Callable[[Mapping[str, Any]], None], _Action, tuple[str, ...]]] = {
    "setPresence": (_need_session_and_pair, _set_presence, ("sessionId", *_PAIR)),
    "clearPresence": (_need_session, _clear_presence, ("sessionId",)),
    "setUserPreferredPresence": (_need_pair, _set_preferred, _PAIR),
    "clearUserPreferredPresence": (_need_nothing, _clear_preferred, ()),
    "setStatusMessage": (_need_message, _set_message, ("statusMessage",)),
    "setManualLocation": (_need_location, _set_location("manual"), _PLACE),
    "setAutomaticLocation": (_need_location, _set_location("automatic"), _PLACE),
    "clearAutomaticLocation": (_need_nothing, _clear_automatic, ()),
    "clearLocation": (_need_nothing, _clear_location, ()),
}
_LOCATION = frozenset(name for name in _ACTIONS if name.endswith("Location"))


def _pair(given: Mapping[str, Any], allowed: frozenset[Pair]) -> Pair:
    pair = Pair(given["availability"], given["activity"])
    if pair not in allowed:
        raise invalid_argument(
            f"The combination of availability '{pair.availability}' and activity '{pair.activity}' is not "
            "supported."
        )
    return pair


def _duration(given: Mapping[str, Any], otherwise: float) -> float:
    text = wire.text_of(given, "expirationDuration")
    if text is None:
        return otherwise
    seconds = wire.duration_s(text)
    if seconds is None:
        raise bad_request(f"Cannot convert the literal '{text}' to the expected type 'Edm.Duration'.")
    return seconds


def _closed(value: Mapping[str, Any], kind: str, known: tuple[str, ...]) -> None:
    for name in value:
        if "@" not in name and name not in known:
            raise bad_request(f"The property '{name}' does not exist on type 'microsoft.graph.{kind}'.")


# -- what is read


def _row(call: Call, user: User, *, is_own: bool) -> dict[str, Any]:
    emulator = call.emulator
    entry = emulator.board.entry(user.id)
    return {
        "id": user.id,
        "availability": entry.published.availability,
        "activity": entry.published.activity,
        "statusMessage": _message_row(call, entry.message, is_own=is_own),
        "outOfOfficeSettings": {"message": None, "isOutOfOffice": False},
        "workLocation": entry.manual_location or entry.automatic_location,
        "sequenceNumber": entry.sequence,
    }


def _message_row(call: Call, message: StatusMessage | None, *, is_own: bool) -> dict[str, Any] | None:
    """Another user's message comes without its dates; one without an end reads the year 9999."""
    clock = call.emulator.clock
    if message is None or (message.expires is not None and message.expires <= clock.now()):
        return None
    row: dict[str, Any] = {"message": {"content": message.content, "contentType": "text"}}
    if is_own:
        end = "9999-12-31T00:00:00.0000000"
        if message.expires is not None:
            end = wire.moment(clock.shown(message.expires)).rstrip("Z")
        row["publishedDateTime"] = wire.moment(clock.shown(message.published))
        row["expiryDateTime"] = {"dateTime": end, "timeZone": "UTC"}
    return row


def _selected(row: Mapping[str, Any], select: str | None) -> dict[str, Any]:
    if not select:
        return dict(row)
    names = [name.strip() for name in select.split(",")]
    for name in names:
        if name not in _PROPERTIES:
            raise bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                "'microsoft.graph.presence'."
            )
    return {name: row[name] for name in names}
