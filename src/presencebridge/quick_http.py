"""An HTTP/1.1 client that costs little: for the few hosts that are asked again and again.

httpx2 takes about 700 µs of CPU for a request on a kept connection, which is more than two RSA operations;
this takes about a tenth of that (docs/performance.md). It has the shape of httpx2's client as far as we use
it, and raises httpx2's errors, so either can stand where the other does. The parser is httptools', which is
Node's.

No proxy, no redirects, no compression, no cookies: where a proxy is to be used, httpx2 is (`adapters`).
"""

import asyncio
import collections
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self
from urllib.parse import quote, urlsplit

import httptools
import httpx2

_MOST_CONNECTIONS: Final = 100
"""To one host. Who comes when all are in use waits, and the waiting is within the caller's time limit."""
_KEPT_FOR_S: Final = 5.0
"""Others give up a connection without a word sooner or later; one that rested longer is not used again."""
_MOST_UNREAD: Final = 1_000_000
"""Bytes of an answer that are taken in before somebody reads them."""
_LONGEST_HEAD: Final = 100_000
"""Bytes beside the body, one after another: of a head, or of what follows the last piece of a body."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9/?&=%:$',()+;@!*~._\-\[\]]*")
_SAFE: Final = "/?&=%:$',()+;@!*~"
_NO_TEXT: Final = re.compile(r"[\x00-\x1f\x7f]")


class Response(Protocol):
    """An answer whose body is still to be read."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


class Streaming(Protocol):
    async def __aenter__(self) -> Response: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Http(Protocol):
    """What the clients of Graph and 3CX stand on: this client, httpx2's, or a test's."""

    def stream(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, content: bytes | None = None
    ) -> Streaming:
        """To be entered; raises `httpx2.RequestError` or `httpx2.InvalidURL` there and while reading."""


class _Origin(NamedTuple):
    """Where connections go to."""

    is_secure: bool
    host: str
    port: int
    shown: str
    """As the Host header has it."""


class QuickClient:
    """Asks the host of `url`, for paths below it or for whole addresses."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._origin = _origin_of(url)
        self._prefix = urlsplit(url).path.rstrip("/")
        self._pools: collections.defaultdict[_Origin, _Pool] = collections.defaultdict(_Pool)
        self.before_sending: Callable[[], None] = lambda: None
        """Called when there is a connection and nothing has been sent; what it raises is the end of it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()

    def stream(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, content: bytes | None = None
    ) -> "_Exchange":
        """Ask once `async with` is entered; the connection is kept if the answer has been read to its end."""
        if url.startswith("/"):
            origin, path = self._origin, self._prefix + url
        else:
            parts = urlsplit(url)
            origin, path = _origin_of(url), (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = _head(method, origin, path, headers or {}, content)
        return _Exchange(
            self._pools[origin], origin, self._tls, request + (content or b""), self.before_sending
        )


def _origin_of(url: str) -> _Origin:
    """Raises `httpx2.InvalidURL`."""
    try:
        parts = urlsplit(url)
        is_secure, port = parts.scheme == "https", parts.port
    except ValueError as error:
        raise httpx2.InvalidURL(f"{error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise httpx2.InvalidURL("an address begins with http:// or https:// and a host")
    return _Origin(
        is_secure, parts.hostname, port or (443 if is_secure else 80), parts.netloc.rpartition("@")[2]
    )


def _head(method: str, origin: _Origin, path: str, headers: dict[str, str], content: bytes | None) -> bytes:
    """Raises `httpx2.LocalProtocolError` for what would end a line."""
    if not _PLAIN.fullmatch(path):
        path = quote(path, safe=_SAFE)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {origin.shown}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if content is not None or method not in ("GET", "DELETE"):
        lines.append(f"Content-Length: {len(content or b'')}")
    if any(map(_NO_TEXT.search, lines)):
        raise httpx2.LocalProtocolError("a header holds what none may")
    try:
        return "\r\n".join([*lines, "", ""]).encode("ascii")
    except UnicodeEncodeError:
        raise httpx2.LocalProtocolError("a header holds what none may") from None


class _Exchange:
    """A request and its answer, as an `async with` block."""

    def __init__(
        self,
        pool: "_Pool",
        origin: _Origin,
        tls: ssl.SSLContext,
        request: bytes,
        before_sending: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._tls = tls
        self._request = request
        self._before_sending = before_sending
        self._connection: _Connection | None = None

    async def __aenter__(self) -> "_Connection":
        self._connection = connection = await self._pool.take(self._origin, self._tls)
        try:
            self._before_sending()
            await connection.ask(self._request)
        except BaseException:
            self._pool.give_back(connection)
            raise
        return connection

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._pool.give_back(self._connection)


class _Pool:
    """Connections to one host: those that rest, the newest last, and how many there are."""

    def __init__(self) -> None:
        self._resting: list[_Connection] = []
        self._in_use: set[_Connection] = set()
        self._opening = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    async def take(self, origin: _Origin, tls: ssl.SSLContext) -> "_Connection":
        """Raises `httpx2.ConnectError`."""
        while len(self._in_use) + self._opening >= _MOST_CONNECTIONS:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._next()  # the turn that may have come to it is another's
                raise
        connection = self._rested() or await self._opened(origin, tls)
        self._in_use.add(connection)
        return connection

    def _rested(self) -> "_Connection | None":
        while self._resting:
            connection = self._resting.pop()
            if connection.may_be_used(_KEPT_FOR_S):
                return connection
            connection.close()
        return None

    async def _opened(self, origin: _Origin, tls: ssl.SSLContext) -> "_Connection":
        self._opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection,
                origin.host,
                origin.port,
                ssl=tls if origin.is_secure else None,
                server_hostname=origin.host if origin.is_secure else None,
            )
        except (OSError, ssl.SSLError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error) or type(error).__name__) from error
        else:
            return connection
        finally:
            self._opening -= 1
            self._next()

    def give_back(self, connection: "_Connection") -> None:
        self._in_use.discard(connection)
        if connection.is_done:
            connection.rest()
            self._resting.append(connection)
        else:  # somebody lost patience, or half an answer is still to come: nothing else can be asked there
            connection.close()
        self._next()

    def _next(self) -> None:
        if len(self._in_use) + self._opening >= _MOST_CONNECTIONS:
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self) -> None:
        for connection in (*self._resting, *self._in_use):
            connection.close()
        self._resting.clear()


