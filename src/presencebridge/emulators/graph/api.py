"""Graph's routes, and what every answer has in common: who asks, how often, and the headers.

One module for each group of calls does the rest: `presence_calls`, `user_calls`,
`subscription_calls`, `batch`; sign-in is in `entra`.
"""

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from presencebridge.emulators.graph import batch, entra, presence_calls, subscription_calls, user_calls, wire
from presencebridge.emulators.graph.calls import Answer, Call
from presencebridge.emulators.graph.errors import GraphError, unauthenticated
from presencebridge.emulators.graph.tokens import Access

if TYPE_CHECKING:
    from presencebridge.emulators.graph.emulator import GraphEmulator

_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_KEY = re.compile(r"\('([^']*)'\)")

_ACTIONS = (
    "/users/{key}/presence/{action}",
    "/me/presence/{action}",
    "/communications/presences/{key}/{action}",
)

Operation = Callable[[Call], Awaitable[Answer]]


def routes(emulator: "GraphEmulator") -> ASGIApp:
    """The whole application: Graph under /v1.0 and /beta, sign-in beside it."""
    endpoint = _Endpoints(emulator)
    get, post, patch, delete = "GET", "POST", "PATCH", "DELETE"
    graph = [
        *(endpoint.route(get, path, presence_calls.read, "presence") for path in _PRESENCES),
        *(endpoint.route(post, path, presence_calls.act, "presence") for path in _ACTIONS),
        *(
            endpoint.route(
                post, f"/communications/{prefix}getPresencesByUserId", presence_calls.read_many, "presence"
            )
            for prefix in ("", "microsoft.graph.")
        ),
        endpoint.route(get, "/me", user_calls.read, "all"),
        endpoint.route(get, "/users", user_calls.listing, "all"),
        endpoint.route(get, "/users/{key}", user_calls.read, "all"),
        endpoint.route(post, "/subscriptions", subscription_calls.create, "subscriptions.write"),
        endpoint.route(get, "/subscriptions", subscription_calls.listing, "subscriptions.list"),
        endpoint.route(get, "/subscriptions/{id}", subscription_calls.read, "subscriptions.get"),
        endpoint.route(patch, "/subscriptions/{id}", subscription_calls.renew, "subscriptions.write"),
        endpoint.route(delete, "/subscriptions/{id}", subscription_calls.delete, "subscriptions.write"),
        *(
            endpoint.route(
                post,
                f"/subscriptions/{{id}}/{prefix}reauthorize",
                subscription_calls.reauthorize,
                "subscriptions.reauthorize",
            )
            for prefix in ("", "microsoft.graph.")
        ),
        endpoint.route(post, "/$batch", batch.run, "all"),
    ]
    versions = [Mount(path, routes=graph) for path in ("/v1.0", "/beta")]
    app = Starlette(
        routes=[*versions, *entra.routes(emulator)],
        exception_handlers={HTTPException: endpoint.refused},
    )
    endpoint.inner = app
    return _with_keys_as_segments(app)


_PRESENCES = ("/users/{key}/presence", "/me/presence", "/communications/presences/{key}")


class _Endpoints:
    """Turns operations into Starlette endpoints: token, rate limit, body, error body, headers."""

    def __init__(self, emulator: "GraphEmulator") -> None:
        self._emulator = emulator
        self.inner: ASGIApp | None = None

    def route(self, method: str, path: str, operation: Operation, limit: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return self._answered(request, await self._perform(request, operation, limit))
            except GraphError as error:
                return self._answered(request, self._error(request, error))

        return Route(path, endpoint, methods=[method])

    async def refused(self, request: Request, error: Exception) -> Response:
        """No such route, or no such method on it."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            refusal = GraphError(
                405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."
            )
            refusal.headers = dict(getattr(error, "headers", None) or {})
        else:
            segment = request.url.path.rstrip("/").rpartition("/")[2]
            refusal = GraphError(404, "BadRequest", f"Resource not found for the segment '{segment}'.")
        return self._answered(request, self._error(request, refusal))

    async def _perform(self, request: Request, operation: Operation, limit: str) -> Answer:
        emulator = self._emulator
        emulator.settle()
        access = self._access(request)
        now = emulator.clock.now()
        for name in dict.fromkeys(("all", limit)):
            emulator.throttle.count(name, f"{access.app_id}/{access.tenant_id}", now, emulator.faults.limits)
        if self.inner is None:
            raise RuntimeError("the application isn't built yet")
        call = Call(emulator, request, access, await request.body(), self.inner)
        return await operation(call)

    def _access(self, request: Request) -> Access:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.casefold() != "bearer" or not token:
            raise unauthenticated("Access token is empty.")
        if token.count(".") != 2:
            raise unauthenticated("IDX14100: JWT is not well formed, there are no dots (.).")
        access = self._emulator.tokens.access(token)
        if access is None:
            raise unauthenticated("Access token validation failure. Signature is invalid.")
        if over := self._emulator.tokens.expired(access):
            raise over
        return access

    def _error(self, request: Request, error: GraphError) -> Answer:
        date = wire.moment(self._emulator.clock.base(), digits=0).rstrip("Z")
        request_id, client_id = self._ids(request)
        return Answer(error.status, error.body(date, request_id, client_id), error.headers)

    def _answered(self, request: Request, answer: Answer) -> Response:
        request_id, client_id = self._ids(request)
        headers = {
            "request-id": request_id,
            "client-request-id": client_id,
            "Strict-Transport-Security": "max-age=31536000",
            "Date": wire.http_date(self._emulator.clock.base()),
            **answer.headers,
        }
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        headers["OData-Version"] = "4.0"
        kind = _JSON if answer.status < 400 else "application/json"
        return Response(msgspec.json.encode(answer.body), answer.status, headers, kind)

    def _ids(self, request: Request) -> tuple[str, str]:
        """The request's id, made once, and the client's own where it sent one."""
        request_id = getattr(request.state, "request_id", None)
        if request_id is None:
            request_id = request.state.request_id = self._emulator.new_id()
        sent = request.headers.get("client-request-id", "")
        return request_id, sent if _is_guid(sent) else request_id


def _with_keys_as_segments(app: ASGIApp) -> ASGIApp:
    """OData also writes a key in brackets: `users('id')/presence` is `users/id/presence`."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if "('" in scope["path"]:
            path = _KEY.sub(lambda match: f"/{unquote(match[1])}", scope["path"])
            scope = dict(scope) | {"path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return wrapped


def _is_guid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
