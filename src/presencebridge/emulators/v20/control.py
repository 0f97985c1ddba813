"""The control port: plain HTTP and JSON by which a test, or `curl`, plays the people and the trouble.

Every refusal is `{"error": ...}` with the cure in it. See docs/emulator-3cx-v20.md.
"""

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from presencebridge.emulators import world
from presencebridge.emulators.control_kit import (
    Refusal,
    json_answer,
    not_routed,
    read,
    refused,
    require_known,
    since,
)
from presencebridge.emulators.pbx_model import PROFILES
from presencebridge.emulators.played_calls import LegGiven, PlayedCalls, leg_shown, new_legs
from presencebridge.emulators.v20.faults import Faults, merged
from presencebridge.emulators.v20.pbx import Device, properties_of
from presencebridge.emulators.v20.settings import SYNCED_M365, SYNCED_PBX
from presencebridge.emulators.v20.sockets import Closing

if TYPE_CHECKING:
    from presencebridge.emulators.v20.emulator import V20Emulator

_QUEUE_STATES = ("LoggedOut", "LoggedIn")


class DeviceGiven(msgspec.Struct, forbid_unknown_fields=True):
    device_id: str
    user_agent: str = ""


class ExtensionChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    status: str | None = None
    custom_names: dict[str, str] | None = None
    queue_status: str | None = None
    devices: tuple[DeviceGiven, ...] | None = None


class ExtensionGiven(msgspec.Struct, forbid_unknown_fields=True):
    """One of all the extensions that there are to be. What is left out stays, or is empty for a new one."""

    number: str
    name: str | None = None
    email: str | None = None
    status: str | None = None


class QueueGiven(msgspec.Struct, forbid_unknown_fields=True):
    number: str
    name: str = ""


class CallGiven(msgspec.Struct, forbid_unknown_fields=True):
    legs: tuple[LegGiven, ...]
    queue: QueueGiven | None = None


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance_s: float


class VersionGiven(msgspec.Struct, forbid_unknown_fields=True):
    version: str


class BindingGiven(msgspec.Struct, forbid_unknown_fields=True):
    From: str
    To: str


class StatusSyncGiven(msgspec.Struct, forbid_unknown_fields=True):
    PBXToM365Bindings: tuple[BindingGiven, ...] = ()
    M365ToPbxBindings: tuple[BindingGiven, ...] = ()
    PBXToM365Busy: bool = False


class Microsoft365Given(msgspec.Struct, forbid_unknown_fields=True):
    """3CX's own presence sync, in XAPI's words."""

    SetTeamsPresence: bool = False
    StatusSyncConfiguration: StatusSyncGiven | None = None


def control_app(emulator: "V20Emulator") -> Starlette:
    port = _ControlPort(emulator)
    calls = PlayedCalls(emulator.pbx.calls, _read, emulator.settle)
    return Starlette(
        routes=[
            Route("/extensions", port.list_extensions, methods=["GET"]),
            Route("/extensions", port.put_extensions, methods=["PUT"]),
            Route("/extensions/{number}", port.show_extension, methods=["GET"]),
            Route("/extensions/{number}", port.set_extension, methods=["PUT"]),
            Route("/monitored", port.show_monitored, methods=["GET"]),
            Route("/monitored", port.put_monitored, methods=["PUT"]),
            Route("/calls", port.start_call, methods=["POST"]),
            Route("/calls/{call:int}", calls.end_call, methods=["DELETE"]),
            Route("/calls/{call:int}/legs/{dn}", calls.put_leg, methods=["PUT"]),
            Route("/calls/{call:int}/legs/{dn}", calls.end_leg, methods=["DELETE"]),
            Route("/version", port.put_version, methods=["PUT"]),
            Route("/microsoft365", port.put_microsoft365, methods=["PUT"]),
            Route("/profile-names", port.show_profile_names, methods=["GET"]),
            Route("/profile-names", port.put_profile_names, methods=["PUT"]),
            Route("/socket", port.show_sockets, methods=["GET"]),
            Route("/socket/drop", port.drop_sockets, methods=["POST"]),
            Route("/tokens", port.revoke_tokens, methods=["DELETE"]),
            Route("/clock", port.show_clock, methods=["GET"]),
            Route("/clock", port.advance, methods=["POST"]),
            Route("/requests", port.list_requests, methods=["GET"]),
            Route("/requests", port.forget_requests, methods=["DELETE"]),
            Route("/faults", port.show_faults, methods=["GET"]),
            Route("/faults", port.change_faults, methods=["POST"]),
            Route("/faults", port.clear_faults, methods=["DELETE"]),
        ],
        exception_handlers={Refusal: refused, HTTPException: not_routed},
    )


