"""Nodes and NATS servers die, freeze, are cut off and upgraded, and people live their day: who is there?

    python benchmarks/cluster.py [--quick] [--sites 60] [--people 2] [--lease 10] [--only PART]

Three nodes and three NATS servers as programs, all sites' Graph and 3CX as emulators. After each fault nobody
may be wrong, nothing may have been written by who was no owner, and no notification that was answered with a
yes may be lost; otherwise the program ends with an error. What it prints at the end is what docs/cluster.md
has. It needs the packages of the `dev` extra; where it is root, on Linux with iproute2 and iptables, it has a
network of its own, in which a node's packets are dropped.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

import structlog
from kit import own_network
from kit.own_network import dropping
from nats_kit import nats_servers
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

    def table(self) -> str:
        rows = []
        for what, gaps in self.rows:
            middle, worst = (f"{statistics.median(gaps):.1f} s", f"{max(gaps):.1f} s") if gaps else ("-", "-")
            rows.append([what, str(len(gaps)) if gaps else "none", middle, worst])
        return markdown(["what happens", "sites that changed hands", "median", "worst"], rows)


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ["---"] * len(columns), *rows])


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


async def play(trial: Trial, report: Report, *, can_drop: bool) -> None:
    nodes, servers = trial.nodes, trial.servers

    async def served(count: int = NODES) -> None:
        await trial.everybody_is_served(count, SLOW_S)

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

    if can_drop:
        async with fault(trial, report, "a node's packets are dropped, and come again long after", {1}):
            with dropping(nodes[1].ports):
                await served(2)
                await asyncio.sleep(5)
            await served()

    for node in nodes:
        async with fault(trial, report, f"upgrade: {node.name} leaves (SIGTERM)", {node.number}):
            node.send(signal.SIGTERM)
            await node.ended(120)
            await served(2)
        async with fault(trial, report, f"upgrade: {node.name} is back", set(range(NODES)) - {node.number}):
            node.start()
            await served()


async def throughput(trial: Trial, count: int, seconds: float = 5.0) -> list[str]:
    """Notifications that so many nodes take in and answer with a yes: how many a second, and their CPU."""
    requests = [
        {
            "port": node.hook_port,
            "path": f"/hook/{site}",
            "body": trial.notification(site, "NUMBER", ITEM).decode(),
        }
        for node in trial.nodes[:count]
        for site in trial.sites
    ]
    nodes = [node.process.pid for node in trial.nodes if node.process is not None]
    programs = (nodes, trial.servers.pids)

    async def spent(work: Awaitable[object]) -> list[float]:
        before = [sum(map(cpu_s, pids)) for pids in programs]
        await work
        return [sum(map(cpu_s, pids)) - was for pids, was in zip(programs, before, strict=True)]

    at_rest = await spent(asyncio.sleep(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, SENDERS, str(CONNECTIONS), str(seconds), stdin=PIPE, stdout=PIPE
    )
    sending = asyncio.ensure_future(process.communicate("\n".join(map(json.dumps, requests)).encode()))
    busy = await spent(sending)
    said, _ = sending.result()
    rate = float(json.loads(said)["taken_in"])
    costs = [
        f"{(one - idle) / seconds / rate * 1000:.2f} ms" for one, idle in zip(busy, at_rest, strict=True)
    ]
    return [str(count), f"{rate:.0f}", *costs]


async def at_rest(trial: Trial, seconds: float = 10.0) -> str:
    """What a node costs while nothing happens."""
    pids = [node.process.pid for node in trial.nodes if node.process is not None]
    before = sum(map(cpu_s, pids))
    await asyncio.sleep(seconds)
    share = (sum(map(cpu_s, pids)) - before) / seconds / len(pids)
    memory = sum(map(resident_mb, pids)) / len(pids)
    sites = f"{len(trial.sites) / len(pids):.0f} sites"
    return f"a node at rest with {sites}: {share * 100:.1f} % of a core, {memory:.0f} MB"


async def taken_in(trial: Trial) -> str:
    rows = [await throughput(trial, count) for count in range(1, NODES + 1)]
    return markdown(
        ["nodes that take in", "a second", "CPU of all nodes for each", "CPU of all NATS servers"], rows
    )


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


async def run(sites: int, people: int, lease_s: float, *, only: str, can_drop: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    report, begun = Report(), time.monotonic()
    foreign: list[str] = []
    lost: list[str] = []
    told = [f"{sites} sites of {people}, lease {lease_s:g} s, {NODES} nodes, 3 NATS servers"]
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        with nats_servers(folder / "nats") as servers:
            trial = Trial(folder, servers, sites=sites, people=people, lease_s=lease_s)
            async with trial.set_up():
                for node in trial.nodes:
                    node.start()
                await trial.everybody_is_served(NODES, SLOW_S)
                if only != "throughput":
                    await play(trial, report, can_drop=can_drop)
                    foreign, lost = trial.foreign_writes(), await trial.lost_notices()
                    count = sum(map(len, trial.accepted.values()))
                    told.append(report.table())
                    told.append(
                        f"{len(trial.writes)} writes, {len(foreign)} of them by who was no owner; {count} "
                        f"notifications answered with a yes, lost: {lost or 'none'}"
                    )
                if only != "faults":
                    told += [await at_rest(trial), await taken_in(trial)]
    took, load = time.monotonic() - begun, os.getloadavg()[2]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}"
    told.append(f"{machine}; it took {took / 60:.1f} minutes")
    print("\n\n".join(told))
    if foreign or lost:
        sys.exit("\n".join([*foreign[:10], *lost]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=60)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="6 sites, and a lease of 4 s")
    parser.add_argument("--only", choices=("faults", "throughput"), default="", help="one of the two tables")
    given = parser.parse_args()
    if given.quick:
        given.sites, given.lease = 6, 4.0
    can_drop = own_network.entered()
    asyncio.run(run(given.sites, given.people, given.lease, only=given.only, can_drop=can_drop))


if __name__ == "__main__":
    main()
