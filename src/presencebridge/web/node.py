"""The operator's listener as a whole: the sites of a process, and what they have in common."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from presencebridge.metrics import CONTENT_TYPE, exposition
from presencebridge.web.guard import Guard
from presencebridge.web.operator import Site, livez, site_app
from presencebridge.web.page import site_view, sites_page, static


class Node(Protocol):
    """What runs in a process."""

    @property
    def alone(self) -> str | None:
        """The name of the one site that there can be; it has `/` for itself."""

    def sites(self) -> Mapping[str, Site]: ...
    def stuck(self) -> list[str]:
        """What has not moved for too long; nothing if progress is made."""


class One:
    """A node of one site that is here as an object."""

    alone = "site"

    def __init__(self, site: Site) -> None:
        self._site = site

    def sites(self) -> Mapping[str, Site]:
        return {self.alone: self._site}

    def stuck(self) -> list[str]:
        return self._site.stuck()


def operator_app(
    node: Node, hosts: Collection[str], token: str = "", now: Callable[[], float] = time.monotonic
) -> ASGIApp:
    """The application, behind its guard: `hosts` and `token` are what that goes by."""
    common = _Common(node)
    routes: list[BaseRoute] = [
        Route("/livez", common.livez),
        Route("/metrics", common.metrics),
        Route("/sites/{site}", common.redirect),
        Mount("/sites/{site}", _BySite(node)),
    ]
    if node.alone is None:
        routes += [Route("/", common.sites), Route("/static/{name}", static)]
    else:
        routes.append(Mount("/", site_app(lambda: node.sites()[node.alone or ""])))
    return Guard(Starlette(routes=routes), hosts, token, now)


class _BySite:
    """Passes a request on to the site that its path names."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._apps: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["site"]
        if name not in self._node.sites():
            self._apps.pop(name, None)
            error = {"error": "there is no site of that name"}
            answer = Response(msgspec.json.encode(error), 404, media_type="application/json")
            await answer(scope, receive, send)
            return
        app = self._apps.get(name)
        if app is None:
            app = self._apps[name] = site_app(lambda: self._node.sites()[name])
        await app(scope, receive, send)


class _Common:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def livez(self, request: Request) -> Response:
        return livez(self._node.stuck(), request)

    async def metrics(self, _request: Request) -> Response:
        sites = self._node.sites()
        for site in sites.values():
            site.measure()
        text = exposition({name: site.metrics for name, site in sites.items()})
        return Response(text, media_type=CONTENT_TYPE)

    async def sites(self, request: Request) -> Response:
        """The list of them, as a page."""
        found = []
        for name, site in sorted(self._node.sites().items()):
            found.append(site_view(name, f"sites/{quote(name, safe='')}/", site.overview()))
            await asyncio.sleep(0)  # there may be hundreds, and whatever else waits has its turn
        return sites_page(request, found)

    async def redirect(self, request: Request) -> Response:
        # Relative, so that it holds behind a proxy too: the page's own addresses hang on the slash.
        return RedirectResponse(f"{request.path_params['site']}/")
