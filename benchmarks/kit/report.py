"""A run's figures as a table, in Markdown and on a terminal, and as a plot."""

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
from measure import Measure
from rich.console import Console
from rich.table import Table

NAMED = (
    "presencebridge",
    "cryptography",
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "msgspec",
    "pyjwt",
    "httpx2",
)
BEGIN, END = "<!-- begin of the kept run -->", "<!-- end of the kept run -->"


class Run(msgspec.Struct):
    """All that one run found out, and where."""

    at: str
    command: str
    took_s: float
    machine: dict[str, str]
    measures: list[Measure]


def machine(programs: dict[str, str]) -> dict[str, str]:
    """What it ran on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    openssl = subprocess.run(
        ["openssl", "version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": platform.platform(),
        "Python": f"{platform.python_version()} ({platform.python_compiler()})",
        "OpenSSL of openssl speed": openssl,
        "libraries": ", ".join(f"{name} {version(name)}" for name in NAMED),
        "the old script's programs": ", ".join(programs.values()),
        "load before the run": load,
    }


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def shown(value: float | None) -> str:
    if value is None:
        return "not measured"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _cells(measure: Measure) -> list[str]:
    unit = f" {measure.unit}" if measure.unit else ""
    goal = f"{'<=' if measure.most else '>='} {shown(measure.goal)}{unit}" if measure.goal is not None else ""
    spread = f"{shown(min(measure.spread))} - {shown(max(measure.spread))}" if len(measure.spread) > 1 else ""
    met = {True: "yes", False: "**no**", None: ""}[measure.is_met]
    value = shown(measure.value) + (unit if measure.value is not None else "")
    return [str(measure.row), measure.what, measure.prototype, goal, value, spread, met, measure.note]


HEADS = ("#", "measure", "prototype", "goal", "measured", "spread", "met", "note")


def print_table(run: Run) -> None:
    table = Table(*HEADS, title=f"{run.command}, {run.at}, {run.took_s:.0f} s")
    for measure in run.measures:
        table.add_row(*(cell.replace("**", "") for cell in _cells(measure)))
    console = Console(width=max(Console().width, 160))
    console.print(table)
    for name, value in run.machine.items():
        console.print(f"{name}: {value}", highlight=False)


def markdown(run: Run) -> str:
    lines = [f"`{run.command}`, {run.at}, {run.took_s:.0f} s.", ""]
    lines += [f"- {name}: {value}" for name, value in run.machine.items() if value]
    lines += ["", f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}"]
    lines += [f"| {' | '.join(_cells(measure))} |" for measure in run.measures]
    return "\n".join(lines) + "\n"


def keep(run: Run, page: Path, plot_file: Path) -> None:
    """Put the run into the page, between its marks, and draw the plot beside it."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    plot_file.write_text(plot(run), "utf-8")
    picture = f"![How much of each goal is reached]({plot_file.name})"
    page.write_text(f"{before}{BEGIN}\n\n{picture}\n\n{markdown(run)}\n{END}{after}", "utf-8")


# The plot -----------------------------------------------------------------------------------------

_TITLE = "How much of each goal is reached: the line is the goal, further to the right is better"
_LINE, _LEFT, _WIDTH, _MOST = 20, 520, 360, 2.0


def plot(run: Run) -> str:
    """How much of each goal is reached: to the right of the line is better than the goal."""
    rows = [one for one in run.measures if one.goal and one.value]
    height = 60 + _LINE * len(rows)
    at_goal = _LEFT + _WIDTH / _MOST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}"',
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="20" font-size="14">{_TITLE}, {run.at}</text>',
    ]
    for number, one in enumerate(rows):
        reached = _reached(one)
        y = 44 + _LINE * number
        length = max(2.0, min(reached, _MOST) / _MOST * _WIDTH)
        colour = "#2f7d4f" if one.is_met else "#b4472f"
        more = " and more" if reached > _MOST else ""
        name = _escaped(f"{one.row}: {one.what}")
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 10}" text-anchor="end">{name}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="13" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 5:.1f}" y="{y + 10}">{shown(one.value)} {one.unit}{more}</text>',
        ]
    where = f'x1="{at_goal}" y1="34" x2="{at_goal}" y2="{height - 12}"'
    parts += [f'<line {where} stroke="#222" stroke-dasharray="4 3"/>', "</svg>\n"]
    return "\n".join(parts)


def _reached(one: Measure) -> float:
    value, goal = one.value or 0.0, one.goal or 1.0
    if not one.most:
        return value / goal
    return goal / value if value > 0 else _MOST * 2


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
