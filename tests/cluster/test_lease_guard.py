"""Nothing is sent by a node that has lost its lease, also if it lost it while it connected."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

import httpx2
import pytest

from presencebridge.adapters import Outside
from presencebridge.cluster.guard import Guard, GuardedHttp
from presencebridge.cluster.outside import SharedOutside
from presencebridge.cluster.ownership import Tenure
from presencebridge.config import Pbx
from presencebridge.errors import TryAgain
from presencebridge.pbx.v20_feed import Dial
from presencebridge.quick_http import QuickClient


class Lease:
    """May act so many more times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def may_act(self) -> bool:
        self.looks -= 1
        return self.looks >= 0

    def on_cut(self, _cut: Callable[[], None]) -> None:
        pass


def guard(looks: int) -> Guard:
    return Guard(cast("Tenure", Lease(looks)))


def quick(url: str) -> QuickClient:
    return QuickClient(url, ssl.create_default_context())


def other(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False)


@pytest.mark.parametrize("client", [quick, other])
@pytest.mark.parametrize(("looks", "answered"), [(0, False), (1, False), (2, True)])
async def test_the_lease_is_looked_at_again_when_there_is_a_connection(
    client: Callable[[str], Any], looks: int, answered: bool
) -> None:
    came: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(line := await reader.readline())
        if line:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with GuardedHttp(client(f"http://127.0.0.1:{port}"), guard(looks)) as http:
            if answered:
                async with http.stream("GET", "/a") as response:
                    assert response.status_code == 204
            else:
                with pytest.raises(httpx2.ConnectError, match="does not own"):
                    async with http.stream("GET", "/a"):
                        pytest.fail("it was sent")
        if looks:
            await ended.wait()
    assert came == {0: [], 1: [b""], 2: [b"GET /a HTTP/1.1\r\n"]}[looks]


@pytest.mark.parametrize(("looks", "opened"), [(0, 0), (1, 1)])
async def test_no_socket_is_opened_without_a_lease(looks: int, opened: int) -> None:
    tokens: list[str] = []

    class Node(Outside):
        def dial(self, pbx: Pbx) -> Dial:
            async def dial(token: str) -> Any:
                tokens.append(token)
                return object()

            return dial

    none = cast("Any", None)
    dial = SharedOutside(Node(), guard(looks), none, none, none).dial(none)
    if opened:
        await dial("token")
    else:
        with pytest.raises(TryAgain, match="does not own"):
            await dial("token")
    assert len(tokens) == opened
