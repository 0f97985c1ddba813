"""A listener on a real socket: what strangers can't hold."""

import asyncio

import pytest

from presencebridge import serving
from presencebridge.serving import Listener
from presencebridge.web import webhook
from presencebridge.web.webhook import Webhook

HEAD = b"POST /hook HTTP/1.1\r\nHost: a\r\n"
LARGE = HEAD + b"Content-Length: 3000000\r\n\r\n"


def hook() -> Webhook:
    return Webhook("/hook", lambda _body: True, lambda: None)


async def connect(listener: Listener, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(data)
    return reader, writer


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(3):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def is_served(listener: Listener) -> bool:
    reader, writer = await connect(listener, HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
    async with asyncio.timeout(3):
        answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize("begun", [b"", HEAD, HEAD + b"Content-Length: 9\r\n\r\nabc"])
async def test_a_request_has_to_be_here_in_time(begun, monkeypatch):
    monkeypatch.setattr(serving, "_REQUEST_WITHIN_S", 0.2)
    async with Listener(hook()) as listener:
        reader, writer = await connect(listener, begun)
        assert await is_cut(reader)
        writer.close()
        assert await is_served(listener)


@pytest.mark.parametrize("endless", [HEAD + b"X-A: " + b"a" * 90_000, b"POST /hook?" + b"a" * 90_000])
async def test_a_head_without_end_is_cut(endless):
    async with Listener(hook()) as listener:
        reader, writer = await connect(listener, endless)
        assert await is_cut(reader)
        writer.close()


async def test_idle_connections_do_not_keep_an_honest_one_out(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_CONNECTIONS", 10)
    async with Listener(hook()) as listener:
        idle = await asyncio.gather(*(connect(listener) for _ in range(30)))
        assert await is_served(listener)
        cut = await asyncio.gather(*(is_cut(reader) for reader, _ in idle))
        assert cut.count(False) <= 10
        for _, writer in idle:
            writer.close()


async def test_large_bodies_that_do_not_end_leave_room_for_small_ones(monkeypatch):
    monkeypatch.setattr(webhook, "_MOST_BYTES_COMING", 1_000_000)
    async with Listener(hook()) as listener:
        held = [await connect(listener, LARGE + b" " * 600_000) for _ in range(3)]
        async with asyncio.timeout(3):
            refused = await asyncio.wait([asyncio.create_task(one.readline()) for one, _ in held], timeout=1)
        assert b"HTTP/1.1 503 Service Unavailable\r\n" in {task.result() for task in refused[0]}
        assert await is_served(listener)
        for task in refused[1]:
            task.cancel()
        for _, writer in held:
            writer.close()
