"""PURE: which participants Call Control shows for the legs of a call.

The form of a participant is a real one's (qmexnetworks/3cx-zammad-bridge 580c20c). One leg may show as
several: while an extension rings, one for each device and one for the signalling, and the last
disappears on answer (clemensblock/threecx-call-worker 2b0969f).
"""

from collections.abc import Iterator

import msgspec

from presencebridge.emulators.pbx_model import Leg
from presencebridge.emulators.v20.faults import Faults
from presencebridge.emulators.v20.pbx import Pbx

NO_TYPE = "None"
TRUNK = "10000"


class Participant(msgspec.Struct):
    """As on the wire, in the order of the wire."""

    id: int
    status: str
    dn: str
    party_caller_name: str = ""
    party_dn: str = ""
    party_caller_id: str = ""
    party_did: str = ""
    device_id: str = ""
    party_dn_type: str = NO_TYPE
    direct_control: bool = False
    originated_by_dn: str = ""
    originated_by_type: str = NO_TYPE
    referred_by_dn: str = ""
    referred_by_type: str = NO_TYPE
    on_behalf_of_dn: str = ""
    on_behalf_of_type: str = NO_TYPE
    callid: int = 0
    legid: int = 0

    @property
    def entity(self) -> str:
        return f"/callcontrol/{self.dn}/participants/{self.id}"


class Table:
    """The participants there are. `sync` brings them up to the calls and tells what changed."""

    def __init__(self) -> None:
        self._shown: dict[tuple[int, str], Participant] = {}
        self._last = 0

    def of(self, dn: str) -> list[Participant]:
        return [each for each in self._shown.values() if each.dn == dn]

    def find(self, dn: str, participant_id: int) -> Participant | None:
        return next((each for each in self.of(dn) if each.id == participant_id), None)

    def leg_id(self, participant: Participant) -> int:
        """The leg that a participant belongs to."""
        return next(key[0] for key, each in self._shown.items() if each is participant)

    def sync(self, pbx: Pbx, faults: Faults) -> list[tuple[bool, Participant]]:
        """What changed, each with whether it is there: the new and changed ones first, then the gone."""
        changes: list[tuple[bool, Participant]] = []
        wanted: dict[tuple[int, str], Participant] = {}
        for _, legs in pbx.calls.calls():
            for leg in legs:
                for role, device_id in _roles(leg, pbx, faults):
                    key = (leg.id, role)
                    before = self._shown.get(key)
                    now = _shown(leg, legs, pbx, faults)
                    now.device_id = device_id
                    now.id = before.id if before else self._new_id()
                    wanted[key] = now
                    if before is None or before != now:
                        changes.append((True, now))
        changes += [(False, each) for key, each in self._shown.items() if key not in wanted]
        self._shown = wanted
        return changes

    def _new_id(self) -> int:
        self._last += 1
        return self._last


def _roles(leg: Leg, pbx: Pbx, faults: Faults) -> Iterator[tuple[str, str]]:
    """Role and device of each participant of a leg: the role keeps its id over the leg's life."""
    if leg.state == "Undefined":
        return
    devices = [device.device_id for device in pbx.devices_of(leg.dn)]
    if leg.state != "Ringing" or not faults.several_participants:
        devices = devices[:1]
    for index, device_id in enumerate(devices or [""]):
        yield f"device {index}", device_id
    if leg.state == "Ringing" and faults.several_participants:
        yield "signalling", ""


def _shown(leg: Leg, legs: list[Leg], pbx: Pbx, faults: Faults) -> Participant:
    party = leg.party or next((other.dn for other in legs if other is not leg), "")
    if pbx.type_of(party):
        party_dn = party
        caller_id = next((other.party for other in legs if other.dn == party and other.party), party)
        caller_id = party if caller_id == leg.dn else caller_id
    else:
        party_dn = next((other.dn for other in legs if other is not leg and not pbx.type_of(other.dn)), TRUNK)
        caller_id = party
    status = leg.state
    if status in {"Hold", "Held"} and faults.hold_shown == "Connected":
        status = "Connected"
    queue = (leg.target or "").partition(".")[0]
    return Participant(
        id=0,
        status=status,
        dn=leg.dn,
        party_caller_name=pbx.name_of(party),
        party_dn=party_dn if party else "",
        party_caller_id=caller_id,
        party_dn_type=(pbx.type_of(party_dn) or "Wexternalline") if party else NO_TYPE,
        on_behalf_of_dn=queue,
        on_behalf_of_type="Wqueue" if queue else NO_TYPE,
        callid=leg.call,
        legid=legs.index(leg) + 1,
    )
