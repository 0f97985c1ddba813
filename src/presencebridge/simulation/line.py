"""The wire between the service and one emulator: in process, over ASGI, and where it breaks.

A request that has left is on its way, whatever becomes of the one who sent it: it arrives also when they give
up or die meanwhile.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Final, Literal, Protocol

import httpx2
import msgspec

from presencebridge.emulators.graph.background import Background

Fate = Literal["lost", "silent", "answer lost", "answer silent", "late", "slow", "refused"]
"""What becomes of a request. `lost`: no connection. `silent`: taken, and neither carried out nor answered.
`answer lost`, `answer silent`: carried out, and then the connection breaks or nothing comes. `late`: carried
out after the client has given up. `slow`: a little late, each way. `refused`: answered with a status."""

Watch = Callable[[str, str, bytes], Callable[[int], None] | None]
"""Called with method, path and body when a request is carried out; what it returns, with the status."""

_UNDER_WAY_S: Final = 0.5
"""How long before its time a request may leave: it is a moment until it is on the wire."""
_LAG_S: Final = (0.3, 3.0)
"""Well within a client's patience, and late enough to be overtaken."""
_BUDGETS: Final = ("/subscriptions", "/presence", "/getPresencesByUserId")
"""Marks of what Graph counts apart. https://learn.microsoft.com/graph/throttling-limits"""
_SHARE_THAT_OPENS: Final = 0.6
_CLIENT: Final = ("127.0.0.1", 40000)


_addresses: Final[dict[tuple[httpx2.URL, httpx2.URL | str], httpx2.URL]] = {}
_MOST_ADDRESSES: Final = 2_000


class Fault(msgspec.Struct, eq=False):
    """What is wrong with a line, as long as it is in its list."""

    fate: Fate
    share: float = 1.0
    """Of the requests that it may hit."""
    marks: tuple[str, ...] = ()
    """Only requests with one of these in their path; empty: all."""
    spares: tuple[str, ...] = ()
    """Never requests with one of these in their path."""
    only_writes: bool = False
    """Only requests that are to change something."""
    seconds: float = 0.0
    """How late, or how slow."""
    status: int = 503
    retry_after_s: float | None = None

    def may_hit(self, path: str, is_write: bool) -> bool:
        return (
            (is_write or not self.only_writes)
            and not any(mark in path for mark in self.spares)
            and (not self.marks or any(mark in path for mark in self.marks))
        )


class Lags(msgspec.Struct, frozen=True):
    """Of the requests with this mark a share is answered a little late, as on any line."""

    mark: str
    share: float


class Sender(Protocol):
    """Whoever uses the line; a dead one hears nothing and sends nothing any more."""

    @property
    def alive(self) -> bool: ...
    async def gone(self) -> None:
        """What becomes of a request of a dead one. Raises `httpx2.RequestError`, or never returns."""


Leaves = Callable[[Sender, str], Callable[[], None]]
"""Called with method and path when a request leaves; what it returns, when it is carried out."""


