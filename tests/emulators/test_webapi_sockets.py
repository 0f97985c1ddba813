"""The bridge over real sockets, and its standard output in the hands of a shell script."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator

import pytest

from presencebridge.emulators.webapi import RunningWebApi, serve_webapi
from presencebridge.emulators.world import Extension, World

WORLD = World(extensions=(Extension("100", "Ann"), Extension("101", "Bob")))

# The shape of the blog post's loop: it reads what the bridge prints, and asks the bridge in between.
LOOP = r"""
busy='^ID=.*;S=(Dialing|Connected);DN=(.*);Queue_Name='
ask() { exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nHost: pbx\r\nConnection: close\r\n\r\n' "$1" >&3; cat <&3; exec 3>&-; }
while read line; do
  if [[ "$line" =~ "Server Stop" ]]; then echo "stopped"; break
  elif [[ "$line" =~ Listening.*Port\ ([0-9]+) ]]; then port=${BASH_REMATCH[1]}; ask /showallcalls >/dev/null
  elif [[ "$line" =~ $busy ]]; then echo "busy ${BASH_REMATCH[2]}"
  elif [[ "$line" =~ "<html>" ]]; then
    echo "status $(ask /showstatus/100 | tail -n 1)"
    ask /setstatus/100/away >/dev/null; ask /stop >/dev/null
  else echo "other $line"
  fi
done < <("$PYTHON" -c "$PROGRAM")
"""

PROGRAM = """
import asyncio
from presencebridge.emulators.webapi import serve_webapi
from presencebridge.emulators.world import Extension, World
world = World(extensions=(Extension("100"),))
asyncio.run(serve_webapi(world, port=0, control_port=None, dialect="original", announce=lambda line: None))
"""


@pytest.fixture
async def printed() -> list[str]:
    return []


@pytest.fixture
async def running(printed: list[str]) -> AsyncIterator[RunningWebApi]:
    async with RunningWebApi(WORLD, out=printed.append) as running:
        yield running


async def exchange(url: str, request: str) -> bytes:
    """Sends these bytes and gives what comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def ask(url: str, path: str) -> bytes:
    return await exchange(url, f"GET {path} HTTP/1.1\r\nHost: pbx\r\nConnection: close\r\n\r\n")


async def play(url: str, method: str, path: str, body: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return await exchange(url, head + body)


def without_date(answer: bytes) -> bytes:
    found, times = re.subn(rb"Date: [^\r]+ GMT\r\n", b"Date: ?\r\n", answer)
    assert times == 1
    return found


async def test_an_answer_on_the_wire_byte_for_byte(running: RunningWebApi) -> None:
    assert without_date(await ask(running.url, "/showstatus/100")) == (
        b"HTTP/1.1 200 OK\r\n"
        b"Access-Control-Allow-Origin: null\r\n"
        b"Server: Microsoft-NetCore/2.0\r\n"
        b"Date: ?\r\n"
        b"Content-Length: 28\r\n"
        b"Connection: close\r\n"
        b"\r\n"
        b"    CURRENT_STATUS=Available"
    )


async def test_a_post_that_does_not_tell_its_length_never_reaches_the_program(
    running: RunningWebApi, printed: list[str]
) -> None:
    printed.clear()
    assert without_date(await exchange(running.url, "POST /showallcalls HTTP/1.1\r\nHost: pbx\r\n\r\n")) == (
        b"HTTP/1.1 411 Length Required\r\n"
        b"Content-Type: text/html\r\n"
        b"Server: Microsoft-NetCore/2.0\r\n"
        b"Date: ?\r\n"
        b"Content-Length: 24\r\n"
        b"Connection: close\r\n"
        b"\r\n"
        b"<h1>Length Required</h1>"
    )
    assert printed == []


async def test_a_hung_request_stays_open_and_others_are_served(running: RunningWebApi) -> None:
    port = int(running.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /showstatus/999 HTTP/1.1\r\nHost: pbx\r\n\r\n")
    assert (await ask(running.url, "/")).endswith(b"\r\n\r\nidle")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    assert running.emulator.requests[0].status is None
    # The bridge goes away, and only so does the silence end.
    await running.stop()
    assert await reader.read() == b""
    writer.close()


async def test_an_unanswered_request_is_closed_without_a_byte(running: RunningWebApi) -> None:
    await play(running.control_url, "POST", "/faults", '{"close_after_s": 0.05}')
    assert await ask(running.url, "/showstatus/999") == b""
    await play(running.control_url, "POST", "/faults", '{"refuse": true}')
    assert await ask(running.url, "/showstatus/100") == b""


async def test_the_control_port_speaks_json(running: RunningWebApi) -> None:
    answer = await play(running.control_url, "PUT", "/extensions/100", '{"status":"Custom 2"}')
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'\r\n\r\n{"number":"100","status":"Custom 2","legs":[]}\n')


async def test_the_bridge_restarts_on_its_port_and_the_world_lives_on(
    running: RunningWebApi, printed: list[str]
) -> None:
    url = running.url
    await ask(url, "/setstatus/100/away")
    await running.stop()
    with pytest.raises(ConnectionRefusedError):
        await ask(url, "/")
    assert b'"status":"Away"' in await play(running.control_url, "GET", "/extensions/100")
    await running.start()
    await running.start()  # it runs already
    assert running.url == url
    assert (await ask(url, "/showstatus/100")).endswith(b"CURRENT_STATUS=Away")
    assert sum(line.startswith("Listening... on Port ") for line in printed) == 2


async def test_a_taken_control_port_leaves_nothing_running(running: RunningWebApi) -> None:
    taken = int(running.control_url.rpartition(":")[2])
    second = RunningWebApi(WORLD, control_port=taken)
    with pytest.raises(OSError, match="in use"):
        await second.__aenter__()
    with pytest.raises(ConnectionRefusedError):
        await ask(second.url, "/")


async def test_serving_ends_with_stop_and_prints_to_standard_output(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    announced: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as serving:
        serving.create_task(
            serve_webapi(WORLD, port=0, control_port=0, dialect="adn77-2024", announce=announced.put_nowait)
        )
        bridge, control = await announced.get(), await announced.get()
        assert bridge.startswith("3cx-web-API (adn77-2024) on http://127.0.0.1:")
        assert control.startswith("its control port on http://127.0.0.1:")
        answer = await ask(bridge.rpartition(" ")[2], "/stop")
    assert answer.endswith(b"\r\n\r\n<HTML><BODY>Server Stopped</BODY></HTML>")
    assert b"\r\nContent-Type: text/html\r\n" in answer
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert lines[1] == "Debug Mode off"
    assert lines[-2:] == ["<HTML><BODY>Server Stopped</BODY></HTML>", "exited gracefully"]


async def test_the_blog_posts_loop_reads_the_bridge() -> None:
    script = await asyncio.create_subprocess_exec(
        "bash", "-c", LOOP,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "PROGRAM": PROGRAM},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await script.communicate()
    lines = [line for line in told.decode().splitlines() if "Port" not in line and "http://" not in line]
    assert lines == [
        "other Debug Mode off",
        "other /showallcalls",
        "status     CURRENT_STATUS=Available",
        "other /showstatus/100",
        "other CURRENT_STATUS=Available",
        "other CURRENT_STATUS=Available",
        "other /setstatus/100/away",
        "other CURRENT_STATUS=Away",
        "other Away",
        "other /stop",
        "stopped",
    ]


async def test_the_blog_posts_expression_finds_busy_extensions(
    running: RunningWebApi, printed: list[str]
) -> None:
    call = '{"legs":[{"dn":"100","state":"Connected"},{"dn":"101","state":"Ringing"}]}'
    await play(running.control_url, "POST", "/calls", call)
    await ask(running.url, "/showallcalls")
    busy = re.compile(r"^\s*ID=.*;S=(Dialing|Connected);DN=(.*);Queue_Name=")
    assert [found[2] for line in printed if (found := busy.match(line))] == ["100"]
