"""The way in: every request is written down and meets the faults before it meets the API."""

import asyncio
import random
import uuid
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.errors import GraphError, throttled
from presencebridge.emulators.graph.faults import Faults, Refuse, refusing, strikes

_KEPT = 20_000
_SECRET = frozenset(
    {"client_secret", "client_assertion", "assertion", "refresh_token", "device_code", "password"}
)
_NAMES = {
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


class Request(msgspec.Struct):
    """One request as the control port shows it. `status` stays null where no answer was given."""

    index: int
    method: str
    path: str
    body: Any
    time: float
    status: int | None = None


class RequestLog:
    """The last requests, with secrets masked."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, scope: Scope, body: bytes, now: float) -> Request:
        raw = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string") or b""
        path = (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
        request = Request(self._count, scope["method"], path, _readable(scope, body), now)
        self._count += 1
        self._requests.append(request)
        return request

    def since(self, index: int) -> list[Request]:
        return [request for request in self._requests if request.index >= index]

    def clear(self) -> None:
        self._requests.clear()


class Gate:
    """ASGI around the API: reads the body, logs, delays, refuses, hangs or cuts as the faults say."""

    def __init__(
        self, app: ASGIApp, clock: Clock, faults: Callable[[], Faults], log: RequestLog, chance: random.Random
    ) -> None:
        self._app = app
        self._clock = clock
        self._faults = faults
        self._log = log
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("this application speaks HTTP only")
        body = _unpacked(scope, await _body(receive))
        entry = self._log.add(scope, body, self._clock.base())
        faults = self._faults()
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if strikes(faults, "hang", entry.path):
            await _until_gone(receive)
            return
        if refuse := refusing(faults, entry.path):
            entry.status = refuse.code
            await self._refuse(refuse, scope, send)
            return
        is_cut = strikes(faults, "drop_after_write", entry.path)

        async def passed_on(message: Message) -> None:
            if is_cut:
                return
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        await self._app(scope, _replayed(body, receive), passed_on)
        if is_cut:
            await _cut(send)

    async def _refuse(self, refuse: Refuse, scope: Scope, send: Send) -> None:
        error = GraphError(refuse.code, _NAMES.get(refuse.code, "UnknownError"), "Refused on demand.")
        if refuse.code == 429:
            error = throttled(1)
            error.headers = {}
        if refuse.retry_after_s is not None:
            error.headers["Retry-After"] = f"{refuse.retry_after_s:g}"
        now, request_id = self._clock.base(), str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        sent_id = dict(scope["headers"]).get(b"client-request-id", request_id.encode()).decode("latin-1")
        headers = {
            "content-type": "application/json",
            "date": wire.http_date(now),
            "request-id": request_id,
            "client-request-id": sent_id,
            **error.headers,
        }
        body = msgspec.json.encode(error.body(wire.moment(now, digits=0).rstrip("Z"), request_id, sent_id))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": refuse.code, "headers": raw})
        await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _unpacked(scope: Scope, body: bytes) -> bytes:
    """Some of Microsoft's SDKs compress what they send. What can't be unpacked is left to be refused."""
    if dict(scope["headers"]).get(b"content-encoding", b"").lower() != b"gzip":
        return body
    try:
        return zlib.decompress(body, wbits=31)
    except zlib.error:
        return b""


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(send: Send) -> None:
    """Ends the connection without an answer.

    ASGI has no word for that, so the server's transport is taken where there is one; in process, the
    client is told what it would be told on a wire.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
    transport.abort()
    # The server has to notice before this returns, or it would answer 500 into the void and log it.
    await asyncio.sleep(0.01)


def _readable(scope: Scope, body: bytes) -> Any:
    if not body:
        return None
    kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    if "x-www-form-urlencoded" in kind:
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: "***" if name in _SECRET else value for name, value in form}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
