"""What the cluster asks of NATS, and its cost: three servers on loopback, everything replicated to all.

python benchmarks/cluster_engine.py [--quick]
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

from nats_kit import nats_servers
from rich.console import Console
from rich.table import Table

from presencebridge.cluster.client_states import SignedStates
from presencebridge.cluster.engine import Engine, Fence, Message
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.nats_engine import Access, NatsEngine, nats_engine
from presencebridge.cluster.notices import Delivery, Intake
from presencebridge.web.door import mark_of

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


class Counted:
    """An engine as an owner sees it, and how often it is asked for messages."""

    def __init__(self, engine: NatsEngine) -> None:
        self._engine, self.questions = engine, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def messages(self, subject: str, after: int, most: int) -> Sequence[Message]:
        self.questions += 1
        return await self._engine.messages(subject, after, most)


async def handed_on(engine: NatsEngine, folder: Path, count: int, per_s: float) -> tuple[str, str]:
    """Notifications for six sites, at an even pace, from the door of one node to the owners."""
    (folder / "key").write_text(new_key())
    seal = Seal(folder / "key")
    owner, intake = Counted(engine), Intake(engine, seal)
    sites, got = [f"site{number}" for number in range(6)], 0

    def offer(_body: bytes) -> bool:
        nonlocal got
        got += 1
        return True

    reading = []
    for site in sites:
        writer: Any = None  # nobody keeps a place here
        delivery = Delivery(site, cast("Engine", owner), writer, {}, offer)
        reading.append(asyncio.ensure_future(delivery.read()))
    states = {site: SignedStates(seal, mark_of(site)).new() for site in sites}
    await asyncio.sleep(1)
    owner.questions, numbers, begun = 0, iter(range(count)), time.perf_counter()

    async def send() -> None:
        for number in numbers:
            await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            site = sites[number % len(sites)]
            item = {"subscriptionId": f"{number}", "clientState": states[site], "data": NOTICE.decode()}
            if not await intake.take(site, json.dumps({"value": [item]}).encode()):
                raise SystemExit("NATS did not take it")

    await asyncio.gather(*(send() for _ in range(32)))
    while got < count:
        await asyncio.sleep(0.01)
    for task in reading:
        task.cancel()
    return (
        f"notifications handed on at {per_s:g}/s to 6 sites",
        f"{owner.questions / count:.2f} questions each",
    )


async def run(times: int) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-") as name, nats_servers(Path(name) / "nats") as servers:
        await servers.ready()
        async with nats_engine(Access(servers.urls), "benchmark") as engine:
            rows = await measure(engine, times)
            rows.append(await handed_on(engine, Path(name), times * 6, 600.0))
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
