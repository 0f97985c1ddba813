"""From a leg's first event on 3CX V20 to the setPresence that Graph has accepted.

    python benchmarks/call_to_presence.py [--calls 400] [--per-second 20]

Both emulators and the service run as programs of their own, with TLS, on this machine; this program only
plays the calls and listens on a websocket of its own, so it hears an event when the service does. What Graph
accepted, and when, is in the emulator's list of requests. Beside it: a bare round trip over loopback.
"""

import argparse
import asyncio
import json
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
PEOPLE = 50
PATIENCE_S = 60.0
ECHO = """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", int(__import__("sys").argv[1]))
    async with server:
        await server.serve_forever()
asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def program(*arguments: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


class Site:
    """Emulators and service, and how they are played."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("graph", "graph_control", "pbx", "pbx_control", "page", "echo")
        self.ports = {name: free_port() for name in names}
        self.http = httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S)

    def write(self) -> None:
        users = [
            {"id": _id(number), "userPrincipalName": f"u{number}@example.org"} for number in range(PEOPLE)
        ]
        extensions = [{"number": str(100 + number)} for number in range(PEOPLE)]
        world = {"users": users, "extensions": extensions, "client_secret": "s3cret"}
        (self.folder / "world.json").write_text(json.dumps(world))
        (self.folder / "secret").touch(0o600)
        (self.folder / "secret").write_text("s3cret")
        people = "".join(
            f'[[person]]\nteams = "u{number}@example.org"\nextension = "{100 + number}"\n'
            for number in range(PEOPLE)
        )
        (self.folder / "site.toml").write_text(
            f"""
            [teams]
            tenant_id = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
            client_id = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
            client_secret_file = "secret"
            delivery = "poll"
            graph_url = "https://127.0.0.1:{self.ports["graph"]}"
            login_url = "https://127.0.0.1:{self.ports["graph"]}"
            ca_file = "tls/ca.pem"
            [pbx]
            kind = "3cx-v20"
            url = "https://127.0.0.1:{self.ports["pbx"]}"
            ca_file = "tls/ca.pem"
            client_id = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
            client_secret_file = "secret"
            [operator]
            listen = "127.0.0.1:{self.ports["page"]}"
            [state]
            dir = "state"
            {people}
            """
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        folder, tls = self.folder, str(self.folder / "tls")
        world = str(folder / "world.json")
        with ExitStack() as stack:
            for kind, name in (("graph", "graph"), ("3cx-v20", "pbx")):
                ports = (str(self.ports[name]), str(self.ports[f"{name}_control"]))
                stack.enter_context(
                    program(
                        *(PROGRAM, "emulate", kind, "--port", ports[0], "--control-port", ports[1]),
                        *("--world", world, "--tls-dir", tls),
                        log=folder / f"{name}.log",
                    )
                )
                _until_open(self.ports[name])
            config = str(folder / "site.toml")
            stack.enter_context(program(PROGRAM, "run", "--config", config, log=folder / "run.log"))
            echo = (sys.executable, "-c", ECHO, str(self.ports["echo"]))
            stack.enter_context(program(*echo, log=folder / "echo.log"))
            _until_open(self.ports["echo"])
            yield

    async def control(self, side: str, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.ports[f'{side}_control']}{path}"
        answer = await self.http.request(method, url, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = await self.http.get(f"http://127.0.0.1:{self.ports['page']}/readyz")
                if answer.status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit(f"the service did not get ready:\n{(self.folder / 'run.log').read_text()}")


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _until_open(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


async def round_trips(port: int, count: int) -> list[float]:
    """Bare round trips of 300 bytes, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        writer.write(b"x" * 300)
        await reader.readexactly(300)
        found.append(time.perf_counter() - begun)
        await asyncio.sleep(0.002)
    writer.close()
    return found


async def first_events(site: Site, heard: dict[str, float], listening: asyncio.Event) -> None:
    """Note when the first event of each extension's call comes."""
    tls = ssl.create_default_context(cafile=str(site.folder / "tls" / "ca.pem"))
    base = f"https://127.0.0.1:{site.ports['pbx']}"
    form = {
        "client_id": "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22",
        "client_secret": "s3cret",
        "grant_type": "client_credentials",
    }
    async with httpx2.AsyncClient(verify=tls, trust_env=False) as http:
        answer = await http.post(f"{base}/connect/token", data=form)
        token = answer.json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    address = f"wss://127.0.0.1:{site.ports['pbx']}/callcontrol/ws"
    async with connect(address, ssl=tls, additional_headers=headers, proxy=None) as socket_:
        listening.set()
        async for message in socket_:
            now = time.time()
            event = json.loads(message)["event"]
            if event["event_type"] == 0:
                heard.setdefault(event["entity"].split("/")[2], now)


async def measure(site: Site, calls: int, per_second: float) -> tuple[list[float], list[float]]:
    """Seconds from the first event to the setPresence's arrival, and to its answer, for each call."""
    arrived, accepted = [], []
    heard: dict[str, float] = {}
    listening = asyncio.Event()
    # The emulator keeps the tokens alive that it gave before, since the service has one as well.
    await site.control("pbx", "POST", "/faults", {"old_tokens": "kept"})
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(first_events(site, heard, listening))
        await listening.wait()
        done = 0
        while done < calls:
            batch = min(PEOPLE, calls - done)
            heard.clear()
            await site.control("graph", "DELETE", "/requests")
            made = []
            for number in range(batch):
                begun = time.monotonic()
                legs = [{"dn": str(100 + number), "state": "Dialing", "party": "0301234567"}]
                made.append((await site.control("pbx", "POST", "/calls", {"legs": legs}))["id"])
                await asyncio.sleep(max(0.0, 1 / per_second - (time.monotonic() - begun)))
            found = await _set_presences(site, batch)
            for number in range(batch):
                request, event = found[_id(number)], heard[str(100 + number)]
                arrived.append(request["time"] - event)
                accepted.append(request["answered"] - event)
            for call in made:
                await site.control("pbx", "DELETE", f"/calls/{call}")
            await _cleared(site, batch)
            done += batch
        follower.cancel()
    return arrived, accepted


async def _set_presences(site: Site, count: int) -> dict[str, Any]:
    """The first setPresence for each person, once all are there."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found: dict[str, Any] = {}
        for request in await site.control("graph", "GET", "/requests"):
            if request["path"].endswith("/setPresence") and request["answered"]:
                found.setdefault(request["path"].split("/")[3], request)
        if len(found) == count:
            return found
        await asyncio.sleep(0.05)
    raise SystemExit(f"{count - len(found)} of {count} calls never reached Teams")


async def _cleared(site: Site, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        requests = await site.control("graph", "GET", "/requests")
        if sum(one["path"].endswith("/clearPresence") for one in requests) >= count:
            return
        await asyncio.sleep(0.05)
    raise SystemExit("the end of a call never reached Teams")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def run(calls: int, per_second: float) -> None:
    with tempfile.TemporaryDirectory(prefix="presencebridge-bench-") as folder:
        site = Site(Path(folder))
        site.write()
        with site.running():
            async with site.http:
                await site.until_ready()
                await measure(site, PEOPLE, per_second)  # connections are open and caches warm from here on
                bare = await round_trips(site.ports["echo"], 500)
                arrived, accepted = await measure(site, calls, per_second)
    table = Table(title=f"{calls} calls, {per_second:g} a second, {PEOPLE} people, TLS on both sides")
    for column in ("", "median ms", "p99 ms", "worst ms"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in (
        ("a bare round trip over loopback", bare),
        ("first event -> setPresence has arrived at Graph", arrived),
        ("first event -> setPresence is accepted", accepted),
    ):
        figures = (statistics.median(values), percentile(values, 0.99), max(values))
        table.add_row(name, *(f"{1000 * figure:.2f}" for figure in figures))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="From a leg's first event to the accepted setPresence.")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--quick", action="store_true", help="a few calls only, to see that it works")
    given = parser.parse_args()
    asyncio.run(run(20 if given.quick else given.calls, given.per_second))


if __name__ == "__main__":
    main()
