"""The phone system of a V20: users with their properties as XAPI names them, devices, calls.

A user's properties are kept as XAPI shows them, so that a PATCH can set whatever there is.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from presencebridge.emulators import world
from presencebridge.emulators.pbx_model import PROFILES, Calls, Leg, NewLeg
from presencebridge.emulators.v20 import schema

EXTENSION, QUEUE, ROUTE_POINT = "Wextension", "Wqueue", "Wroutepoint"

_PROFILE_IDS = 5  # each user has five forwarding profiles, numbered through


class Device(msgspec.Struct, frozen=True):
    """A registered phone or app; its id is a SIP contact."""

    device_id: str
    user_agent: str


class Pbx:
    """Holds the phone system; knows neither HTTP nor time."""

    def __init__(self, extensions: Iterable[world.Extension], client_id: str) -> None:
        self.client_id = client_id
        self.calls = Calls()
        self.users: dict[int, dict[str, Any]] = {}
        self._ids: dict[str, int] = {}
        """Users' ids by their numbers, as they were when it was looked last."""
        self._ids_are_old = False
        self.queues: dict[str, str] = {}
        self._devices: dict[str, tuple[Device, ...]] = {
            # 3CX's samples call from the first device of their route point.
            client_id: (Device(f"sip:{client_id}@127.0.0.1:5483", "Call Control"),)
        }
        self._last_id = 0
        for each in extensions:
            self.add_user(properties_of(each))

    # Users

    def add_user(self, properties: dict[str, Any]) -> dict[str, Any]:
        """A new user with these properties; the rest is as 3CX would fill it in."""
        self._last_id += 1
        number = properties.get("Number") or self._free_number()
        user = schema.new_user(self._last_id, number) | properties | {"Id": self._last_id, "Number": number}
        user["DisplayName"] = properties.get("DisplayName") or _display_name(user)
        if not user["ForwardingProfiles"]:
            first = (self._last_id - 1) * _PROFILE_IDS + 1
            user["ForwardingProfiles"] = [
                schema.forwarding_profile(first + index, name) for index, name in enumerate(PROFILES)
            ]
        self.users[self._last_id] = user
        self._ids_are_old = True
        self._devices[number] = (
            Device(f"sip:{number}@127.0.0.1:5060", "Desk phone"),
            Device(f"sip:{number}@127.0.0.1:5063", "3CX Web Client"),
        )
        return user

    def change_user(self, user: dict[str, Any], properties: dict[str, Any]) -> None:
        user.update(properties)
        self._ids_are_old |= "Number" in properties
        if {"FirstName", "LastName"} & set(properties) and "DisplayName" not in properties:
            user["DisplayName"] = _display_name(user)

    def remove_user(self, user: dict[str, Any]) -> None:
        """The user goes, and leaves every call."""
        del self.users[user["Id"]]
        self._ids_are_old = True
        self._devices.pop(user["Number"], None)
        for leg in self.calls.legs_of(user["Number"]):
            self.calls.end_leg(leg)

    def user(self, number: str) -> dict[str, Any] | None:
        if self._ids_are_old:
            self._ids = {user["Number"]: user_id for user_id, user in self.users.items()}
            self._ids_are_old = False
        return self.users.get(self._ids.get(number, 0))

    def numbers(self) -> set[str]:
        return {user["Number"] for user in self.users.values()}

    def _free_number(self) -> str:
        taken = self.numbers() | set(self.queues)
        lowest = min((int(number) for number in taken if number.isdecimal()), default=100)
        return next(str(number) for number in range(lowest, 1_000_000) if str(number) not in taken)

    # DNs

    def devices_of(self, dn: str) -> tuple[Device, ...]:
        return self._devices.get(dn, ())

    def set_devices(self, number: str, devices: Iterable[Device]) -> None:
        self._devices[number] = tuple(devices)
        if (user := self.user(number)) is not None:
            user["IsRegistered"] = bool(self._devices[number])

    def type_of(self, dn: str) -> str:
        """Call Control's word for what a DN is; empty for one that is outside."""
        if dn == self.client_id:
            return ROUTE_POINT
        if dn in self.queues:
            return QUEUE
        return EXTENSION if self.user(dn) is not None else ""

    def name_of(self, dn: str) -> str:
        """The name that is shown for a DN; empty for one that is outside."""
        if dn in self.queues:
            return self.queues[dn]
        user = self.user(dn)
        return user["DisplayName"] if user else ""

    def label_of(self, dn: str) -> str:
        """How a party stands in ActiveCalls: `1002 tools, admin`, `8003 Queue 1`, or just its number."""
        user = self.user(dn)
        if user is None:
            return f"{dn} {self.queues[dn]}" if dn in self.queues else dn
        name = ", ".join(part for part in (user["LastName"], user["FirstName"]) if part)
        return f"{dn} {name}" if name else dn

    # What an API client does with calls

    def make_call(self, dn: str, destination: str) -> int:
        """A DN dials; where the destination is known it rings there."""
        legs = [NewLeg(dn, "Dialing", destination)]
        if self.type_of(destination):
            legs.append(NewLeg(destination, "Ringing", dn))
        return self.calls.start_call(legs)

    def route(self, leg: Leg, destination: str) -> None:
        """The call rings at another DN as well, which is a leg of its own."""
        self.calls.add_leg(leg.call, NewLeg(destination, "Ringing", leg.party), leg.target)

    def leave(self, leg: Leg, destination: str) -> None:
        """A leg ends, and who talked to it talks to the destination."""
        for other in self.calls.legs_in(leg.call):
            if other.party == leg.dn:
                other.party = destination
        self.calls.end_leg(leg)

    def hang_up(self, leg: Leg) -> None:
        """A leg ends. Who is left alone is cleared, unless it talks to somebody outside who has no leg."""
        self.calls.end_leg(leg)
        left = self.calls.legs_in(leg.call) if self.calls.has_call(leg.call) else []
        if len(left) == 1:
            dn, party = left[0].dn, left[0].party
            is_alone = party in {"", leg.dn} or bool(self.type_of(party)) or not self.type_of(dn)
            if is_alone:
                self.calls.end_call(leg.call)


def properties_of(extension: world.Extension) -> dict[str, Any]:
    """A world file's extension as properties of a user."""
    first, _, last = extension.name.partition(" ")
    return {
        "Number": extension.number,
        "FirstName": first,
        "LastName": last,
        "EmailAddress": extension.email,
        "CurrentProfileName": extension.status,
    }


def _display_name(user: dict[str, Any]) -> str:
    return " ".join(part for part in (user["FirstName"], user["LastName"]) if part)
