"""XAPI, the configuration REST API: users, active calls, system, the API clients.

Paths, shapes and status codes are those of `swagger.yaml` in 3cx/xapi-tutorial (1c6947c), the error
tokens those of its `Pbx.ODataErrors`; no ETag is asked for, and a PATCH answers 204 with no body.
"""

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import Response

from presencebridge.emulators.pbx_model import PROFILES
from presencebridge.emulators.v20 import errors, schema, settings, version
from presencebridge.emulators.v20.entities import (
    Collection,
    Singleton,
    answered,
    context,
    json_of,
)
from presencebridge.emulators.v20.errors import odata_error
from presencebridge.emulators.v20.odata import Kind, Options, context_of, listed, named, shaped

if TYPE_CHECKING:
    from presencebridge.emulators.v20.emulator import V20Emulator

_Handler = Callable[[Request, Options, dict[str, str]], Awaitable[Response] | Response]
_NUMBER = r"'(?P<number>(?:[^']|'')*)'"


class Xapi:
    """One method a route."""

    def __init__(self, emulator: "V20Emulator") -> None:
        self._emulator = emulator
        self._principals = Collection(
            "ServicePrincipals", schema.SERVICE_PRINCIPAL, lambda: own_principal(emulator)
        )
        default = {"Id": 1, "Number": "GRP0000", "Name": "DEFAULT", "IsDefault": True, "Language": "EN"}
        self._groups = Collection("Groups", schema.GROUP, lambda: default, self._with_members)
        kept = emulator.settings
        changeable = (
            Singleton("GeneralSettingsForApps", settings.APPS, lambda: kept.apps),
            Singleton("DialCodeSettings", settings.DIAL_CODES, lambda: kept.dial_codes),
            Singleton(
                "Microsoft365Integration",
                settings.MICROSOFT365,
                lambda: kept.microsoft365,
                self._of_this_version,
            ),
        )
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
            ("GET", r"LicenseStatus", self.license_status),
        ]
        for singleton in changeable:
            table += [("GET", singleton.name, singleton.get), ("PATCH", singleton.name, singleton.update)]
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
        given = schema.checked(await json_of(request))
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
        change = schema.checked(await json_of(request))
        if "CurrentProfileName" in change:
            change["CurrentProfileName"] = self._meant(user, change["CurrentProfileName"])
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
        given = await json_of(request)
        dn, destination = given.get("dn"), given.get("destination")
        if not destination:
            raise odata_error(400, errors.REQUIRED, "destination")
        if dn is None or self._emulator.pbx.user(dn) is None:
            raise odata_error(404, errors.NOT_FOUND, "dn")
        answer = self._emulator.call_control.dial(dn, destination)
        result = {_PASCAL[name]: value for name, value in answer["result"].items() if name in _PASCAL}
        shown = {"FinalStatus": answer["finalstatus"], "Reason": answer["reason"]}
        return answered({**shown, "ReasonText": answer["reasontext"], "Result": result})

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
        return answered({})

    # System

    def defs(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        return self._entity(request, "Defs", {"Id": 0}, Kind(named("Id")), options)

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
        names = self._emulator.settings.custom_names
        parameters = {
            **dict.fromkeys(sorted(settings.SYSTEM_PARAMETERS.properties)),
            "Version": running,
            "FQDN": request.url.hostname,
            "Custom1Name": names["Custom 1"],
            "Custom2Name": names["Custom 2"],
            "HttpPort": 5000,
            "HttpsPort": 5001,
            "IsHosted": False,
            "License": licence,
        }
        return answered({"@odata.context": context(request, "Pbx.SystemParameters"), **parameters})

    def system_status(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        users = self._emulator.pbx.users.values()
        status = {
            **dict.fromkeys(sorted(settings.SYSTEM_STATUS.properties)),
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
        return self._entity(request, "SystemStatus", status, settings.SYSTEM_STATUS, options)

    def system_health(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        health = {"Id": 0, "Firewall": True, "Phones": True, "Trunks": True}
        counts = {"CustomTemplatesCount": 0, "UnsupportedFirmwaresCount": 0}
        return answered({"@odata.context": context(request, "Pbx.SystemHealthStatus"), **health, **counts})

    def license_status(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        ends = self._moment(self._emulator.clock.now() + 365 * 86_400)
        status: dict[str, Any] = {
            **dict.fromkeys(sorted(settings.LICENSE.properties)),
            "Activated": True,
            "LicenseActive": True,
            "LicenseKey": "EMULATED",
            "ActiveModules": [],
            "ExpirationDate": ends,
            "MaintenanceExpiresAt": ends,
            "ProductCode": "3CXPSENT",
            "MaxSimCalls": 16,
            "Version": self._emulator.version,
        }
        return self._entity(request, "LicenseStatus", status, settings.LICENSE, options)

    # --

    def _user(self, user_id: str) -> dict[str, Any]:
        user = self._emulator.pbx.users.get(int(user_id))
        if user is None:
            raise odata_error(404, errors.NOT_FOUND)
        return user

    def _shown(self, user: dict[str, Any]) -> dict[str, Any]:
        faults, profile = self._emulator.faults, user["CurrentProfileName"]
        if faults.override_shown:
            profile = faults.status_override.get(user["Number"], profile)
        if faults.profile_names == "shown":
            profile = self._emulator.settings.label(user, profile)
        if profile == user["CurrentProfileName"]:
            return user
        return {**user, "CurrentProfileName": profile}

    def _meant(self, user: dict[str, Any], name: Any) -> Any:
        """The profile that is meant; where users' own labels are told they are understood as well."""
        if self._emulator.faults.profile_names == "internal":
            return name
        labels = {self._emulator.settings.label(user, profile): profile for profile in PROFILES}
        return labels.get(name, name)

    def _with_members(self, group: dict[str, Any]) -> dict[str, Any]:
        members = [
            membership
            for user in self._emulator.pbx.users.values()
            for membership in user["Groups"]
            if membership.get("GroupId") == group["Id"]
        ]
        lists = {"Groups": [], "OfficeHolidays": [], "Rights": [], "Members": members}
        return {**lists, **group, "HasMembers": bool(members)}

    def _of_this_version(self, microsoft365: dict[str, Any]) -> dict[str, Any]:
        users = dict(microsoft365["AdUsers"])
        if not version.since(self._emulator.version, version.STATUS_SYNC):
            users.pop("StatusSyncConfiguration", None)
        return {**microsoft365, "AdUsers": users}

    def _check_profile(self, change: dict[str, Any]) -> None:
        if change.get("CurrentProfileName", PROFILES[0]) not in PROFILES:
            raise odata_error(400, errors.NOT_FOUND, "CurrentProfileName")

    def _listing(
        self, request: Request, name: str, entities: list[dict[str, Any]], kind: Kind, options: Options
    ) -> Response:
        page, count = listed(entities, kind, options, self._emulator.faults.default_page_size)
        body: dict[str, Any] = {"@odata.context": context(request, name + context_of(options))}
        if count is not None:
            body["@odata.count"] = count
        return answered({**body, "value": page})

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
        one = "/$entity" if name == "Users" else ""
        told = context(request, f"{name}{context_of(options)}{one}")
        return answered({"@odata.context": told, **shown}, status)

    def _moment(self, seconds: float) -> str:
        """In base time, so that a client on the real clock reads true durations."""
        return moment(self._emulator.clock.shown(seconds))


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
            "MemberOf": [],
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
