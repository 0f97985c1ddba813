"""PURE: a request in, the answer and the lines on standard output out (Program.cs of each version).

Only the raw URL counts, split at `/`: it is neither decoded nor freed of its query string, and case
matters. Any method will do, save POST in the dialects that take webhook calls.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl

from presencebridge.emulators.webapi import call_routes, status_routes
from presencebridge.emulators.webapi.dialects import Dialect
from presencebridge.emulators.webapi.pbx import Pbx
from presencebridge.emulators.webapi.steps import Answered, Blocked, Hung, Request, Step
from presencebridge.emulators.webapi.visit import CLOSED_STREAM, FailedInside, Pause, Visit

Route = Callable[[Visit], str | Pause]


def _divert(visit: Visit) -> str:
    return visit.dialect.idle


def _clear(visit: Visit) -> str:
    visit.say("Clearing the screen!")
    return visit.dialect.idle


def _stop(visit: Visit) -> str:
    return visit.dialect.stopped


_ROUTES: dict[str, Route] = {
    "showstatus": status_routes.showstatus,
    "setstatus": status_routes.setstatus,
    "ready": status_routes.ready,
    "notready": status_routes.notready,
    "logout": status_routes.logout,
    "login": status_routes.login,
    "save": status_routes.save,
    "showallcalls": call_routes.showallcalls,
    "ondn": call_routes.ondn,
    "getcallerid": call_routes.getcallerid,
    "dnregs": call_routes.dnregs,
    "makecall": call_routes.makecall,
    "unpark": call_routes.unpark,
    "drop": call_routes.drop,
    "answer": call_routes.answer,
    "record": call_routes.record,
    "transfer": call_routes.transfer,
    "park": call_routes.park,
    "atttrans": call_routes.atttrans,
    "divert": _divert,
    "clear": _clear,
    "stop": _stop,
}


def respond(
    request: Request, pbx: Pbx, dialect: Dialect, *, connected: bool = True, ignores_set: bool = False
) -> Step:
    """Does what the request asks for. A route that throws gives `Hung`: such a one is never answered."""
    said = first_lines(request, dialect)
    visit = Visit(request.raw_url.split("/"), dialect, said.append, pbx, connected, ignores_set)
    if dialect.takes_posts and request.method == "POST":
        token = _query_value(request.raw_url, "validationToken")
        return Answered((*said, token), token, dialect.post_content_type)
    if request.has_body and not dialect.takes_posts:
        return Hung((*said, CLOSED_STREAM))
    return _step(visit, said, lambda: _ROUTES.get(visit.part(1), _divert)(visit))


def first_lines(request: Request, dialect: Dialect) -> list[str]:
    """What is printed before any route is entered."""
    lines = [request.raw_url] if dialect.prints_url else []
    if request.has_body and dialect.takes_posts:
        lines.append(request.body)
    return lines


def _step(visit: Visit, said: list[str], act: Callable[[], str | Pause]) -> Step:
    try:
        outcome = act()
    except FailedInside as failure:
        return Hung((*said, str(failure)))
    lines = tuple(said)
    said.clear()
    if isinstance(outcome, Pause):
        return Blocked(lines, outcome.seconds, lambda: _step(visit, said, outcome.then))
    ends = visit.parts[1] == "stop"
    return Answered(
        (*lines, outcome),
        outcome,
        visit.dialect.content_type,
        ends=ends,
        farewell=visit.dialect.farewell if ends else (),
    )


def _query_value(raw_url: str, name: str) -> str:
    """HttpListenerRequest.QueryString[name]: decoded, whatever the case of the name, doubles by comma."""
    pairs = parse_qsl(raw_url.partition("?")[2], keep_blank_values=True)
    return ",".join(value for key, value in pairs if key.lower() == name.lower())
