"""Reads 3CX: calls at short intervals, and everybody's status in turn between them."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from presencebridge import metrics
from presencebridge.core.events import AnyEvent, LegsSeen, PbxLost, StatusSeen
from presencebridge.core.model import LegState
from presencebridge.errors import LinkError
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.ports import Clock, Legs, Pbx

_NOT_MONITORED: Final = (
    "extension {extension}: its calls can't be seen (add it to the extensions to monitor of the API client, "
    "in 3CX under Integrations > API)"
)
_HURRY_S: Final = 0.05
"""Between two statuses when everybody's is unknown; calls are asked for in between."""
_MOST_AT_A_TIME: Final = 4
"""Statuses under way: one that is never answered must not hold up the others."""
_FIRST_REST_S: Final = 30.0
_LONGEST_REST_S: Final = 600.0
"""An extension that is not answered is asked again after a rest, longer each time."""


class PbxPoller:
    """The PBX is asked one thing after another, so it is never asked more than it answers."""

    def __init__(
        self, people: People, pbx: Pbx, link: Link, clock: Clock, poll_every_s: float, status_every_s: float
    ) -> None:
        self._people = people
        self._pbx = pbx
        self._link = link
        self._clock = clock
        self._poll_every_s = poll_every_s
        self._status_every_s = status_every_s
        self._legs: dict[str, tuple[LegState, ...]] = {}
        self._told: set[str] = set()
        self._unreadable: set[str] = set()
        self._unseen = {member.key for member in people}
        """Whose status was not asked for since the start, or since the link was lost."""
        self._asking: set[str] = set()
        self._free = asyncio.Semaphore(_MOST_AT_A_TIME)
        self._up = asyncio.Event()
        self._was_lost = asyncio.Event()
        self._rests: dict[str, tuple[float, float]] = {}
        """Until when an extension is left alone, and how long its rest was."""
        self.beat_at = clock.now()
        """When the last round began: the sign of life."""
        self.on_seen: Callable[[Member, AnyEvent], None] = lambda _member, _event: None

    async def run(self) -> None:
        """Poll calls and statuses side by side until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_calls(), name="poll calls")
            tasks.create_task(self._poll_statuses(), name="poll statuses")

    async def _poll_calls(self) -> None:
        while True:
            begun = self.beat_at = self._clock.now()
            try:
                legs = await self._pbx.legs()
            except LinkError as error:
                metrics.READS.labels("3cx", type(error).__name__).inc()
                self._lost(error)
            else:
                metrics.READS.labels("3cx", "done").inc()
                metrics.LAST_SEEN.labels("3cx").set(self._clock.now())
                self._link.connected()
                self._up.set()
                self._tell_legs(legs)
            await asyncio.sleep(max(0.0, begun + self._poll_every_s - self._clock.now()))

    def _tell_legs(self, legs: Legs) -> None:
        for member in self._people:
            key, mine = member.key, legs.by_extension.get(member.key, ())
            unreadable = legs.unreadable.get(key, "")
            if legs.visible is not None and key not in legs.visible:
                unreadable = _NOT_MONITORED.format(extension=key)
            if unreadable:
                self._unreadable.add(key)
                member.trouble("3cx", unreadable)
                continue
            if key in self._unreadable:
                self._unreadable.discard(key)
                member.trouble("3cx", "")
            if key not in self._told or self._legs.get(key, ()) != mine:
                self._told.add(key)
                self._legs[key] = mine
                self.on_seen(member, LegsSeen(mine))

    def _lost(self, error: LinkError) -> None:
        self._link.failed(error)
        if not self._up.is_set():
            return
        self._up.clear()
        self._was_lost.set()
        self._told.clear()  # everybody is told and looked at anew when the link is back
        self._unseen = {member.key for member in self._people}
        for member in self._people:
            self.on_seen(member, PbxLost())

    async def _poll_statuses(self) -> None:
        """Everybody's status within `status_every_s`, evenly; after a start or a loss as fast as it goes."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for member in self._people:
                    await self._up.wait()
                    self._was_lost.clear()
                    if member.key not in self._asking:
                        await self._free.acquire()
                        self._asking.add(member.key)
                        tasks.create_task(self._read_status(member), name=f"status of {member.key}")
                    self._unseen.discard(member.key)
                    await self._pace()

    async def _pace(self) -> None:
        pace = self._status_every_s / len(self._people)
        if self._unseen:
            await asyncio.sleep(min(pace, _HURRY_S))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pace):
                await self._was_lost.wait()

    async def _read_status(self, member: Member) -> None:
        try:
            rest_until, rested = self._rests.get(member.key, (0.0, 0.0))
            asked_at = self._clock.now()
            if member.policy.excluded or asked_at < rest_until:
                return
            try:
                status = await self._pbx.status(member.key)
            except LinkError as error:
                rest = min(max(rested * 2, _FIRST_REST_S), _LONGEST_REST_S)
                self._rests[member.key] = (self._clock.now() + rest, rest)
                member.trouble("3cx", f"{error} ({error.cure})" if error.cure else str(error))
            else:
                if self._rests.pop(member.key, None):
                    member.trouble("3cx", "")
                self.on_seen(member, StatusSeen(status, asked_at))
        finally:
            self._asking.discard(member.key)
            self._free.release()