class Line:
    """Carries requests to an application. Errors are those that httpx has for a broken wire."""

    def __init__(self, app: Any, dice: random.Random, tasks: Background) -> None:
        self._app = app
        self._dice = dice
        self._tasks = tasks
        self.faults: list[Fault] = []
        self.is_write: Callable[[str, str], bool] = lambda _method, _path: False
        """Whether a request with this method and path is to change something."""
        self.watch: Watch = lambda _method, _path, _body: None
        self.on_write: Callable[[], None] = lambda: None
        """Called when something that is watched is about to be carried out."""
        self.on_hurry: Callable[[str, float], None] = lambda _path, _early_s: None
        """Called with a request that comes so many seconds before it was allowed to, by Retry-After."""
        self.on_leaving: Leaves = lambda _sender, _what: lambda: None
        self.on_opening: Callable[[], None] = lambda: None
        """Called when a connection is about to be opened."""
        self.opens_s = 0.0
        """How long it takes at most to open a connection, as most requests have to."""
        self.carried = 0
        self.lags: Lags | None = None
        # Of their own, from the same seed: whoever lags changes nothing else that is drawn.
        self._lag_dice = random.Random(f"lags {dice.getstate()[1][0]}")  # noqa: S311 - no secrets
        self._closed: dict[tuple[Sender, str], tuple[float, float]] = {}
        """For whom, from when until when: what one life of the service was told the next does not know."""

    def client(self, url: str, sender: Sender) -> httpx2.AsyncClient:
        return _Client(transport=_Transport(self, sender), base_url=url, timeout=None, trust_env=False)

    def fault_for(self, path: str, is_write: bool = False) -> Fault | None:
        """The fault that hits this request, if one does. What is cut is not slow as well."""
        mild = None
        for fault in self.faults:
            if fault.may_hit(path, is_write) and (fault.share >= 1 or self._dice.random() < fault.share):
                if fault.fate != "slow":
                    return fault
                mild = mild or fault
        return mild

    async def carry(self, request: httpx2.Request, sender: Sender) -> httpx2.Response:
        if not sender.alive:
            await sender.gone()
        begun = asyncio.get_running_loop().time()
        await self._connected(request)
        self._check_patience(request, sender, begun)
        answer: asyncio.Future[httpx2.Response] = asyncio.get_running_loop().create_future()
        arrived = self.on_leaving(sender, f"{request.method} {request.url.path}")
        spawn(self._tasks, self._under_way(request, answer, sender, arrived))
        return await answer

    async def _connected(self, request: httpx2.Request) -> None:
        """As httpx2 does it: who has asked for a trace hears of the moment before the request is sent."""
        if not self.opens_s:
            return
        if self._lag_dice.random() < _SHARE_THAT_OPENS:
            self.on_opening()
            await asyncio.sleep(self._lag_dice.uniform(0.0, self.opens_s))
        if (trace := request.extensions.get("trace")) is not None:
            await trace("http11.send_request_headers.started", {})

    async def ask(self, path: str, sender: Sender) -> None:
        """Go there and back without an application. Raises `httpx2.RequestError`, or never returns."""
        if not sender.alive:
            await sender.gone()
        fault = self.fault_for(path)
        fate = fault.fate if fault else None
        await asyncio.sleep(self._dice.uniform(0.002, 0.04) + (fault.seconds if fault else 0.0))
        if fate in ("silent", "answer silent"):
            await forever()
        if fate in ("lost", "answer lost", "refused"):
            raise httpx2.ConnectError("the line is cut")

    async def _under_way(
        self,
        request: httpx2.Request,
        answer: "asyncio.Future[httpx2.Response]",
        sender: Sender,
        arrived: Callable[[], None],
    ) -> None:
        path = request.url.raw_path.decode("ascii")
        self.carried += 1
        fault = self.fault_for(path, self.is_write(request.method, path))
        fate = fault.fate if fault else None
        slow = fault.seconds if fault and fate in ("slow", "late") else 0.0
        await asyncio.sleep(self._dice.uniform(0.001, 0.02) + slow)
        match fate:
            case "lost":
                _fail(answer, httpx2.ConnectError("the line is cut"))
                return
            case "silent":
                return
            case "refused" if fault:
                _settle(answer, _refusal(fault))
                self._close(path, fault, sender)
                return
        arrived()
        try:
            response = await self._served(request, path)
        except ConnectionResetError as error:
            _fail(answer, httpx2.ReadError(str(error)))
            return
        except httpx2.RequestError as error:
            _fail(answer, error)
            return
        await asyncio.sleep(self._dice.uniform(0.001, 0.02) + slow + self._lag_s(path))
        match fate:
            case "answer lost":
                _fail(answer, httpx2.ReadError("the line was cut before the answer was here"))
            case "answer silent":
                return
            case _:
                _settle(answer, response)

    def _lag_s(self, path: str) -> float:
        lags = self.lags
        hit = lags is not None and lags.mark in path and self._lag_dice.random() < lags.share
        return self._lag_dice.uniform(*_LAG_S) if hit else 0.0

    def _close(self, path: str, fault: Fault, sender: Sender) -> None:
        """Whoever was asked to wait knows it by now."""
        if fault.retry_after_s is not None:
            now = asyncio.get_running_loop().time()
            self._closed[sender, _budget(path)] = (now, now + fault.retry_after_s)

    def forget(self, sender: Sender) -> None:
        """It begins anew, with clients that nobody has asked to wait."""
        self._closed = {key: until for key, until in self._closed.items() if key[0] is not sender}

    def _check_patience(self, request: httpx2.Request, sender: Sender, begun: float) -> None:
        """What was begun before the answer was there may still leave, as soon as it is connected."""
        path = request.url.raw_path.decode("ascii")
        known_at, until = self._closed.get((sender, _budget(path)), (0.0, 0.0))
        early_s = until - asyncio.get_running_loop().time()
        if early_s > _UNDER_WAY_S and begun >= known_at:
            self.on_hurry(f"{request.method} {path}", early_s)

    async def _served(self, request: httpx2.Request, path: str) -> httpx2.Response:
        body = await request.aread()
        told = self.watch(request.method, path, body)
        if told is not None:
            self.on_write()
        status, headers, content = await served(self._app, request, body)
        if told is not None:
            told(status)
        return httpx2.Response(status, headers=headers, content=content)


