"""Reads calls from 3CX: at short intervals, or as they are told, and then the whole of them now and then."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from presencebridge.core.events import AnyEvent, LegsLost, LegsSeen, PbxLost
from presencebridge.core.model import LegState
from presencebridge.errors import LinkError
from presencebridge.metrics import Metrics
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.runtime.ports import CallFeed, Calls, Clock, Legs

_NOT_MONITORED: Final = (
    "extension {extension}: its calls can't be seen (add it to the extensions to monitor of the API client, "
    "in 3CX under Integrations > API)"
)
_SOONEST_S: Final = 0.5
"""After a whole read, before the next one that a feed asks for."""
_WHOLE_EVERY_S: Final = 30.0
"""How often all calls are read while a feed tells of them: what it did not tell lasts for no longer."""


async def _by_nobody() -> bool:
    return False


class CallsReader:
    """3CX is asked one thing after another, so it is never asked more than it answers."""

    def __init__(  # noqa: PLR0913 - what it stands on, each once
        self,
        people: People,
        calls: Calls,
        feed: CallFeed | None,
        link: Link,
        clock: Clock,
        poll_every_s: float,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._people = people
        self._calls = calls
        self._feed = feed
        self._link = link
        self._clock = clock
        self._poll_every_s = poll_every_s
        self._metrics = metrics or Metrics()
        self._told: dict[str, tuple[Member, tuple[LegState, ...]]] = {}
        """Who was last told what; nobody since the start, or since the link was lost."""
        self._wanted = asyncio.Event()
        self._sees_calls = False
        self.is_up = asyncio.Event()
        """3CX answers: it tells the calls or, where it can't, at least a status."""
        self.beat_at = clock.now()
        """When the last round began: the sign of life."""
        self.plots = Plots(clock.now)
        self.on_seen: Callable[[Member, AnyEvent], None] = lambda _member, _event: None
        self.is_answered: Callable[[], Awaitable[bool]] = _by_nobody
        """Asked where calls can't be read: whether 3CX tells anybody's status all the same."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the link is lost: all that was known of 3CX is not known any more."""
        if feed is not None:
            feed.on_legs = self._fed
            feed.on_gap = self.want

    def read_every(self, seconds: float) -> None:
        """Read at this interval from now on."""
        self._poll_every_s = seconds
        self.want()

    def want(self) -> None:
        """Read all calls soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Read, and follow the feed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._feed is not None:
                tasks.create_task(self._feed.run(), name="feed of calls")
            while True:
                self._wanted.clear()
                begun = self.beat_at = self._clock.now()
                await self._read()
                await self._rest(begun)

    async def _rest(self, begun: float) -> None:
        """Until the next round. A feed that asks for one gets it soon, and never in a storm."""
        is_live = self._feed is not None and self._feed.is_live and self._sees_calls
        latest = begun + (_WHOLE_EVERY_S if is_live else self._poll_every_s)
        soonest = begun + min(_SOONEST_S, self._poll_every_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, latest - self._clock.now())):
                await self._wanted.wait()
                await asyncio.sleep(max(0.0, soonest - self._clock.now()))

    async def _read(self) -> None:
        try:
            with self.plots.timed(Hop.PBX_READ):
                legs = await self._calls.legs()
        except LinkError as error:
            self._metrics.reads.labels("3cx", type(error).__name__).inc()
            self._sees_calls = False
            if await self.is_answered():
                self._blinded(error)
            else:
                self._lost(error)
        else:
            self._metrics.reads.labels("3cx", "done").inc()
            self._metrics.last_seen.labels("3cx").set(self._clock.now())
            self._link.note("calls", "")
            self._link.connected()
            self._sees_calls = True
            self.is_up.set()
            for member in self._people:
                self._found(member, legs)

    def _found(self, member: Member, legs: Legs) -> None:
        key = member.key
        trouble = legs.unreadable.get(key, "")
        if legs.visible is not None and key not in legs.visible:
            trouble = _NOT_MONITORED.format(extension=key)
        member.trouble("3cx calls", trouble)
        if not trouble:
            self._tell(member, legs.by_extension.get(key, ()))
        elif self._told.pop(key, None):
            self.on_seen(member, LegsLost())

    def _fed(self, extension: str, legs: tuple[LegState, ...]) -> None:
        if extension in self._people and self._sees_calls:
            self._metrics.last_seen.labels("3cx").set(self._clock.now())
            self._tell(self._people[extension], legs)

    def _tell(self, member: Member, legs: tuple[LegState, ...]) -> None:
        told = self._told.get(member.key)
        if told is None or told[0] is not member or told[1] != legs:
            self._told[member.key] = (member, legs)
            self.on_seen(member, LegsSeen(legs))

    def _blinded(self, error: LinkError) -> None:
        """Calls can't be read and statuses can, so what Teams asks of 3CX goes on.

        A 3cx-web-API does not tell any call as long as there is one of some queues that it can't print.
        """
        self._link.note("calls", f"calls can't be read: {error}", error.cure)
        self._link.connected()
        told, self._told = self._told, {}  # everybody is told anew when calls can be read again
        for member, _ in told.values():
            self.on_seen(member, LegsLost())
        self.is_up.set()

    def _lost(self, error: LinkError) -> None:
        self._link.failed(error)
        if not self.is_up.is_set():
            return
        self.is_up.clear()
        self._told.clear()  # everybody is told and looked at anew when the link is back
        for member in self._people:
            self.on_seen(member, PbxLost())
        self.on_lost()
