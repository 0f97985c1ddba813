"""The bridge as an ASGI application: raw requests in, the dialect's bytes or silence out.

The envelope is that of Montesuma80/3cx-web-API's Program.cs and of .NET's HttpListener
(dotnet/runtime, HttpListenerResponse.Managed.cs and HttpConnection.cs).
"""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Protocol

import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.webapi.steps import Answered, Blocked, Cut, Hung, Request, Step
from presencebridge.emulators.webapi.turns import Turns

Headers = list[tuple[bytes, bytes]]


class Seen(msgspec.Struct):
    """A request as the control port tells of it. `status` is None until it is answered, if ever."""

    method: str
    path: str
    body: str
    status: int | None
    time: float


class Desk(Protocol):
    """What the application needs of the emulator behind it."""

    clock: Clock
    speaks_listener: bool
    """Whether this is .NET's HttpListener; else it is ASP.NET."""

    def cuts(self, raw_url: str) -> bool:
        """Whether the connection is to be cut before anything else."""

    def work(self, request: Request) -> Step:
        """The request's turn has come."""

    def delay(self) -> float:
        """How long a turn takes to begin, in seconds."""

    def altered(self, answer: Answered, raw_url: str) -> Answered:
        """The answer as it goes out."""

    def say(self, line: str) -> None:
        """Prints to the bridge's standard output."""

    def close_after(self) -> float | None:
        """After how many seconds a hanging request's connection is closed; None: never."""

    def has_ended(self) -> None:
        """The program is over (/stop)."""


class BridgeApp:
    """Serves the bridge. `seen` is every request so far; `let_go` ends the ones left hanging."""

    def __init__(self, desk: Desk, cut_with: Callable[[str], Exception]) -> None:
        self.seen: list[Seen] = []
        self._desk = desk
        self._cut_with = cut_with
        self._turns = Turns(desk.work, desk.say, desk.delay)
        self._hanging: set[asyncio.Timeout] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        seen = Seen(scope["method"], _raw_url(scope), "", None, self._desk.clock.base())
        self.seen.append(seen)
        if self._desk.cuts(seen.path):
            await self._cut(receive)
            return
        given = dict(scope["headers"])
        if self._desk.speaks_listener and _lacks_length(seen.method, given):
            await self._answer(_LENGTH_REQUIRED, seen, given, send)
            return
        body = await _body(receive)
        seen.body = body.decode(errors="replace")
        key = given.get(b"x-api-key")
        request = Request(
            seen.method, seen.path, seen.body, bool(body), key.decode("latin-1") if key else None
        )
        await self._carry_out(await self._take_turn(request), seen, given, receive, send)

    async def _take_turn(self, request: Request) -> Step:
        if self._desk.speaks_listener:
            return await self._turns.take(request)
        # ASP.NET serves many at once.
        return await Turns(self._desk.work, self._desk.say, self._desk.delay).take(request)

    async def _carry_out(
        self, step: Step, seen: Seen, given: dict[bytes, bytes], receive: Any, send: Any
    ) -> None:
        match step:
            case Answered():
                try:
                    await self._answer(self._desk.altered(step, seen.path), seen, given, send)
                finally:
                    if step.ends:
                        for line in step.farewell:
                            self._desk.say(line)
                        self._desk.has_ended()
            case Hung():
                await self._hang(receive)
            case Cut() | Blocked():
                await self._cut(receive)

    async def _answer(self, step: Answered, seen: Seen, given: dict[bytes, bytes], send: Any) -> None:
        seen.status = step.status
        body = step.body.encode()
        headers = _headers(step, len(body), self._desk) + _connection(step, given)
        await send({"type": "http.response.start", "status": step.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _hang(self, receive: Any) -> None:
        """Waits until the client gives up, the fault's time is over, or `let_go`."""
        try:
            async with asyncio.timeout(self._desk.close_after()) as hanging:
                self._hanging.add(hanging)
                try:
                    await _gone(receive)
                finally:
                    self._hanging.discard(hanging)
        except TimeoutError:
            await self._cut(receive)

    def let_go(self) -> None:
        """Closes the connections of all requests that hang."""
        now = asyncio.get_running_loop().time()
        for hanging in self._hanging:
            hanging.reschedule(now)

    async def _cut(self, receive: Any) -> None:
        """Closes the connection without an answer.

        ASGI has no word for it, so this reaches through uvicorn's `receive` for the transport. Where
        there is no transport, in process, the one who asked gets the exception that stands for it.
        """
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is None:
            raise self._cut_with("Server disconnected without sending a response.")
        transport.close()
        await _gone(receive)


_LENGTH_REQUIRED = Answered((), "<h1>Length Required</h1>", "text/html", status=411)


def _lacks_length(method: str, given: dict[bytes, bytes]) -> bool:
    """HttpListenerRequest.Managed.cs: POST and PUT must tell their length; the program never sees it."""
    return method in {"POST", "PUT"} and not given.keys() & {b"content-length", b"transfer-encoding"}


def _headers(step: Answered, length: int, desk: Desk) -> Headers:
    """In the order in which they are set: by the program first, by the runtime after that."""
    content_type = [(b"Content-Type", step.content_type.encode())] if step.content_type else []
    date = (b"Date", formatdate(desk.clock.base(), usegmt=True).encode())
    content_length = (b"Content-Length", str(length).encode())
    if not desk.speaks_listener:
        return [*content_type, date, (b"Server", b"Kestrel"), content_length]
    allow = [(b"Access-Control-Allow-Origin", b"null")] if step.status == 200 else []
    return [*allow, *content_type, (b"Server", b"Microsoft-NetCore/2.0"), date, content_length]


def _connection(step: Answered, given: dict[bytes, bytes]) -> Headers:
    asked = given.get(b"connection", b"").lower() == b"close"
    return [(b"Connection", b"close")] if asked or step.status == 411 else []


def _raw_url(scope: Any) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


async def _body(receive: Any) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
