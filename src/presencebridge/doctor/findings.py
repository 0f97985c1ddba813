"""PURE: what a probe found, how it is told, and what it comes to."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from presencebridge.doctor.faults import Fault


class State(StrEnum):
    FINE = "fine"
    WRONG = "wrong"
    WARNING = "warning"
    """It works, and is worth mending."""
    NOT_TRIED = "not tried"


class Verdict(msgspec.Struct, frozen=True):
    """What there is to say of one matter."""

    state: State
    what: str
    fault: Fault | None = None
    words: dict[str, str] = {}
    """What stands in the cure's braces."""


class Finding(msgspec.Struct, frozen=True):
    """A verdict as it is told."""

    probe: str
    state: State
    what: str
    cure: str
    fault: str
    """Its name in docs/doctor.md; empty where nothing is wrong."""


def fine(what: str) -> Verdict:
    return Verdict(State.FINE, what)


def not_tried(why: str) -> Verdict:
    return Verdict(State.NOT_TRIED, why)


def wrong(fault: Fault, what: str, **words: str) -> Verdict:
    return Verdict(State.WRONG, what, fault, words)


def warning(fault: Fault, what: str, **words: str) -> Verdict:
    return Verdict(State.WARNING, what, fault, words)


def finding(probe: str, verdict: Verdict, config: str) -> Finding:
    fault = verdict.fault
    cure = fault.value.format(config=config, **verdict.words) if fault else ""
    return Finding(probe, verdict.state, verdict.what, cure, fault.word if fault else "")


def exit_status(findings: Iterable[Finding]) -> int:
    """1 if something is wrong, else 0; a warning is not wrong."""
    return int(any(one.state is State.WRONG for one in findings))


_MARKS: Final = {State.FINE: "ok  ", State.WRONG: "BAD ", State.WARNING: "WARN", State.NOT_TRIED: "-   "}


def line(one: Finding) -> str:
    """One finding for people, with its cure below."""
    text = f"{_MARKS[one.state]}  {one.probe}: {one.what}"
    return f"{text}\n        cure: {one.cure}" if one.cure else text


def summary(findings: Sequence[Finding]) -> str:
    """The last line: the root of the trouble first."""
    bad = [one for one in findings if one.state is State.WRONG]
    warned = sum(one.state is State.WARNING for one in findings)
    rest = sum(one.state is State.NOT_TRIED for one in findings)
    told = [f"{len(findings) - len(bad) - warned - rest} fine"]
    told += [f"{len(bad)} wrong"] if bad else []
    told += [f"{warned} to look at"] if warned else []
    told += [f"{rest} not tried"] if rest else []
    text = ", ".join(told)
    return f"{text}; begin with {bad[0].probe}" if bad else text


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(one) for one in findings]


def listed(names: Sequence[str], most: int = 5) -> str:
    """`101, 102 and 3 more`."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
