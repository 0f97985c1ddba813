"""From a leg's first event on 3CX V20 to the setPresence that Graph has accepted.

    python benchmarks/call_to_presence.py [--calls 400] [--per-second 20]

Both emulators and the service run as programs of their own, with TLS, on this machine; this program only
plays the calls and listens on a websocket of its own, so it hears an event when the service does. What Graph
accepted, and when, is in the emulator's list of requests. Beside it: a bare round trip over loopback.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from kit.emulated import APP, PATIENCE_S, Site, extension, free_port, program, until_open, user_id
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

PEOPLE = 50
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
        "client_id": APP,
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
                legs = [{"dn": extension(number), "state": "Dialing", "party": "0301234567"}]
                made.append((await site.control("pbx", "POST", "/calls", {"legs": legs}))["id"])
                await asyncio.sleep(max(0.0, 1 / per_second - (time.monotonic() - begun)))
            found = await _set_presences(site, batch)
            for number in range(batch):
                request, event = found[user_id(number)], heard[extension(number)]
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
        site = Site(Path(folder), PEOPLE)
        site.write()
        port = free_port()
        echo = program(sys.executable, "-c", ECHO, str(port), log=Path(folder) / "echo.log")
        with site.running(), echo:
            until_open(port)
            async with site.http:
                await site.until_ready()
                await measure(site, PEOPLE, per_second)  # connections are open and caches warm from here on
                bare = await round_trips(port, 500)
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
