"""PURE: the page as a terminal has it: links, people, and what happens."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from presencebridge import words
from presencebridge.printable import all_printable

_MOST_STORIES: Final = 200
_RANKS: Final = {"trouble": 0, "waiting": 1, "working": 2}
_STYLES: Final = {
    "trouble": "red",
    "waiting": "yellow",
    "working": "cyan",
    "paused": "dim",
    "excluded": "dim",
}
_LINK_STYLES: Final = {"connected": "green", "degraded": "yellow", "starting": "yellow"}
_CALM: Final = 9


class Board:
    """What was told so far. As something to print, it is as high as the terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._people: dict[str, dict[str, Any]] = {}
        self._moved: dict[str, int] = {}
        """When somebody last changed, by counting the changes."""
        self._changes = 0
        self._links: list[dict[str, Any]] = []
        self._stories: deque[dict[str, Any]] = deque(maxlen=_MOST_STORIES)
        self._is_dry_run = False

    def hear(self, event: str, told: Any) -> None:
        """Take in an event of /api/events?people; one that is not known says nothing here."""
        told = all_printable(told)
        if event == "people":
            is_first = not self._people
            for person in told:
                self._changes += 1
                self._people[person["extension"]] = person
                self._moved[person["extension"]] = 0 if is_first else self._changes
        elif event == "gone":
            for key in told:
                self._people.pop(key, None)
        elif event == "site":
            self._name, self._is_dry_run, self._links = told["name"], told["dry_run"], told["links"]
        elif event == "decision":
            self._stories.append(told)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.max_height or 40
        links = list(self._link_lines())
        stories = list(self._story_lines(max(3, height // 4)))
        room = max(1, height - len(links) - len(stories) - 5)
        yield Group(self._title(), *links, Rule(style="dim"), self._table(room), Rule(style="dim"), *stories)

    def _title(self) -> Text:
        people = self._people.values()
        calls = sum(person["in_call"] for person in people)
        held = sum(person["holding"] != "nothing" for person in people)
        trouble = sum(person["condition"] == "trouble" for person in people)
        title = Text(no_wrap=True, overflow="ellipsis")
        title.append(self._name, "bold")
        title.append(f"  {len(people)} people, {calls} on the phone, {held} held by us, ")
        title.append(f"{trouble} in trouble", "red" if trouble else "")
        if self._is_dry_run:
            title.append("  dry run: nothing is written", "yellow")
        return title

    def _link_lines(self) -> Iterable[Text]:
        well = Text(no_wrap=True, overflow="ellipsis")
        for link in self._links:
            if link["state"] == "connected":
                well.append(f"● {words.link_name(link['name'])}  ", "green")
        yield well
        for link in self._links:
            if link["state"] != "connected":
                line = Text(no_wrap=True, overflow="ellipsis")
                name = words.link_name(link["name"])
                line.append(f"● {name} {link['state']}", _LINK_STYLES.get(link["state"], "red"))
                line.append(f" since {local(link['since'])}: {link['reason']}")
                yield line

    def _table(self, room: int) -> Table:
        """Trouble first, then who changed last, then everybody."""
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for column, share in (("ext.", 1), ("person", 3), ("Teams", 3), ("3CX", 2), ("call", 2)):
            table.add_column(column, ratio=share, no_wrap=True, overflow="ellipsis")
        table.add_column("we hold", ratio=4, no_wrap=True, overflow="ellipsis")
        table.add_column("condition", ratio=3, no_wrap=True, overflow="ellipsis")
        people = sorted(self._people.values(), key=self._place)
        shown = people if len(people) <= room else people[: room - 1]
        for person in shown:
            condition = "; ".join([person["condition"], *person["trouble"]])
            legs = person["legs"]
            table.add_row(
                person["extension"],
                person["name"],
                words.presence(person["teams"], "en") if person["teams"] else "-",
                person["status"] or "-",
                "?" if legs is None else ", ".join(words.leg(leg, "en") for leg in legs) or "-",
                person["holding"] if person["holding"] != "nothing" else "-",
                condition,
                style=_STYLES.get(person["condition"], ""),
            )
        if len(shown) < len(people):
            table.add_row("", f"and {len(people) - len(shown)} more", style="dim")
        return table

    def _place(self, person: dict[str, Any]) -> tuple[int, int, int, str]:
        key = person["extension"]
        return _RANKS.get(person["condition"], _CALM), -self._moved.get(key, 0), len(key), key

    def _story_lines(self, most: int) -> Iterable[Text]:
        lines = [line for story in self._stories for line in story_lines(story)]
        for line in lines[-most:]:
            yield Text(line, no_wrap=True, overflow="ellipsis")


def story_lines(story: dict[str, Any]) -> list[str]:
    """What was seen, and what was done about it."""
    seen = f"{local(story['at'])}  {story['person']:<6} {story['seen']}"
    return [seen, *(f"                 - {did}" for did in story["did"])]


def local(text: str) -> str:
    """A time in the terminal's own zone."""
    return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")
