"""The operator's listener as a whole: the sites of a process, and what they have in common.

A site's page and API are at `/sites/NAME/`; at `/` is the list of all, or the site that stands alone. Whoever
may see some of the sites only is told of these, and nothing tells whether there are others.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol
from urllib.parse import quote

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from presencebridge.metrics import CONTENT_TYPE, DoorMetrics, exposition
from presencebridge.web.guard import IS_TRUSTED, MAY_SEE, Guard
from presencebridge.web.operator import Site, livez, site_app
from presencebridge.web.page import Sites, site_view, sites_live, sites_page, static
from presencebridge.web.views import ClusterView


class Node(Protocol):
    """What runs in a process."""

    @property
    def alone(self) -> str | None:
        """The name of the one site that there can be; it has `/` for itself."""

    @property
    def trouble(self) -> str:
        """What is wrong with the node's own config; empty if nothing is."""

    def sites(self) -> Mapping[str, Site]: ...
    def cluster(self) -> ClusterView | None: ...
    def doors(self) -> Mapping[str, DoorMetrics]:
        """What is counted of all sites, wherever they run."""

    def stuck(self) -> list[str]:
        """What has not moved for too long; nothing if progress is made."""


class SiteView(msgspec.Struct, frozen=True):
    """A site at a glance."""

    name: str
    in_step: bool
    text: str
    """How it stands, in one line."""


class SitesView(msgspec.Struct, frozen=True):
    """All sites at a glance."""

    trouble: str
    """What is wrong with the node's own config."""
    sites: list[SiteView]
    cluster: ClusterView | None
    """Only where there are several nodes."""


class One:
    """A node of one site that is here as an object."""

    alone, trouble = "site", ""

    def __init__(self, site: Site) -> None:
        self._site = site

    def sites(self) -> Mapping[str, Site]:
        return {self.alone: self._site}

    def cluster(self) -> ClusterView | None:
        return None

    def doors(self) -> Mapping[str, DoorMetrics]:
        return {}

    def stuck(self) -> list[str]:
        return self._site.stuck()


def operator_app(
    node: Node, hosts: Collection[str], token: str = "", now: Callable[[], float] = time.monotonic
) -> Guard:
    """The application, behind its guard: `hosts` and `token` are what that goes by."""
    return Guard(node_app(node), hosts, token, now)


def node_app(node: Node) -> ASGIApp:
    """The application, which relies on its guard."""
    common = _Common(node)
    routes: list[BaseRoute] = [
        Route("/livez", common.livez),
        Route("/metrics", common.metrics),
        Route("/api/sites", common.sites),
        Route("/sites/{site}", common.redirect),
        Mount("/sites/{site}", _BySite(node)),
    ]
    if node.alone is not None:
        routes.append(Mount("/", site_app(lambda: _running(node, node.alone or ""))))
    else:
        routes += [
            Route("/", common.page),
            Route("/live", common.live),
            Route("/static/{name}", static),
            Route("/readyz", common.readyz),
            Route("/{path:path}", common.nothing),
        ]
    return Starlette(routes=routes)


def _running(node: Node, name: str) -> Site:
    """The site; who asks while it is between two lives, or before its first, is told to come again."""
    site = node.sites().get(name)
    if site is None:
        raise HTTPException(503, "not running yet; ask again in a moment\n", {"Retry-After": "1"})
    return site


def _visible(node: Node, scope: Scope) -> Mapping[str, Site]:
    may_see = scope[MAY_SEE]
    return {name: site for name, site in node.sites().items() if may_see is None or name in may_see}


