"""The way in: every request is written down and meets the faults before it meets the API."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator

import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.mishaps import Mishaps, Refuse, refusing, strikes
from presencebridge.emulators.request_log import RequestLog


class Gate(ABC):
    """ASGI around the API: reads the body, logs, delays, refuses, hangs or cuts as the faults say."""

    def __init__(self, app: ASGIApp, clock: Clock, faults: Callable[[], Mishaps], log: RequestLog) -> None:
        self._app = app
        self._clock = clock
        self._faults = faults
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("this application speaks HTTP only")
        await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._unpacked(scope, await _body(receive))
        entry = self._log.add(scope, body, self._clock.base())
        faults = self._faults()
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if self._cuts(entry.path):
            await _cut_off(send)
            return
        if strikes(faults, "hang", entry.path):
            await _until_gone(receive)
            return
        if refuse := refusing(faults, entry.path):
            entry.status, entry.answered = refuse.code, self._clock.base()
            await self._refuse(refuse, scope, send)
            return
        is_cut = strikes(faults, "drop_after_write", entry.path)

        async def passed_on(message: Message) -> None:
            if is_cut:
                return
            if message["type"] == "http.response.start":
                entry.status, entry.answered = message["status"], self._clock.base()
            await send(message)

        await self._app(scope, _replayed(body, receive), passed_on)
        if is_cut:
            await _cut_off(send)

    def _cuts(self, path: str) -> bool:  # noqa: ARG002 - for those who refuse connections
        """Whether this request's connection is cut before anything is done."""
        return False

    def _unpacked(self, scope: Scope, body: bytes) -> bytes:  # noqa: ARG002 - for those who unpack
        """The body as the API is to read it."""
        return body

    @abstractmethod
    async def _refuse(self, refuse: Refuse, scope: Scope, send: Send) -> None:
        """Answers with that status, in the words of the API."""


def cut(send: Send) -> bool:
    """Ends the connection without a word; False where there is none, as in process.

    ASGI has no word for that, so the server's transport is taken where there is one.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.abort()
    return True


async def _cut_off(send: Send) -> None:
    if not cut(send):
        # In process, the client is told what it would be told on a wire.
        raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
    # The server has to notice before this returns, or it would answer 500 into the void and log it.
    await asyncio.sleep(0.01)


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