class _ControlPort:
    """One method a route."""

    def __init__(self, emulator: "V20Emulator") -> None:
        self._emulator = emulator

    # Extensions

    async def list_extensions(self, _: Request) -> Response:
        return json_answer([self._extension_shown(user) for user in self._emulator.pbx.users.values()])

    async def put_extensions(self, request: Request) -> Response:
        """These are all the extensions from now on."""
        pbx = self._emulator.pbx
        given = await _read(request, tuple[ExtensionGiven, ...])
        numbers = [each.number for each in given]
        if len(set(numbers)) < len(numbers):
            raise Refusal(400, "an extension is there twice; give each number once")
        require_known("status", [each.status for each in given if each.status is not None], PROFILES)
        for user in list(pbx.users.values()):
            if user["Number"] not in numbers:
                pbx.remove_user(user)
        for each in given:
            known = pbx.user(each.number)
            wanted = properties_of(world.Extension(each.number, each.name or "", each.email or ""))
            wanted["CurrentProfileName"] = each.status or PROFILES[0]
            if known is None:
                pbx.add_user(wanted)
                continue
            told = {"FirstName": each.name, "LastName": each.name, "EmailAddress": each.email}
            told["CurrentProfileName"] = each.status
            pbx.change_user(known, {name: wanted[name] for name, value in told.items() if value is not None})
        self._emulator.settle()
        return await self.list_extensions(request)

    async def show_extension(self, request: Request) -> Response:
        return json_answer(self._extension_shown(self._user(request)))

    async def set_extension(self, request: Request) -> Response:
        user = self._user(request)
        given = await _read(request, ExtensionChange)
        if given.status is not None:
            require_known("status", (given.status,), PROFILES)
            user["CurrentProfileName"] = given.status
        if given.custom_names is not None:
            require_known("status", given.custom_names, PROFILES)
            for profile in user["ForwardingProfiles"]:
                profile["CustomName"] = given.custom_names.get(profile["Name"], profile["CustomName"])
        if given.queue_status is not None:
            require_known("queue_status", (given.queue_status,), _QUEUE_STATES)
            user["QueueStatus"] = given.queue_status
        if given.devices is not None:
            devices = [Device(device.device_id, device.user_agent) for device in given.devices]
            self._emulator.pbx.set_devices(user["Number"], devices)
        self._emulator.settle()
        return json_answer(self._extension_shown(user))

    async def show_monitored(self, _: Request) -> Response:
        return json_answer(sorted(dn for dn in self._emulator.pbx.numbers() if self._emulator.monitors(dn)))

    async def put_monitored(self, request: Request) -> Response:
        """The API client's list of extensions to monitor; null: all of them."""
        given = await _read(request, tuple[str, ...] | None, empty=b"null")
        self._emulator.monitored = None if given is None else frozenset(given)
        return await self.show_monitored(request)

    # Calls

    async def start_call(self, request: Request) -> Response:
        given = await _read(request, CallGiven)
        legs = new_legs(given.legs)
        target = None
        if given.queue is not None:
            target = f"{given.queue.number}.1"
            if given.queue.name or given.queue.number not in self._emulator.pbx.queues:
                self._emulator.pbx.queues[given.queue.number] = given.queue.name
        call = self._emulator.pbx.calls.start_call(legs, target)
        self._emulator.settle()
        return json_answer({"id": call})

    # What else a PBX has

    async def put_version(self, request: Request) -> Response:
        """The PBX is of that build from now on."""
        given = await _read(request, VersionGiven)
        self._emulator.version = given.version
        return json_answer(given)

    async def put_microsoft365(self, request: Request) -> Response:
        given = await _read(request, Microsoft365Given)
        if (rules := given.StatusSyncConfiguration) is not None:
            to_m365, to_pbx = rules.PBXToM365Bindings, rules.M365ToPbxBindings
            ours = [each.From for each in to_m365] + [each.To for each in to_pbx]
            require_known("3CX status to synchronise", ours, SYNCED_PBX)
            theirs = [each.To for each in to_m365] + [each.From for each in to_pbx]
            require_known("Microsoft 365 status to synchronise", theirs, SYNCED_M365)
        kept = self._emulator.settings.microsoft365
        kept["AdUsers"] = {**kept["AdUsers"], **msgspec.to_builtins(given)}
        return json_answer(kept)

    async def show_profile_names(self, _: Request) -> Response:
        return json_answer(self._emulator.settings.custom_names)

    async def put_profile_names(self, request: Request) -> Response:
        """The custom statuses have these names on the whole PBX; what is left out stays."""
        names = await _read(request, dict[str, str])
        require_known("custom status", names, tuple(self._emulator.settings.custom_names))
        self._emulator.settings.rename(names)
        return await self.show_profile_names(request)

    async def show_sockets(self, _: Request) -> Response:
        return json_answer({"open": self._emulator.sockets.count})

    async def drop_sockets(self, request: Request) -> Response:
        """Without a code the connections are cut as by a broken line."""
        given = await _read(request, Closing, empty=b"{}")
        if given.code is not None and not 1000 <= given.code < 5000:
            raise Refusal(400, "code is a WebSocket close code, 1000 to 4999; leave it out to cut the line")
        return json_answer({"dropped": self._emulator.sockets.drop(given)})

    async def revoke_tokens(self, _: Request) -> Response:
        revoked = self._emulator.tokens.revoke_all()
        self._emulator.clock.nudge()
        return json_answer({"revoked": revoked})

    async def show_clock(self, _: Request) -> Response:
        clock = self._emulator.clock
        return json_answer({"now": clock.now(), "advanced_s": clock.now() - clock.shown(clock.now())})

    async def advance(self, request: Request) -> Response:
        given = await _read(request, Advance)
        try:
            self._emulator.clock.advance(given.advance_s)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return await self.show_clock(request)

    # What was asked, and what goes wrong

    async def list_requests(self, request: Request) -> Response:
        return json_answer(self._emulator.log.since(since(request)))

    async def forget_requests(self, _: Request) -> Response:
        self._emulator.log.clear()
        return Response(status_code=204)

    async def show_faults(self, _: Request) -> Response:
        return json_answer(self._emulator.faults)

    async def change_faults(self, request: Request) -> Response:
        change = await _read(request, dict[str, Any])
        try:
            self._emulator.put_faults(merged(self._emulator.faults, change, self._emulator.pbx.numbers()))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return json_answer(self._emulator.faults)

    async def clear_faults(self, _: Request) -> Response:
        self._emulator.put_faults(Faults())
        return json_answer(self._emulator.faults)

    # --

    def _user(self, request: Request) -> dict[str, Any]:
        number = request.path_params["number"]
        user = self._emulator.pbx.user(number)
        if user is None:
            raise Refusal(404, f"there is no extension {number}; name one of them (GET /extensions)")
        return user

    def _extension_shown(self, user: dict[str, Any]) -> dict[str, Any]:
        override = self._emulator.faults.status_override.get(user["Number"])
        renamed = {
            each["Name"]: each["CustomName"] for each in user["ForwardingProfiles"] if each["CustomName"]
        }
        return {
            "number": user["Number"],
            "status": user["CurrentProfileName"],
            "legs": [leg_shown(leg) for leg in self._emulator.pbx.calls.legs_of(user["Number"])],
            **({"custom_names": renamed} if renamed else {}),
            **({} if override is None else {"override": override}),
        }


async def _read(request: Request, kind: Any, empty: bytes = b"") -> Any:
    return await read(request, kind, fields=_fields(kind), no_json="send it in UTF-8", empty=empty)


def _fields(kind: Any) -> str:
    fields = getattr(kind, "__struct_fields__", None)
    return f"send a JSON object; its fields are: {', '.join(fields)}" if fields else "send a JSON list"
