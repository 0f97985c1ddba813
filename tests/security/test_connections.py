"""Who holds connections and does little that is wrong in HTTP: the busy, the deaf, the hasty, the noisy."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from presencebridge import log, serving
from presencebridge.serving import Listener
from presencebridge.web.webhook import Webhook

POST = b"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
LAST = POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
ECHO = b"POST /hook?validationToken=" + b"a" * 4000 + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


def hook() -> Webhook:
    return Webhook("/hook", lambda _body: True, lambda: None)


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connections(listener: Listener, count: int, data: bytes = b"") -> AsyncIterator[list[Pair]]:
    made = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=2**16)
        writer.write(data)
        made.append((reader, writer))
    try:
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()


async def is_served(listener: Listener) -> bool:
    try:
        async with asyncio.timeout(5), connections(listener, 1, LAST) as [(reader, _)]:
            return (await reader.read()).startswith(b"HTTP/1.1 202")
    except (TimeoutError, ConnectionError):
        return False


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_busy_connections_do_not_keep_a_new_one_out(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_CONNECTIONS", 10)
    async with Listener(hook()) as listener, connections(listener, 10, POST) as busy:
        for reader, _ in busy:
            assert (await reader.readline()).startswith(b"HTTP/1.1 202")
        assert await is_served(listener)  # they are between two requests, and none of them is late


async def test_who_does_not_read_the_answers_is_cut(monkeypatch):
    monkeypatch.setattr(serving, "_ANSWER_WITHIN_S", 0.3)
    async with Listener(hook()) as listener, connections(listener, 1) as [(reader, writer)]:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while True:  # at some time the way back is full, and then nothing more is taken in
                    writer.write(ECHO)
                    await writer.drain()
                    await asyncio.sleep(0)  # one request after the other: haste is another matter
        assert await is_served(listener)


async def test_a_thousand_requests_at_a_time_are_nobodys_need(monkeypatch):
    begun = []
    begin = serving._Connection.on_message_begin
    monkeypatch.setattr(
        serving._Connection, "on_message_begin", lambda self: (begun.append(self), begin(self))[1]
    )
    async with Listener(hook()) as listener:
        async with connections(listener, 1, POST * 1000) as [(reader, _)]:
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    await reader.read()
        assert len(begun) < 30
        assert await is_served(listener)


@pytest.mark.parametrize("few", [1, 5, 8])
async def test_a_few_requests_one_behind_the_other_are_all_answered(few):
    async with (
        Listener(hook()) as listener,
        connections(listener, 1, POST * (few - 1) + LAST) as [(reader, _)],
    ):
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.1 202") == few


async def test_what_follows_a_body_is_bounded_like_a_head():
    begun = b"POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    async with Listener(hook()) as listener, connections(listener, 1, begun) as [(reader, writer)]:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                for _ in range(40):
                    writer.write(b"X-Trailer: " + b"a" * 4000 + b"\r\n")
                    await writer.drain()
                while await reader.read(1000):
                    pass
        assert reader.at_eof() or reader.exception()
        assert await is_served(listener)


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[Path]:
    """Where the service's log goes, set up as `run` does it."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    with (tmp_path / "log").open("w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        log.set_up(terminal=False)
        yield tmp_path / "log"
    root.handlers, root.level = handlers, level


NOISE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT /hook HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"* * *\r\n\r\n",
    os.urandom(300) + b"\r\n\r\n",
)


async def test_strangers_do_not_write_our_log(stderr):
    async with Listener(hook()) as listener:
        for noise in NOISE * 5:
            async with connections(listener, 1, noise) as [(reader, writer)]:
                writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    await reader.readline()
        assert await is_served(listener)
    lines = stderr.read_text().splitlines()
    assert len(lines) <= 2, lines


def offering(method: bytes, what: bytes) -> bytes:
    return method + b" /hook HTTP/1.1\r\nHost: a\r\n" + what + b"Content-Length: %d\r\n\r\n"


OTHER_PROTOCOL = (
    offering(b"POST", b"Connection: Upgrade\r\nUpgrade: x\r\n"),
    offering(b"GET", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
    offering(b"POST", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    offering(b"CONNECT", b""),
)


@pytest.mark.parametrize("head", OTHER_PROTOCOL, ids=["unknown", "h2c", "websocket", "connect"])
async def test_what_follows_an_offer_of_another_protocol_is_no_request(head):
    """A proxy that hands on the offer may send somebody else's request over the same connection."""
    handed_on = []
    app = Webhook("/hook", lambda body: not handed_on.append(bytes(body)), lambda: None)
    async with Listener(app) as listener, connections(listener, 1) as [(reader, writer)]:
        writer.write(head % len(POST))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            said = await reader.readuntil(b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                writer.write(POST)
                said += await reader.read()
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1
    assert handed_on == []
