"""What every control port needs: reading JSON strictly, answering in JSON, and refusing with the cure."""

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Refusal(Exception):
    """A request that the control port can't do: HTTP status, and what would help."""

    def __init__(self, status: int, cure: str) -> None:
        super().__init__(cure)
        self.status = status
        self.cure = cure


async def read(request: Request, kind: Any, *, fields: str, no_json: str, empty: bytes = b"") -> Any:
    """The body as that kind; `empty` is what no body stands for.

    Raises `Refusal`, with `fields` as the cure of JSON that doesn't fit and `no_json` for anything else.
    """
    try:
        return msgspec.json.decode(await request.body() or empty, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"{error}; {fields}" if fields else str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"the body is no JSON ({error}); {no_json}") from error


def since(request: Request) -> int:
    """From which of the requests on the log is asked for."""
    index = request.query_params.get("since", "0")
    if not index.isdecimal():
        raise Refusal(400, "since must be the index of a request, such as ?since=12")
    return int(index)


def require_known(what: str, values: Iterable[str], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise Refusal(400, f"no {what} {value!r}; use one of: {', '.join(known)}")


def json_answer(content: Any, status: int = 200) -> Response:
    """Ends with a new line, so that a terminal's prompt does not stand behind it."""
    return Response(msgspec.json.encode(content) + b"\n", status, media_type="application/json")


def refused(_: Request, error: Any) -> Response:
    return json_answer({"error": error.cure}, error.status)


def not_routed(request: Request, error: Any) -> Response:
    routes = "; ".join(
        f"{'/'.join(sorted((route.methods or set()) - {'HEAD'}))} {route.path}"
        for route in request.app.routes
        if isinstance(route, Route)
    )
    return json_answer({"error": f"{error.detail}; what there is: {routes}"}, error.status_code)
