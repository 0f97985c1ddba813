"""The client of 3cx-web-API against a bridge that serves, hangs, and errs, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from presencebridge.core.model import LegState
from presencebridge.errors import Malformed, TryAgain
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.web_api_client import NeverAnswered, WebApiClient

pytestmark = pytest.mark.looptime

_EMPTY = "<html><head></head><body></body></html>"


class Bridge:
    """An ASGI app that answers paths after a while; a path that it does not know is never answered."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[float, str]] = {"/showallcalls": (0.01, _EMPTY)}
        self.begun: list[tuple[float, str]] = []
        self.at_work = 0
        self.most_at_work = 0
        self.status = 200

    async def __call__(self, scope, receive, send) -> None:
        assert scope["method"] == "GET"
        path = scope["path"]
        self.begun.append((round(asyncio.get_running_loop().time(), 3), path))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            if path not in self.answers:
                await asyncio.get_running_loop().create_future()
            seconds, body = self.answers[path]
            await asyncio.sleep(seconds)
        finally:
            self.at_work -= 1
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})

    def status_is(self, extension: str, status: str, seconds: float = 0.1) -> None:
        self.answers[f"/showstatus/{extension}"] = (seconds, f"    CURRENT_STATUS={status}")


def client_of(app: Bridge | httpx2.AsyncBaseTransport, timeout_s: float = 5.0) -> WebApiClient:
    transport = httpx2.ASGITransport(app) if isinstance(app, Bridge) else app
    return WebApiClient(httpx2.AsyncClient(transport=transport, base_url="http://pbx:8889"), timeout_s)


async def test_the_bridge_is_asked_one_thing_at_a_time():
    bridge = Bridge()
    for number in range(5):
        bridge.status_is(str(number), "Away", 0.1)
    client = client_of(bridge)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(client.status(str(number))) for number in range(5)]
    assert [task.result() for task in asked] == ["Away"] * 5
    assert bridge.most_at_work == 1
    assert asyncio.get_running_loop().time() == pytest.approx(0.5)


async def test_a_request_that_hangs_is_overtaken_after_half_a_second():
    bridge = Bridge()
    bridge.status_is("101", "Available", 0.1)
    client = client_of(bridge)
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(_outcome(client.status("925")))
        others = [tasks.create_task(client.status("101")) for _ in range(3)]
    assert [task.result() for task in others] == ["Available"] * 3
    assert [when for when, path in bridge.begun] == [0.0, 0.5, 0.6, 0.7]
    assert isinstance(hanging.result(), NeverAnswered)


async def test_who_was_never_answered_waits_outside_of_the_lane_until_answered_again():
    bridge = Bridge()
    bridge.status_is("101", "Available", 0.1)
    client = client_of(bridge, timeout_s=1.0)
    assert isinstance(await _outcome(client.status("925")), NeverAnswered)
    begun = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(_outcome(client.status("925")))
        other = tasks.create_task(client.status("101"))
        await other
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.1)
    assert isinstance(hanging.result(), NeverAnswered)

    bridge.status_is("925", "Away", 0.1)
    assert await client.status("925") == "Away"
    bridge.most_at_work = 0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.status("925"))
        tasks.create_task(client.status("101"))
    assert bridge.most_at_work == 1


async def test_a_request_that_is_never_answered_ends_after_its_timeout_and_names_the_extension():
    client = client_of(Bridge(), timeout_s=5.0)
    error = await _outcome(client.status("925"))
    assert isinstance(error, NeverAnswered)
    assert str(error) == "extension 925: the bridge did not answer /showstatus/925 within 5 s"
    assert "extension 925 exists" in error.cure
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)


async def test_the_wait_for_the_lane_is_no_part_of_the_timeout():
    bridge = Bridge()
    for number in range(30):
        bridge.status_is(str(number), "Away", 0.4)
    client = client_of(bridge, timeout_s=0.5)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(client.status(str(number))) for number in range(30)]
    assert {task.result() for task in asked} == {"Away"}


