"""The operator's listener: page, API, health and metrics. On loopback unless the config says otherwise."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

import msgspec
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from presencebridge import log
from presencebridge.metrics import Metrics
from presencebridge.notify import Standing
from presencebridge.web import views
from presencebridge.web.guard import IS_TRUSTED, MAY_SEE
from presencebridge.web.page import Looked, Page

_PING_S: Final = 15
_AT_MOST_EVERY_S: Final = 0.25
_LONGEST_ORDER: Final = 10_000
_LONGEST_PAUSE_S: Final = 10 * 366 * 86400.0


class Site(Looked, Protocol):
    """What the listener tells of, and gives orders to."""

    metrics: Metrics

    def overview(self) -> views.Overview: ...
    def person(self, name: str) -> views.PersonPage | None: ...
    def pause(self, name: str, seconds: float | None) -> bool: ...
    def resume(self, name: str) -> bool: ...
    def refresh(self) -> None: ...
    def stuck(self) -> list[str]: ...
    def out_of_step(self) -> list[str]: ...
    def measure(self) -> None: ...
    @property
    def standing(self) -> Standing: ...


def site_app(site: Callable[[], Site]) -> ASGIApp:
    """Page and API of one site, whose object may be another one each time that it is asked for."""
    page = Page(site)
    pages = _Pages(site, page)
    routes = [
        *page.routes(),
        Route("/livez", pages.livez),
        Route("/readyz", pages.readyz),
        Route("/api/people", pages.people),
        Route("/api/people/{person:path}/pause", pages.pause, methods=["POST"]),
        Route("/api/people/{person:path}/resume", pages.resume, methods=["POST"]),
        Route("/api/people/{person:path}", pages.person),
        Route("/api/matching", pages.matching),
        Route("/api/refresh", pages.refresh, methods=["POST"]),
        Route("/api/events", pages.events),
        Route("/api/log", pages.log),
    ]
    return Starlette(routes=routes)


class _Pages:
    def __init__(self, site: Callable[[], Site], page: Page) -> None:
        self._find = site
        self._page = page

    @property
    def _site(self) -> Site:
        return self._find()

    async def livez(self, request: Request) -> Response:
        return livez(self._site.stuck(), request)

    async def readyz(self, request: Request) -> Response:
        overview = self._site.overview()
        if not request.scope[IS_TRUSTED]:
            return PlainTextResponse(*(("ready\n", 200) if overview.ready else ("not ready\n", 503)))
        lines = [f"not in step: {why}" for why in overview.out_of_step]
        lines += [
            f"{link.name}: {link.state}" + (f": {link.reason}" if link.reason else "")
            for link in overview.links
        ]
        lines += [f"warning: {note.what} ({note.cure})" for note in overview.expiring]
        return PlainTextResponse("\n".join(lines) + "\n", 200 if overview.ready else 503)

    async def people(self, _request: Request) -> Response:
        return _json(self._site.overview())

    async def person(self, request: Request) -> Response:
        page = self._site.person(request.path_params["person"])
        return _unknown() if page is None else _json(page)

    async def matching(self, _request: Request) -> Response:
        return _json(self._site.matching())

    async def log(self, request: Request) -> Response:
        return _json(log.recent(self._site.name, with_nodes=request.scope[MAY_SEE] is None))

    async def pause(self, request: Request) -> Response:
        body = await _order(request)
        if body is None:
            return _json({"error": 'send a JSON object, such as {} or {"seconds": 3600}'}, 400)
        seconds = body.get("seconds")
        if seconds is not None and not (_is_number(seconds) and 0 < seconds <= _LONGEST_PAUSE_S):
            return _json({"error": "seconds has to be a number above 0, and ten years at the most"}, 400)
        return _done(self._site.pause(request.path_params["person"], seconds))

    async def resume(self, request: Request) -> Response:
        if await _order(request) is None:
            return _json({"error": "send a JSON object: {}"}, 400)
        return _done(self._site.resume(request.path_params["person"]))

    async def refresh(self, request: Request) -> Response:
        if await _order(request) is None:
            return _json({"error": "send a JSON object: {}"}, 400)
        self._site.refresh()
        return Response(status_code=202)

    async def events(self, request: Request) -> Response:
        told = self._page.changes() if "people" in request.query_params else self._follow()
        return EventSourceResponse(told, ping=_PING_S, headers={"X-Accel-Buffering": "no"})

    async def _follow(self) -> AsyncIterator[dict[str, Any]]:
        """`decision` for each entry, `changed` when a page should be drawn anew."""
        async with self._site.journal.follow() as entries:
            yield {"event": "changed", "data": "{}"}
            while not self._site.journal.closed:
                batch = [await entries.get()]
                await asyncio.sleep(_AT_MOST_EVERY_S)
                while not entries.empty():
                    batch.append(entries.get_nowait())
                for entry in filter(None, batch):
                    yield {"event": "decision", "data": msgspec.json.encode(views.story(entry)).decode()}
                yield {"event": "changed", "data": "{}"}


def livez(stuck: list[str], request: Request) -> Response:
    if stuck and request.scope[IS_TRUSTED]:
        return PlainTextResponse("\n".join(["no progress", *stuck]) + "\n", 503)
    return PlainTextResponse(*(("no progress\n", 503) if stuck else ("ok\n", 200)))


async def _order(request: Request) -> dict[str, Any] | None:
    """The body of an order. Only JSON counts: another site's page can't send that to us."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    text = bytearray()
    try:
        async for part in request.stream():
            text += part
            if len(text) > _LONGEST_ORDER:
                return None
        body = msgspec.json.decode(text)
    except (ClientDisconnect, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _done(found: bool) -> Response:
    return Response(status_code=204) if found else _unknown()


def _unknown() -> Response:
    return _json({"error": "nobody is served by that name; presencebridge status lists everybody"}, 404)
