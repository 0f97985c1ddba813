"""What people look at: everybody, one person, and both live, in the reader's language."""

import asyncio
import collections
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Final, Protocol

import msgspec
from markupsafe import Markup
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from presencebridge.bilingual import LANGUAGES, Language
from presencebridge.runtime.day import Day
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.web import picture, views
from presencebridge.web.board import Board
from presencebridge.web.drawing import ORDERS, TAGS, Drawing, Looks, SiteView, tags

_PING_S: Final = 15
_SEND_WITHIN_S: Final = 20.0
"""A browser that takes in nothing for so long is let go; it comes again and asks for what it missed."""
_AT_MOST_EVERY_S: Final = 0.2
_LINKS_EVERY_S: Final = 10.0
"""The plots beside the links; what a link says is told at once."""
_SITES_EVERY_S: Final = 2
"""How often all sites are looked at, which is as much work as the page of each."""
_LOOKS_IN_A_SECOND: Final = 5
_ROWS_AT_A_TIME: Final = 100
_STAY_S: Final = 365 * 86400
_STATIC: Final = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}


class Looked(Protocol):
    """The part of a site that the page shows."""

    name: str
    journal: Journal
    plots: Plots
    day: Day | None
    is_dry_run: bool

    def keys(self) -> list[str]: ...
    def view(self, key: str) -> views.PersonView | None: ...
    def find(self, name: str) -> str | None: ...
    def link_views(self) -> list[views.LinkView]: ...
    def ending(self) -> list[views.Note]: ...
    def matching(self) -> views.MatchingView: ...
    def now(self) -> float: ...


@functools.cache
def drawing() -> Drawing:
    """The templates, once for all sites."""
    return Drawing()


