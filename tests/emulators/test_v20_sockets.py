"""The V20 emulator over real sockets, and by the command line."""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from v20_bench import FORM, WORLD
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus

from presencebridge.emulators.v20 import RunningV20


@pytest.fixture
async def running() -> AsyncIterator[RunningV20]:
    async with RunningV20(WORLD, seed=1) as running:
        yield running


async def token_of(running: RunningV20, verify: ssl.SSLContext | bool = True) -> str:
    async with httpx2.AsyncClient(base_url=running.url, verify=verify, trust_env=False) as client:
        return (await client.post("/connect/token", data=FORM)).json()["access_token"]


async def play(running: RunningV20, method: str, path: str, body: object = None) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=running.control_url or "", trust_env=False) as client:
        return await client.request(method, path, json=body)


@contextlib.asynccontextmanager
async def listening(
    running: RunningV20, token: str, context: ssl.SSLContext | None = None
) -> AsyncIterator[ClientConnection]:
    url = running.url.replace("http", "ws", 1) + "/callcontrol/ws"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(url, additional_headers=headers, ssl=context, proxy=None) as socket:
        yield socket


async def events(socket: ClientConnection, count: int) -> list[tuple[int, int, str]]:
    received = [json.loads(await socket.recv()) for _ in range(count)]
    return [(each["sequence"], each["event"]["event_type"], each["event"]["entity"]) for each in received]


async def test_a_client_of_another_make_hears_of_a_call(running: RunningV20) -> None:
    token = await token_of(running)
    async with listening(running, token) as socket:
        await (await socket.ping())
        await play(running, "POST", "/calls", {"legs": [{"dn": "101", "state": "Dialing", "party": "1"}]})
        assert await events(socket, 1) == [(1, 0, "/callcontrol/101/participants/1")]
        await socket.send(json.dumps({"RequestID": "1", "Path": "/callcontrol/101/participants/1"}))
        answer = json.loads(await socket.recv())["event"]
        assert answer["event_type"] == 4
        assert answer["attached_data"]["Response"]["status"] == "Dialing"


async def test_a_handshake_without_a_good_token_is_answered_401(running: RunningV20) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with listening(running, "old"):
            pass
    assert caught.value.response.status_code == 401
    assert caught.value.response.body == b""


async def test_a_dropped_socket_is_cut_without_a_word(
    running: RunningV20, caplog: pytest.LogCaptureFixture
) -> None:
    token = await token_of(running)
    async with listening(running, token) as socket:
        assert (await play(running, "POST", "/socket/drop")).json() == {"dropped": 1}
        with pytest.raises(ConnectionClosedError) as caught:
            await socket.recv()
        assert caught.value.rcvd is None
    async with listening(running, token) as socket:
        await play(running, "POST", "/socket/drop", {"code": 1012, "reason": "restart"})
        with pytest.raises(ConnectionClosedError) as caught:
            await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert caplog.records == []


async def test_a_client_that_leaves_is_forgotten(
    running: RunningV20, caplog: pytest.LogCaptureFixture
) -> None:
    token = await token_of(running)
    async with listening(running, token) as socket:
        socket.transport.abort()
    async with listening(running, token):
        while (await play(running, "GET", "/socket")).json() != {"open": 1}:
            pass
    assert caplog.records == []


async def test_a_restart_takes_sockets_and_tokens_and_leaves_the_calls(running: RunningV20) -> None:
    token = await token_of(running)
    await play(running, "POST", "/calls", {"legs": [{"dn": "101", "state": "Connected", "party": "1"}]})
    url = running.url
    async with listening(running, token) as socket:
        await running.stop()
        await running.stop()
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
    await running.start()
    await running.start()
    assert running.url == url
    with pytest.raises(InvalidStatus):
        async with listening(running, token):
            pass
    async with listening(running, await token_of(running)) as socket:
        await socket.send(json.dumps({"RequestID": "1", "Path": "/callcontrol/101/participants"}))
        answer = json.loads(await socket.recv())["event"]["attached_data"]
        assert [each["status"] for each in answer["Response"]] == ["Connected"]


async def test_a_request_can_hang_or_be_cut(running: RunningV20, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"Authorization": f"Bearer {await token_of(running)}"}
    async with httpx2.AsyncClient(base_url=running.url, headers=headers, trust_env=False) as client:
        await play(running, "POST", "/faults", {"hang": {"count": 1}})
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/callcontrol", timeout=0.1)
        await play(running, "POST", "/faults", {"drop_after_write": {"count": 1}})
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            await client.get("/callcontrol")
        await play(running, "POST", "/faults", {"refuse": True})
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            await client.get("/callcontrol")
        with pytest.raises((InvalidMessage, ConnectionError)):
            async with listening(running, headers["Authorization"][7:]):
                pass
        await play(running, "POST", "/faults", {"refuse": None, "hang": True})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), listening(running, headers["Authorization"][7:]):
                pass
        await play(running, "POST", "/faults", {"hang": None, "latency_s": 0.01})
        assert (await client.get("/callcontrol")).status_code == 200
    assert caplog.records == []


async def test_over_tls(tmp_path: Path) -> None:
    async with RunningV20(WORLD, tls_dir=tmp_path, control_port=None) as running:
        assert running.control_url is None
        assert running.url.startswith("https://")
        assert running.ca_file is not None
        context = ssl.create_default_context(cafile=running.ca_file)
        token = await token_of(running, context)
        async with listening(running, token, context) as socket:
            await (await socket.ping())


async def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"client_id": "c", "client_secret": "s", "extensions": [{"number": "101"}]}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from presencebridge.cli.main import main; main()",
        *("emulate", "3cx-v20", "--port", "0", "--control-port", "0", "--world", str(world)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONASYNCIODEBUG": ""},  # it would tell of slow steps in between
    )
    assert process.stderr is not None
    first = (await process.stderr.readline()).decode().strip()
    second = (await process.stderr.readline()).decode().strip()
    assert first.startswith("3cx-v20: http://127.0.0.1:")
    assert second.startswith("control: http://127.0.0.1:")
    async with httpx2.AsyncClient(base_url=first.removeprefix("3cx-v20: "), trust_env=False) as client:
        answer = await client.post("/connect/token", data=FORM | {"client_id": "c", "client_secret": "s"})
        assert answer.status_code == 200
    process.terminate()
    assert await process.wait() == 0
