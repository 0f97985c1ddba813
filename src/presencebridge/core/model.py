"""The words of the domain, and what is known of one person.

None of these can be part of a cycle, so the garbage collector need not look at them (`gc=False`): with many
people that is most of what it would do.
"""

from enum import StrEnum
from typing import Final

import msgspec

AVAILABLE: Final = "Available"
AWAY: Final = "Away"
OUT_OF_OFFICE: Final = "Out of office"
CUSTOM_1: Final = "Custom 1"
CUSTOM_2: Final = "Custom 2"
STATUSES: Final = (AVAILABLE, AWAY, OUT_OF_OFFICE, CUSTOM_1, CUSTOM_2)
"""The five forwarding profiles of an extension, by internal name (the same in V16, V18 and V20)."""


class Presence(msgspec.Struct, frozen=True, gc=False):
    """Teams' pair. Both are open strings in Graph, so unknown words are kept and compared without case.

    https://learn.microsoft.com/graph/api/resources/presence
    """

    availability: str
    activity: str

    def same_as(self, other: "Presence") -> bool:
        return (
            self.availability.casefold() == other.availability.casefold()
            and self.activity.casefold() == other.activity.casefold()
        )

    def is_known(self) -> bool:
        """False for `PresenceUnknown`: it tells nothing about the person."""
        return self.availability.casefold() not in {"presenceunknown", ""}

    def __str__(self) -> str:
        return f"{self.availability}/{self.activity}"


def parse_pair(text: str) -> Presence:
    """`Busy/InACall` as a presence. Raises `ValueError` for anything but two words around one slash."""
    availability, slash, activity = text.partition("/")
    if not (slash and availability and activity) or "/" in activity:
        raise ValueError(f"{text!r} is not of the form availability/activity, such as Busy/InACall")
    return Presence(availability, activity)


class LegState(StrEnum):
    """A connection's state, as 3CX's object model has named it since V16 (`ConnectionStatus`)."""

    UNDEFINED = "Undefined"
    DIALING = "Dialing"
    RINGING = "Ringing"
    CONNECTED = "Connected"
    HOLD = "Hold"  # held by this side
    HELD = "Held"  # held by the other side


class Because(StrEnum):
    """Why a command was given, or why nothing was done. The page and `why` put these into words."""

    # Teams -> 3CX: causes of a ChangeStatus
    TEAMS_BUSY = "teams_busy"
    TEAMS_FREE = "teams_free"
    TEAMS_FREE_UNCLAIMED = "teams_free_unclaimed"
    HINT_REFUTED = "hint_refuted"
    LET_GO = "let_go"  # of either side
    # ... and what became of it
    STATUS_TAKEN = "status_taken"
    STATUS_GIVEN_BACK = "status_given_back"
    STATUS_FREED = "status_freed"
    STATUS_LEFT_ALONE = "status_left_alone"
    STATUS_CHANGED_BY_HAND = "status_changed_by_hand"
    STATUS_ALREADY_OURS = "status_already_ours"
    # 3CX -> Teams: causes of a SetPresence or ClearPresence
    IN_CALL = "in_call"
    STATUS_SHOWN = "status_shown"
    LEASE_RENEWED = "lease_renewed"
    CALL_OVER = "call_over"
    STATUS_NOT_SHOWN = "status_not_shown"
    # ... and what became of it
    SESSION_SET = "session_set"
    SESSION_CLEARED = "session_cleared"
    LEASE_ENDED = "lease_ended"
    # what was seen says nothing, or not yet
    ECHO = "echo"
    ECHO_TO_CONFIRM = "echo_to_confirm"
    OVERTAKEN = "overtaken"
    TO_CONFIRM = "to_confirm"
    # a write that did not work
    WRITE_FAILED = "write_failed"
    IGNORED_BY_PBX = "ignored_by_pbx"
    # the operator
    PAUSED = "paused"
    RESUMED = "resumed"
    PAUSE_OVER = "pause_over"