class Page:
    """The pages of a site."""

    def __init__(self, site: Callable[[], Looked]) -> None:
        self._find = site
        self._draw = drawing()

    @functools.cached_property
    def _board(self) -> Board:
        """From when somebody looks at it: the site may not be there before."""
        return Board(self._find, self._draw.row)

    @property
    def _site(self) -> Looked:
        """The site as it is now; after a change of its config it is another object."""
        return self._find()

    def routes(self) -> list[Route]:
        return [
            Route("/", self.everybody),
            Route("/people/{person:path}", self.person),
            Route("/live", self.live),
            Route("/static/{name}", static),
        ]

    # Everybody

    async def everybody(self, request: Request) -> Response:
        language = language_of(request)
        asked = request.query_params
        show, order = asked.get("show", "all"), asked.get("order", ORDERS[0])
        looks = Looks(
            asked.get("find", "")[:100],
            show if show in TAGS else "all",
            order if order in ORDERS else ORDERS[0],
        )
        rows = {row.key: row for row in await self._board.rows()}
        since = self._since()
        wanted = [rows[view.extension] for view in looks.sorted(row.view for row in rows.values())]
        hidden = {row.key for row in wanted if not looks.shows(row.view)}
        written = await self._board.html(wanted, language, hidden)
        matching = views.page_of(self._site.matching())
        html = self._draw.page(
            "page.html",
            language,
            heading=self._heading(),
            dry_run=self._site.is_dry_run,
            since=since,
            links=self._links(language),
            rows=Markup(written),  # noqa: S704 - rows are written by the templates, which escape
            looks=looks,
            shown=len(rows) - len(hidden),
            counts=self._board.count(),
            tags_shown=TAGS,
            orders=ORDERS,
            matching=matching,
        )
        return _html(html, request, language)

    def _heading(self) -> str:
        return self._site.name

    def _links(self, language: Language) -> Markup:
        hops = {hop: self._site.plots.of(hop) for hop in Hop}
        return Markup(self._draw.links(self._site.link_views(), self._site.ending(), hops, language))  # noqa: S704 - likewise

    def _since(self) -> str:
        return f"{self._board.epoch}-{self._board.version}"

    # One person

    async def person(self, request: Request) -> Response:
        language, asked = language_of(request), request.path_params["person"]
        key = self._site.find(asked)
        view = None if key is None else self._site.view(key)
        root = "../"
        if key is None or view is None:
            return _html(self._draw.page("nobody.html", language, root=root), request, language, 404)
        since = self._since()
        hours = self._site.day.hours if self._site.day else 0
        html = self._draw.page(
            "person.html",
            language,
            heading=self._heading(),
            dry_run=self._site.is_dry_run,
            root=root,
            since=since,
            p=view,
            hours=hours,
            **self._parts(key, view, language),
        )
        return _html(html, request, language)

    def _parts(self, key: str, view: views.PersonView, language: Language) -> dict[str, Markup]:
        """What of a person's page changes."""
        day, now = self._site.day, self._site.now()
        seen = picture.day(day.of(key, now), now, day.hours) if day else None
        stories = self._draw.stories(self._site.journal.of(key), language)
        parts = {
            "now": self._draw.page("now.html", language, p=view),
            "day": self._draw.page("day.html", language, picture=seen),
            "why": self._draw.page("why.html", language, stories=stories),
        }
        return {part: Markup(html) for part, html in parts.items()}  # noqa: S704 - written by templates

    # Live

    async def live(self, request: Request) -> Response:
        asked = request.query_params
        language = language_of(request)
        epoch, _, number = request.headers.get("last-event-id", asked.get("since", "")).partition("-")
        if epoch != self._board.epoch or not number.isdecimal() or len(number) > 18:
            news = _anew()
        elif "person" in asked:
            news = self._news_of(asked["person"], language)
        else:
            news = self._news(int(number), language)
        return EventSourceResponse(
            news, ping=_PING_S, send_timeout=_SEND_WITHIN_S, headers={"X-Accel-Buffering": "no"}
        )

    async def _news(self, version: int, language: Language) -> AsyncIterator[dict[str, str]]:
        """`rows` that changed, who is `gone`, `counts`, and `links`; `anew` if the page is too old."""
        counts: dict[str, int] = {}
        states: list[views.LinkView] = []
        plotted_at = float("-inf")
        while not self._site.journal.closed:
            begun = self._site.now()
            news = await self._board.since(version)
            if news.too_old:
                yield {"event": "anew", "data": ""}
                return
            for first in range(0, len(news.rows), _ROWS_AT_A_TIME):
                part = news.rows[first : first + _ROWS_AT_A_TIME]
                yield {"event": "rows", "data": await self._board.html(part, language)}
            if news.gone:
                yield {"event": "gone", "data": _in_json(news.gone)}
            if (count := self._board.count()) != counts:
                counts = count
                yield {"event": "counts", "data": _in_json(counts)}
            if (now_states := self._site.link_views()) != states or begun - plotted_at >= _LINKS_EVERY_S:
                states, plotted_at = now_states, begun
                yield {"event": "links", "data": self._links(language)}
            if news.version != version:
                version = news.version
                yield {"id": f"{self._board.epoch}-{version}"}  # where to go on if the connection breaks
            await self._rest(begun)

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        """For programs: `people` who changed, everybody first; who is `gone`; the `site`; and decisions."""
        version = -1
        said: object = None
        async with self._site.journal.follow() as entries:
            while not self._site.journal.closed:
                begun, site = self._site.now(), self._site
                news = await self._board.since(version)
                for first in range(0, len(news.rows), _ROWS_AT_A_TIME):
                    part = news.rows[first : first + _ROWS_AT_A_TIME]
                    yield {"event": "people", "data": _in_json([row.view for row in part])}
                if news.gone and version >= 0:
                    yield {"event": "gone", "data": _in_json(news.gone)}
                version = news.version
                told = {"name": site.name, "dry_run": site.is_dry_run, "links": site.link_views()}
                if told != said:
                    said = told
                    yield {"event": "site", "data": _in_json(told)}
                while not entries.empty():
                    entry = entries.get_nowait()
                    if entry is not None:
                        yield {"event": "decision", "data": _in_json(views.story(entry))}
                await self._rest(begun)

    async def _rest(self, begun: float) -> None:
        """Until there may be news, and no sooner than a page can be read."""
        await self._board.wait(_LINKS_EVERY_S)
        await asyncio.sleep(max(0.0, begun + _AT_MOST_EVERY_S - self._site.now()))

    async def _news_of(self, key: str, language: Language) -> AsyncIterator[dict[str, str]]:
        """`now`, `day` and `why` of a person, each when it is not what it was."""
        told: dict[str, str] = {}
        known: object = None
        while not self._site.journal.closed:
            begun, view = self._site.now(), self._site.view(key)
            if view is None:
                yield {"event": "anew", "data": ""}
                return
            entries = self._site.journal.of(key)
            if known != (known := (view, entries[-1:], int(begun / _LINKS_EVERY_S))):
                for part, html in self._parts(key, view, language).items():
                    if told.get(part) != html:
                        told[part] = html
                        yield {"event": part, "data": html, "id": self._since()}
            await self._rest(begun)


