"""`simulate`: the whole service against both emulators, in virtual time, by seeds."""

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from presencebridge.simulation.campaign import Summary, Verdict


_SHORT = 10
"""So many seeds are played without a word."""


def _range(_type: object, tokens: "tuple[object, ...]") -> range:
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", str(getattr(tokens[0], "value", "")))
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise ValueError("give seeds as A..B, such as 1..20, or a single one")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def simulate(
    *,
    seeds: Annotated[range, Parameter(converter=_range, n_tokens=1, accepts_keys=False)] = range(1, 11),
    days: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 1,
    faults: Literal["none", "some", "all"] = "all",
    jobs: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    shrink: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 60.0,
    nodes: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=9))] = 1,
) -> int:
    """Play office days in virtual time and check what must always hold. Exit status 1 if it does not.

    The last line is the summary.

    Parameters
    ----------
    seeds
        Which ones, as A..B; each has its own site, people, days and troubles, and replays exactly.
    days
        How many days each.
    faults
        What goes wrong: nothing, some of it, or all there is.
    jobs
        How many are played side by side; as many as there are processors if left out.
    shrink
        For how many seconds a story in which something is wrong is made shorter before it is told.
    nodes
        With more than one, the service runs on so many machines that share an engine, and they and the
        engine have troubles too; before that, for each seed, five minutes of what nodes do among each other.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from presencebridge.simulation.campaign import Summary, verdicts

    console = Console(highlight=False, soft_wrap=True)
    summary = Summary()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for verdict in verdicts(seeds, days, faults, jobs or os.cpu_count() or 1, shrink, nodes):
            summary.add(verdict)
            progress.advance(task)
            progress.update(task, description=f"seeds, {len(summary.wrong)} wrong")
            if verdict.violations:
                _tell(console, verdict)
            if not console.is_terminal:
                _tell_now_and_then(summary, len(seeds))
    _told(console, summary)
    return 1 if summary.wrong else 0


def _tell_now_and_then(summary: "Summary", seeds: int) -> None:
    """Where there is no progress bar, ten lines of a long run."""
    every = max(_SHORT, -(-seeds // 10))
    if summary.seeds % every == 0 and summary.seeds < seeds:
        print(f"so far, of {seeds}: {summary.line()}", file=sys.stderr, flush=True)


def _tell(console: Console, verdict: "Verdict") -> None:
    console.print(
        f"[red]seed {verdict.seed} is wrong[/] {len(verdict.violations)} times; the shortest story:"
    )
    for line in verdict.story:
        style = "red" if " WRONG " in line else "default"
        console.print(f"  [{style}]{escape(line)}[/]")
    console.print()
    console.file.flush()


def _told(console: Console, summary: "Summary") -> None:
    if summary.troubles:
        kinds = ", ".join(f"{what} {count}" for what, count in summary.troubles.items())
        console.print(f"[dim]troubles: {kinds}[/]")
    console.print(summary.line())
