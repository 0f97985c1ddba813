"""What truly happened in a simulated office: told by the players and the emulators, never by the service."""

from typing import Literal

import msgspec

Side = Literal["teams", "3cx"]


class Happening(msgspec.Struct, frozen=True, tag=True):
    """Base: something at a moment of virtual time, in seconds."""

    at: float


class ClientShows(Happening, frozen=True):
    """What a person's own Teams client reports from now on, such as `Busy/InAMeeting`; None: signed out."""

    person: str
    """The extension's number."""
    pair: str | None


class Chose(Happening, frozen=True):
    """The person's preferred presence in Teams from now on; None: they have reset it."""

    person: str
    pair: str | None


class StatusByHand(Happening, frozen=True):
    """Somebody, or other software, set the status on 3CX: not us."""

    person: str
    status: str


class LegsAre(Happening, frozen=True):
    """All legs of the person's extension from now on, by 3CX's words; empty: no call."""

    person: str
    legs: tuple[str, ...]


class PausedByOperator(Happening, frozen=True):
    """`until` None: until resumed."""

    person: str
    until: float | None


class ResumedByOperator(Happening, frozen=True):
    person: str


class TakenOut(Happening, frozen=True):
    """The person has another mail address on 3CX, or is out of the config, and is to be served no more."""

    person: str


class PutBack(Happening, frozen=True):
    """They are to be served again."""

    person: str


class Forgotten(Happening, frozen=True):
    """What the service kept of the person is gone with its database, while it was dead."""

    person: str


class Wrote(Happening, frozen=True):
    """A write of the service arrived and was accepted: `before` and `after` are what the side itself held.

    On `teams`: the pair of our presence session, such as `Busy/InACall`, or None where there is none. A
    renewal has the same pair before and after. On `3cx`: the status.
    """

    person: str
    side: Side
    before: str | None
    after: str | None


class Owns(Happening, frozen=True):
    """A node of a cluster took the site up, as its owner of that epoch."""

    node: str
    epoch: int


class Trouble(Happening, frozen=True):
    """From `at` to `until` something was broken: `what` in words.

    `link` is the side, or `service` while it was dead. `nodes` is what happened to the machines of a cluster:
    what follows from it for the people is told as trouble of the other links. `person` is set where only one
    person was concerned.
    """

    until: float
    link: Literal["teams", "3cx", "service", "notifications", "nodes"]
    what: str
    person: str | None = None
    total: bool = False
    """Nothing whatever gets through, so that nothing can be known of that side."""


class Shown(msgspec.Struct, frozen=True):
    """What anybody can see of a person at a moment."""

    effective: str
    """What Teams shows, such as `Busy/InACall`."""
    without_us: str
    """What Teams would show without the service's session, as the emulator works it out."""
    our_session: str | None
    """The pair of the service's presence session, if there is one."""
    status: str
    legs: tuple[str, ...]


class AtRest(Happening, frozen=True):
    """Nothing has happened for long, nothing is broken, and the service runs: now everything must be right.

    `since` is when the last happening or trouble was over.
    """

    since: float
    shown: dict[str, Shown]


class Glance(Happening, frozen=True):
    """A look from outside at any moment, also in the midst of trouble.

    It is judged only for what holds at all times: no session of ours outlives its lease. So it is worth most
    at the end of a time in which the service was dead, before it starts.
    """

    shown: dict[str, Shown]


AnyHappening = (
    ClientShows
    | Chose
    | StatusByHand
    | LegsAre
    | PausedByOperator
    | ResumedByOperator
    | TakenOut
    | PutBack
    | Forgotten
    | Wrote
    | Owns
    | Trouble
    | AtRest
    | Glance
)


class House(msgspec.Struct, frozen=True):
    """The rules of the office."""

    preset: Literal["seed", "calls-only", "mirror"] = "seed"
    manual_wins: bool = False
    busy_while_ringing: bool = False
    lease_s: int = 300
    excluded: frozenset[str] = frozenset()


class Violation(msgspec.Struct, frozen=True):
    """A property that did not hold: its number among those in docs/simulation.md, who, when, in words."""

    rule: int
    at: float
    person: str | None
    what: str
