"""What a PBX, or whoever answers in its place, can make us do."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from presencebridge.errors import LinkError
from presencebridge.pbx.websocket import websocket_dial


class Answering:
    """Gives every connection the same answer, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.asked: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        writer.close()


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Answering]:
    it = Answering(answer)
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as server:
        it.port = server.sockets[0].getsockname()[1]
        yield it


@pytest.mark.parametrize(
    "place", ["ws://[", "ws://a:99999/", "ws://..x/", "ws://user:pw@127.0.0.1:{port}/admin", "/elsewhere"]
)
async def test_a_websocket_is_redirected_nowhere(place):
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as other:
        head = f"HTTP/1.1 302 Found\r\nLocation: {place.format(port=other.port)}\r\nContent-Length: 0\r\n\r\n"
        async with answering(head.encode()) as pbx:
            dial = websocket_dial(
                f"http://127.0.0.1:{pbx.port}", ssl.create_default_context(), 5.0, use_proxy=False
            )
            with pytest.raises(LinkError, match="302"):
                await dial("token")
            assert len(pbx.asked) == 1
        assert other.asked == []
