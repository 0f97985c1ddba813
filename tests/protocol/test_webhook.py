"""The one thing that strangers can reach: what it answers, byte by byte, and what it takes in."""

import asyncio

import pytest

from presencebridge.web.webhook import Webhook

PATH = "/presence-hook"


class Door:
    """The webhook and what came through it."""

    def __init__(self, path: str = PATH, *, room: bool = True) -> None:
        self.bodies: list[bytes] = []
        self.too_large = 0
        self.room = room
        self.webhook = Webhook(path, self._offer, self._refuse)

    def _offer(self, body: bytes) -> bool:
        if self.room:
            self.bodies.append(body)
        return self.room

    def _refuse(self) -> None:
        self.too_large += 1

    async def ask(
        self, *chunks: bytes, method: str = "POST", path: str = PATH, query: bytes = b"", leaves: bool = False
    ) -> tuple[int, dict[bytes, bytes], bytes] | None:
        parts = list(chunks or (b"",))
        answer: list[dict] = []

        async def receive() -> dict:
            await asyncio.sleep(0)
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts) or leaves}

        async def send(message: dict) -> None:
            answer.append(message)

        scope = {"type": "http", "method": method, "path": path, "query_string": query}
        await self.webhook(scope, receive, send)
        if not answer:
            return None
        assert [message["type"] for message in answer] == ["http.response.start", "http.response.body"]
        headers = dict(answer[0]["headers"])
        assert headers[b"content-length"] == str(len(answer[1]["body"])).encode()
        return answer[0]["status"], headers, answer[1]["body"]


async def status(door: Door, *chunks: bytes, **how: object) -> int | None:
    answer = await door.ask(*chunks, **how)
    return answer and answer[0]


async def test_a_notification_is_taken_in_and_nothing_is_told():
    door = Door()
    code, headers, body = await door.ask(b'{"val', b'ue":[]}')
    assert (code, body) == (202, b"")
    assert door.bodies == [b'{"value":[]}']
    assert set(headers) == {b"content-length", b"x-content-type-options"}


async def test_what_is_no_notification_is_answered_in_just_the_same_way():
    door = Door()
    answers = [await door.ask(raw) for raw in (b"", b"\xff", b"<html>", b'{"value":[]}')]
    assert all(answer == answers[0] for answer in answers)


async def test_the_handshake_is_answered_with_the_decoded_token_as_plain_text():
    door = Door()
    query = b"x=1&validationToken=Validation%3A+Testing+client%2Bapp+%3Cb%3E+Request-Id%3A+1%c3%a4"
    code, headers, body = await door.ask(query=query)
    assert (code, body.decode()) == (200, "Validation: Testing client+app <b> Request-Id: 1ä")
    assert headers[b"content-type"] == b"text/plain; charset=utf-8"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert door.bodies == []


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"validationtoken=x",
        b"validationToken=",
        b"validationToken=a&validationToken=b",
        b"validationToken=" + b"x" * 4097,
        b"\xff=1",
        b"&".join(b"a=1" for _ in range(30)),
    ],
)
async def test_any_other_query_is_no_handshake(query):
    door = Door()
    assert await status(door, b"body", query=query) == 202
    assert door.bodies == [b"body"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
async def test_nothing_but_post_is_there(method):
    door = Door()
    assert await status(door, method=method, query=b"validationToken=x") == 404


@pytest.mark.parametrize("path", ["/", "", PATH + "/", PATH.upper(), "/metrics", "//presence-hook"])
async def test_nothing_but_the_one_path_is_there(path):
    door = Door()
    assert await status(door, b"body", path=path) == 404
    assert door.bodies == []


async def test_an_address_without_a_path_is_the_root():
    assert await status(Door(""), b"body", path="/") == 202


async def test_who_finds_no_room_is_asked_to_come_again():
    assert await status(Door(room=False), b"body") == 503


async def test_a_body_that_is_too_large_is_dropped_and_counted():
    door = Door()
    code, headers, _ = await door.ask(*[b"x" * 1_000_000] * 5)
    assert (code, headers[b"connection"]) == (202, b"close")
    assert (door.bodies, door.too_large) == ([], 1)
    assert await status(door, *[b"x" * 1_000_000] * 4) == 202
    assert len(door.bodies[0]) == 4_000_000


async def test_a_body_of_very_many_parts_is_dropped_before_anybody_parses_it():
    """What a body costs goes by its items: a million empty ones would hold everybody up for a second."""
    door = Door()
    assert await status(door, b'{"value":[' + b",".join([b"{}"] * 100_003) + b"]}") == 202
    assert (door.bodies, door.too_large) == ([], 1)
    everybody = b",".join(b"'%036d'" % number for number in range(650))
    item = b'{"resource":"communications/presences?$filter=id in (' + everybody + b')"}'
    assert await status(door, b'{"value":[' + b",".join([item] * 150) + b"]}") == 202
    assert (len(door.bodies), door.too_large) == (1, 1)


async def test_a_sender_who_leaves_is_neither_answered_nor_counted():
    door = Door()
    assert await door.ask(b"half", leaves=True) is None
    assert (door.bodies, door.too_large) == ([], 0)


async def test_a_websocket_is_not_spoken_to():
    async def nothing(*_: object) -> dict:
        raise AssertionError

    await Door().webhook({"type": "websocket", "path": PATH}, nothing, nothing)
