"""Many sites in one process, beside one large site; and what the others notice of one that misbehaves.

    python benchmarks/sites.py [--sites 200] [--people 50] [--seconds 20] [--only many|one] [--quick]

All tenants and phone systems (V20, without TLS) are in one other program on this machine, which plays calls
all over the sites and sees how long it takes until Teams shows each. The service is `presencebridge run` with
faults that can be switched on inside one of its sites. Everybody is read once a minute from both sides. What
it prints is what docs/sites.md has.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import httpx2
from kit.emulated import PATIENCE_S, free_port, program

KIT = Path(__file__).parent / "kit"
CALLS_PER_S = 10.0
FLOOD_PER_S = 300.0
START_WITHIN_S = 400.0
LARGE = 1000
READ_EVERY_S = 34.0
MISDEEDS = (
    "bad credentials",
    "dead PBX",
    "PBX that never answers",
    "webhook flood",
    "a bug inside",
    "disk full",
)


class World:
    """The other program."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "world.log").open("wb")
        command = [sys.executable, str(KIT / "world_of_sites.py")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    async def do(self, **order: Any) -> Any:
        return await asyncio.to_thread(self._do, order)

    def _do(self, order: dict[str, Any]) -> Any:
        stdin, stdout = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit(f"the world has ended: {Path(self._log.name).read_text()[-2000:]}")
        return json.loads(line)


class Trial:
    """A folder of sites, its world and its service."""

    def __init__(self, folder: Path, sites: int, people: int, stack: ExitStack) -> None:
        self.folder, self.people = folder, people
        self.names = [f"site-{number:03d}" for number in range(sites)]
        self.victim = self.names[-1]
        self.world = World(folder)
        self.page, self.hook = free_port(), free_port()
        self.urls: dict[str, list[str]] = {}
        (folder / "sites").mkdir()
        self.stack = stack
        """What is ended at the end."""

    async def write(self) -> None:
        self.urls = await self.world.do(do="open", sites=self.names, people=self.people)
        (self.folder / "sites" / "node.toml").write_text(
            f'[operator]\nlisten = "127.0.0.1:{self.page}"\n[webhook]\nlisten = "127.0.0.1:{self.hook}"\n'
            f'[state]\ndir = "{self.folder / "state"}"\n'
        )
        for name in ("s3cret", "wrong"):
            (self.folder / name).touch(0o600)
            (self.folder / name).write_text(name)
        for name in self.names:
            self.write_site(name, "s3cret")

    def write_site(self, name: str, secret: str) -> None:
        graph, pbx, tenant, client = self.urls[name]
        delivery = "webhook" if name == self.victim and len(self.names) > 1 else "poll"
        persons = "".join(
            f'[[person]]\nteams = "u{number}@{name}.example.org"\nextension = "{10_000 + number}"\n'
            for number in range(self.people)
        )
        (self.folder / "sites" / f"{name}.toml").write_text(
            f"""
            [teams]
            tenant_id = "{tenant}"
            client_id = "{client}"
            client_secret_file = "{self.folder / secret}"
            graph_url = "{graph}"
            login_url = "{graph}"
            delivery = "{delivery}"
            poll_every_s = 60
            [teams.webhook]
            public_url = "http://127.0.0.1:{self.hook}/{name}"
            [pbx]
            kind = "3cx-v20"
            url = "{pbx}"
            timeout_s = 30
            status_every_s = 60
            client_id = "{client}"
            client_secret_file = "{self.folder / "s3cret"}"
            {persons}
            """
        )

    async def standing(self) -> dict[str, bool]:
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
            found = (await http.get(f"http://127.0.0.1:{self.page}/api/sites")).json()["sites"]
        return {one["name"]: one["in_step"] for one in found}

    async def until_in_step(self, names: list[str]) -> float:
        begun = time.monotonic()
        while time.monotonic() < begun + START_WITHIN_S:
            try:
                standing = await self.standing()
            except httpx2.TransportError:
                standing = {}
            if all(standing.get(name) for name in names):
                return time.monotonic() - begun
            await asyncio.sleep(0.25)
        raise SystemExit(f"not everybody got in step:\n{(self.folder / 'run.log').read_text()[-3000:]}")

    async def flood(self, *, begins: bool) -> None:
        if begins:
            hook = f"http://127.0.0.1:{self.hook}/{self.victim}"
            command = (sys.executable, str(KIT / "flood.py"), hook, f"{FLOOD_PER_S:g}")
            self.flooding = self.stack.enter_context(program(*command, log=self.folder / "flood.log"))
        else:
            self.flooding.terminate()


def resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return (
        f"{cut[49] * 1000:.0f} / {cut[94] * 1000:.0f} / {cut[98] * 1000:.0f} / {max(seconds) * 1000:.0f} ms"
    )


async def trial(
    sites: int, people: int, seconds: float, misdeeds: tuple[str, ...]
) -> tuple[list[str], list[list[str]]]:
    """The figures of a whole, and a row for each misdeed."""
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="presencebridge-sites-") as temporary, ExitStack() as stack:
        run = Trial(Path(temporary), sites, people, stack)
        stack.callback(run.world.process.kill)
        await run.write()
        watched = [name for name in run.names if name != run.victim] or run.names
        command = (sys.executable, str(KIT / "faulty_run.py"), str(run.folder / "sites"), run.victim)
        service = stack.enter_context(program(*command, log=run.folder / "run.log"))
        took = await run.until_in_step(watched)
        await asyncio.sleep(10)
        before, begun = cpu_s(service.pid), time.monotonic()
        await asyncio.sleep(seconds)
        busy = (cpu_s(service.pid) - before) / (time.monotonic() - begun)
        memory = resident_mb(service.pid)
        but = run.victim if len(run.names) > 1 else None
        play = {"do": "play", "but": but, "seconds": seconds, "calls_per_s": CALLS_PER_S}
        calm = await run.world.do(**play)
        whole = [f"{took:.1f} s", f"{memory:.0f} MB", f"{busy * 100:.0f} %", spread(calm)]
        for misdeed in misdeeds:
            await misbehave(run, misdeed, service.pid, begins=True)
            during = await run.world.do(**play)
            standing = await run.standing()
            out = sum(not standing[name] for name in watched)
            await misbehave(run, misdeed, service.pid, begins=False)
            rows.append([misdeed, spread(during), str(out)])
        if misdeeds:
            standing = await run.standing()
            out = sum(not standing[name] for name in watched)
            rows.append(["nothing amiss, after", spread(await run.world.do(**play)), str(out)])
        log = (run.folder / "run.log").read_text()
        if "Traceback" in log and "a bug, planted by the benchmark" not in log:
            raise SystemExit(log[-3000:])
    return whole, rows


