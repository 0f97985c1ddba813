"""Which of the sites this node runs. Alone it runs all of them, for ever; a cluster says more."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from presencebridge.adapters import Outside


class Runs(Protocol):
    """A node, as far as it is told what to run."""

    def take_up(self, site: str, outside: Outside | None = None) -> None:
        """Run this site from now on. With an `outside` of its own it keeps its state there, and not here."""

    async def lay_down(self, site: str, *, at_once: bool = False) -> None:
        """Run it no longer; returns when nothing of it runs any more.

        What it holds on both sides is left for whoever runs it next. `at_once`: its right to write has ended,
        so nothing that it is at is finished.
        """


class Ownership(Protocol):
    """Tells a node what to run."""

    def known(self, sites: Collection[str]) -> None:
        """These are the sites that the config has by now."""

    async def run(self, node: Runs) -> None:
        """Tell the node, whenever it changes, until cancelled."""


class Alone:
    """There is no other node: every site is run here."""

    def __init__(self) -> None:
        self._sites: Collection[str] = ()
        self._changed = asyncio.Event()

    def known(self, sites: Collection[str]) -> None:
        self._sites = tuple(sites)
        self._changed.set()

    async def run(self, node: Runs) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for site in self._sites:
                node.take_up(site)
