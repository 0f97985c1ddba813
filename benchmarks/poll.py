"""What polling costs, as a table: `python benchmarks/poll.py [--people 650,10000,100000] [--quick]`.

Measured is one process with everything between Graph's answers and the writes: HTTP client, reader, hub,
core, store and log. Graph is a stand-in (`kit/stub_graph.py`) in another process on loopback, and 3CX answers
within this one at once, so neither is counted: not their network, not TLS, not the work of the other loops.
Each size runs in a process of its own, so that its memory is its own.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from kit.stub_graph import user_id
from rich.console import Console
from rich.table import Table

from presencebridge import log
from presencebridge.core.events import LegsSeen, PresenceSeen, StatusSeen
from presencebridge.core.policy import SEED
from presencebridge.graph.calls import MOST_IDS
from presencebridge.graph.client import GraphClient
from presencebridge.graph.teams import GraphTeams
from presencebridge.pbx.answers import StatusChange
from presencebridge.runtime.clock import SteadyClock
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.store.sqlite import SqliteStore


class Plan(NamedTuple):
    """The interval of polling, and how long each phase is measured."""

    every_s: float
    quiet_s: float
    rush_s: float


WHOLE = Plan(5.0, 20.0, 30.0)
"""At the default of [teams] poll_every_s."""
QUICK = Plan(0.5, 2.0, 2.0)
CHANGES_A_DAY, OFFICE_HOURS_S = 50, 8 * 3600.0
RUSH_S = 600.0
"""In the rush everybody changes within this time; a slice of it is measured."""
WANTED = ("Available", "Away")
"""What 3CX is to show for each of the stand-in's pairs."""


