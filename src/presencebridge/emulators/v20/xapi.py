"""XAPI, the configuration REST API: users, active calls, system, the API clients.

Paths, shapes and status codes are those of `swagger.yaml` in 3cx/xapi-tutorial (1c6947c), the error
tokens those of its `Pbx.ODataErrors`; no ETag is asked for, and a PATCH answers 204 with no body.
"""

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from presencebridge.emulators.pbx_model import PROFILES
from presencebridge.emulators.v20 import errors, schema, version
from presencebridge.emulators.v20.errors import odata_error
from presencebridge.emulators.v20.odata import Kind, Options, context_of, listed, shaped

if TYPE_CHECKING:
    from presencebridge.emulators.v20.emulator import V20Emulator

PREFIX = "/xapi/v1"

_Handler = Callable[[Request, Options, dict[str, str]], Awaitable[Response] | Response]
_NUMBER = r"'(?P<number>(?:[^']|'')*)'"


class Xapi:
    """One method a route."""

    def __init__(self, emulator: "V20Emulator") -> None:
        self._emulator = emulator
        self._principals = Collection(
            "ServicePrincipals", schema.SERVICE_PRINCIPAL, lambda: own_principal(emulator)
        )
        group = {"Id": 1, "Number": "GRP0000", "Name": "DEFAULT"}
        self._groups = Collection("Groups", schema.GROUP, lambda: group)
        table: list[tuple[str, str, _Handler]] = [
            ("GET", r"Users", self.list_users),
            ("POST", r"Users", self.create_user),
            ("POST", r"Users/(?:Pbx\.)?MakeCall", self.make_call),
            ("GET", r"Users\((?P<id>-?\d+)\)", self.get_user),
            ("PATCH", r"Users\((?P<id>-?\d+)\)", self.update_user),
            ("DELETE", r"Users\((?P<id>-?\d+)\)", self.delete_user),
            ("GET", rf"Users\(Number={_NUMBER}\)", self.get_user_by_number),
            ("GET", rf"Users/(?:Pbx\.)?GetByNumber\(number={_NUMBER}\)", self.get_user_by_number_before),
            ("GET", r"Users\((?P<id>-?\d+)\)/ForwardingProfiles", self.list_profiles),
            ("GET", r"Users\((?P<id>-?\d+)\)/Groups", self.list_groups_of_user),
            ("GET", r"MyUser(?:/ForwardingProfiles)?", self.my_user),
            ("PATCH", r"MyUser", self.my_user),
            ("GET", r"ActiveCalls", self.list_active_calls),
            ("POST", r"ActiveCalls\((?P<id>-?\d+)\)/(?:Pbx\.)?DropCall", self.drop_call),
            ("GET", r"Defs", self.defs),
            ("GET", r"Defs/(?:Pbx\.)?GetSystemParameters\(\)", self.system_parameters),
            ("GET", r"SystemStatus", self.system_status),
            ("GET", r"SystemStatus/(?:Pbx\.)?SystemHealthStatus\(\)", self.system_health),
            ("GET", r"Microsoft365Integration", self.microsoft365),
        ]
        for collection in (self._principals, self._groups):
            name = collection.name
            table += [
                ("GET", name, collection.list_all),
                ("POST", name, collection.create),
                ("GET", rf"{name}\((?P<id>-?\d+)\)", collection.get),
                ("PATCH", rf"{name}\((?P<id>-?\d+)\)", collection.update),
                ("DELETE", rf"{name}\((?P<id>-?\d+)\)", collection.delete),
            ]
        self._table = [(method, re.compile(pattern), handler) for method, pattern, handler in table]

    async def respond(self, request: Request, path: str) -> Response:
        """Raises `ApiError`. The path is what stands behind the prefix, still encoded."""
        plain = unquote(path).strip("/")
        if any(part in plain for part in self._emulator.faults.forbidden):
            raise odata_error(403, "Forbidden")
        allowed = []
        for method, pattern, handler in self._table:
            if match := pattern.fullmatch(plain):
                if method != request.method:
                    allowed.append(method)
                    continue
                options = Options.of(parse_qsl(request.url.query, keep_blank_values=True))
                answer = handler(request, options, match.groupdict())
                return answer if isinstance(answer, Response) else await answer
        if allowed:
            return Response(status_code=405, headers={"Allow": ", ".join(allowed)})
        raise odata_error(404, errors.NOT_FOUND)

    # Users

    def list_users(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        users = [self._shown(user) for user in self._emulator.pbx.users.values()]
        return self._listing(request, "Users", users, schema.USER, options)

    def get_user(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        return self._entity(request, "Users", self._shown(self._user(found["id"])), schema.USER, options)

    def get_user_by_number(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        return self._by_number(request, options, found, since=True)

    def get_user_by_number_before(
        self, request: Request, options: Options, found: dict[str, str]
    ) -> Response:
        return self._by_number(request, options, found, since=False)

    def _by_number(
        self, request: Request, options: Options, found: dict[str, str], *, since: bool
    ) -> Response:
        """Users(Number='...') came with 20.0.8, and took Pbx.GetByNumber's place."""
        user = self._emulator.pbx.user(found["number"].replace("''", "'"))
        if user is None or version.since(self._emulator.version, version.USERS_BY_NUMBER) != since:
            raise odata_error(404, errors.NOT_FOUND)
        return self._entity(request, "Users", self._shown(user), schema.USER, options)

    async def create_user(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        given = schema.checked(await _json_of(request))
        given.pop("Id", None)
        number = given.get("Number")
        pbx = self._emulator.pbx
        if number and (pbx.type_of(number) or not number.isdecimal()):
            raise odata_error(400, errors.ALREADY_IN_USE, "Number")
        self._check_profile(given)
        user = pbx.add_user({name: value for name, value in given.items() if value is not None})
        self._emulator.settle()
        return self._entity(request, "Users", user, schema.USER, options, status=201)

    async def update_user(self, request: Request, _: Options, found: dict[str, str]) -> Response:
        user = self._user(found["id"])
        change = schema.checked(await _json_of(request))
        if change.get("Number", user["Number"]) != user["Number"]:
            raise odata_error(400, errors.FORBIDDEN_CHANGE, "Number")
        self._check_profile(change)
        if "CurrentProfileName" in change and self._emulator.faults.patch_profile != "applied":
            if self._emulator.faults.patch_profile == "error":
                raise odata_error(400, errors.FORBIDDEN_CHANGE, "CurrentProfileName")
            del change["CurrentProfileName"]
        change.pop("Id", None)
        self._emulator.pbx.change_user(user, change)
        self._emulator.settle()
        return Response(status_code=204)

    def delete_user(self, _: Request, __: Options, found: dict[str, str]) -> Response:
        self._emulator.pbx.remove_user(self._user(found["id"]))
        self._emulator.settle()
        return Response(status_code=204)

    def list_profiles(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        profiles = self._user(found["id"])["ForwardingProfiles"]
        name = f"Users({found['id']})/ForwardingProfiles"
        return self._listing(request, name, profiles, schema.FORWARDING_PROFILE, options)

    def list_groups_of_user(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        groups = self._user(found["id"])["Groups"]
        return self._listing(request, f"Users({found['id']})/Groups", groups, schema.USER_GROUP, options)

    def my_user(self, _: Request, __: Options, ___: dict[str, str]) -> Response:
        """An API client is no user."""
        raise odata_error(404, errors.NOT_FOUND)

    async def make_call(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        given = await _json_of(request)
        dn, destination = given.get("dn"), given.get("destination")
        if not destination:
            raise odata_error(400, errors.REQUIRED, "destination")
        if dn is None or self._emulator.pbx.user(dn) is None:
            raise odata_error(404, errors.NOT_FOUND, "dn")
        answer = self._emulator.call_control.dial(dn, destination)
        result = {_PASCAL[name]: value for name, value in answer["result"].items() if name in _PASCAL}
        shown = {"FinalStatus": answer["finalstatus"], "Reason": answer["reason"]}
        return _json({**shown, "ReasonText": answer["reasontext"], "Result": result})

    # Calls

    def list_active_calls(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        emulator = self._emulator
        now = emulator.clock.now()
        calls = [
            {
                "Id": call.id,
                "Caller": call.caller,
                "Callee": call.callee,
                "Status": call.status,
                "LastChangeStatus": self._moment(call.changed),
                "EstablishedAt": None if call.established is None else self._moment(call.established),
                "ServerNow": self._moment(now),
            }
            for call in emulator.active_calls.seen(now, emulator.faults.active_calls_lag_s)
        ]
        return self._listing(request, "ActiveCalls", calls, schema.ACTIVE_CALL, options)

    def drop_call(self, _: Request, __: Options, found: dict[str, str]) -> Response:
        call = int(found["id"])
        if not self._emulator.pbx.calls.has_call(call):
            raise odata_error(404, errors.NOT_FOUND)
        self._emulator.pbx.calls.end_call(call)
        self._emulator.settle()
        return _json({})

    # System

    def defs(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        return self._entity(request, "Defs", {"Id": 0}, Kind(frozenset({"Id"})), options)

    def system_parameters(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        running = self._emulator.version
        licence = {
            "MaxSimCalls": 16,
            "ProductCode": "3CXPSENT",
            "CountryCode": "",
            "IsMaintainceExpired": False,
        }
        if version.since(running, version.LICENSE_FLAGS):
            licence |= {"IsEnterprise": True, "IsProfessional": True, "IsCfdEnabled": True}
        return _json(
            {
                "@odata.context": f"{_base(request)}$metadata#Pbx.SystemParameters",
                "Version": running,
                "FQDN": request.url.hostname,
                "Custom1Name": "",
                "Custom2Name": "",
                "HttpPort": 5000,
                "HttpsPort": 5001,
                "IsHosted": False,
                "License": licence,
            }
        )

    def system_status(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        users = self._emulator.pbx.users.values()
        status = {
            "Id": 0,
            "Version": self._emulator.version,
            "FQDN": request.url.hostname,
            "Activated": True,
            "LicenseActive": True,
            "ExpirationDate": self._moment(self._emulator.clock.now() + 365 * 86_400),
            "ProductCode": "3CXPSENT",
            "MaxSimCalls": 16,
            "CallsActive": len(self._emulator.pbx.calls.calls()),
            "ExtensionsTotal": len(users),
            "ExtensionsRegistered": sum(bool(user["IsRegistered"]) for user in users),
            "UserExtensions": len(users),
            "OS": "Linux",
            "HasNotRunningServices": False,
        }
        return self._entity(request, "SystemStatus", status, Kind(frozenset(status)), options)

    def system_health(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        health = {"Id": 0, "Firewall": True, "Phones": True, "Trunks": True}
        counts = {"CustomTemplatesCount": 0, "UnsupportedFirmwaresCount": 0}
        context = f"{_base(request)}$metadata#Pbx.SystemHealthStatus"
        return _json({"@odata.context": context, **health, **counts})

    def microsoft365(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        shown = {"Id": 0, **self._emulator.microsoft365}
        if not version.since(self._emulator.version, version.STATUS_SYNC):
            shown["AdUsers"] = {
                name: value for name, value in shown["AdUsers"].items() if name != "StatusSyncConfiguration"
            }
        return self._entity(request, "Microsoft365Integration", shown, Kind(frozenset(shown)), options)

    # --

    def _user(self, user_id: str) -> dict[str, Any]:
        user = self._emulator.pbx.users.get(int(user_id))
        if user is None:
            raise odata_error(404, errors.NOT_FOUND)
        return user

    def _shown(self, user: dict[str, Any]) -> dict[str, Any]:
        faults = self._emulator.faults
        if faults.override_shown and user["Number"] in faults.status_override:
            return {**user, "CurrentProfileName": faults.status_override[user["Number"]]}
        return user

    def _check_profile(self, change: dict[str, Any]) -> None:
        if change.get("CurrentProfileName", PROFILES[0]) not in PROFILES:
            raise odata_error(400, errors.NOT_FOUND, "CurrentProfileName")

    def _listing(
        self, request: Request, name: str, entities: list[dict[str, Any]], kind: Kind, options: Options
    ) -> Response:
        page, count = listed(entities, kind, options, self._emulator.faults.default_page_size)
        body: dict[str, Any] = {"@odata.context": f"{_base(request)}$metadata#{name}{context_of(options)}"}
        if count is not None:
            body["@odata.count"] = count
        return _json({**body, "value": page})

    def _entity(
        self,
        request: Request,
        name: str,
        entity: dict[str, Any],
        kind: Kind,
        options: Options,
        status: int = 200,
    ) -> Response:
        shown = shaped(entity, kind, options)
        context = f"{_base(request)}$metadata#{name}{context_of(options)}"
        one = "/$entity" if name == "Users" else ""
        return _json({"@odata.context": context + one, **shown}, status)

    def _moment(self, seconds: float) -> str:
        """In base time, so that a client on the real clock reads true durations."""
        return moment(self._emulator.clock.shown(seconds))


class Collection:
    """A set of entities that can be kept and changed, without what the PBX would do with them."""

    def __init__(self, name: str, kind: Kind, first: Callable[[], dict[str, Any]]) -> None:
        self.name = name
        self._kind = kind
        self._first = first
        self._entities: dict[int, dict[str, Any]] = {}

    def list_all(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        page, count = listed([self._first(), *self._entities.values()], self._kind, options)
        body: dict[str, Any] = {
            "@odata.context": f"{_base(request)}$metadata#{self.name}{context_of(options)}"
        }
        return _json({**body, **({} if count is None else {"@odata.count": count}), "value": page})

    def get(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        entity = self._entity(found["id"])
        context = f"{_base(request)}$metadata#{self.name}{context_of(options)}/$entity"
        return _json({"@odata.context": context, **shaped(entity, self._kind, options)})

    async def create(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        given = await _json_of(request)
        entity_id = max(self._entities, default=1) + 1
        number = given.get("Number") or f"{self.name[:3].upper()}{entity_id:04d}"
        taken = {entity["Number"] for entity in (self._first(), *self._entities.values())}
        if number in taken:
            raise odata_error(400, errors.ALREADY_IN_USE, "Number")
        entity = {**given, "Id": entity_id, "Number": number}
        self._entities[entity_id] = entity
        context = f"{_base(request)}$metadata#{self.name}/$entity"
        return _json({"@odata.context": context, **entity}, 201)

    async def update(self, request: Request, _: Options, found: dict[str, str]) -> Response:
        entity = self._changeable(found["id"])
        change = await _json_of(request)
        if change.get("Number", entity["Number"]) != entity["Number"]:
            raise odata_error(400, errors.FORBIDDEN_CHANGE, "Number")
        entity.update({name: value for name, value in change.items() if name != "Id"})
        return Response(status_code=204)

    def delete(self, _: Request, __: Options, found: dict[str, str]) -> Response:
        del self._entities[self._changeable(found["id"])["Id"]]
        return Response(status_code=204)

    def _entity(self, entity_id: str) -> dict[str, Any]:
        first = self._first()
        entity = first if int(entity_id) == first["Id"] else self._entities.get(int(entity_id))
        if entity is None:
            raise odata_error(404, errors.NOT_FOUND)
        return entity

    def _changeable(self, entity_id: str) -> dict[str, Any]:
        """The first one is made by the emulator, and stays."""
        if self._entity(entity_id)["Id"] not in self._entities:
            raise odata_error(400, errors.FORBIDDEN_CHANGE)
        return self._entities[int(entity_id)]


def own_principal(emulator: "V20Emulator") -> dict[str, Any]:
    """The API client itself, as it stands among the others; its peers are what it monitors."""
    pbx, used = emulator.pbx, emulator.tokens.last_used
    peers = [
        {
            "Id": user["Id"],
            "Number": user["Number"],
            "Name": user["DisplayName"],
            "Type": "Extension",
            "Hidden": False,
            "Tags": [],
        }
        for user in pbx.users.values()
        if emulator.monitored is not None and emulator.monitors(user["Number"])
    ]
    shown: dict[str, Any] = {
        "Id": 1,
        "Number": pbx.client_id,
        "XAPIEnabled": True,
        "CallControlEnabled": True,
        "LastUsed": None if used is None else moment(used),
        "TranscriptionMode": "Inherit",
        "Groups": [],
        "Peers": peers,
    }
    if version.since(emulator.version, version.MYPHONE_FOR_CLIENTS):
        shown["MyPhoneEnabled"] = False
    return shown


def moment(seconds: float) -> str:
    """A date and time as XAPI writes it."""
    when = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06d}Z"


_PASCAL = {
    "id": "Id",
    "status": "Status",
    "dn": "DN",
    "party_caller_name": "PartyCallerName",
    "party_dn": "PartyDn",
    "party_caller_id": "PartyCallerId",
    "device_id": "DeviceId",
    "party_dn_type": "PartyDnType",
    "direct_control": "DirectControl",
    "callid": "CallId",
    "legid": "LegId",
}


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{PREFIX}/"


async def _json_of(request: Request) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise odata_error(400, "The request body is not valid JSON.") from error
    if not isinstance(found, dict):
        raise odata_error(400, "The request body must be a JSON object.")
    return found


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json; charset=utf-8")