class _Client(httpx2.AsyncClient):
    """Parses each address once: the same few are asked for again and again."""

    def build_request(self, method: str, url: httpx2.URL | str, **rest: Any) -> httpx2.Request:
        known = None if rest.get("params") else _addresses.get((self.base_url, url))
        if known is None:
            request = super().build_request(method, url, **rest)
            if len(_addresses) < _MOST_ADDRESSES and not rest.get("params"):
                _addresses[self.base_url, url] = request.url
            return request
        return super().build_request(method, known, **rest)


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, line: Line, sender: Sender) -> None:
        self._line, self._sender = line, sender

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._line.carry(request, self._sender)


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""


async def served(app: Any, request: httpx2.Request, body: bytes) -> Answer:
    """What an ASGI application answers."""
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    parts: list[bytes] = []
    given = [body]

    async def receive() -> dict[str, Any]:
        if not given:
            await forever()
        return {"type": "http.request", "body": given.pop(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    url = request.url
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.split(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port),
        "client": _CLIENT,
        "root_path": "",
    }
    await app(scope, receive, send)
    return status, headers, b"".join(parts)


def _budget(path: str) -> str:
    """Whose patience it is: one limit of Graph, or the sign-in, which is another host."""
    if not path.startswith("/v1.0/"):
        return "sign-in"
    return next((mark for mark in _BUDGETS if mark in path), "")


def _refusal(fault: Fault) -> httpx2.Response:
    """In Graph's form of an error; 3CX and the bridge say no more than the status."""
    headers = {} if fault.retry_after_s is None else {"Retry-After": f"{fault.retry_after_s:g}"}
    error = {"error": {"code": "Refused", "message": "Refused by the simulation.", "innerError": {}}}
    return httpx2.Response(fault.status, headers=headers, json=error)


def _settle(answer: "asyncio.Future[httpx2.Response]", response: httpx2.Response) -> None:
    if not answer.done():
        answer.set_result(response)


def _fail(answer: "asyncio.Future[httpx2.Response]", error: httpx2.RequestError) -> None:
    if not answer.done():
        answer.set_exception(error)


def spawn(tasks: Background, work: Coroutine[Any, Any, None]) -> None:
    """It belongs to the world outside, and goes on when the process that began it is stopped."""
    Context().run(tasks.spawn, work)


def forever() -> Awaitable[None]:
    return asyncio.get_running_loop().create_future()
