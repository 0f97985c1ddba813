"""PURE: the log as a terminal shows it: sentences, as `why` and `watch` have them."""

from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Any, Final

from presencebridge import words

Line = MutableMapping[str, Any]

_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "link": ("{link} is {state}: {reason}", "{link} is {state}", "{link}: {about}: {reason}"),
    "person in trouble": ("{person}: trouble on the side of {side}: {reason}",),
    "person out of trouble": ("{person}: well again on the side of {side}",),
    "person joins": ("{person} joins, found by {how}", "{person} joins"),
    "person leaves": ("{person} leaves: what we hold is given back",),
    "people": ("{matched} people are matched, {not_matched} are not",),
    "operator": ("{person}: an operator has {order} them",),
    "lifecycle": ("Graph says of a subscription: {event_name}",),
    "notification not believed": ("a notification was not believed: {why}",),
    "subscription is silent": (
        "nothing is heard of watcher {watcher}'s subscription: {changes_not_notified} changes were only read",
    ),
    "expiring": ("{what}",),
    "config changed": ("the config has changed: applied {how}",),
    "config refused": ("the changed config can't be used: {reason}",),
    "site ended": ("the site has ended: {reason}; it begins anew in {again_in_s} s",),
    "site removed": ("the site is removed",),
    "node": ("{reason}",),
    "stopped": ("stopped; {sessions_left_to_their_lease} presences in Teams are left to end by themselves",),
}
"""By event: the first sentence whose words are all there is said."""

_ORDINARY: Final = ("debug", "info")
_SAID_ALREADY: Final = ("days", "took_ms")
_BELOW: Final = " " * 9
_SIDES: Final = {"teams": "Teams", "3cx": "3CX", "3cx calls": "3CX's calls"}
_PLAIN: Final[dict[str, Callable[[str], str]]] = {
    "link": words.link_name,
    "side": lambda side: _SIDES.get(side, side),
    "order": str.lower,
}


def in_words(_logger: Any, _method: str, line: Line) -> Line:
    """As a processor of structlog's. What no sentence takes up stays behind it as `word=value`."""
    if line.get("level") in _ORDINARY:
        del line["level"]
    for name in _SAID_ALREADY:
        line.pop(name, None)
    line["timestamp"] = datetime.fromisoformat(line["timestamp"]).astimezone().strftime("%H:%M:%S")
    if (decided := line.pop("decided", None)) is not None:
        who = line.pop("person")
        line["event"] = f"{who}: {words.seen(decided.seen)}\n{_BELOW}- {words.said(decided.command)}"
    else:
        line["event"] = _sentence(line)
    if site := line.pop("site", ""):
        line["event"] = f"{site}: {line['event']}"
    if line.pop("dry_run", False):
        line["event"] += " (dry run)"
    if cure := line.pop("cure", ""):
        line["event"] += f"\n{_BELOW}cure: {cure}"
    return line


def _sentence(line: Line) -> str:
    """What is said takes its words out of the line."""
    event = str(line["event"])
    for form in _SENTENCES.get(event, ()):
        names = _names(form)
        if all(line.get(name) not in (None, "") for name in names):
            found = {name: _PLAIN.get(name, str)(line.pop(name)) for name in names}
            _drop_empty(line)
            return form.format(**found)
    return event


def _names(form: str) -> list[str]:
    return [part.partition("}")[0] for part in form.split("{")[1:]]


def _drop_empty(line: Line) -> None:
    for name in [name for name, value in line.items() if value == ""]:
        del line[name]
