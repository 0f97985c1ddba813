"""Each connection to an outside system: how it is, since when, and why."""

from collections.abc import Callable
from enum import StrEnum

import msgspec
import structlog

from presencebridge.errors import LinkError, Refused

_log = structlog.get_logger()


class LinkState(StrEnum):
    STARTING = "starting"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    """It works, and something about it does not."""
    REFUSED = "refused"
    """It won't work until somebody changes credentials or rights."""
    DOWN = "down"


class LinkReport(msgspec.Struct, frozen=True):
    """A link as people see it."""

    name: str
    state: LinkState
    reason: str
    cure: str
    since: float


class Link:
    """One link. It logs when it changes, once, and not each time that it is still so."""

    def __init__(self, name: str, now: Callable[[], float]) -> None:
        self._now = now
        self.report = LinkReport(name, LinkState.STARTING, "not tried yet", "", now())
        self._notes: dict[str, tuple[str, str]] = {}
        self.on_change: Callable[[LinkReport], None] = lambda _report: None

    def connected(self) -> None:
        """It works, as far as nothing that was noted is against it."""
        if not self._notes:
            self._become(LinkState.CONNECTED)
            return
        reasons, cures = zip(*self._notes.values(), strict=True)
        self._become(LinkState.DEGRADED, "; ".join(reasons), "; ".join(filter(None, cures)))

    def note(self, about: str, what: str, cure: str = "") -> None:
        """Something about the link does not work although it is up; an empty text when it works again."""
        if what:
            if about not in self._notes:
                _log.warning("link", link=self.report.name, about=about, reason=what, cure=cure)
            self._notes[about] = (what, cure)
        elif about not in self._notes:
            return
        else:
            del self._notes[about]
            _log.info("link", link=self.report.name, about=about, reason="well again")
        if self.is_up:
            self.connected()

    def degraded(self, reason: str, cure: str = "") -> None:
        self._become(LinkState.DEGRADED, reason, cure)

    def failed(self, error: LinkError) -> None:
        state = LinkState.REFUSED if isinstance(error, Refused) else LinkState.DOWN
        self._become(state, str(error), error.cure)

    @property
    def is_up(self) -> bool:
        return self.report.state in (LinkState.CONNECTED, LinkState.DEGRADED)

    def _become(self, state: LinkState, reason: str = "", cure: str = "") -> None:
        old = self.report
        if (old.state, old.reason) == (state, reason):
            return
        since = self._now() if state is not old.state else old.since
        self.report = LinkReport(old.name, state, reason, cure, since)
        if state is not old.state:
            tell = _log.info if state is LinkState.CONNECTED else _log.warning
            tell("link", link=old.name, state=state.value, reason=reason, cure=cure)
        self.on_change(self.report)


class Links:
    """All links, in the order they were named."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._links: dict[str, Link] = {}
        self.on_change: Callable[[LinkReport], None] = lambda _report: None

    def named(self, name: str) -> Link:
        if name not in self._links:
            link = Link(name, self._now)
            link.on_change = self._changed
            self._links[name] = link
        return self._links[name]

    def reports(self) -> list[LinkReport]:
        return [link.report for link in self._links.values()]

    @property
    def all_up(self) -> bool:
        return all(link.is_up for link in self._links.values())

    def _changed(self, report: LinkReport) -> None:
        self.on_change(report)