class TeamsClaim(msgspec.Struct, frozen=True, gc=False):
    """What we hold on Teams: our own presence session, which always ends by itself."""

    pair: Presence
    why: Because
    since: float
    before: Presence | None
    """What Teams showed when we took it."""
    until: float
    """The latest time at which the lease may still be alive."""
    accepted_at: float | None = None
    """When Graph last accepted it; renewals count from here. None while it is being set or cleared."""
    instead_of: tuple[Presence, ...] = ()
    """Earlier pairs of ours that Teams may show until this one is accepted."""


class StatusClaim(msgspec.Struct, frozen=True, gc=False):
    """What we hold on 3CX: a status that we set and will give back."""

    value: str
    before: str
    """What was there before, and is given back; empty as long as that is not known."""
    why: Presence
    since: float
    confirmed: bool = False
    """True once 3CX showed our value after we wrote it."""
    ours: tuple[str, ...] = ()
    """The values of all writes that may have arrived: seen on 3CX they are ours, not somebody's own."""
    unsure_at: float = 0.0
    """When a write last ended without an answer, or was not seen to be done. It may arrive a little later."""
    hinted: bool = False
    """Made on a notification that no read has confirmed: given back if a read says otherwise."""


class Spell(msgspec.Struct, frozen=True, gc=False):
    """A time during which the person's presence asks for one and the same status."""

    target: str
    since: float
    done: bool = False
    """True once its beginning has been answered: the rule acts once for a spell."""
    hinted: bool = False
    """Begun by a notification that no read has confirmed; the next notification may end it."""
    regretted: bool = False
    """What we held was given back on a notification: taken again unless a read says that it is over."""


class Released(msgspec.Struct, frozen=True, gc=False):
    """The ledger's line on our last Teams session: what it showed, and when it ended."""

    pairs: tuple[Presence, ...]
    at: float


class Write(msgspec.Struct, frozen=True, gc=False):
    """The write of one side: on its way, or waiting to be tried again. There is never more than one."""

    doing: Because | None = None
    """The cause of the write that is on its way."""
    attempts: int = 0
    retry_at: float = 0.0
    trouble: str | None = None
    """What went wrong the last time, for people."""


IDLE: Final = Write()
"""Nothing to write: one and the same for everybody."""


class State(msgspec.Struct, frozen=True, gc=False):
    """What is known of one person. `None` means: not seen since the start."""

    user: str | None = None
    """Whose state it is: the object id in Entra. An extension may be somebody else's by the next start."""

    # Teams
    shown: Presence | None = None
    """What Teams shows, our own session included."""
    person: Presence | None = None
    """What Teams would show without our session."""
    hint: Presence | None = None
    """What a notification says of the person, until a read confirms it or takes it back."""
    doubted_until: float = 0.0
    """Until when none is acted on before it was read, since a read took one back."""
    sequence: str | None = None
    """Graph's `sequenceNumber` of the newest read; sortable as text."""
    presence_mark: float = 0.0
    """A read that was asked for before this time says nothing new."""
    veiled: bool = False
    """The last look showed our own session, or was before its end: the person may have changed unseen."""
    free_wanted: bool = False
    """Somebody's own status is to be set free (rule 2 without a claim)."""

    # 3CX
    status: str | None = None
    status_mark: float = 0.0
    legs: tuple[LegState, ...] | None = None
    call_since: float | None = None
    pbx_up: bool = False

    # What is ours
    spell: Spell | None = None
    teams_claim: TeamsClaim | None = None
    status_claim: StatusClaim | None = None
    released: Released | None = None

    # Writes
    teams_write: Write = IDLE
    status_write: Write = IDLE

    # The operator
    paused: bool = False
    paused_until: float | None = None

    def durable(self) -> tuple[object, ...]:
        """What a restart must not lose; the state is saved before a command that follows from it."""
        kept = (
            self.spell,
            self.teams_claim,
            self.status_claim,
            self.released,
            self.paused,
            self.paused_until,
        )
        return (*kept, self.user if any(kept) else None)  # of whom nothing is kept, no row is needed
