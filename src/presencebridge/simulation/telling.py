"""PURE: a chronicle in lines that a person can read."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from presencebridge.simulation.chronicle import (
    AnyHappening,
    AtRest,
    Chose,
    ClientShows,
    Forgotten,
    Glance,
    LegsAre,
    Owns,
    PausedByOperator,
    PutBack,
    ResumedByOperator,
    Shown,
    StatusByHand,
    TakenOut,
    Trouble,
    Violation,
    Wrote,
)
from presencebridge.simulation.plan import DAY_S, Plan

_MORNING_S: Final = 8 * 3600.0
_SIDES: Final = {"teams": "Teams", "3cx": "3CX"}


def clock(at: float) -> str:
    """`1 09:15:12.34`: the day, and the time of day; days begin at midnight, the story at eight."""
    day, seconds = divmod(at + _MORNING_S, DAY_S)
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    return f"{int(day) + 1} {int(hours):02}:{int(minutes):02}:{left:05.2f}"


def house(plan: Plan) -> str:
    """Where the story is set."""
    site, rules = plan.site, plan.house
    words = [
        f"seed {plan.seed}: {site.kind}, delivery {site.delivery}, preset {rules.preset}",
        f"lease {rules.lease_s} s",
        f"Teams read every {site.presence_every_s:g} s",
        f"calls every {site.calls_every_s:g} s",
        f"statuses every {site.statuses_every_s:g} s",
    ]
    words += [word for word in ("manual_wins", "busy_while_ringing") if getattr(rules, word)]
    words += [f"people by mail address every {site.look_every_s:g} s"] if site.match == "email" else []
    words += ["two watchers"] if site.watchers == 2 and site.delivery == "webhook" else []
    words += [f"{person} excluded" for person in sorted(rules.excluded)]
    return ", ".join(words)


def story(happened: Sequence[AnyHappening], violations: Iterable[Violation] = ()) -> Iterator[str]:
    """Line by line, what was wrong where it happened."""
    wrong = sorted(violations, key=lambda violation: violation.at)
    for happening in happened:
        while wrong and wrong[0].at < happening.at:
            yield _wrong(wrong.pop(0))
        for who, what in _lines(happening):
            yield f"{clock(happening.at)}  {who:<5} {what}"
    yield from map(_wrong, wrong)


def _wrong(violation: Violation) -> str:
    who = violation.person or ""
    return f"{clock(violation.at)}  {who:<5} WRONG (property {violation.rule}): {violation.what}"


def _lines(happening: AnyHappening) -> list[tuple[str, str]]:  # noqa: C901, PLR0912 - one case each
    match happening:
        case ClientShows():
            return [(happening.person, f"Teams client: {happening.pair or 'signed out'}")]
        case Chose():
            return [(happening.person, f"chooses in Teams: {happening.pair or 'nothing any more'}")]
        case StatusByHand():
            return [(happening.person, f"sets 3CX to {happening.status}")]
        case LegsAre():
            return [(happening.person, f"calls: {', '.join(happening.legs) or 'none'}")]
        case PausedByOperator():
            until = "" if happening.until is None else f" until {clock(happening.until)}"
            return [(happening.person, f"paused{until}")]
        case ResumedByOperator():
            return [(happening.person, "resumed")]
        case TakenOut():
            return [(happening.person, "is taken out, and is to be served no more")]
        case PutBack():
            return [(happening.person, "is put back, and is to be served again")]
        case Forgotten():
            return [(happening.person, "is forgotten: the database is gone")]
        case Wrote():
            before, after = happening.before or "nothing", happening.after or "nothing"
            what = f"renews {after}" if before == after else f"{before} -> {after}"
            return [(happening.person, f"        bridge, {_SIDES[happening.side]}: {what}")]
        case Owns():
            return [("", f"---- {happening.node} owns the site, epoch {happening.epoch}")]
        case Trouble():
            link = "bridge" if happening.link == "service" else happening.link
            what = f"---- {link}: {happening.what}, until {clock(happening.until)}"
            return [(happening.person or "", what)]
        case AtRest():
            return [("", "at rest"), *_everybody(happening.shown)]
        case Glance():
            return [("", "a look"), *_everybody(happening.shown)]


def _everybody(shown: dict[str, Shown]) -> list[tuple[str, str]]:
    return [(person, f"    {_shown(one)}") for person, one in sorted(shown.items())]


def _shown(one: Shown) -> str:
    ours = f" (ours: {one.our_session}; without us: {one.without_us})" if one.our_session else ""
    calls = f", calls: {', '.join(one.legs)}" if one.legs else ""
    return f"Teams {one.effective}{ours}, 3CX {one.status}{calls}"
