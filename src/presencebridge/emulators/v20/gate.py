"""The way in: every request is written down and meets the faults before it meets the API."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20.faults import Faults, refusing, strikes
from presencebridge.emulators.v20.tokens import form_of

CUT = "presencebridge.cut"
"""Where the scope of a socket has what cuts its connection."""

_KEPT = 20_000


class Seen(msgspec.Struct):
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
        self._requests: deque[Seen] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, scope: Scope, body: bytes, now: float) -> Seen:
        raw = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string") or b""
        path = (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
        method = scope.get("method", "WEBSOCKET")
        seen = Seen(self._count, method, path, _readable(scope, body), now)
        self._count += 1
        self._requests.append(seen)
        return seen

    def since(self, index: int) -> list[Seen]:
        return [seen for seen in self._requests if seen.index >= index]

    def clear(self) -> None:
        self._requests.clear()


class Gate:
    """ASGI around the API: reads the body, logs, delays, refuses, hangs or cuts as the faults say."""

    def __init__(
        self,
        app: ASGIApp,
        sockets: ASGIApp,
        clock: Clock,
        faults: Callable[[], Faults],
        log: RequestLog,
    ) -> None:
        self._app = app
        self._sockets = sockets
        self._clock = clock
        self._faults = faults
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            raise RuntimeError("this application speaks HTTP and WebSocket only")

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = self._log.add(scope, b"", self._clock.base())

        async def passed_on(message: Message) -> None:
            if message["type"] == "websocket.accept":
                entry.status = 101
            elif message["type"] == "websocket.http.response.start":
                entry.status = message["status"]
            await send(message)

        await self._sockets({**scope, CUT: functools.partial(cut, send)}, receive, passed_on)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        entry = self._log.add(scope, body, self._clock.base())
        faults = self._faults()
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if strikes(faults, "hang", entry.path):
            await _until_gone(receive)
            return
        if refuse := refusing(faults, entry.path):
            entry.status = refuse.code
            headers = [(b"content-length", b"0")]
            if refuse.retry_after_s is not None:
                headers.append((b"retry-after", f"{refuse.retry_after_s:g}".encode()))
            await send({"type": "http.response.start", "status": refuse.code, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
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
            if not cut(send):
                raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
            # The server has to notice before this returns, or it would answer 500 into the void.
            await asyncio.sleep(0.01)


def cut(send: Send) -> bool:
    """Ends the connection without a word; False where there is none, as in process.

    ASGI has no word for that, so the server's transport is taken where there is one.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.abort()
    return True


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


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _readable(scope: Scope, body: bytes) -> Any:
    if not body:
        return None
    kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        form = form_of(kind, body)
        return {name: "***" if name == "client_secret" else text for name, text in form.items()}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
