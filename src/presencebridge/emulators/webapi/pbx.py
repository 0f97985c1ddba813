"""PURE: a phone system as the bridge sees it: extensions, their profiles and phones, queues, calls.

The words are those of 3CX's object model (TCX.Configuration).
"""

from collections.abc import Iterable

import msgspec

from presencebridge.emulators import world
from presencebridge.emulators.pbx_model import PROFILES, Calls, Leg, NewLeg

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


class Pbx(Calls):
    """Holds the phone system; knows neither HTTP nor time."""

    def __init__(self, extensions: Iterable[world.Extension]) -> None:
        super().__init__()
        self.extensions = {
            each.number: Extension(number=each.number, name=each.name, status=each.status)
            for each in extensions
        }
        self.queues: dict[str, str] = {}
        self._dn_ids: dict[str, int] = {}
        self._last_phone = 0
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

    def add_leg(self, call: int, new: NewLeg, target: str | None = None) -> Leg:
        self.dn_id(new.dn)
        return super().add_leg(call, new, target)

    # What phones do

    def make_call(self, extension: Extension, destination: str) -> None:
        """An extension dials; where the destination is an extension too, that one rings."""
        legs = [NewLeg(extension.number, "Dialing", destination)]
        if destination in self.extensions:
            legs.append(NewLeg(destination, "Ringing", extension.number))
        self.start_call(legs)

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
