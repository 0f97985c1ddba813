"""Which of the sites this node runs. Alone it runs all of them, for ever; a cluster says more."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from presencebridge.adapters import Outside
from presencebridge.web.views import ClusterView

Take = Callable[[str, bytes], Awaitable[bool]]
Refused = Callable[[str, str, int], None]


class Runs(Protocol):
    """A node, as far as it is told what to run."""

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        """Run this site from now on. With an `outside` of its own it keeps its state there, and not here."""

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        """Run it no longer; returns when nothing of it runs any more.

        What it holds on both sides is left for whoever runs it next. `at_once`: its right to write has ended,
        so nothing that it is at is finished.
        """

    def take(self, site: str, body: bytes) -> bool:
        """Hand a notification to a site that runs here. False if it has to be handed over again later."""


class Ownership(Protocol):
    """Tells a node what to run."""

    on_refused: Refused
    """Called with what `take` does not take in: of which site, why, and how many."""

    @property
    def take(self) -> Take | None:
        """Takes in what comes for any site, wherever that runs; None: only what runs here is served."""

    def known(self, sites: Mapping[str, Path]) -> None:
        """These are the sites that the config has by now, and their state folders."""

    async def run(self, node: Runs) -> None:
        """Tell the node, whenever it changes, until cancelled."""

    def view(self) -> ClusterView | None:
        """The other nodes, for whoever looks; None where there can be none."""

    async def leave(self) -> None:
        """The node is to end: return when others have what it runs, as far as there are any."""


class Alone:
    """There is no other node: every site is run here."""

    take: Take | None = None

    def __init__(self) -> None:
        self.on_refused: Refused = lambda _site, _why, _count: None
        self._sites: Collection[str] = ()
        self._changed = asyncio.Event()

    def known(self, sites: Mapping[str, Path]) -> None:
        self._sites = tuple(sites)
        self._changed.set()

    async def run(self, node: Runs) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for site in self._sites:
                node.take_up(site)

    def view(self) -> ClusterView | None:
        return None

    async def leave(self) -> None:
        pass