async def test_calls_that_are_never_answered_are_the_bridges_trouble():
    bridge = Bridge()
    del bridge.answers["/showallcalls"]
    error = await _outcome(client_of(bridge).legs())
    assert isinstance(error, NeverAnswered)
    assert "connected to the PBX" in error.cure
    bridge.answers["/showallcalls"] = (0.0, _EMPTY)


async def test_calls_are_read():
    bridge = Bridge()
    line = "ID=3;S=Held;DN=101;Queue_Name=x;Queue_Nummer=null;EP=;REC=Stop<br>"
    bridge.answers["/showallcalls"] = (0.0, f"<html><head></head><body>{line}</body></html>")
    assert (await client_of(bridge).legs()).by_extension == {"101": (LegState.HELD,)}


async def test_a_cancelled_request_gives_the_lane_free():
    bridge = Bridge()
    bridge.status_is("101", "Away", 0.0)
    client = client_of(bridge)
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(client.status("925"))
        await asyncio.sleep(0.2)
        hanging.cancel()
        assert await client.status("101") == "Away"
    assert asyncio.get_running_loop().time() == pytest.approx(0.2)


# Writing ------------------------------------------------------------------------------------------


async def test_a_status_is_read_before_it_is_written_and_read_back_after():
    bridge = Bridge()
    bridge.status_is("101", "Available")
    bridge.answers["/setstatus/101/away"] = (0.1, "Away")
    change = await client_of(bridge).change_status("101", ("Available",), "Away")
    assert change == StatusChange("Available", "Available", wrote=True)
    paths = [path for _, path in bridge.begun]
    assert paths == ["/showstatus/101", "/setstatus/101/away", "/showstatus/101"]


@pytest.mark.parametrize(("status", "expected"), [("Custom 1", ("Available",)), ("Away", ("Away",))])
async def test_nothing_is_written_over_another_status_or_over_itself(status, expected):
    bridge = Bridge()
    bridge.status_is("101", status)
    change = await client_of(bridge).change_status("101", expected, "Away")
    assert change == StatusChange(status, status, wrote=False)
    assert len(bridge.begun) == 1


async def test_a_change_that_the_bridge_does_not_confirm_is_an_error():
    bridge = Bridge()
    bridge.status_is("101", "Available")
    bridge.answers["/setstatus/101/away"] = (0.1, "idle")
    with pytest.raises(Malformed, match="extension 101"):
        await client_of(bridge).change_status("101", ("Available",), "Away")


# Odd servers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 302, 401, 404, 500])
async def test_a_status_other_than_200_is_not_the_bridge(status):
    bridge = Bridge()
    bridge.status = status
    bridge.status_is("101", "Away", 0.0)
    with pytest.raises(Malformed, match=f"with status {status}") as raised:
        await client_of(bridge).status("101")
    assert "[pbx] url" in raised.value.cure


@pytest.mark.parametrize(
    "fault",
    [
        httpx2.ConnectError("All connection attempts failed"),
        httpx2.ConnectTimeout(""),
        httpx2.ReadError(""),
        httpx2.RemoteProtocolError("Server disconnected"),
        httpx2.DecodingError("Error -3 while decompressing data"),
    ],
)
async def test_a_bridge_that_can_not_be_reached_may_be_later(fault):
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise fault

    client = client_of(httpx2.MockTransport(refuse))
    for ask in (client.legs(), client.status("101")):
        error = await _outcome(ask)
        assert type(error) is TryAgain
        assert str(error).startswith("the bridge 3cx-web-API can't be reached: ")
        assert not str(error).endswith(": ")
        assert "[pbx] url" in error.cure


async def test_an_answer_that_is_not_text_is_malformed():
    answer = httpx2.Response(200, content=b"\xff\xfe\x00")
    with pytest.raises(Malformed):
        await client_of(httpx2.MockTransport(lambda _: answer)).legs()


class Endless(httpx2.AsyncByteStream):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(self.seconds)


@pytest.mark.parametrize(("seconds", "kind"), [(0.0, Malformed), (1.0, NeverAnswered)])
async def test_a_body_without_end_is_not_read_for_ever(seconds, kind):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Endless(seconds)))
    error = await _outcome(client_of(transport).status("101"))
    assert type(error) is kind


async def _outcome(asked) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is, is asked by the caller
        await asked
    return raised.value