class _Connection(asyncio.Protocol):
    """A connection, and the answer that is coming in on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._is_lost = False
        self._parser: Any = None
        self._news: asyncio.Future[None] | None = None
        self._error: httpx2.RequestError | None = None
        self._chunks: list[bytes] = []
        self._unread = 0
        self._has_head = False
        self._outside = 0
        self._is_whole = True
        self._rests_since = 0.0
        self._keeps = True
        self.status_code = 0
        self.headers: dict[str, str] = {}

    # For the pool

    def may_be_used(self, within_s: float) -> bool:
        return not self._is_lost and self._loop.time() < self._rests_since + within_s

    @property
    def is_done(self) -> bool:
        """Whether the next request can be sent."""
        return self._is_whole and self._keeps and not self._is_lost and self._error is None

    def rest(self) -> None:
        self._rests_since = self._loop.time()
        self._chunks.clear()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # For whoever asks

    async def ask(self, request: bytes) -> None:
        """Send, and wait for the head of the answer. Raises `httpx2.RequestError`."""
        self._parser = httptools.HttpResponseParser(self)
        self.status_code, self.headers = 0, {}
        self._has_head = self._is_whole = False
        self._chunks, self._unread, self._outside, self._error = [], 0, 0, None
        if self._is_lost:
            raise httpx2.WriteError("the connection was given up")
        self._transport.write(request)
        while not self._has_head:
            await self._hear()

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `httpx2.RequestError`."""
        while True:
            chunks, self._chunks = self._chunks, []
            for chunk in chunks:
                self._unread -= len(chunk)
                yield chunk
            if self._chunks:
                continue
            if self._is_whole:
                return
            self._transport.resume_reading()
            await self._hear()

    async def _hear(self) -> None:
        if self._error is not None:
            raise self._error
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None
        if self._error is not None and not self._is_whole:
            raise self._error

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # For the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._is_whole:  # nobody asked for it
            self._keeps = False
            self.close()
            return
        self._outside += len(data)  # a piece of the body begins it anew
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx2.RemoteProtocolError(f"this is no HTTP: {error}"))
            self.close()
        except httptools.HttpParserUpgrade:  # which is no HttpParserError
            self._fail(httpx2.RemoteProtocolError("the answer goes over to a protocol that nobody asked for"))
            self.close()
        if self._outside > _LONGEST_HEAD and not self._is_whole:
            what = "what follows the body" if self._has_head else "the head of the answer"
            self._fail(httpx2.RemoteProtocolError(f"{what} has no end"))
            self.close()
        if self._unread > _MOST_UNREAD and not self._is_lost:
            self._transport.pause_reading()
        self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if self._is_whole:
            return
        sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        if error is None and self._has_head and not sized:
            self._is_whole, self._keeps = True, False  # a body that ends with the connection
        elif self._has_head:
            self._fail(httpx2.ReadError(f"the connection was cut: {error or 'closed'}"))
        else:
            self._fail(httpx2.RemoteProtocolError("the connection was closed without an answer"))
        self._tell()

    def _fail(self, error: httpx2.RequestError) -> None:
        self._error = self._error or error

    # For the parser, which goes on where there is more than was asked for

    def on_message_begin(self) -> None:
        if self._is_whole:
            self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # what comes after a body is no header of ours
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self._is_whole:
            self.status_code = self._parser.get_status_code()
            self._has_head = self.status_code >= 200

    def on_body(self, chunk: bytes) -> None:
        if not self._is_whole:
            self._chunks.append(chunk)
            self._unread += len(chunk)
            self._outside = 0

    def on_message_complete(self) -> None:
        if self._is_whole:
            return
        if self._has_head:
            self._is_whole = True
            self._keeps = self._parser.should_keep_alive()
        else:  # 100 Continue, say: the answer is still to come
            self.headers = {}