async def misbehave(run: Trial, how: str, service: int, *, begins: bool) -> None:
    match how:
        case "bad credentials":
            run.write_site(run.victim, "wrong" if begins else "s3cret")
        case "a bug inside":
            os.kill(service, signal.SIGUSR1)
        case "disk full":
            os.kill(service, signal.SIGUSR2)
        case "webhook flood":
            await run.flood(begins=begins)
        case _:
            what = how if begins else "well again"
            await run.world.do(do="misbehave", site=run.victim, how=what)
    await asyncio.sleep(3)


async def compare(sites: int, people: int, seconds: float, *, large: int, only: str) -> None:
    begun, whole, rows = time.monotonic(), [], []
    if only != "one":
        many, misdeeds = await trial(sites, people, seconds, MISDEEDS)
        whole.append([f"{sites} sites of {people}", *many])
        rows = [["nothing amiss, before", many[-1], "0"], *misdeeds]
    if only != "many":
        # As long as it takes for everything to be read once, which is every 30 s.
        one, _ = await trial(1, large, seconds if large < LARGE else max(seconds, READ_EVERY_S), ())
        whole.append([f"1 site of {large:,}", *one])
    columns = [
        "in step after",
        "resident",
        "CPU of a core, calm",
        "from a call to Teams, p50 / p95 / p99 / max",
    ]
    print(markdown(["", *columns], whole))
    if rows:
        print("\n" + markdown(["one site with", "p50 / p95 / p99 / max", "others out of step"], rows))
    took = (time.monotonic() - begun) / 60
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[2]:.1f}; it took {took:.1f} minutes")


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, ["---"] * len(columns), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description="Many sites in one process, and one that misbehaves.")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--only", choices=("many", "one"), default="", help="many sites, or the one large one"
    )
    parser.add_argument("--quick", action="store_true", help="a few sites and seconds, to see that it works")
    given = parser.parse_args()
    sites, people, seconds = (4, 5, 3.0) if given.quick else (given.sites, given.people, given.seconds)
    large = 60 if given.quick else sites * people
    asyncio.run(compare(sites, people, seconds, large=large, only=given.only))


if __name__ == "__main__":
    main()
