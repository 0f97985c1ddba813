"""From the start of the service until everybody is in step, and what it asked both sides for.

    python benchmarks/start.py [--people 1000,10000] [--quick]

Everybody is matched by mail. Both emulators and the service run as programs of their own, with TLS, on this
machine, so the time holds the emulators' work too, which is most of it; the numbers of requests are what a
real start takes. Beside them stands the least that the other side's limits allow.
"""

import argparse
import asyncio
import math
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from kit.emulated import PATIENCE_S, Site
from rich.console import Console
from rich.table import Table

STEADY_S = 30.0
STATUS_EVERY_S, POLL_EVERY_S = 10.0, 5.0
"""The defaults of the config."""


def kind_of(request: dict[str, Any]) -> str:
    """What a request is for."""
    path = request["path"]
    for part, kind in (
        ("/token", "tokens"),
        ("openid-configuration", "sign-in's documents"),
        ("getPresencesByUserId", "reads of presence"),
        ("/callcontrol/ws", "websockets"),
        ("/callcontrol", "reads of all calls"),
        ("EmailAddress", "pages of 3CX users"),
        ("CurrentProfileName", "pages of statuses"),
        ("/v1.0/users?", "pages of Entra users"),
    ):
        if part in path:
            return kind
    return f"{request['method']} {path.partition('?')[0]}"


async def in_step(site: Site) -> float:
    """Seconds from now until everybody is."""
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE_S:
        try:
            answer = await site.http.get(f"http://127.0.0.1:{site.ports['page']}/api/people")
            people = answer.json()["people"]
            if len(people) == site.people and all(one["condition"] == "in step" for one in people):
                return time.monotonic() - begun
        except httpx2.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"not everybody got in step:\n{(site.folder / 'run.log').read_text()[-2000:]}")


async def requests(site: Site) -> Counter[str]:
    found = [
        kind_of(one) for side in ("graph", "pbx") for one in await site.control(side, "GET", "/requests")
    ]
    return Counter(found)


async def measure(people: int, steady_s: float) -> tuple[float, float, Counter[str], Counter[str]]:
    with tempfile.TemporaryDirectory(prefix="presencebridge-bench-") as folder:
        site = Site(Path(folder), people, by_mail=True)
        site.write()
        with site.running():
            async with site.http:
                took = await in_step(site)
                at_start = await requests(site)
                for side in ("graph", "pbx"):
                    await site.control(side, "DELETE", "/requests")
                await asyncio.sleep(steady_s)
                steady = await requests(site)
                return took, resident_mb(site.service.pid if site.service else 0), at_start, steady


def resident_mb(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return math.nan


def least(kind: str, people: int, seconds: float) -> str:
    """The fewest requests that the other side's limits allow, for `seconds`; 0 is a start."""
    pages, groups = math.ceil(people / 100), math.ceil(people / 650)
    fewest = {
        "pages of 3CX users": pages if not seconds else 0,
        "pages of Entra users": math.ceil(people / 999) if not seconds else 0,
        "pages of statuses": pages * (seconds / STATUS_EVERY_S or 1),
        "reads of presence": groups * (seconds / POLL_EVERY_S or 1),
    }
    return f"{fewest[kind]:.0f}" if kind in fewest else ""


async def run(sizes: list[int], steady_s: float) -> None:
    table = Table(title="requests (the least that limits allow)")
    table.add_column("")
    columns: list[dict[str, str]] = []
    for people in sizes:
        table.add_column(f"{people:,} people", justify="right")
        took, memory, at_start, steady = await measure(people, steady_s)
        rows = {"in step after": f"{took:.1f} s", "resident memory": f"{memory:.0f} MB"}
        phases = (("start", at_start, 0.0), (f"{steady_s:g} s of calm", steady, steady_s))
        for title, found, seconds in phases:
            for kind, count in sorted(found.items()):
                fewest = least(kind, people, seconds)
                rows[f"{title}: {kind}"] = f"{count}" + (f" ({fewest})" if fewest else "")
        columns.append(rows)
    for name in dict.fromkeys(name for rows in columns for name in rows):
        table.add_row(name, *(rows.get(name, "") for rows in columns))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="From the start until everybody is in step.")
    parser.add_argument("--people", default="1000,10000")
    parser.add_argument("--quick", action="store_true", help="a small site only, to see that it works")
    given = parser.parse_args()
    sizes = [30] if given.quick else [int(size) for size in given.people.split(",")]
    asyncio.run(run(sizes, 2.0 if given.quick else STEADY_S))


if __name__ == "__main__":
    main()
