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

from presencebridge.emulators.control_kit import (
    Refusal,
    json_answer,
    not_routed,
    read,
    refused,
    require_known,
)
from presencebridge.emulators.pbx_model import PROFILES
from presencebridge.emulators.played_calls import LegGiven, PlayedCalls, leg_shown, new_legs
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


class CallGiven(msgspec.Struct, forbid_unknown_fields=True):
    legs: tuple[LegGiven, ...]
    queue: QueueGiven | None = None


def control_app(emulator: "WebApiEmulator") -> Starlette:
    port = _ControlPort(emulator)
    calls = PlayedCalls(emulator.pbx, _read)
    return Starlette(
        routes=[
            Route("/extensions", port.list_extensions, methods=["GET"]),
            Route("/extensions/{number}", port.show_extension, methods=["GET"]),
            Route("/extensions/{number}", port.set_extension, methods=["PUT"]),
            Route("/calls", port.start_call, methods=["POST"]),
            Route("/calls/{call:int}", calls.end_call, methods=["DELETE"]),
            Route("/calls/{call:int}/legs/{dn}", calls.put_leg, methods=["PUT"]),
            Route("/calls/{call:int}/legs/{dn}", calls.end_leg, methods=["DELETE"]),
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

    def __init__(self, emulator: "WebApiEmulator") -> None:
        self._emulator = emulator

    async def list_extensions(self, _: Request) -> Response:
        return json_answer([self._extension_shown(each) for each in self._emulator.pbx.extensions.values()])

    async def show_extension(self, request: Request) -> Response:
        return json_answer(self._extension_shown(self._extension(request)))

    async def set_extension(self, request: Request) -> Response:
        extension = self._extension(request)
        given = await _read(request, ExtensionGiven)
        profiles = extension.profiles if given.profiles is None else given.profiles
        require_known("status", profiles, PROFILES)
        if given.status is not None:
            require_known("status", (given.status,), profiles)
            extension.status = given.status
        extension.profiles = profiles
        if given.phones is not None:
            phones = ((phone.contact, phone.user_agent) for phone in given.phones)
            self._emulator.pbx.set_phones(extension, phones)
        if given.queues is not None:
            self._set_queues(extension, given.queues)
        return json_answer(self._extension_shown(extension))

    def _set_queues(self, extension: Extension, queues: tuple[QueueGiven, ...]) -> None:
        for queue in queues:
            self._emulator.pbx.add_queue(queue.number, queue.name or queue.number)
        extension.queues = tuple(queue.number for queue in queues)
        extension.working_set = None

    async def start_call(self, request: Request) -> Response:
        given = await _read(request, CallGiven)
        legs = new_legs(given.legs)
        target = None
        if given.queue is not None:
            # `requested-target-id`: in bc8157a the queue's number is what stands before the first dot.
            target = f"{given.queue.number}.1"
            if given.queue.name is not None:
                self._emulator.pbx.add_queue(given.queue.number, given.queue.name)
        return json_answer({"id": self._emulator.pbx.start_call(legs, target)})

    async def list_requests(self, _: Request) -> Response:
        return json_answer(self._emulator.requests)

    async def forget_requests(self, _: Request) -> Response:
        self._emulator.requests.clear()
        return Response(status_code=204)

    async def show_faults(self, _: Request) -> Response:
        return json_answer(self._emulator.faults)

    async def change_faults(self, request: Request) -> Response:
        change = await _read(request, dict[str, Any])
        try:
            self._emulator.faults = merged(self._emulator.faults, change, set(self._emulator.pbx.extensions))
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return json_answer(self._emulator.faults)

    async def clear_faults(self, _: Request) -> Response:
        self._emulator.faults = Faults()
        return json_answer(self._emulator.faults)

    def _extension(self, request: Request) -> Extension:
        number = request.path_params["number"]
        extension = self._emulator.pbx.extensions.get(number)
        if extension is None:
            raise Refusal(
                404, f"there is no extension {number}; name one of the world file (GET /extensions)"
            )
        return extension

    def _extension_shown(self, extension: Extension) -> dict[str, Any]:
        override = self._emulator.faults.status_override.get(extension.number)
        return {
            "number": extension.number,
            "status": extension.status,
            "legs": [leg_shown(leg) for leg in self._emulator.pbx.legs_of(extension.number)],
        } | ({} if override is None else {"override": override})


async def _read(request: Request, kind: type[_Body]) -> _Body:
    found: _Body = await read(request, kind, fields=_fields(kind), no_json="send one JSON object, in UTF-8")
    return found


def _fields(kind: Any) -> str:
    fields = getattr(kind, "__struct_fields__", Faults.__struct_fields__)
    return f"send a JSON object; its fields are: {', '.join(fields)}"
