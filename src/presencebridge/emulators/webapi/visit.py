"""PURE: one request on its way through a route, and the ways in which .NET lets it fail."""

from collections.abc import Callable

import msgspec

from presencebridge.emulators.pbx_model import Leg
from presencebridge.emulators.webapi.dialects import Dialect
from presencebridge.emulators.webapi.pbx import Extension, Pbx

# The bridge prints Exception.Message and never answers. NOT_CONNECTED was seen live
# (Montesuma80/3cx-web-API issue 21); the others are .NET's standard texts for what the code does.
NULL_REFERENCE = "Object reference not set to an instance of an object."
NO_ELEMENTS = "Sequence contains no elements"
NO_SUCH_PART = "Index was outside the bounds of the array."
NOT_CONNECTED = "ConfigServer is not connected"
CLOSED_STREAM = "Cannot access a disposed object.\nObject name: 'System.Net.HttpRequestStream'."
TOO_SHORT = "Index and length must refer to a location within the string. (Parameter 'length')"
BAD_RECORD_ACTION = (
    "Specified argument was out of the range of valid values. (Parameter 'Invalid record action')"
)


class FailedInside(Exception):
    """The route threw: its message is printed, and the request is never answered."""


class Pause(msgspec.Struct, frozen=True):
    """A route that sleeps (Thread.Sleep) before it knows its answer."""

    seconds: float
    then: Callable[[], str]


class Visit(msgspec.Struct):
    """What a route is given: the URL's parts, the phone system, and standard output (`say`)."""

    parts: list[str]
    dialect: Dialect
    say: Callable[[str], None]
    system: Pbx
    connected: bool = True
    ignores_set: bool = False

    def part(self, index: int) -> str:
        if index >= len(self.parts):
            raise FailedInside(NO_SUCH_PART)
        return self.parts[index]

    @property
    def pbx(self) -> Pbx:
        if not self.connected:
            raise FailedInside(NOT_CONNECTED)
        return self.system

    def extension(self, number: str) -> Extension:
        """GetDNByNumber(..) as Extension, then used: fails for what is none."""
        found = self.pbx.extensions.get(number)
        if found is None:
            raise FailedInside(NULL_REFERENCE)
        return found

    def legs(self, dn: str) -> list[Leg]:
        """GetDNByNumber(..).GetActiveConnections(): fails for an unknown DN."""
        if not self.pbx.knows(dn):
            raise FailedInside(NULL_REFERENCE)
        return self.pbx.legs_of(dn)

    def external_party(self, leg: Leg) -> str:
        """EP: the outside number; empty where the other party is an extension."""
        return "" if leg.party in self.pbx.extensions else leg.party

    def colon_line(self, leg: Leg) -> str:
        """The older form of a connection, which record and transfer print."""
        return (
            f"ID={leg.id}:CCID={self.pbx.order_in_call(leg)}:S={leg.state}:DN={leg.dn}"
            f":EP={self.external_party(leg)}:REC={leg.recording}"
        )

    def first_four(self, target: str) -> tuple[str, str]:
        """(number, name) of a queue by Substring(0, 4), its name printed: the original's way."""
        if len(target) < 4:
            raise FailedInside(TOO_SHORT)
        number = target[:4]
        name = self.pbx.queues.get(number)
        if name is None:
            raise FailedInside(NULL_REFERENCE)
        self.say(name)
        return number, name
