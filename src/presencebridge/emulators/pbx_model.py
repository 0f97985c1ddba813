"""PURE: what V16, V18 and V20 have in common: profiles, calls and their legs.

The words are those of 3CX's object model (TCX.Configuration), in V16, V18 and V20 alike: a call is a
list of connections ("legs" here), each one belonging to a DN, with a ConnectionStatus.
"""

from collections.abc import Iterable

import msgspec

PROFILES = ("Available", "Away", "Out of office", "Custom 1", "Custom 2")
"""The five forwarding profiles by their internal names, which are unique and fixed."""

LEG_STATES = ("Undefined", "Dialing", "Ringing", "Connected", "Hold", "Held")
"""ConnectionStatus, in the order of its numbers. `Hold`: by the owner, `Held`: by the other party."""


class Leg(msgspec.Struct):
    """A connection. `target` is its attached data `requested-target-id`: the queue it came through."""

    id: int
    call: int
    dn: str
    state: str
    party: str = ""
    recording: str = "Stop"
    target: str | None = None


class NewLeg(msgspec.Struct, frozen=True):
    """A leg as somebody asks for it."""

    dn: str
    state: str
    party: str = ""


class Calls:
    """The calls of a phone system, and who is in them."""

    def __init__(self) -> None:
        self._calls: dict[int, list[Leg]] = {}
        self._last_call = self._last_leg = 0

    def calls(self) -> list[tuple[int, list[Leg]]]:
        """Every call with its legs, both in the order in which they came."""
        return [(call, list(legs)) for call, legs in self._calls.items()]

    def has_call(self, call: int) -> bool:
        return call in self._calls

    def legs_of(self, dn: str) -> list[Leg]:
        return [leg for legs in self._calls.values() for leg in legs if leg.dn == dn]

    def legs_in(self, call: int) -> list[Leg]:
        return list(self._calls[call])

    def order_in_call(self, leg: Leg) -> int:
        """CallConnectionID: the place of a leg within its call, from 1."""
        return self._calls[leg.call].index(leg) + 1

    def start_call(self, legs: Iterable[NewLeg], target: str | None = None) -> int:
        """Opens a call and gives its id."""
        self._last_call += 1
        self._calls[self._last_call] = []
        for new in legs:
            self.add_leg(self._last_call, new, target)
        return self._last_call

    def add_leg(self, call: int, new: NewLeg, target: str | None = None) -> Leg:
        self._last_leg += 1
        leg = Leg(self._last_leg, call, new.dn, new.state, new.party, target=target)
        self._calls[call].append(leg)
        return leg

    def end_leg(self, leg: Leg) -> None:
        """Takes one leg away; a call without legs is over."""
        self._calls[leg.call].remove(leg)
        if not self._calls[leg.call]:
            del self._calls[leg.call]

    def end_call(self, call: int) -> None:
        del self._calls[call]

    # What phones do

    def pick_up(self, leg: Leg) -> None:
        """A ringing phone is answered: it is connected, and so is whoever called it."""
        leg.state = "Connected"
        for other in self._calls[leg.call]:
            if other.state == "Dialing":
                other.state = "Connected"

    def hang_up(self, leg: Leg) -> None:
        """One party leaves; a party that is left alone is cleared as well."""
        self.end_leg(leg)
        if len(self._calls.get(leg.call, ())) == 1:
            self.end_call(leg.call)
