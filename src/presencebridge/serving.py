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
_LONGEST_HEAD = 64_000


class _Connection(HttpToolsProtocol):
    """A connection that strangers can't hold for nothing: uvicorn bounds neither its time nor its head.

    A request has to be here as a whole within `_REQUEST_WITHIN_S`. Where there are too many connections, the
    one that has waited longest for its request makes room: an honest request comes in one go.
    """

    deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()
        if len(self.connections) > _MOST_CONNECTIONS:
            waiting = [one for one in self.connections if isinstance(one, _Connection) and one.deadline]
            oldest = min(waiting, key=lambda one: one.deadline.when())  # type: ignore[union-attr]
            oldest.request_is_here()  # no more to be chosen: it is gone only in the loop's next round
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.request_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0
        if self.deadline is None:
            self._wait_for_request()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.request_is_here()
        super().on_message_complete()

    def _wait_for_request(self) -> None:
        self.deadline = self.loop.call_later(_REQUEST_WITHIN_S, self.transport.abort)

    def request_is_here(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None


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
