"""What is going to happen, as data: a seed makes a plan, a plan is played, and so is a shorter one.

Times are seconds of virtual time; 0 is the first morning at eight.
"""

from typing import Final, Literal

import msgspec

from presencebridge.simulation import lives
from presencebridge.simulation.chronicle import House

DAY_S: Final = 86_400.0

Kind = Literal["3cx-web-api", "3cx-v20", "3cx-v20-active-calls"]


class Site(msgspec.Struct, frozen=True):
    """How the service is set up."""

    kind: Kind = "3cx-web-api"
    delivery: Literal["poll", "webhook"] = "poll"
    presence_every_s: float = 30.0
    reconcile_every_s: float = 300.0
    calls_every_s: float = 20.0
    statuses_every_s: float = 30.0
    on_stop: Literal["clear", "leave"] = "clear"
    match: Literal["list", "email"] = "list"
    look_every_s: float = 120.0
    """How often it is looked who came or has gone, with `match` "email"."""
    watchers: Literal[1, 2] = 1
    lag_share: float = 0.0
    """So many of the reads of Teams are answered some seconds late, and a later one may overtake them; and as
    many notifications come a second late, after the next. This is how the line is, and no trouble."""
    nodes: int = 1
    """Machines that share the site; with one there is no cluster."""
    node_lease_s: float = 10.0
    """What `[cluster] lease_s` says."""


class Trouble(msgspec.Struct, frozen=True, tag=True):
    """Something breaks, and works again after `lasts` seconds; 0 for what is a moment's matter."""

    at: float
    lasts: float
    kind: str
    """One of those in `troubles`."""
    person: str | None = None
    share: float = 1.0
    """Of the requests, notifications or events that it hits."""
    number: float = 0.0
    """What else the kind wants to know."""
    node: int | None = None
    """Which of several nodes it hits, from 0; None: the one that owns the site just then, or all."""

    @property
    def until(self) -> float:
        return self.at + self.lasts


AnyDeed = lives.AnyDeed | Trouble


class Plan(msgspec.Struct, frozen=True):
    """A whole story before it is played."""

    seed: int
    people: tuple[str, ...]
    house: House
    site: Site
    deeds: tuple[AnyDeed, ...]
    """In the order of time."""
    rests: tuple[float, ...]
    """When everything is looked at: at the end of each quiet time."""
    ends: float


def concerns(deed: AnyDeed) -> frozenset[str | None]:
    """Whom a deed is about; trunks are told too."""
    if isinstance(deed, lives.Calls):
        return frozenset({deed.person, *(dn for dn, _ in deed.legs)})
    return frozenset({deed.person})
