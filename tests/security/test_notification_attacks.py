"""Notifications that somebody made with care: storms of keys, bombs, and paths that mean something else."""

import asyncio
import contextlib
import gzip
import random
import zlib

import httpx2
import jwt
import pytest
from notice_kit import (
    ANN,
    APP,
    CLIENT_STATE,
    LOGIN,
    NOW,
    SUBSCRIPTION,
    TENANT,
    body,
    item,
    presence,
    rsa_key,
    sealed,
    token,
)

from presencebridge.graph.notices import Reject
from presencebridge.graph.receiver import NoticeReceiver, Watched
from presencebridge.graph.signing_keys import SigningKeys
from presencebridge.serving import Listener
from presencebridge.web.webhook import Webhook


class Keys:
    def private_keys(self) -> dict:
        return {"ours": rsa_key("ours")}


class Desk:
    """A receiver whose questions to Entra are counted."""

    def __init__(self) -> None:
        self.asked = 0
        watched = Watched()
        watched.client_states[SUBSCRIPTION] = CLIENT_STATE
        watched.people = frozenset({ANN})
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._entra))
        signing = SigningKeys(http, LOGIN)
        self.receiver = NoticeReceiver((APP, TENANT, (LOGIN,)), watched, Keys(), signing, None, lambda: NOW)
        self.rejects: list[Reject] = []
        self.believed = 0
        self.receiver.on_reject = self.rejects.append
        self.receiver.on_presence = self._believe

    def _believe(self, *_: object) -> None:
        self.believed += 1

    def _entra(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if request.url.path.endswith("openid-configuration"):
            return httpx2.Response(200, json={"jwks_uri": f"{LOGIN}/keys"})
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key("entra").public_key(), as_dict=True)
        return httpx2.Response(200, json={"keys": [jwk | {"kid": "k1", "use": "sig"}]})

    async def work(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.receiver.run()


def change(number: int) -> dict:
    return item(sealed(presence(), data_key=number.to_bytes(32)))


@pytest.mark.looptime
async def test_a_storm_of_unknown_keys_is_no_storm_of_questions():
    desk = Desk()
    for number in range(500):
        desk.receiver.offer(body(change(number), tokens=[token(kid=f"unknown-{number}")]))
    desk.receiver.offer(body(change(1000)))
    await desk.work(300)
    assert desk.rejects == [Reject.KEY] * 500
    assert desk.believed == 1
    assert desk.asked <= 4 * (300 / 60 + 1)


@pytest.mark.looptime
async def test_who_does_not_know_our_secret_makes_us_ask_nobody():
    desk = Desk()
    await desk.work(1)
    asked = desk.asked
    for number in range(500):
        forged = change(number) | {"clientState": "a guess"}
        desk.receiver.offer(body(forged, tokens=[token(kid=f"unknown-{number}")]))
    await desk.work(200)
    assert desk.rejects == [Reject.CLIENT_STATE] * 500
    assert desk.asked == asked


BOMB = b'{"value":[' + b" " * 50_000_000 + b"]}"


@pytest.mark.parametrize(
    ("encoding", "packed"), [("gzip", gzip.compress(BOMB)), ("deflate", zlib.compress(BOMB)), ("br", b"\x8b")]
)
async def test_nothing_is_unpacked(encoding, packed):
    taken: list[bytes] = []
    async with (
        Listener(Webhook("/hook", lambda raw: not taken.append(raw), lambda: None)) as listener,
        httpx2.AsyncClient(base_url=listener.url) as client,
    ):
        answer = await client.post("/hook", content=packed, headers={"Content-Encoding": encoding})
    assert answer.status_code == 202
    assert taken == [packed]  # which is no JSON, and so no more than a body of no use


PATHS = (
    "/hook/",
    "//hook",
    "/./hook",
    "/x/../hook",
    "/hook/..",
    "/HOOK",
    "/hook%00",
    "/hook;a=b",
    "/hook%2f",
    "/%2e/hook",
    "/metrics",
    "/livez",
    "*",
    "http://evil.example/metrics",
)


@pytest.mark.parametrize("path", PATHS)
async def test_one_path_is_there_however_it_is_written(path):
    taken: list[bytes] = []
    async with Listener(Webhook("/hook", lambda raw: not taken.append(raw), lambda: None)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        )
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    assert answer.split(b" ")[1] in (b"404", b"400")
    assert taken == []


GOOD = (
    b"POST /hook HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
    b'{"value":[]}POST /hook?validationToken=a%20b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    b"2;x=y\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n"
)


async def test_bent_http_neither_stops_the_listener_nor_leaves_anything_behind():
    chance = random.Random(20261123)  # noqa: S311 - no secret
    server = Listener(Webhook("/hook", lambda _body: True, lambda: None))
    async with server as listener:
        for _ in range(400):
            raw = bytearray(GOOD)
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(raw))
                match chance.randrange(4):
                    case 0:
                        raw[at] = chance.randrange(256)
                    case 1:
                        del raw[at : at + chance.randint(1, 30)]
                    case 2:
                        raw[at:at] = raw[: chance.randint(1, 60)]
                    case _:
                        raw[at:at] = chance.randbytes(chance.randint(1, 10))
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(bytes(raw))
            with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                writer.write_eof()
                async with asyncio.timeout(0.05):
                    await reader.read()
            writer.transport.abort()
        async with httpx2.AsyncClient(base_url=listener.url) as client:
            assert (await client.post("/hook", content=b"{}")).status_code == 202
        async with asyncio.timeout(10):
            while len(server._server.server_state.connections) > 1:
                await asyncio.sleep(0.01)
