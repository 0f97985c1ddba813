"""PURE: what was seen and decided, in plain words: for the page, `why` and the demo."""

from collections.abc import Iterable
from typing import Final

from presencebridge.core.commands import (
    AnyCommand,
    ChangeStatus,
    ClearPresence,
    Note,
    ReadPresence,
    SetPresence,
)
from presencebridge.core.events import (
    AnyEvent,
    LegsLost,
    LegsSeen,
    Paused,
    PbxLost,
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Resumed,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TeamsFound,
    TimerFired,
)
from presencebridge.core.model import Because, LegState, State
from presencebridge.runtime.links import LinkReport, LinkState

_CAUSE = {
    Because.TEAMS_BUSY: "Teams became busy (rule 1)",
    Because.TEAMS_FREE: "Teams is free again and the status is ours (rule 2)",
    Because.TEAMS_FREE_UNCLAIMED: "Teams became free (rule 2, somebody's own status)",
    Because.IN_CALL: "in a call on 3CX (rule 3)",
    Because.STATUS_SHOWN: "the 3CX status is shown in Teams",
    Because.LEASE_RENEWED: "still so: the lease is renewed",
    Because.CALL_OVER: "the last call is over (rule 4)",
}

_HAPPENED: Final[dict[type[AnyEvent], str]] = {
    Paused: "an operator paused this person",
    Resumed: "an operator resumed this person",
    TeamsFound: "Graph answers again",
    LegsLost: "3CX does not tell this extension's calls any more",
    PbxLost: "the link to 3CX went down",
    Started: "the service started",
    TimerFired: "the time came",
}

_NOTE = {
    Because.STATUS_TAKEN: "3CX shows {detail}: it is ours until Teams is free",
    Because.STATUS_GIVEN_BACK: "3CX is back to {detail}: no longer ours",
    Because.STATUS_FREED: "3CX is {detail} now",
    Because.STATUS_LEFT_ALONE: "3CX was {detail}: left alone",
    Because.STATUS_CHANGED_BY_HAND: "3CX was set to {detail} by somebody else: left alone from here on",
    Because.STATUS_ALREADY_OURS: "3CX shows {detail} already, and it is ours",
    Because.SESSION_SET: "Teams accepted {detail}",
    Because.SESSION_CLEARED: "our {detail} has ended in Teams",
    Because.LEASE_ENDED: "our {detail} in Teams has ended by itself",
    Because.ECHO: "Teams shows our own {detail}: that says nothing of the person",
    Because.WRITE_FAILED: "it did not work: {detail}; it is tried again",
    Because.IGNORED_BY_PBX: "3CX accepted the change and still shows {detail}; it is tried again",
    Because.PAUSED: "paused: nothing is written",
    Because.RESUMED: "resumed",
    Because.PAUSE_OVER: "the pause is over",
}

_LOOK = {
    Because.ECHO_TO_CONFIRM: "Teams still shows what we had set: looking again before believing it",
    Because.OVERTAKEN: "that was older than what is known: looking again",
    Because.TO_CONFIRM: "looking again to be sure",
    Because.SESSION_CLEARED: "looking at what Teams shows without us",
}


def seen(event: AnyEvent) -> str:
    """What was seen."""
    match event:
        case PresenceSeen():
            how = "was notified" if event.source is Source.NOTIFICATION else "was read"
            return f"Teams {how}: {event.presence}"
        case StatusSeen():
            return f"3CX status was read: {event.status}"
        case LegsSeen():
            return f"3CX calls were read: {legs(event.legs)}"
        case PresenceWritten():
            return "Teams carried out our " + ("clearPresence" if event.cleared else "setPresence")
        case PresenceWriteFailed() | StatusWriteFailed():
            return f"a write failed: {event.reason}"
        case StatusWritten():
            if not event.wrote:
                return f"3CX status just before writing: {event.before}; nothing was written"
            return f"3CX status was {event.before}, we wrote, and it reads {event.after}"
        case _:
            return _HAPPENED[type(event)]


def said(command: AnyCommand) -> str:
    """What was done about it, and why."""
    match command:
        case SetPresence():
            return f"set Teams to {command.pair} for {command.lease_s // 60} min: {_CAUSE[command.because]}"
        case ClearPresence():
            return f"end our {command.pair} in Teams: {_CAUSE[command.because]}"
        case ChangeStatus():
            expected = " or ".join(command.expected)
            return f"if 3CX shows {expected}, set it to {command.wanted}: {_CAUSE[command.because]}"
        case ReadPresence():
            return _LOOK[command.because]
        case Note():
            return _NOTE[command.because].format(detail=command.detail)


def is_deed(command: AnyCommand) -> bool:
    """Whether something is done or settled, and not only looked at."""
    return not isinstance(command, ReadPresence) and command.because is not Because.ECHO


def legs(states: tuple[LegState, ...] | None) -> str:
    if states is None:
        return "unknown"
    return ", ".join(states) if states else "no call"


def holding(state: State) -> str:
    """What of a person is ours right now."""
    claims = []
    if state.teams_claim:
        unsure = "" if state.teams_claim.accepted_at is not None else " (being set)"
        claims.append(f"Teams {state.teams_claim.pair}{unsure}")
    if state.status_claim:
        claim = state.status_claim
        unsure = "" if claim.confirmed else ", being set"
        claims.append(f"3CX {claim.value} (was {claim.before}{unsure})")
    return "; ".join(claims) or "nothing"


def many(ready: Iterable[bool]) -> str:
    """How many sites there are, and how many are in step, in one line."""
    each = list(ready)
    return f"{sum(each)} of {len(each)} sites in step"


def standing(links: Iterable[LinkReport], people: int) -> str:
    """How a site stands, in one line: for the service manager."""
    who = f"{people} {'person' if people == 1 else 'people'}"
    trouble = (link for link in links if link.state is not LinkState.CONNECTED)
    amiss = [f"{link.name} is {link.state}: {link.reason}" for link in trouble]
    return "; ".join([*amiss, who]) if amiss else f"in step, {who}"