class Phones:
    """3CX in this process: takes every change, and notes when it came."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.written: dict[str, list[tuple[float, str]]] = {}

    async def all_statuses(self) -> Mapping[str, str]:
        return self.shown

    async def status(self, extension: str) -> str:
        return self.shown.get(extension, "Available")

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        before = await self.status(extension)
        if before in expected:
            self.shown[extension] = wanted
            self.written.setdefault(extension, []).append((time.monotonic(), wanted))
        return StatusChange(before, await self.status(extension), before in expected)


class Token:
    async def token(self, *, renewed: bool = False) -> str:  # noqa: ARG002 - the port's
        return "x" * 1500


# The measured process -----------------------------------------------------------------------------


async def measured(people: int, url: str, plan: "Plan") -> dict[str, Any]:
    """All figures for so many people."""
    bare_mb = resident_mb()
    clock, phones = SteadyClock(), Phones()
    everybody = People([Member(str(number), f"u{number}@example.org", SEED) for number in range(people)])
    for number, member in enumerate(everybody):
        everybody.identify(member, user_id(number), f"Person {number}")
    told: set[str] = set()
    complete, complete_at = asyncio.Event(), 0.0

    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(SqliteStore(folder))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False))
        teams = GraphTeams(GraphClient(http, Token()), "app")
        hub = Hub(everybody, store, teams, phones, clock, Journal())
        await hub.load()
        link = Link("graph", clock.now)
        reader = PresenceReader(everybody, teams, link, clock, MOST_IDS, plan.every_s)
        hub.on_read_wanted = reader.want

        def seen(member: Member, event: PresenceSeen) -> None:
            nonlocal complete_at
            hub.seen(member, event)
            if not complete.is_set():
                told.add(member.key)
                if len(told) == people:
                    complete_at = time.monotonic()
                    complete.set()

        reader.on_seen = seen
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(hub.run())]
            await asyncio.sleep(0)
            for member in everybody:
                hub.post(member.key, LegsSeen(()))
                hub.post(member.key, StatusSeen("Available", clock.now()))
            await asyncio.sleep(people / 20_000)
            begun = time.monotonic()
            loops.append(tasks.create_task(reader.run()))
            await complete.wait()
            first_s = complete_at - begun
            told.clear()
            first_reads = sum(at <= complete_at for at in (await _told(http))["reads"])
            await asyncio.sleep(2 * reader.interval_s)

            quiet = await _phase(http, phones, reader, people * CHANGES_A_DAY / OFFICE_HOURS_S, plan.quiet_s)
            memory_mb = resident_mb()
            rush = await _phase(http, phones, reader, people / RUSH_S, plan.rush_s)
            reads = (await _told(http))["reads"]
            for loop in loops:
                loop.cancel()

    return {
        "people": people,
        "interval_s": reader.interval_s,
        "first_s": first_s,
        "first_reads": first_reads,
        "least_reads": math.ceil(people / MOST_IDS),
        "most_in_30_s": max(sum(start <= at < start + 30 for at in reads) for start in reads[::10]),
        "memory_mb": memory_mb,
        "bare_mb": bare_mb,
        "quiet": quiet,
        "rush": rush,
    }


async def _phase(
    http: httpx2.AsyncClient, phones: Phones, reader: PresenceReader, per_s: float, seconds: float
) -> dict[str, float]:
    """People change at that rate for so long: what it costs, and when 3CX had each change."""
    start, cpu = time.monotonic(), time.process_time()
    await http.post("/changes", content=str(per_s))
    await asyncio.sleep(seconds)
    cpu_share = (time.process_time() - cpu) / (time.monotonic() - start)
    end = time.monotonic()
    await http.post("/changes", content="0")
    await asyncio.sleep(1.5 * reader.interval_s)
    told = await _told(http)
    delays = _delays([one for one in told["changes"] if one[0] >= start], phones, reader.interval_s)
    reads = sum(start <= at < end for at in told["reads"])
    least = math.ceil(len(reader_users(reader)) / MOST_IDS) * (end - start) / reader.interval_s
    return {
        "changes": len(delays),
        "cpu": cpu_share,
        "reads": reads,
        "least": least,
        "median_s": statistics.median(delays) if delays else 0.0,
        "worst_s": max(delays, default=0.0),
    }


def reader_users(reader: PresenceReader) -> tuple[str, ...]:
    return reader._ring.users


def _delays(changes: list[tuple[float, int, int]], phones: Phones, interval_s: float) -> list[float]:
    """From each change in Teams to its write to 3CX; who changed back before the next read is left out."""
    last: dict[int, tuple[float, int]] = {}
    found = []
    for at, number, shows in changes:
        before = last.get(number)
        last[number] = (at, shows)
        if before and at - before[0] < 4 * interval_s:
            continue
        written = [
            when for when, what in phones.written.get(str(number), []) if when >= at and what == WANTED[shows]
        ]
        found.append(min(written, default=float("inf")) - at)
    return found


async def _told(http: httpx2.AsyncClient) -> dict[str, Any]:
    return dict((await http.post("/told")).json())


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# The table ----------------------------------------------------------------------------------------


def measure(people: int, plan: Plan) -> dict[str, Any]:
    """Run the stand-in and the measured process, and return what the latter says. Raises `SystemExit`."""
    here = Path(__file__).resolve()
    stub = subprocess.Popen(
        [sys.executable, str(here.parent / "kit" / "stub_graph.py"), str(people)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = stub.stdout.readline().strip() if stub.stdout else ""
        options = ["--people", str(people), "--measure", url, "--plan", ",".join(map(str, plan))]
        with tempfile.TemporaryFile("w+") as logged:
            done = subprocess.run(
                [sys.executable, str(here), *options],
                stdout=subprocess.PIPE,
                stderr=logged,
                check=False,
                text=True,
            )
            if done.returncode:
                logged.seek(0)
                raise SystemExit("".join(logged.readlines()[-40:]))
    finally:
        stub.communicate("")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(results: list[dict[str, Any]]) -> Table:
    shown = Table(title="Polling", caption=machine())
    shown.add_column("")
    for one in results:
        shown.add_column(f"{one['people']:,} people", justify="right")

    def row(name: str, text: Any) -> None:
        shown.add_row(name, *(text(one) for one in results))

    row("everybody is read every", lambda one: f"{one['interval_s']:.1f} s")
    row("first complete picture after", lambda one: f"{one['first_s']:.2f} s")
    row("  requests for it (least possible)", lambda one: f"{one['first_reads']} ({one['least_reads']})")
    row(
        "requests in office hours (least possible)",
        lambda one: f"{one['quiet']['reads']} ({one['quiet']['least']:.0f})",
    )
    row("most reads in any 30 s (Graph: 1,500)", lambda one: f"{one['most_in_30_s']}")
    row("resident memory", lambda one: f"{one['memory_mb']:.0f} MB (bare {one['bare_mb']:.0f})")
    row("CPU in office hours, of one core", lambda one: f"{one['quiet']['cpu']:.1%}")
    row("  delay to 3CX, median / worst", lambda one: _delay(one["quiet"]))
    row("CPU in the morning rush", lambda one: f"{one['rush']['cpu']:.1%}")
    row("  delay to 3CX, median / worst", lambda one: _delay(one["rush"]))
    row(
        "  worst, beyond the interval",
        lambda one: f"{max(0.0, one['rush']['worst_s'] - one['interval_s']):.2f} s",
    )
    return shown


def _delay(phase: dict[str, float]) -> str:
    return f"{phase['median_s']:.1f} / {phase['worst_s']:.1f} s of {phase['changes']:.0f}"


def machine() -> str:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, httpx2 {version('httpx2')}, "
        f"msgspec {version('msgspec')}; Graph is benchmarks/kit/stub_graph.py in a process of its own; "
        f"{CHANGES_A_DAY} changes a day each, in {OFFICE_HOURS_S / 3600:g} hours; in the rush everybody "
        f"within {RUSH_S / 60:g} minutes"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", help="sizes, with commas between them")
    parser.add_argument("--quick", action="store_true", help="two sizes, a few seconds each: does it work?")
    parser.add_argument("--measure", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--plan", help=argparse.SUPPRESS)
    given = parser.parse_args()
    usual = "650,10000" if given.quick else "650,10000,100000"
    sizes = [int(size) for size in (given.people or usual).split(",")]
    if given.measure:
        log.set_up(terminal=False)  # as the service logs, into a file
        plan = Plan(*(float(part) for part in given.plan.split(",")))
        print(json.dumps(asyncio.run(measured(sizes[0], given.measure, plan))))
        return
    plan = QUICK if given.quick else WHOLE
    console = Console(width=None if sys.stdout.isatty() else 120)
    with console.status("measuring"):
        results = [measure(size, plan) for size in sizes]
    console.print(table(results))


if __name__ == "__main__":
    main()
