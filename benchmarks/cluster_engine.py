"""What the cluster asks of NATS, and its cost: three servers on loopback, everything replicated to all.

python benchmarks/cluster_engine.py [--quick]
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

from nats_kit import nats_servers
from rich.console import Console
from rich.table import Table

from presencebridge.cluster.engine import Fence
from presencebridge.cluster.nats_engine import Access, NatsEngine, nats_engine

STATE = b"x" * 700
"""About as long as a person's state."""
NOTICE = b"n" * 3000


async def one_after_another(work: Callable[[int], Awaitable[object]], count: int) -> float:
    """Milliseconds for each."""
    begun = time.perf_counter()
    for number in range(count):
        await work(number)
    return (time.perf_counter() - begun) / count * 1000


async def side_by_side(work: Callable[[int], Awaitable[object]], count: int, at_a_time: int) -> float:
    """How many a second."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await work(number)

    begun = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(at_a_time)))
    return count / (time.perf_counter() - begun)


async def measure(engine: NatsEngine, times: int) -> list[tuple[str, str]]:
    fences = [
        Fence(f"site.s{one}.owner", await engine.put(f"site.s{one}.owner", b"me", 0)) for one in range(64)
    ]

    def save(people: int) -> Callable[[int], Awaitable[object]]:
        async def work(number: int) -> None:
            fence = fences[number % len(fences)]
            prefix = fence.key.removesuffix("owner")
            await engine.write(fence, {f"{prefix}person.{one}": STATE for one in range(people)})

        return work

    async def notice(number: int) -> None:
        await engine.publish(f"s{number % 64}", NOTICE, f"{number}-{time.perf_counter()}")

    async def load(number: int) -> None:
        await engine.under(f"site.s{number % 64}.", fences[number % 64].revision)

    async def read(number: int) -> None:
        await engine.messages(f"s{number % 64}", 0, 100)

    used = time.process_time()
    rows = [
        ("a person's state saved, fenced", f"{await one_after_another(save(1), times):.2f} ms"),
        ("20 people's states in one batch", f"{await one_after_another(save(20), times):.2f} ms"),
        (
            "saves of one person at 32 sites side by side",
            f"{await side_by_side(save(1), 4 * times, 32):.0f}/s",
        ),
        (
            "saves of 20 people, 32 sites at a time",
            f"{20 * await side_by_side(save(20), times, 32):.0f} people/s",
        ),
        ("a notification kept", f"{await one_after_another(notice, times):.2f} ms"),
        ("notifications kept, 32 at a time", f"{await side_by_side(notice, 8 * times, 32):.0f}/s"),
        ("up to 100 notifications read", f"{await one_after_another(read, times):.2f} ms"),
        ("a site of 20 people loaded", f"{await one_after_another(load, times):.2f} ms"),
    ]
    rows.append(("CPU of this client, of one core, meanwhile", f"{time.process_time() - used:.1f} s"))
    return rows


async def run(times: int) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-") as name, nats_servers(Path(name) / "nats") as servers:
        await servers.ready()
        async with nats_engine(Access(servers.urls), "benchmark") as engine:
            rows = await measure(engine, times)
    table = Table("what", "takes", title=f"3 NATS servers, {os.cpu_count()} cores for all of it")
    for row in rows:
        table.add_row(*row)
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    asyncio.run(run(20 if parser.parse_args().quick else 300))


if __name__ == "__main__":
    main()
