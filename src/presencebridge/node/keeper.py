"""Keeps one site running, from one life to the next: its troubles are its own.

A life ends because it is told to, or of itself. In the second case another one begins after a while, which
grows while lives are short. A site that stands alone in its process takes that with it instead, and leaves
starting again to whoever started it.
"""

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlsplit

import structlog

from presencebridge.adapters import Outside
from presencebridge.config import Config, Loaded
from presencebridge.config.changes import Change, change
from presencebridge.core.backoff import doubled
from presencebridge.errors import BridgeError, LinkError, Misconfigured
from presencebridge.metrics import Metrics
from presencebridge.node.no_site import in_short
from presencebridge.node.site import End, Site
from presencebridge.runtime.journal import Journal
from presencebridge.web.door import mark_of

_log = structlog.get_logger()

_FIRST_REST_S: Final = 1.0
_LONGEST_REST_S: Final = 300.0
_LONG_LIFE_S: Final = 600.0
"""Whoever has lived for so long begins with a short rest again."""


class Keeper:
    """A site that is to run here."""

    def __init__(  # noqa: PLR0913 - keywords, each once
        self,
        name: str,
        loaded: Loaded,
        outside: Outside,
        *,
        metrics: Metrics,
        journal: Journal,
        dry_run: bool = False,
        is_alone: bool = False,
    ) -> None:
        self.name = name
        self._loaded = loaded
        self._outside = outside
        self._metrics = metrics
        self._journal = journal
        self._dry_run = dry_run
        self._is_alone = is_alone
        self._end: End | None = None
        """How it is to end; None while it is to go on."""
        self._wake = asyncio.Event()
        self._refused = ""
        self.site = self._life()
        self.settled = asyncio.Event()
        """Set when a life has got as far as working, or there will be none any more."""

    async def run(self) -> None:
        """Until it is told to end, or cancelled. Alone, it raises whatever a life ends with."""
        if not self._is_alone:
            structlog.contextvars.bind_contextvars(site=self.name)  # of this task and those that it starts
        try:
            await self._live()
        finally:
            self.settled.set()

    async def _live(self) -> None:
        failures = 0
        clock = self._outside.clock()
        while self._end is None:
            self._wake.clear()
            begun = clock.now()
            try:
                await self.site.run(self.settled.set)
                failures = 0
            except Exception as error:
                if self._is_alone:
                    raise
                failures = 1 if clock.now() - begun > _LONG_LIFE_S else failures + 1
                await self._rest(error, doubled(_FIRST_REST_S, failures - 1, _LONGEST_REST_S))
            if self._end is None:
                self.site = self._life()

    def _life(self) -> Site:
        site = Site(
            self._loaded.config,
            name=self.name,
            dry_run=self._dry_run,
            outside=self._outside,
            metrics=self._metrics,
            journal=self._journal,
            mark="" if self._is_alone else mark_of(self.name),
        )
        self._tell_refused(site)
        return site

    async def _rest(self, error: Exception, seconds: float) -> None:
        what = _in_words(error)
        is_expected = isinstance(error, BridgeError | OSError)
        _log.error("site ended", site=self.name, reason=what, again_in_s=seconds, exc_info=not is_expected)
        self._metrics.failures.inc()
        self.site.fail(what, _cure(error))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    # What others decide

    @property
    def path(self) -> str | None:
        """Where Graph's notifications arrive; None where none do."""
        return path_of(self._loaded.config)

    def end(self, how: End) -> None:
        """Let it end; `run` returns when it has."""
        self._end = how
        self._wake.set()
        self.site.end(how)

    def change(self, loaded: Loaded) -> None:
        """Go on with another config: in place where that can be done, else in another life."""
        self._refused = ""
        self._tell_refused(self.site)
        what = change(self._loaded, loaded)
        self._loaded = loaded
        if what is Change.NOTHING:
            return
        if what is Change.IN_PLACE and self.site.is_set_up:
            _log.info("config changed", site=self.name, how="in place")
            self.site.apply(loaded.config)
            return
        _log.info("config changed", site=self.name, how="begins anew")
        self._wake.set()
        self.site.end(End.AGAIN)

    def refuse(self, error: Misconfigured) -> None:
        """The config has changed to something that can't be used: the one before goes on."""
        what = "; ".join(in_short(error))
        if what != self._refused:
            _log.error("config refused", site=self.name, reason=what)
        self._refused = what
        self._tell_refused(self.site)

    def _tell_refused(self, site: Site) -> None:
        site.refused_config(self._refused)


def path_of(config: Config) -> str | None:
    """The path of the webhook; None where Graph is not to notify."""
    hook = config.teams.webhook
    return urlsplit(hook.public_url).path if hook and config.teams.delivery == "webhook" else None


def _in_words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(_in_words(one) for one in error.exceptions))
    if isinstance(error, Misconfigured):
        return "; ".join(in_short(error))
    if isinstance(error, BridgeError | OSError):
        return str(error).partition("\n")[0]
    return f"a fault of this program ({type(error).__name__}: {error})"


def _cure(error: BaseException) -> str:
    if isinstance(error, Misconfigured):
        return "; ".join(problem.cure for problem in error.problems)
    if isinstance(error, LinkError):
        return error.cure
    _, _, cure = str(error).partition("cure: ")
    return cure or "it is tried again by itself; please report it, with the log"
