"""The control port: plain HTTP and JSON by which a test, or `curl`, plays the people and the trouble.

Every refusal is `{"error": ...}` with the cure in it.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from presencebridge.emulators.pbx_model import LEG_STATES, PROFILES, Leg, NewLeg
from presencebridge.emulators.webapi.faults import Faults, merged
from presencebridge.emulators.webapi.pbx import Extension

if TYPE_CHECKING:
    from presencebridge.emulators.webapi.emulator import WebApiEmulator

_Body = TypeVar("_Body")


class QueueGiven(msgspec.Struct, forbid_unknown_fields=True):
    """Without a name there is no queue of that number: the bridge then can't tell which one it was."""

    number: str
    name: str | None = None


class PhoneGiven(msgspec.Struct, forbid_unknown_fields=True):
    contact: str
    user_agent: str


class ExtensionGiven(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    status: str | None = None
    profiles: tuple[str, ...] | None = None
    phones: tuple[PhoneGiven, ...] | None = None
    queues: tuple[QueueGiven, ...] | None = None


class LegGiven(msgspec.Struct, forbid_unknown_fields=True):
    dn: str
    state: str
    party: str = ""


class CallGiven(msgspec.Struct, forbid_unknown_fields=True):
    legs: tuple[LegGiven, ...]
    queue: QueueGiven | None = None


class LegChange(msgspec.Struct, forbid_unknown_fields=True):
    state: str
    party: str | None = None


class Refusal(Exception):
    """A request that the control port can't do: HTTP status, and what would help."""

    def __init__(self, status: int, cure: str) -> None:
        super().__init__(cure)
        self.status = status
        self.cure = cure


def control_app(emulator: "WebApiEmulator") -> Starlette:
    port = _ControlPort(emulator)
    return Starlette(
        routes=[
            Route("/extensions", port.list_extensions, methods=["GET"]),
            Route("/extensions/{number}", port.show_extension, methods=["GET"]),
            Route("/extensions/{number}", port.set_extension, methods=["PUT"]),
            Route("/calls", port.start_call, methods=["POST"]),
            Route("/calls/{call:int}", port.end_call, methods=["DELETE"]),
            Route("/calls/{call:int}/legs/{dn}", port.put_leg, methods=["PUT"]),
            Route("/calls/{call:int}/legs/{dn}", port.end_leg, methods=["DELETE"]),
            Route("/requests", port.list_requests, methods=["GET"]),
            Route("/requests", port.forget_requests, methods=["DELETE"]),
            Route("/faults", port.show_faults, methods=["GET"]),
            Route("/faults", port.change_faults, methods=["POST"]),
            Route("/faults", port.clear_faults, methods=["DELETE"]),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _not_routed},
    )


class _ControlPort:
    """One method a route."""

    def __init__(self, emulator: "WebApiEmulator") -> None:
        self._emulator = emulator

    async def list_extensions(self, _: Request) -> Response:
        return _json([self._extension_shown(each) for each in self._emulator.pbx.extensions.values()])

    async def show_extension(self, request: Request) -> Response:
        return _json(self._extension_shown(self._extension(request)))

    async def set_extension(self, request: Request) -> Response:
        extension = self._extension(request)
        given = await _read(request, ExtensionGiven)
        profiles = extension.profiles if given.profiles is None else given.profiles
        _require_known("status", profiles, PROFILES)
        if given.status is not None:
            _require_known("status", (given.status,), profiles)
            extension.status = given.status
        extension.profiles = profiles
        if given.phones is not None:
            phones = ((phone.contact, phone.user_agent) for phone in given.phones)
            self._emulator.pbx.set_phones(extension, phones)
        if given.queues is not None:
            self._set_queues(extension, given.queues)
        return _json(self._extension_shown(extension))

    def _set_queues(self, extension: Extension, queues: tuple[QueueGiven, ...]) -> None:
        for queue in queues:
            self._emulator.pbx.add_queue(queue.number, queue.name or queue.number)
        extension.queues = tuple(queue.number for queue in queues)
        extension.working_set = None

    async def start_call(self, request: Request) -> Response:
        given = await _read(request, CallGiven)
        if not given.legs:
            raise Refusal(400, 'a call has legs: give {"legs": [{"dn": "101", "state": "Ringing"}]}')
        _require_known("state", [leg.state for leg in given.legs], LEG_STATES)
        target = None
        if given.queue is not None:
            # `requested-target-id`: in bc8157a the queue's number is what stands before the first dot.
            target = f"{given.queue.number}.1"
            if given.queue.name is not None:
                self._emulator.pbx.add_queue(given.queue.number, given.queue.name)
        legs = [NewLeg(leg.dn, leg.state, leg.party) for leg in given.legs]
        return _json({"id": self._emulator.pbx.start_call(legs, target)})

    async def end_call(self, request: Request) -> Response:
        self._emulator.pbx.end_call(self._call(request))
        return Response(status_code=204)

    async def put_leg(self, request: Request) -> Response:
        call, dn = self._call(request), request.path_params["dn"]
        given = await _read(request, LegChange)
        _require_known("state", (given.state,), LEG_STATES)
        legs = self._legs(call, dn) or [
            self._emulator.pbx.add_leg(call, NewLeg(dn, given.state, given.party or ""))
        ]
        for leg in legs:
            leg.state = given.state
            leg.party = leg.party if given.party is None else given.party
        return _json(_leg_shown(legs[0]))

    async def end_leg(self, request: Request) -> Response:
        call, dn = self._call(request), request.path_params["dn"]
        legs = self._legs(call, dn)
        if not legs:
            there = ", ".join(leg.dn for leg in self._emulator.pbx.legs_in(call))
            raise Refusal(404, f"{dn} is not in call {call}; those in it are: {there}")
        for leg in legs:
            self._emulator.pbx.end_leg(leg)
        return Response(status_code=204)

    async def list_requests(self, _: Request) -> Response:
        return _json(self._emulator.requests)

    async def forget_requests(self, _: Request) -> Response:
        self._emulator.requests.clear()
        return Response(status_code=204)

    async def show_faults(self, _: Request) -> Response:
        return _json(self._emulator.faults)

    async def change_faults(self, request: Request) -> Response:
        change = await _read(request, dict[str, Any])
        try:
            self._emulator.faults = merged(self._emulator.faults, change, set(self._emulator.pbx.extensions))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return _json(self._emulator.faults)

    async def clear_faults(self, _: Request) -> Response:
        self._emulator.faults = Faults()
        return _json(self._emulator.faults)

    def _extension(self, request: Request) -> Extension:
        number = request.path_params["number"]
        extension = self._emulator.pbx.extensions.get(number)
        if extension is None:
            raise Refusal(
                404, f"there is no extension {number}; name one of the world file (GET /extensions)"
            )
        return extension

    def _call(self, request: Request) -> int:
        call: int = request.path_params["call"]
        if not self._emulator.pbx.has_call(call):
            raise Refusal(404, f"there is no call {call}; it is over, or was never started (POST /calls)")
        return call

    def _legs(self, call: int, dn: str) -> list[Leg]:
        return [leg for leg in self._emulator.pbx.legs_in(call) if leg.dn == dn]

    def _extension_shown(self, extension: Extension) -> dict[str, Any]:
        override = self._emulator.faults.status_override.get(extension.number)
        return {
            "number": extension.number,
            "status": extension.status,
            "legs": [_leg_shown(leg) for leg in self._emulator.pbx.legs_of(extension.number)],
        } | ({} if override is None else {"override": override})


def _leg_shown(leg: Leg) -> dict[str, Any]:
    return {"call": leg.call, "dn": leg.dn, "state": leg.state, "party": leg.party}


async def _read(request: Request, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"{error}; {_fields(kind)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is no JSON ({error}); send one JSON object, in UTF-8") from error


def _fields(kind: Any) -> str:
    fields = getattr(kind, "__struct_fields__", Faults.__struct_fields__)
    return f"send a JSON object; its fields are: {', '.join(fields)}"


def _require_known(what: str, values: Any, known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise Refusal(400, f"no {what} {value!r}; use one of: {', '.join(known)}")


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _refused(_: Request, error: Any) -> Response:
    return _json({"error": error.cure}, error.status)


def _not_routed(request: Request, error: Any) -> Response:
    routes = "; ".join(
        f"{'/'.join(sorted((route.methods or set()) - {'HEAD'}))} {route.path}"
        for route in request.app.routes
        if isinstance(route, Route)
    )
    return _json({"error": f"{error.detail}; what there is: {routes}"}, error.status_code)
