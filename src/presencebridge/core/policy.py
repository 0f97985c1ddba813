"""The operator's rules as data: mapping tables, presets, and what may be done for whom."""

from typing import Final

import msgspec
from msgspec.structs import replace

from presencebridge.core.model import (
    AVAILABLE,
    AWAY,
    CUSTOM_2,
    OUT_OF_OFFICE,
    STATUSES,
    LegState,
    Presence,
)

NO_CHANGE: Final = "no change"

SESSION_PAIRS: Final = (
    Presence("Available", "Available"),
    Presence("Busy", "InACall"),
    Presence("Busy", "InAConferenceCall"),
    Presence("Away", "Away"),
    Presence("DoNotDisturb", "Presenting"),
)
"""What setPresence takes, and nothing else: https://learn.microsoft.com/graph/api/presence-setpresence"""

IN_A_CALL: Final = Presence("Busy", "InACall")

AVAILABILITIES: Final = (
    "Available",
    "AvailableIdle",
    "AvailableInactive",
    "Away",
    "BeRightBack",
    "Busy",
    "BusyIdle",
    "DoNotDisturb",
    "Focusing",
    "Offline",
    "OutOfOffice",
    "PresenceUnknown",
)
"""Every availability that any of Microsoft's pages names; a table row with another word is a typing error."""


class Policy(msgspec.Struct, frozen=True):
    """What is to be done for a person."""

    teams_to_3cx: bool = True
    threecx_to_teams: bool = True
    manual_wins: bool = False
    """A status that somebody set by hand is never changed."""
    busy_while_ringing: bool = False
    min_call_s: float = 0.0
    """A call shorter than this does not reach Teams."""
    excluded: bool = False
    """Nothing is done for this person, but that what is ours from before is given back."""

    status_for: dict[str, str] = {}
    """Availability, `availability/activity` or `*/activity`, in lower case, to a status or NO_CHANGE."""
    takes_from: tuple[str, ...] = (AVAILABLE,)
    """Only these statuses are replaced."""
    frees: tuple[str, ...] = ()
    """Statuses that Teams' becoming free sets to Available although they are not ours."""
    call_pair: Presence | None = IN_A_CALL
    pair_for: dict[str, Presence] = {}
    """Status, in lower case, to the presence session that shows it in Teams."""

    lease_s: int = 300
    """Life of our presence session; Graph takes 300 to 14,400. The shortest heals the soonest."""
    settle_s: float = 4.0
    """How long after its end our own session may still be shown by a read."""

    def target(self, presence: Presence) -> str:
        """The status that this presence asks for: a status to take, AVAILABLE to set free, or NO_CHANGE."""
        if not presence.is_known():
            return NO_CHANGE
        availability, activity = presence.availability.casefold(), presence.activity.casefold()
        rows = self.status_for
        found = rows.get(f"{availability}/{activity}") or rows.get(f"*/{activity}") or rows.get(availability)
        return found or rows.get("*", NO_CHANGE)

    def counts(self, leg: LegState) -> bool:
        """Whether a leg makes its extension be in a call. A held call is still a call."""
        if leg is LegState.RINGING:
            return self.busy_while_ringing
        return leg is not LegState.UNDEFINED

    def freeable(self) -> tuple[str, ...]:
        return () if self.manual_wins else self.frees

    def letting_go(self) -> "Policy":
        """These rules with nothing wanted on either side: what is ours is given back, and that is all."""
        return replace(self, teams_to_3cx=False, threecx_to_teams=False, pair_for={})


_FREE: Final = {"available": AVAILABLE, "availableidle": AVAILABLE, "availableinactive": AVAILABLE}

SEED: Final = Policy(
    status_for={**_FREE, "busy": AWAY, "busyidle": AWAY, "donotdisturb": AWAY, "berightback": AWAY},
    frees=(AWAY,),
)
"""What the blog post of 2023 describes."""

CALLS_ONLY: Final = Policy(
    status_for={
        **_FREE,
        "*/inacall": AWAY,
        "*/inaconferencecall": AWAY,
        "*/presenting": AWAY,
        "*": AVAILABLE,
    },
)
"""Only calls count: whatever else Teams shows gives back what a call took, and touches nothing else."""

MIRROR: Final = Policy(
    status_for={
        **_FREE,
        "busy": AWAY,
        "busyidle": AWAY,
        "berightback": AWAY,
        "away": AWAY,
        "donotdisturb": OUT_OF_OFFICE,
        "focusing": OUT_OF_OFFICE,
        "outofoffice": CUSTOM_2,
    },
    frees=(AWAY, OUT_OF_OFFICE),
    pair_for={OUT_OF_OFFICE.casefold(): Presence("DoNotDisturb", "Presenting")},
)
"""Each side shows the other's state as far as both have words for it."""

CUSTOM: Final = Policy(call_pair=None)
"""Nothing but the table of one's own."""

PRESETS: Final = {"seed": SEED, "calls-only": CALLS_ONLY, "mirror": MIRROR, "custom": CUSTOM}


def canonical_status(name: str) -> str | None:
    """The internal name of a status however it is spelled, None for a word that is none."""
    folded = name.casefold().strip()
    return next((status for status in STATUSES if status.casefold() == folded), None)
