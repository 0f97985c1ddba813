"""One ASGI application on one address: how every listener of this project is started and stopped."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_STOP_WITHIN_S = 1  # a half-sent request would otherwise hold the stop for ever
_MOST_CONNECTIONS = 256
_REQUEST_WITHIN_S = 20.0
_ANSWER_WITHIN_S = 20.0
_LONGEST_HEAD = 64_000
_MOST_AHEAD = 16
"""Requests that a connection may send before the first one is answered."""


class _Unwanted(Exception):
    """A request that no honest client sends; the parser turns it into a 400 and the end of the connection."""


class _Connection(HttpToolsProtocol):
    """A connection that strangers can't hold for nothing: uvicorn bounds neither its time nor its head.

    A request has to be here as a whole within `_REQUEST_WITHIN_S`, and of its answer something has to be
    taken in every `_ANSWER_WITHIN_S`. Where there are too many connections, the one that has kept us waiting
    longest makes room, be it with a request or with reading: an honest request comes in one go.
    """

    idle_since: float | None = None
    """Since when we wait for it; None while it waits for us."""
    _request_due: asyncio.TimerHandle | None = None
    _answer_due: asyncio.TimerHandle | None = None
    _bare = 0
    """Bytes of this request beside its body: the head, what frames the chunks, and what follows them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._wait_for_request()
        if len(self.connections) > _MOST_CONNECTIONS:
            idle = [
                one for one in self.connections if isinstance(one, _Connection) and one.idle_since is not None
            ]
            oldest = min(idle, key=lambda one: one.idle_since or 0.0)
            oldest.idle_since = None  # no more to be chosen: it is gone only in the loop's next round
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_here()
        if self._answer_due is not None:
            self._answer_due.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bare += len(data)
        super().data_received(data)
        if self._bare > _LONGEST_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._request_due is None:
            self._wait_for_request()

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= _MOST_AHEAD:
            raise _Unwanted
        if self.parser.should_upgrade() and not self._should_upgrade():
            # What follows is no body for the parser, so it would be taken for the next request: for somebody
            # else's, where a proxy sends those of several people over one connection.
            raise _Unwanted
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bare = max(0, self._bare - 2 * len(body))  # twice: chunks have frames
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._bare = 0
        self._request_is_here()
        is_answered = self.cycle is not None and self.cycle.response_complete
        self.idle_since = self.loop.time() if is_answered else None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline:
            self.idle_since = self.loop.time()
        if self.transport.get_write_buffer_size():
            self._wait_for_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.idle_since = self.loop.time()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since = None

    def _wait_for_request(self) -> None:
        self._request_due = self.loop.call_later(_REQUEST_WITHIN_S, self.transport.abort)

    def _request_is_here(self) -> None:
        if self._request_due is not None:
            self._request_due.cancel()
            self._request_due = None

    def _wait_for_reader(self) -> None:
        if self._answer_due is None:
            left = self.transport.get_write_buffer_size()
            self._answer_due = self.loop.call_later(_ANSWER_WITHIN_S, self._look_at_reader, left)

    def _look_at_reader(self, left_before: int) -> None:
        """Who has taken nothing since the last look is deaf."""
        self._answer_due = None
        left = self.transport.get_write_buffer_size()
        if left >= left_before:
            self.transport.abort()
        elif left:
            self._wait_for_reader()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: signals belong to the program, not to a listener."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves an application while its `async with` block runs.

    Port 0 takes a free one; `url` and `port` tell which, once the block is entered. With `certificate`
    and `key` (PEM files) it speaks HTTPS, and with `websockets` WebSocket too. Raises `OSError` where the
    address can't be had.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default that will do
        self,
        app: Any,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        date_header: bool = True,
        websockets: bool = False,
    ) -> None:
        self._socket = _listen(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if certificate else 'http'}://{shown}:{self.port}"
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="websockets-sansio" if websockets else "none",
                ws_ping_interval=None,
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=date_header,
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_WITHIN_S,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        serving = self._tasks.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.001)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        # The server is told to end by itself, so the group waits for it and cancels nothing.
        await self._tasks.__aexit__(None, None, None)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not switch off Nagle's delay: 40 ms on every answer after the first.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
