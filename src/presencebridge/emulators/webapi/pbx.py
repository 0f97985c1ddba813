"""PURE: a phone system as the bridge sees it: extensions, their profiles and phones, queues, calls.

The words are those of 3CX's object model (TCX.Configuration), in V16, V18 and V20 alike: a call is a
list of connections ("legs" here), each one belonging to a DN, with a ConnectionStatus.
"""

from collections.abc import Iterable

import msgspec

from presencebridge.emulators import world

PROFILES = ("Available", "Away", "Out of office", "Custom 1", "Custom 2")
"""The five forwarding profiles by their internal names, which are unique and fixed."""

LEG_STATES = ("Undefined", "Dialing", "Ringing", "Connected", "Hold", "Held")
"""ConnectionStatus, in the order of its numbers. `Hold`: by the owner, `Held`: by the other party."""

RECORDING_ACTIONS = ("Start", "Stop", "Pause", "Resume")

_PARK_DN = "*00"


class Phone(msgspec.Struct, frozen=True):
    """A registration (RegistrarRecord): a telephone or app that is logged in as an extension."""

    id: int
    contact: str
    user_agent: str

    def __str__(self) -> str:
        return f"{self.id}-{self.contact}-{self.user_agent}"


class Extension(msgspec.Struct):
    """`working_set` is the property LOGGED_IN_QUEUES: None means all of its queues."""

    number: str
    name: str
    status: str
    profiles: tuple[str, ...] = PROFILES
    phones: tuple[Phone, ...] = ()
    queues: tuple[str, ...] = ()
    logged_in: bool = True
    working_set: tuple[str, ...] | None = None


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


class Pbx:
    """Holds the phone system; knows neither HTTP nor time."""

    def __init__(self, extensions: Iterable[world.Extension]) -> None:
        self.extensions = {
            each.number: Extension(number=each.number, name=each.name, status=each.status)
            for each in extensions
        }
        self.queues: dict[str, str] = {}
        self._calls: dict[int, list[Leg]] = {}
        self._dn_ids: dict[str, int] = {}
        self._last_call = self._last_leg = self._last_phone = 0
        for number in self.extensions:
            self.dn_id(number)

    # DNs

    def knows(self, dn: str) -> bool:
        """Whether there is such a DN: an extension, a queue, or a trunk that was in a call once."""
        return dn in self._dn_ids

    def dn_id(self, dn: str) -> int:
        """The number of a DN inside the PBX; a new DN is given one."""
        return self._dn_ids.setdefault(dn, len(self._dn_ids) + 1)

    def add_queue(self, number: str, name: str) -> None:
        self.queues[number] = name
        self.dn_id(number)

    def set_phones(self, extension: Extension, phones: Iterable[tuple[str, str]]) -> None:
        """Replaces an extension's registrations by these (contact, user agent)."""
        registered = []
        for contact, user_agent in phones:
            self._last_phone += 1
            registered.append(Phone(self._last_phone, contact, user_agent))
        extension.phones = tuple(registered)

    # Calls

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
        self.dn_id(new.dn)
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

    def make_call(self, extension: Extension, destination: str) -> None:
        """An extension dials; where the destination is an extension too, that one rings."""
        legs = [NewLeg(extension.number, "Dialing", destination)]
        if destination in self.extensions:
            legs.append(NewLeg(destination, "Ringing", extension.number))
        self.start_call(legs)

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

    def transfer(self, leg: Leg, destination: str) -> None:
        """A blind transfer: the destination rings in place of the one who transferred."""
        self.dn_id(destination)
        leg.dn, leg.state = destination, "Ringing"

    def park(self, leg: Leg) -> None:
        """The other party waits on the park DN in place of the one who parked it."""
        self.dn_id(_PARK_DN)
        leg.dn, leg.state = _PARK_DN, "Connected"

    def join(self, kept: Leg, given: Leg) -> None:
        """An attended transfer: the two calls of one extension become one, without it."""
        others = [leg for leg in self._calls[given.call] if leg is not given]
        if kept.call != given.call:
            del self._calls[given.call]
            self._calls[kept.call].extend(others)
        else:
            self.end_leg(given)
        for leg in others:
            leg.call = kept.call
        self.end_leg(kept)

    # Queues

    def change_working_set(self, agent: Extension, add: Iterable[str], remove: Iterable[str]) -> None:
        """Which of its queues an agent works in; none left means logged out, and all again next time."""
        current = agent.queues if agent.working_set is None else agent.working_set
        wanted = [*(queue for queue in current if queue not in set(remove)), *add]
        left = tuple(dict.fromkeys(queue for queue in wanted if queue in agent.queues))
        agent.working_set = None if len(left) in {0, len(agent.queues)} else left
        if not left:
            agent.logged_in = False
