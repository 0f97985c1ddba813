"""The client that asks Graph and 3CX: against a server that says exactly what it is told, byte by byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from presencebridge.adapters import Outside, quick_client
from presencebridge.bounded import read_bounded
from presencebridge.emulators.tls import server_certificate
from presencebridge.errors import Malformed
from presencebridge.quick_http import QuickClient

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """What came, by connection."""

    def __init__(self) -> None:
        self.connections: list[list[bytes]] = []
        self.port = 0


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
    return head + await reader.readexactly(length)


@contextlib.asynccontextmanager
async def serving(*answers: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Answers one request after another, the last answer again and again; None closes instead."""
    server = Server()
    left = list(answers)
    writers: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: list[bytes] = []
        writers[writer] = asyncio.current_task()
        server.connections.append(mine)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                mine.append(await request(reader))
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is None:
                    break
                for part in answer.split(b"|"):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if b"until-close" in answer:
                    break
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*filter(None, writers.values()))


async def ask(
    client: QuickClient, path: str = "/a", method: str = "GET", content: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    async with client.stream(method, path, headers=headers, content=content) as response:
        return response.status_code, await read_bounded(response, 10_000_000, "it")


def client_of(server: Server) -> QuickClient:
    return QuickClient(f"http://127.0.0.1:{server.port}", ssl.create_default_context())


async def test_a_request_is_what_it_should_be_and_connections_are_kept():
    async with serving(OK) as server, client_of(server) as client:
        for _ in range(3):
            assert await ask(client, "/a?$top=1&$filter=x%20y") == (200, b"ok")
        assert await ask(client, "/b", "POST", b"{}", Accept="x") == (200, b"ok")
        assert await ask(client, "/c", "PATCH") == (200, b"ok")
    (mine,) = server.connections
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    assert mine[0] == b"GET /a?$top=1&$filter=x%20y HTTP/1.1\r\n" + host + b"\r\n"
    assert mine[3] == b"POST /b HTTP/1.1\r\n" + host + b"Accept: x\r\nContent-Length: 2\r\n\r\n{}"
    assert mine[4] == b"PATCH /c HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n|a|b|c", b"abc"),
        (CHUNKED + b"2\r\nab|\r\n1;x=y\r\nc\r\n0\r\nX: y\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 200 OK\r\nX: until-close\r\n\r\nab|c", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HT|TP/1.1 40|4 Not\r\nContent-|Length: 0\r\n|\r\n", b""),
    ],
)
async def test_an_answer_is_read_however_it_is_framed_and_the_next_one_is_its_own(answer, body):
    async with serving(answer, OK) as server, client_of(server) as client:
        assert (await ask(client))[1] == body
        assert await ask(client) == (200, b"ok")


async def test_who_must_not_send_once_connected_sends_nothing_and_the_connection_is_kept():
    async with serving(OK) as server, client_of(server) as client:

        def refused() -> None:
            raise httpx2.ConnectError("not any more")

        client.before_sending = refused
        with pytest.raises(httpx2.ConnectError, match="not any more"):
            await ask(client, "/first")
        client.before_sending = lambda: None
        assert await ask(client, "/second") == (200, b"ok")
    (mine,) = server.connections
    assert [one.split()[1] for one in mine] == [b"/second"]


async def test_what_is_cut_is_told_as_cut_and_the_next_request_works():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nuntil-close"
    async with serving(None, cut, OK) as server, client_of(server) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await ask(client)
        with pytest.raises(httpx2.ReadError):
            await ask(client)
        assert await ask(client) == (200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\n|" * 10_000,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_told_and_its_connection_given_up(answer, caplog):
    async with serving(answer, OK) as server, client_of(server) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match=r"this is no HTTP|has no end|nobody asked for"):
            await ask(client)
        assert await ask(client) == (200, b"ok")
        assert len(server.connections) == 2
    assert not caplog.records, "the loop has caught nothing that we should have"


