"""The WebSocket of Call Control: events, and requests that are answered by event type 4.

There is nothing to subscribe to; events carry no data, each socket counts for itself, and what is
missed is not sent again (3cx/call-control-examples 4d2f6f9, qmexnetworks/3cx-zammad-bridge 580c20c).
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20.call_control import PREFIX, CallControl
from presencebridge.emulators.v20.errors import ApiError
from presencebridge.emulators.v20.faults import Faults
from presencebridge.emulators.v20.gate import CUT
from presencebridge.emulators.v20.tokens import Tokens

PATH = f"{PREFIX}/ws"
UPSERT, REMOVE, ANSWER = 0, 1, 4
TOKEN_ENDED = 4401


class Closing(msgspec.Struct, frozen=True):
    """How a socket ends. Without a code the connection is cut, and the peer is told nothing."""

    code: int | None = None
    reason: str = ""


class _Connection:
    """One open socket: what is still to be sent, each with its moment, and whether it is to end."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.outbox: deque[tuple[float, dict[str, Any]]] = deque()
        self.closing: Closing | None = None
        self.sequence = 0


class Sockets:
    """ASGI for the socket, and the way to whoever listens."""

    def __init__(
        self,
        call_control: CallControl,
        tokens: Tokens,
        clock: Clock,
        faults: Callable[[], Faults],
        chance: random.Random,
    ) -> None:
        self._call_control = call_control
        self._tokens = tokens
        self._clock = clock
        self._faults = faults
        self._chance = chance
        self._open: list[_Connection] = []

    @property
    def count(self) -> int:
        return len(self._open)

    def tell(self, event_type: int, entity: str) -> None:
        """Sends an event to every socket, as far as the faults let it pass."""
        faults = self._faults()
        event = {"event_type": event_type, "entity": entity, "attached_data": None}
        for connection in self._open:
            if self._happens(faults.drop_events):
                continue
            times = 2 if self._happens(faults.duplicate_events) else 1
            for _ in range(times):
                connection.outbox.append((self._clock.now() + faults.event_delay_s, event))
        self._clock.nudge()

    def drop(self, closing: Closing) -> int:
        """Ends every socket, and says how many there were. What was not yet sent is lost."""
        for connection in self._open:
            connection.closing = closing
        self._clock.nudge()
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        token = bearer(scope)
        status = 101
        if scope["path"] != PATH:
            status = 404
        elif self._tokens.expires(token) is None:
            status = 401
        elif self._faults().refuse_sockets:
            status = 503
        if status != 101:
            await _refuse(scope, send, status)
            return
        connection = _Connection(token)
        # In the list before the peer knows that it is: from then on it may count on every event.
        self._open.append(connection)
        try:
            await send({"type": "websocket.accept"})
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(connection, receive))
                with contextlib.suppress(OSError):  # the peer went away in the midst of it
                    await self._write(connection, send)
                    await _close(connection.closing, scope, send)
                reading.cancel()
        finally:
            self._open.remove(connection)

    async def _write(self, connection: _Connection, send: Send) -> None:
        """Sends what is due, in order, until the socket ends."""
        while connection.closing is None:
            until = self._token_end(connection)
            if until is not None and until <= self._clock.now():
                connection.closing = Closing(TOKEN_ENDED, "token expired")
                break
            if connection.outbox and connection.outbox[0][0] <= self._clock.now():
                connection.sequence += 1
                message = {"sequence": connection.sequence, "event": connection.outbox.popleft()[1]}
                text = msgspec.json.encode(message).decode()
                await send({"type": "websocket.send", "text": text})
                continue
            due = [moment for moment in (until, *(each[0] for each in list(connection.outbox)[:1])) if moment]
            await self._clock.wait(min(due, default=None))

    async def _read(self, connection: _Connection, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                connection.closing = Closing(0)
                self._clock.nudge()
                return
            if (answer := self._answer(message.get("text") or message.get("bytes") or b"")) is not None:
                connection.outbox.append((self._clock.now(), answer))
                self._clock.nudge()

    def _answer(self, text: str | bytes) -> dict[str, Any] | None:
        """The event that answers a request; None for what is no request."""
        try:
            asked = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if not isinstance(asked, dict) or not isinstance(asked.get("Path"), str):
            return None
        path, status, response = asked["Path"], 200, None
        try:
            if self._call_control.is_action(path):
                response = self._call_control.do(path, asked.get("RequestData"))
            else:
                response = self._call_control.read(path)
        except ApiError as error:
            status, response = error.status, error.body
        data = {"RequestID": asked.get("RequestID"), "Path": path, "StatusCode": status, "Response": response}
        return {"event_type": ANSWER, "entity": path, "attached_data": data}

    def _token_end(self, connection: _Connection) -> float | None:
        """When this socket has to end with its token; None if it need not."""
        if not self._faults().sockets_end_with_token:
            return None
        return self._tokens.expires(connection.token) or self._clock.now()

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._chance.random() < probability


def bearer(scope: Scope) -> str:
    """The token in the request's Authorization header, or nothing."""
    scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else ""


async def _close(closing: Closing | None, scope: Scope, send: Send) -> None:
    if closing is None or closing.code == 0:
        return
    if closing.code is None:
        if not scope[CUT]():
            await send({"type": "websocket.close", "code": 1006, "reason": ""})
        return
    await send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    """Answers the handshake with a status, where the server can; else ASGI makes a 403 of it."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": str(status)})
        return
    headers = [(b"content-length", b"0")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b""})
