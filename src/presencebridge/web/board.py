"""What is on everybody's screen: each row is looked at and written once, however many look on.

A version counts the changes. Whoever shows version 7 asks for what came after it, so a slow reader gets the
newest of each row later, and nothing is stored up for it.
"""

import asyncio
import collections
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Final, Protocol, TypeVar

import msgspec

from presencebridge.bilingual import Language
from presencebridge.runtime.journal import Entry, Journal
from presencebridge.web import views
from presencebridge.web.drawing import TAGS, tags

T = TypeVar("T")

_LOOK_ROUND_S: Final = 5.0
"""Not everything that shows is told: after this long everybody is looked at."""
_AT_A_TIME: Final = 50
"""Rows that are looked at or written before others get their turn."""
_MOST_GONE: Final = 1000


class Shown(Protocol):
    """The part of a site that the board is about."""

    journal: Journal

    def keys(self) -> list[str]: ...
    def view(self, key: str) -> views.PersonView | None: ...
    def now(self) -> float: ...


class Row(msgspec.Struct):
    """A person as last looked at. `html` is how the row is written, in each language asked for so far."""

    key: str
    view: views.PersonView
    version: int
    html: dict[Language, str]


class News(msgspec.Struct):
    """What changed after some version."""

    version: int
    rows: list[Row]
    gone: list[str]
    too_old: bool = False
    """More have gone since than is remembered: everything has to be asked for anew."""


class Board:
    """The rows of a site."""

    def __init__(self, site: Callable[[], Shown], write: Callable[[views.PersonView, Language], str]) -> None:
        self._site = site
        self._write = write
        self.epoch = secrets.token_hex(4)
        """Versions count from the start of the process: those of another one mean nothing."""
        self.version = 0
        self._counts: collections.Counter[str] = collections.Counter()
        self._rows: dict[str, Row] = {}
        self._gone: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._forgotten = 0
        self._changed: set[str] = set()
        self._looked_round_at = float("-inf")
        self._news = asyncio.Event()
        self._looking = asyncio.Lock()
        site().journal.on_change = self._heard  # a journal outlasts the lives of its site

    def _heard(self, entry: Entry | None) -> None:
        if entry is None:
            self._looked_round_at = float("-inf")
        else:
            self._changed.add(entry.person)
        self._news.set()

    async def wait(self, within_s: float) -> None:
        """Until something may have changed, or everybody should be looked at."""
        news = self._news
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(within_s, _LOOK_ROUND_S)):
                await news.wait()

    async def rows(self) -> list[Row]:
        """Everybody, in the order of their extensions."""
        await self._look()
        return [self._rows[key] for key in self._site().keys() if key in self._rows]  # noqa: SIM118

    async def since(self, version: int) -> News:
        """What changed after that version."""
        await self._look()
        if version >= self.version:
            return News(self.version, [], [])
        rows = [row for row in self._rows.values() if row.version > version]
        gone = [key for key, at in self._gone.items() if at > version and key not in self._rows]
        return News(self.version, rows, gone, version < self._forgotten)

    def count(self) -> dict[str, int]:
        """How many people each tag is true of."""
        return {tag: self._counts[tag] for tag in TAGS}

    async def html(self, rows: list[Row], language: Language, hidden: Collection[str] = ()) -> str:
        """The rows as they are written; those who are not looked for are there, and hidden."""
        parts = []
        async for row in _in_turns(rows):
            html = row.html.get(language)
            if html is None:
                html = row.html[language] = self._write(row.view, language)
            parts.append(f"<tr hidden{html.removeprefix('<tr')}" if row.key in hidden else html)
        return "".join(parts)

    async def _look(self) -> None:
        async with self._looking:
            self._news.set()  # whoever waits for what was heard so far has a look too
            self._news = asyncio.Event()
            changed, self._changed = self._changed, set()
            now = self._site().now()
            if now - self._looked_round_at >= _LOOK_ROUND_S:
                self._looked_round_at = now
                changed.update(self._rows, self._site().keys())
            async for key in _in_turns(changed):
                self._look_at(key)

    def _look_at(self, key: str) -> None:
        view, row = self._site().view(key), self._rows.get(key)
        if view is None:
            if row is not None:
                self.version += 1
                self._counts.subtract(tags(row.view))
                del self._rows[key]
                self._gone[key] = self.version
                if len(self._gone) > _MOST_GONE:
                    _, self._forgotten = self._gone.popitem(last=False)
        elif row is None:
            self.version += 1
            self._counts.update(tags(view))
            self._gone.pop(key, None)
            self._rows[key] = Row(key, view, self.version, {})
        elif view != row.view:
            self.version += 1
            self._counts.subtract(tags(row.view))
            self._counts.update(tags(view))
            row.view, row.version, row.html = view, self.version, {}


async def _in_turns(things: Iterable[T]) -> AsyncIterator[T]:
    """One after another, and now and then whatever else waits for the loop."""
    for number, thing in enumerate(things):
        if number % _AT_A_TIME == _AT_A_TIME - 1:
            await asyncio.sleep(0)
        yield thing