def _in_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _anew() -> AsyncIterator[dict[str, str]]:
    """The page is from another life of the service: it should be loaded again."""
    yield {"event": "anew", "data": ""}


def site_view(name: str, path: str, overview: views.Overview) -> SiteView:
    """A site as one line of the list."""
    counts = collections.Counter(tag for person in overview.people for tag in tags(person))
    return SiteView(name, path, overview.ready, overview.dry_run, overview.links, counts)


class Sites(msgspec.Struct, frozen=True):
    """The list of sites, where there are several, as somebody may see it."""

    sites: list[SiteView]
    trouble: str
    cluster: views.ClusterView | None

    def written(self, language: Language, name: str = "sites_list.html") -> str:
        """What of the page changes, or the whole page."""
        trouble, cluster = self.trouble, self.cluster
        return drawing().page(name, language, sites=self.sites, trouble=trouble, cluster=cluster)


def sites_page(request: Request, sites: Sites) -> Response:
    language = language_of(request)
    return _html(sites.written(language, "sites.html"), request, language)


def sites_live(
    request: Request, look: Callable[[], Awaitable[Sites]], is_over: Callable[[], bool]
) -> Response:
    """The list anew whenever it is another, until `is_over`."""
    language = language_of(request)

    async def news() -> AsyncIterator[dict[str, str]]:
        told = ""
        while not is_over():
            html = (await look()).written(language)
            if html != told:
                told = html
                yield {"event": "sites", "data": html}
            for _ in range(_LOOKS_IN_A_SECOND * _SITES_EVERY_S):
                if is_over():  # nobody waits for us at the end
                    return
                await asyncio.sleep(1 / _LOOKS_IN_A_SECOND)

    return EventSourceResponse(
        news(), ping=_PING_S, send_timeout=_SEND_WITHIN_S, headers={"X-Accel-Buffering": "no"}
    )


async def static(request: Request) -> Response:
    """What the pages are made of. The names are few and known."""
    found = _static().get(request.path_params["name"])
    if found is None:
        return Response(status_code=404)
    return Response(found[0], media_type=found[1])


@functools.cache
def _static() -> dict[str, tuple[bytes, str]]:
    folder = resources.files("presencebridge.web") / "static"
    return {name: ((folder / name).read_bytes(), kind) for name, kind in _STATIC.items()}


def language_of(request: Request) -> Language:
    """What was chosen on the page, or else the first language of the browser's that we speak."""
    for chosen in (request.query_params.get("lang"), request.cookies.get("lang")):
        if chosen in LANGUAGES:
            return chosen
    return preferred(request.headers.get("accept-language", ""))


def preferred(accepted: str) -> Language:
    """Of an Accept-Language header: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4"""
    best: tuple[float, Language] = (0.0, "en")
    for part in accepted[:500].split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _weight(parameter[2:])
        for language in LANGUAGES:
            if name.casefold().partition("-")[0] == language and weight > best[0]:
                best = (weight, language)
    return best[1]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _html(html: str, request: Request, language: Language, status: int = 200) -> Response:
    response = Response(html, status, media_type="text/html")
    if "lang" in request.query_params:
        response.set_cookie("lang", language, max_age=_STAY_S, httponly=True, samesite="strict")
    return response
