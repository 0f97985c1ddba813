"""What the page costs, as tables: `python benchmarks/page.py [--people 1000] [--quick]`.

The server's side: changes of an office that is only shown (`kit/shown_office.py`), 20 a second, told to
readers over loopback; the bytes are what a reader gets, the CPU is that of the whole process less what it
takes without readers, for each change and each reader. The browser's side: a real Chromium, headless and
drawing in software, from the change to the frame after the row has it, and how long frames take with changes
and without: the machine's own noise is in both.
"""

import argparse
import asyncio
import platform
import shutil
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
from kit.shown_office import ShownOffice
from playwright.async_api import Page, async_playwright
from rich.console import Console
from rich.table import Table

from presencebridge.serving import Listener
from presencebridge.web.node import One, operator_app

EVERY_S = 0.05
"""20 changes a second."""

FRAMES = """(ms) => new Promise((done) => {
    const frames = [], tasks = [];
    const observer = new PerformanceObserver((list) => {
        tasks.push(...list.getEntries().map((one) => one.duration));
    });
    observer.observe({type: "longtask"});
    let last = performance.now();
    const end = last + ms;
    function frame(now) {
        frames.push(now - last);
        last = now;
        if (now < end) requestAnimationFrame(frame);
        else { observer.disconnect(); done({frames, tasks}); }
    }
    requestAnimationFrame(frame);
})"""

STAMP = """() => {
    window.stamps = [];
    new MutationObserver((changes) => {
        const rows = new Set(changes.map((one) => one.target.closest?.("tr")?.id).filter(Boolean));
        requestAnimationFrame(() => setTimeout(() => {
            for (const row of rows) window.stamps.push([row, performance.timeOrigin + performance.now()]);
        }));
    }).observe(document.getElementById("rows"), {subtree: true, childList: true});
}"""


async def live(office: ShownOffice, seconds: float) -> dict[str, float]:
    """Let the office live; returns who changed last when, by the wall's clock, in seconds."""
    changed: dict[str, float] = {}
    end = time.monotonic() + seconds
    people = list(office.people)
    number = 0
    while time.monotonic() < end:
        member = people[number * 37 % len(people)]
        number += 1
        changed[member.key] = time.time()
        office.live(member)
        await asyncio.sleep(EVERY_S)
    return changed


async def read(url: str, since: str, got: list[int], ready: asyncio.Event) -> None:
    """A reader as the page is one; counts the bytes."""
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=None) as client,
        client.stream("GET", f"{url}/live", params={"since": since, "lang": "en"}) as answer,
    ):
        async for part in answer.aiter_bytes():
            ready.set()
            got.append(len(part))


async def told(people: int, readers: int, seconds: float) -> tuple[float, float, int]:
    """CPU seconds and bytes that a stretch of life cost, and how many changes it had.

    The readers are in a process of their own.
    """
    office = ShownOffice(people)
    async with Listener(operator_app(One(office), ["localhost"])) as listener:
        office.start()
        async with httpx2.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"{listener.url}/")).text
        since = page.split("since=")[1].split("&")[0]
        call = f"page.readers({listener.url!r}, {since!r}, {readers})"
        program = f"import asyncio, page; asyncio.run({call})"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parent,
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the readers can't be spoken to")
        await process.stdout.readline()
        before = time.process_time()
        changed = await live(office, seconds)
        cpu = time.process_time() - before
        process.stdin.close()
        size = int(await process.stdout.readline())
        await process.wait()
        office.journal.close()
    return cpu, size, len(changed)


async def readers(url: str, since: str, number: int) -> None:
    """So many readers, until the standard input ends; prints what they got."""
    got: list[int] = []
    loop = asyncio.get_running_loop()
    ready = [asyncio.Event() for _ in range(number)]
    tasks = [loop.create_task(read(url, since, got, one)) for one in ready]
    for one in ready:
        await one.wait()
    got.clear()
    print("ready", flush=True)
    await asyncio.to_thread(input_ends)
    for task in tasks:
        task.cancel()
    print(sum(got), flush=True)


def input_ends() -> None:
    sys.stdin.read()


async def seen(people: int, seconds: float) -> tuple[list[float], dict[str, Any], dict[str, Any]]:
    """Milliseconds from a change until it is on the screen; frames at rest, and with changes."""
    office = ShownOffice(people)
    async with Listener(operator_app(One(office), ["localhost"])) as listener, async_playwright() as driver:
        office.start()
        path = shutil.which("chromium")
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page: Page = await browser.new_page(viewport={"width": 1400, "height": 900})
        await page.goto(listener.url)
        await page.locator("#live[data-state=live]").wait_for()
        await page.wait_for_timeout(1000)
        idle = await page.evaluate(FRAMES, seconds * 1000)
        await page.evaluate(STAMP)
        async with asyncio.TaskGroup() as tasks:
            measuring = tasks.create_task(page.evaluate(FRAMES, seconds * 1000))
            living = tasks.create_task(live(office, seconds))
        await page.wait_for_timeout(500)
        stamps: dict[str, float] = {}
        for row, at in await page.evaluate("window.stamps"):
            stamps.setdefault(row.removeprefix("p-"), at)
        changed = living.result()
        late = [stamps[key] - at * 1000 for key, at in changed.items() if key in stamps]
        missing = changed.keys() - stamps.keys()
        if missing:
            print(f"not on the screen: {sorted(missing)}")
        await browser.close()
        office.journal.close()
    return late, idle, measuring.result()


def of(values: list[float]) -> str:
    """Median, 99th percentile and worst."""
    if not values:
        return "none"
    ordered = sorted(values)
    return f"{statistics.median(ordered):.1f} / {ordered[int(len(ordered) * 0.99)]:.1f} / {ordered[-1]:.1f}"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    seconds = 1.0 if asked.quick else 10.0
    console = Console(highlight=False)

    table = Table("readers", "changes", "bytes a change and reader", "CPU ms a change and reader")
    alone, _, changes = asyncio.run(told(asked.people, 0, seconds))
    for number in (1,) if asked.quick else (1, 10):
        cpu, size, changes = asyncio.run(told(asked.people, number, seconds))
        each = changes * number
        cost = 1000 * (cpu - alone) / each
        table.add_row(f"{number}", f"{changes}", f"{size / each:.0f}", f"{cost:.2f}")
    versions = f"python {platform.python_version()}, sse-starlette {version('sse-starlette')}"
    console.print(f"{asked.people:,} people, 20 changes a second, {versions}")
    console.print(table)

    if shutil.which("chromium") is None:
        console.print("no chromium here: the browser's side is not measured")
        return
    late, idle, busy = asyncio.run(seen(asked.people, seconds))
    table = Table("in Chromium", "median / p99 / worst")
    table.add_row("ms from a change until it is on the screen", of(late))
    table.add_row("ms a frame, at rest", of(idle["frames"]))
    table.add_row("ms a frame, with 20 changes a second", of(busy["frames"]))
    table.add_row("long tasks at rest, ms", f"{len(idle['tasks'])}: {of(idle['tasks'])}")
    table.add_row("long tasks with changes, ms", f"{len(busy['tasks'])}: {of(busy['tasks'])}")
    console.print(table)


if __name__ == "__main__":
    main()
