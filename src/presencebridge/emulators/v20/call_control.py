"""Call Control: what is in a call on the DNs that this API client may see, and what it may do there.

Paths and actions are those of 3CX's "Call Control API endpoints" page and of 3cx/call-control-examples
(4d2f6f9). Only DNs entered as monitored are there, besides the API client's own route point.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from presencebridge.emulators.v20.errors import ApiError, plain_error
from presencebridge.emulators.v20.participants import Participant

if TYPE_CHECKING:
    from presencebridge.emulators.v20.emulator import V20Emulator

PREFIX = "/callcontrol"
MOVES = ("divert", "transferto")
ROUTES = (*MOVES, "routeto")
ACTIONS = ("drop", "answer", *ROUTES, "attach_participant_data", "attach_party_data")


class CallControl:
    """Answers requests as data, for REST and for the socket alike. Everything raises `ApiError`."""

    def __init__(self, emulator: "V20Emulator") -> None:
        self._emulator = emulator

    def sees(self, dn: str) -> bool:
        """Whether the API client is shown this DN."""
        pbx = self._emulator.pbx
        return bool(pbx.type_of(dn)) and (dn == pbx.client_id or self._emulator.monitors(dn))

    def read(self, path: str) -> Any:
        """What a GET of this path shows; the path is still encoded."""
        match _parts(path):
            case []:
                return [self._dn(dn) for dn in self._visible()]
            case [dn]:
                return self._dn(self._allowed(dn))
            case [dn, "devices"]:
                return self._devices(self._allowed(dn))
            case [dn, "devices", device_id]:
                for device in self._devices(self._allowed(dn)):
                    if device["device_id"] == device_id:
                        return device
            case [dn, "participants"]:
                return self._participants(self._allowed(dn))
            case [dn, "participants", participant_id]:
                return self._participant(self._allowed(dn), participant_id)
        raise _not_found()

    def do(self, path: str, data: Any) -> Any:
        """What a POST to this path does."""
        given = data if isinstance(data, dict) else {}
        destination = given.get("destination") or given.get("Destination")
        match _parts(path):
            case [dn, "makecall"]:
                return self.dial(self._allowed(dn), destination)
            case [dn, "devices", device_id, "makecall"]:
                if all(each["device_id"] != device_id for each in self._devices(self._allowed(dn))):
                    raise _not_found()
                return self.dial(dn, destination)
            case [dn, "participants", participant_id, action] if action in ACTIONS:
                participant = self._participant(self._allowed(dn), participant_id)
                return self._act(participant, action, destination)
        raise _not_found()

    def is_action(self, path: str) -> bool:
        """Whether a request over the socket, which names no method, is one to do something."""
        return path.rstrip("/").rpartition("/")[2] in {*ACTIONS, "makecall"}

    def dial(self, dn: str, destination: str | None) -> dict[str, Any]:
        if not destination:
            raise _impossible("a call needs a destination")
        call = self._emulator.pbx.make_call(dn, destination)
        self._emulator.settle()
        own = [each for each in self._emulator.participants.of(dn) if each.callid == call]
        return _result(own[0])

    def _act(self, participant: Participant, action: str, destination: str | None) -> dict[str, Any]:
        pbx = self._emulator.pbx
        leg_id = self._emulator.participants.leg_id(participant)
        leg = next(leg for leg in pbx.calls.legs_of(participant.dn) if leg.id == leg_id)
        if action == "drop":
            pbx.hang_up(leg)
        elif action == "answer":
            if leg.state != "Ringing":
                raise _impossible(f"a participant that is {leg.state} can't answer")
            pbx.calls.pick_up(leg)
        elif action in ROUTES:
            if not destination:
                raise _impossible(f"{action} needs a destination")
            pbx.route(leg, destination)
            if action in MOVES:
                pbx.leave(leg, destination)
        shown = msgspec.structs.replace(participant)
        self._emulator.settle()
        return _result(self._emulator.participants.find(participant.dn, participant.id) or shown)

    # --

    def _visible(self) -> list[str]:
        pbx = self._emulator.pbx
        every = [pbx.client_id, *(user["Number"] for user in pbx.users.values()), *pbx.queues]
        return [dn for dn in every if self.sees(dn)]

    def _allowed(self, dn: str) -> str:
        if not self._emulator.pbx.type_of(dn):
            raise _not_found()
        if not self.sees(dn):
            raise plain_error(403, "forbidden", f"The extension {dn} is not monitored by this application.")
        return dn

    def _dn(self, dn: str) -> dict[str, Any]:
        return {
            "dn": dn,
            "type": self._emulator.pbx.type_of(dn),
            "devices": self._devices(dn),
            "participants": self._participants(dn),
        }

    def _devices(self, dn: str) -> list[dict[str, str]]:
        return [
            {"dn": dn, "device_id": device.device_id, "user_agent": device.user_agent}
            for device in self._emulator.pbx.devices_of(dn)
        ]

    def _participants(self, dn: str) -> list[Any]:
        return [msgspec.to_builtins(each) for each in self._emulator.participants.of(dn)]

    def _participant(self, dn: str, participant_id: str) -> Participant:
        if participant_id.isdecimal():
            found = self._emulator.participants.find(dn, int(participant_id))
            if found is not None:
                return found
        raise _not_found()


def _parts(path: str) -> list[str]:
    return [unquote(part) for part in path.removeprefix(PREFIX).strip("/").split("/") if part]


def _result(participant: Participant) -> dict[str, Any]:
    result = msgspec.to_builtins(participant)
    return {"finalstatus": "Success", "reason": "None", "reasontext": "", "result": result}


def _not_found() -> ApiError:
    return ApiError(404)


def _impossible(why: str) -> ApiError:
    """What the PBX can't do is told as a result: 3CX's samples read `reasontext` of a refused call."""
    return ApiError(422, {"finalstatus": "Failed", "reason": "InvalidRequest", "reasontext": why})
