"""`demo`: both emulators, the bridge and its page, playing an office day."""

import asyncio
import logging
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from presencebridge.demo.stage import Show


def demo(
    *,
    people: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=500))] = 9,
    speed: Annotated[float, Parameter(validator=validators.Number(gte=0.1, lte=3))] = 1.0,
    port: int = 0,
    pbx: Literal["3cx-v20", "3cx-web-api"] = "3cx-v20",
    seconds: Annotated[float | None, Parameter(name="--for", validator=validators.Number(gt=0))] = None,
) -> int:
    """Both emulators, the bridge and its page, playing an office day. Exit status 1 if anybody ends up wrong.

    Parameters
    ----------
    people
        How many work in the office.
    speed
        How fast they are: 2 is twice as fast. Statuses are polled, so 3 is the limit.
    port
        Where the page is; a free port if none is named.
    pbx
        Which 3CX: V20 by its own APIs, or V16 and V18 behind 3cx-web-API.
    seconds
        End after about this many seconds, once everybody has finished what they were at.
    """
    from presencebridge import log
    from presencebridge.cli.log_lines import in_words

    log.set_up(level=logging.WARNING, in_words=in_words)
    with tempfile.TemporaryDirectory(prefix="presencebridge-demo-") as folder:
        return asyncio.run(_demo(Path(folder), people, pbx, speed, port, seconds))


async def _demo(folder: Path, people: int, pbx: str, speed: float, port: int, seconds: float | None) -> int:
    from presencebridge.demo.stage import office, show

    console = Console(highlight=False, soft_wrap=True)
    begun = time.monotonic()

    def tell(who: str, what: str) -> None:
        style = "dim" if who.startswith("bridge") else "bold"
        who = who or "office"
        console.print(f"{time.monotonic() - begun:6.1f} s  [{style}]{escape(who):<16}[/]  {escape(what)}")

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    console.print("starting both emulators, the bridge and its page ...")
    async with show(folder, office(people), pbx, speed, port, tell) as running:
        console.print(f"the page: [bold]{running.node.operator_url}/[/]" + _how_to_end(seconds))
        wrong = await running.play(stop, seconds)
        console.print()
        for who in running.colleagues:
            _summary(console, running, who.name, who.extension, wrong.get(who.name, []))
    if stop.is_set():
        console.print("stopped in the middle of the day: nobody's end state was judged")
    elif wrong:
        console.print(f"[red]{len(wrong)} of {people} ended in a wrong state[/]")
    else:
        console.print(f"[green]all {people} ended as they should[/]")
    return 1 if wrong else 0


def _how_to_end(seconds: float | None) -> str:
    return "   (Ctrl-C ends the demo)" if seconds is None else ""


def _summary(console: Console, running: "Show", name: str, extension: str, wrong: list[str]) -> None:
    from presencebridge import words

    state = running.node.site.hub.state(extension)
    console.print(f"[bold]{name}[/] (extension {extension}): Teams {state.shown}, 3CX {state.status}")
    for what in wrong:
        console.print(f"    [red]{escape(what)}[/]")
    for entry in running.node.site.journal.of(extension):
        deeds = [words.said(command) for command in entry.said if words.is_deed(command)]
        if deeds:
            console.print(f"    {escape(words.seen(entry.seen))}", style="dim")
            for deed in deeds:
                console.print(f"      - {escape(deed)}")
