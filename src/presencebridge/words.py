"""PURE: what was seen and decided, in plain words: for the page, `why` and the demo."""

from collections.abc import Iterable

from presencebridge.bilingual import Language
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
    LegsSeen,
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Source,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
)
from presencebridge.core.model import Because, LegState, State
from presencebridge.runtime.links import LinkReport, LinkState
from presencebridge.texts import Text


def seen(event: AnyEvent, language: Language = "en") -> str:
    """What was seen."""
    match event:
        case PresenceSeen():
            text = Text.NOTIFIED if event.source is Source.NOTIFICATION else Text.READ
            return text.say(language, presence=str(event.presence))
        case StatusSeen():
            return Text.STATUS_READ.say(language, status=event.status)
        case LegsSeen():
            return Text.CALLS_READ.say(language, legs=legs(event.legs, language))
        case PresenceWritten():
            return (Text.TEAMS_CLEARED if event.cleared else Text.TEAMS_SET).say(language)
        case PresenceWriteFailed() | StatusWriteFailed():
            return Text.WRITE_FAILED.say(language, reason=event.reason)
        case StatusWritten():
            text = Text.WRITTEN if event.wrote else Text.NOT_WRITTEN
            return text.say(language, before=event.before, after=event.after)
        case _:
            return Text[f"SEEN_{type(event).__name__.upper()}"].say(language)


def said(command: AnyCommand, language: Language = "en") -> str:
    """What was done about it, and why."""
    match command:
        case SetPresence():
            minutes = str(command.lease_s // 60)
            cause = _cause(command.because, language)
            return Text.SET_TEAMS.say(language, pair=str(command.pair), minutes=minutes, cause=cause)
        case ClearPresence():
            return Text.CLEAR_TEAMS.say(
                language, pair=str(command.pair), cause=_cause(command.because, language)
            )
        case ChangeStatus():
            expected = Text.OR.say(language).join(command.expected)
            cause = _cause(command.because, language)
            return Text.CHANGE_STATUS.say(language, expected=expected, wanted=command.wanted, cause=cause)
        case ReadPresence():
            return Text[f"LOOK_{command.because.name}"].say(language)
        case Note():
            return Text[f"NOTE_{command.because.name}"].say(language, detail=command.detail)


def _cause(because: Because, language: Language) -> str:
    return Text[f"CAUSE_{because.name}"].say(language)


def is_deed(command: AnyCommand) -> bool:
    """Whether something is done or settled, and not only looked at."""
    return not isinstance(command, ReadPresence) and command.because is not Because.ECHO


def legs(states: tuple[LegState, ...] | None, language: Language = "en") -> str:
    """An extension's connections, as 3CX names them."""
    if states is None:
        return Text.UNKNOWN.say(language)
    return ", ".join(states) if states else Text.NO_CALL.say(language)


def presence(pair: str, language: Language) -> str:
    """`Busy/InACall` as a person would say it. Graph's words are open: an unknown one stays as it is."""
    availability, _, activity = pair.partition("/")
    first = _word("TEAMS", availability, language)
    if not activity or activity.casefold() == availability.casefold():
        return first
    return f"{first} · {_word('TEAMS', activity, language)}"


def status(name: str, language: Language) -> str:
    """A forwarding profile by its usual name; one of the operator's own stays as it is."""
    return _word("STATUS", name, language)


def leg(state: str, language: Language) -> str:
    """A connection's state as a person would say it."""
    return _word("LEG", state, language)


def _word(kind: str, word: str, language: Language) -> str:
    text = Text.__members__.get(f"{kind}_{word.upper().replace(' ', '_')}")
    return word if text is None else text.say(language)


def holding(state: State) -> str:
    """What of a person is ours right now."""
    claims = []
    if state.teams_claim:
        unsure = "" if state.teams_claim.accepted_at is not None else " (not confirmed yet)"
        claims.append(f"Teams {state.teams_claim.pair}{unsure}")
    if state.status_claim:
        claim = state.status_claim
        unsure = "" if claim.confirmed else ", not confirmed yet"
        claims.append(f"3CX {claim.value} (was {claim.before}{unsure})")
    return "; ".join(claims) or "nothing"


def link_name(name: str, language: Language = "en") -> str:
    """A link as people call it; one that has no other name keeps its own."""
    kind, _, of = name.partition(" ")
    text = Text.__members__.get(f"LINK_{kind.upper()}")
    return name if text is None else text.say(language, name=of)


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