@pytest.mark.parametrize(
    "rest",
    [b"0\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(200_000)), b"0\r\nX: " + b"y" * 2_000_000],
    ids=["many lines", "one line"],
)
async def test_what_follows_a_body_without_an_end_is_not_kept(rest):
    async with serving(CHUNKED + b"2\r\nab\r\n|" + rest, OK) as server, client_of(server) as client:
        async with asyncio.timeout(10), client.stream("GET", "/") as response:
            with pytest.raises(httpx2.RemoteProtocolError, match="what follows the body has no end"):
                await read_bounded(response, 10_000_000, "it")
            assert list(response.headers) == ["transfer-encoding"]
        assert await ask(client) == (200, b"ok")
        assert len(server.connections) == 2


async def test_a_body_may_come_in_many_small_pieces_and_what_follows_it_is_no_header():
    pieces = b"1;of=many\r\na\r\n" * 50_000
    answer = CHUNKED + pieces + b"0\r\nRetry-After: 9\r\n\r\n"
    async with serving(answer) as server, client_of(server) as client:
        async with client.stream("GET", "/") as response:
            assert await read_bounded(response, 50_000, "it") == b"a" * 50_000
            assert response.headers == {"transfer-encoding": "chunked"}
        assert await ask(client) == (200, b"a" * 50_000)
        assert len(server.connections) == 1


async def test_an_answer_without_an_end_is_not_taken_in():
    async with (
        serving(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 20_000_000, OK) as server,
        client_of(server) as client,
    ):
        async with client.stream("GET", "/") as response:
            await asyncio.sleep(0.1)
            assert response._unread < 2_000_000, "more than it reads does not come in"
            with pytest.raises(Malformed):
                await read_bounded(response, 5_000_000, "it")
        assert await ask(client) == (200, b"ok")
        assert len(server.connections) == 2


async def test_who_loses_patience_leaves_nothing_behind_for_the_next_one():
    async with (
        serving(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine") as server,
        client_of(server) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(client)
        assert await ask(client) == (200, b"mine")
        assert len(server.connections) == 2


async def test_a_connection_that_says_more_than_it_was_asked_is_not_used_again():
    async with (
        serving(OK + b"|HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK) as server,
        client_of(server) as client,
    ):
        assert await ask(client) == (200, b"ok")
        await asyncio.sleep(0.05)
        assert await ask(client) == (200, b"ok")
        assert len(server.connections) == 2


async def test_a_connection_that_the_other_side_closes_or_that_rested_long_is_not_used_again(monkeypatch):
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with serving(closing, OK) as server, client_of(server) as client:
        for _ in range(3):
            assert await ask(client) == (200, b"ok")
        assert len(server.connections) == 2
        monkeypatch.setattr("presencebridge.quick_http._KEPT_FOR_S", 0.0)
        await ask(client)
        assert len(server.connections) == 3


async def test_many_ask_side_by_side_and_no_more_than_there_are_connections(monkeypatch):
    monkeypatch.setattr("presencebridge.quick_http._MOST_CONNECTIONS", 4)
    async with serving(OK) as server, client_of(server) as client:
        answers = await asyncio.gather(*(ask(client) for _ in range(50)))
        assert answers == [(200, b"ok")] * 50
        assert len(server.connections) <= 4
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.gather(*(ask(client) for _ in range(50)))
        assert await ask(client) == (200, b"ok"), "who gave up while waiting holds nobody up"


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X\r\nY": "b"}, {"X": "ä"}, {"X": "a\0"}]
)
async def test_no_header_ends_a_line(headers):
    async with serving(OK) as server, client_of(server) as client:
        with pytest.raises(httpx2.LocalProtocolError):
            await ask(client, **headers)
        assert not server.connections


async def test_a_path_stays_a_path():
    async with serving(OK) as server, client_of(server) as client:
        await ask(client, "/a b\r\nX: y\r\n\r\nGET /ä")
    assert server.connections[0][0].startswith(
        b"GET /a%20b%0D%0AX:%20y%0D%0A%0D%0AGET%20/%C3%A4 HTTP/1.1\r\n"
    )


async def test_whole_addresses_go_where_they_say_and_a_path_of_the_base_stays_in_front():
    async with serving(OK) as one, serving(OK) as other:
        client = QuickClient(f"http://127.0.0.1:{one.port}/base/", ssl.create_default_context())
        async with client:
            await ask(client, "/x?y")
            await ask(client, f"http://127.0.0.1:{other.port}/keys?a=b")
    assert one.connections[0][0].startswith(b"GET /base/x?y ")
    assert other.connections[0][0].startswith(b"GET /keys?a=b ")


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "https://a:b/", "nonsense"])
async def test_what_is_no_address_is_told(url):
    with pytest.raises(httpx2.InvalidURL):
        QuickClient(url, ssl.create_default_context())


async def test_nobody_there_is_told():
    async with serving(OK) as server:
        pass
    async with client_of(server) as client:
        with pytest.raises(httpx2.ConnectError, match=r"111|refused"):
            await ask(client)
    async with QuickClient("http://no-such-host.invalid", ssl.create_default_context()) as client:
        with pytest.raises(httpx2.ConnectError):
            await ask(client)


async def test_a_proxy_is_httpx2s_business(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    assert isinstance(quick_client("https://graph.example", None), httpx2.AsyncClient)
    assert isinstance(quick_client("https://near.example", None), QuickClient)
    assert isinstance(quick_client("http://far.example", None), QuickClient)
    assert isinstance(quick_client("https://127.0.0.1:1", None), QuickClient)
    assert isinstance(Outside().http("https://near.example", None), QuickClient), "the service's own"


async def test_tls_with_a_private_authority_and_never_without_it(tmp_path):
    files = server_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.key)
    async with serving(OK, tls=tls) as server:
        ours = quick_client(f"https://127.0.0.1:{server.port}", tmp_path / "ca.pem")
        assert isinstance(ours, QuickClient)
        async with ours as client:
            assert await ask(client) == (200, b"ok")
            assert await ask(client) == (200, b"ok")
        async with quick_client(f"https://127.0.0.1:{server.port}", None) as stranger:
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await ask(stranger)
        async with client_of(server) as plain:
            with pytest.raises(httpx2.RequestError):
                await ask(plain)
    assert len(server.connections[0]) == 2
