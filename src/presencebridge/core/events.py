"""All that can happen to a person, in the past tense."""

from enum import StrEnum

import msgspec

from presencebridge.core.model import LegState, Presence


class Source(StrEnum):
    """How a presence was learned: a notification may be late, a read is as new as its question."""

    NOTIFICATION = "notification"
    READ = "read"


class Event(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Base of all events."""


class Started(Event, frozen=True):
    """The service starts; what the state says of both sides is from before."""


class Recognized(Event, frozen=True):
    """It is known who in Entra the person is."""

    user: str


class PresenceSeen(Event, frozen=True):
    presence: Presence
    source: Source
    asked_at: float
    """When the read was sent; for a notification, when it arrived."""
    sequence: str | None = None


class StatusSeen(Event, frozen=True):
    status: str
    asked_at: float


class LegsSeen(Event, frozen=True):
    legs: tuple[LegState, ...]


class LegsLost(Event, frozen=True):
    """The calls of this extension can't be seen any more, although 3CX answers."""


class PbxLost(Event, frozen=True):
    """The link to 3CX is down: legs and status are unknown from here on."""


class TeamsFound(Event, frozen=True):
    """Graph answers again after it did not."""


class PresenceWritten(Event, frozen=True):
    """Graph accepted our last `SetPresence` or `ClearPresence`."""

    cleared: bool


class PresenceWriteFailed(Event, frozen=True):
    reason: str
    retry_after_s: float | None = None


class StatusWritten(Event, frozen=True):
    """A `ChangeStatus` was carried out: the status just before, just after, and whether we wrote."""

    before: str
    after: str
    wrote: bool


class StatusWriteFailed(Event, frozen=True):
    reason: str
    retry_after_s: float | None = None


class TimerFired(Event, frozen=True):
    """The time that `next_wake` named has come."""


class Paused(Event, frozen=True):
    until: float | None = None


class Resumed(Event, frozen=True):
    pass


AnyEvent = (
    Started
    | Recognized
    | PresenceSeen
    | StatusSeen
    | LegsSeen
    | LegsLost
    | PbxLost
    | TeamsFound
    | PresenceWritten
    | PresenceWriteFailed
    | StatusWritten
    | StatusWriteFailed
    | TimerFired
    | Paused
    | Resumed
)
