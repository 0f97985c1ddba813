"""Nodes and NATS servers die, freeze, are cut off and upgraded, and people live their day: who is there?

    python benchmarks/cluster.py [--quick] [--sites 60] [--people 2] [--lease 10] [--throughput]

Three nodes and three NATS servers as programs, all sites' Graph and 3CX as emulators. After each fault nobody
may be wrong, nothing may have been written by who was no owner, and no notification that was answered with a
yes may be lost; otherwise the program ends with an error. It needs the packages of the `dev` extra.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

import structlog
from nats_kit import nats_servers
from rich.console import Console
from rich.table import Table
from trial_of_nodes import NODES, Trial

SLOW_S = 240.0
SENDERS = str(Path(__file__).parent / "kit" / "senders.py")
CONNECTIONS = 32
ITEM = {"encryptedContent": {"data": "A" * 1500, "dataKey": "A" * 344, "dataSignature": "A" * 44}}
"""About as long as one of Graph's."""


class Report:
    def __init__(self) -> None:
        self.rows: list[tuple[str, list[float]]] = []

    def add(self, what: str, gaps: list[float]) -> None:
        self.rows.append((what, gaps))
        print(f"{what}: {_in_words(gaps)}", flush=True)

    def table(self, title: str) -> Table:
        table = Table("what happens", "sites that changed hands", "median, s", "worst, s", title=title)
        for what, gaps in self.rows:
            middle = f"{statistics.median(gaps):.1f}" if gaps else "-"
            table.add_row(what, str(len(gaps)), middle, f"{max(gaps):.1f}" if gaps else "-")
        return table


def _in_words(gaps: list[float]) -> str:
    if not gaps:
        return "no site changed hands"
    return f"{len(gaps)} sites, median {statistics.median(gaps):.1f} s, worst {max(gaps):.1f} s"


@contextlib.asynccontextmanager
async def fault(trial: Trial, report: Report, what: str, nodes: set[int]) -> AsyncIterator[None]:
    """People live on while it lasts; then all must be right."""
    async with trial.people_live(20.0):
        await asyncio.sleep(3)
        begun = time.time()
        yield
    report.add(what, trial.gaps_since(begun, nodes))
    await trial.at_rest(SLOW_S)


async def play(trial: Trial, report: Report) -> None:
    nodes, servers = trial.nodes, trial.servers

    async def served(count: int = NODES) -> None:
        await trial.everybody_is_served(count, SLOW_S)

    for node in nodes:
        node.start()
    await served()
    await trial.at_rest(SLOW_S)
    print("all sites are served and at rest", flush=True)

    async with fault(trial, report, "kill -9 of a node", {0}):
        nodes[0].kill()
        await served(2)
    nodes[0].start()
    await served()

    async with fault(trial, report, "kill -9 of the NATS server that leads", set()):
        leader = await trial.leader()
        servers.kill(leader)
        await asyncio.sleep(12)
        servers.start(leader)
        await served()

    async with fault(trial, report, "kill -9 of a node and of the leading NATS server", {1}):
        leader = await trial.leader()
        servers.kill(leader)
        nodes[1].kill()
        await served(2)
    servers.start(leader)
    nodes[1].start()
    await served()

    async with fault(trial, report, "a node is frozen (SIGSTOP) and wakes long after", {2}):
        nodes[2].send(signal.SIGSTOP)
        await served(2)
        await asyncio.sleep(5)
        nodes[2].send(signal.SIGCONT)
        await served()

    async with fault(trial, report, "a node is cut off from NATS, not from Teams and 3CX", {0}):
        nodes[0].cut_off(True)
        await served(2)
        await asyncio.sleep(5)
        nodes[0].cut_off(False)
        await served()

    for node in nodes:
        async with fault(trial, report, f"upgrade: {node.name} leaves (SIGTERM)", {node.number}):
            node.send(signal.SIGTERM)
            await node.ended(120)
            await served(2)
        async with fault(trial, report, f"upgrade: {node.name} is back", set(range(NODES)) - {node.number}):
            node.start()
            await served()


async def throughput(trial: Trial, count: int, seconds: float = 5.0) -> float:
    """Notifications a second that so many node processes take in and answer with a yes."""
    requests = [
        {
            "port": node.hook_port,
            "path": f"/hook/{site}",
            "body": trial.notification(site, "NUMBER", ITEM).decode(),
        }
        for node in trial.nodes[:count]
        for site in trial.sites
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, SENDERS, str(CONNECTIONS), str(seconds), stdin=PIPE, stdout=PIPE
    )
    said, _ = await process.communicate("\n".join(map(json.dumps, requests)).encode())
    return float(json.loads(said)["taken_in"])


async def only_throughput(sites: int, people: int, lease_s: float) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        with nats_servers(folder / "nats") as servers:
            trial = Trial(folder, servers, sites=sites, people=people, lease_s=lease_s)
            async with trial.set_up():
                for node in trial.nodes:
                    node.start()
                await trial.everybody_is_served(NODES, SLOW_S)
                for count in (1, 2, 3):
                    print(f"taken in by {count}: {await throughput(trial, count):.0f}/s", flush=True)


async def run(sites: int, people: int, lease_s: float) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    console, report = Console(width=110), Report()
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        with nats_servers(folder / "nats") as servers:
            trial = Trial(folder, servers, sites=sites, people=people, lease_s=lease_s)
            async with trial.set_up():
                await play(trial, report)
                foreign, lost = trial.foreign_writes(), await trial.lost_notices()
                taken_in = sum(map(len, trial.accepted.values()))
                rates = [await throughput(trial, count) for count in (1, 2, 3)]
    console.print(report.table(f"{sites} sites of {people}, lease {lease_s:g} s, 3 nodes, 3 NATS servers"))
    print(f"{len(trial.writes)} writes, {len(foreign)} of them by who was no owner")
    print(f"{taken_in} notifications answered with a yes, lost: {lost or 'none'}")
    shown = ", ".join(f"{count}: {rate:.0f}/s" for count, rate in enumerate(rates, 1))
    print(f"notifications taken in by so many nodes: {shown}")
    print(f"Python {platform.python_version()}, {platform.machine()}")
    if foreign or lost:
        sys.exit("\n".join([*foreign[:10], *lost]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=60)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="6 sites, and a lease of 4 s")
    parser.add_argument("--throughput", action="store_true", help="only how many notifications are taken in")
    given = parser.parse_args()
    if given.quick:
        given.sites, given.lease = 6, 4.0
    asyncio.run((only_throughput if given.throughput else run)(given.sites, given.people, given.lease))


if __name__ == "__main__":
    main()