class _BySite:
    """Passes a request on to the site that its path names."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._apps: dict[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["site"]
        if name not in _visible(self._node, scope):
            answer = _no_such_site()
            await answer(scope, receive, send)
            return
        app = self._apps.get(name)
        if app is None:  # those of sites that are gone are few, and small
            app = self._apps[name] = site_app(lambda: _running(self._node, name))
        told_as = {"site": name} if self._node.alone is None else {}
        with structlog.contextvars.bound_contextvars(**told_as):  # what is ordered is logged as this site's
            await app(scope, receive, send)


class _Common:
    def __init__(self, node: Node) -> None:
        self._node = node

    def _seen(self, request: Request) -> SitesView:
        sites = [
            SiteView(name, not site.out_of_step(), site.standing.text)
            for name, site in _visible(self._node, request.scope).items()
        ]
        return SitesView(self._trouble(request), sites, self._cluster(request))

    def _trouble(self, request: Request) -> str:
        return "" if request.scope[MAY_SEE] is not None else self._node.trouble

    def _cluster(self, request: Request) -> ClusterView | None:
        seen, may_see = self._node.cluster(), request.scope[MAY_SEE]
        return seen if seen is None or may_see is None else seen.narrowed(may_see)

    async def page(self, request: Request) -> Response:
        return sites_page(request, await self._list(request))

    async def live(self, request: Request) -> Response:
        def is_over() -> bool:
            """The journals close when the service ends."""
            return all(site.journal.closed for site in self._node.sites().values())

        return sites_live(request, lambda: self._list(request), is_over)

    async def _list(self, request: Request) -> Sites:
        sites = []
        for name, site in _visible(self._node, request.scope).items():
            sites.append(site_view(name, f"sites/{quote(name, safe='')}/", site.overview()))
            await asyncio.sleep(0)  # ten thousand people take a while, and nobody is to wait for it
        return Sites(sites, self._trouble(request), self._cluster(request))

    async def sites(self, request: Request) -> Response:
        return Response(msgspec.json.encode(self._seen(request)), media_type="application/json")

    async def livez(self, request: Request) -> Response:
        stuck = self._node.stuck()
        return livez(stuck if request.scope[MAY_SEE] is None or not stuck else ["a site"], request)

    async def readyz(self, request: Request) -> Response:
        """Ready is who has a site in step: a balancer must not take away all of them for the sake of one.

        In a cluster it is who has a part in it, also while all sites run elsewhere.
        """
        status = 200 if self._is_ready(_visible(self._node, request.scope).values()) else 503
        if not request.scope[IS_TRUSTED]:
            return PlainTextResponse("ready\n" if status == 200 else "not ready\n", status)
        seen = self._seen(request)
        lines = [f"{one.name}: {'' if one.in_step else 'not in step: '}{one.text}" for one in seen.sites]
        if seen.cluster is not None and seen.cluster.trouble:
            lines.insert(0, f"cluster: {seen.cluster.trouble}")
        return PlainTextResponse("\n".join(lines) + "\n", status)

    def _is_ready(self, sites: Collection[Site]) -> bool:
        cluster = self._node.cluster()
        if cluster is not None and (cluster.trouble or not sites):
            return not cluster.trouble
        return any(not site.out_of_step() for site in sites)

    async def metrics(self, request: Request) -> Response:
        sites = _visible(self._node, request.scope)
        for site in sites.values():
            site.measure()
        may_see = request.scope[MAY_SEE]
        doors = {
            name: door for name, door in self._node.doors().items() if may_see is None or name in may_see
        }
        text = exposition({name: site.metrics for name, site in sites.items()}, doors)
        return Response(text, media_type=CONTENT_TYPE)

    async def redirect(self, request: Request) -> Response:
        if request.path_params["site"] not in _visible(self._node, request.scope):
            return _no_such_site()
        # Relative, so that it holds behind a proxy too: the page's own addresses hang on the slash.
        return RedirectResponse(f"{request.path_params['site']}/")

    async def nothing(self, _request: Request) -> Response:
        error = {"error": "many sites run here: name one, with --config FOLDER --site NAME"}
        return Response(msgspec.json.encode(error), 404, media_type="application/json")


def _no_such_site() -> Response:
    error = {"error": "there is no site of that name; presencebridge status --config FOLDER lists them"}
    return Response(msgspec.json.encode(error), 404, media_type="application/json")
