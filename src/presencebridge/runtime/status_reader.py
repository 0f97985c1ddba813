"""Reads everybody's status from 3CX: together where 3CX tells them so, and else one by one in turn."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from presencebridge.core.events import AnyEvent, StatusSeen
from presencebridge.errors import LinkError
from presencebridge.runtime.calls_reader import CallsReader
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.ports import Clock, Statuses

_HURRY_S: Final = 0.05
"""Between two statuses when everybody's is unknown; calls are asked for in between."""
_MOST_AT_A_TIME: Final = 4
"""Statuses under way: one that is never answered must not hold up the others."""
_AGAIN_S: Final = 2.0
"""After a look at all of them that did not work."""
_FIRST_REST_S: Final = 5.0
_LONGEST_REST_S: Final = 120.0
"""An extension that is not answered is asked again after a rest, longer each time."""


class StatusReader:
    """Goes round within `every_s`, while the link to 3CX is up, and at once when it comes back."""

    def __init__(
        self, people: People, statuses: Statuses, link: Link, clock: Clock, calls: CallsReader, every_s: float
    ) -> None:
        self._people = people
        self._statuses = statuses
        self._link = link
        self._clock = clock
        self._calls = calls
        self._is_up = calls.is_up
        calls.on_lost, calls.is_answered = self._lost, self._is_answered
        self._every_s = every_s
        self._seen: set[str] = set()
        """Whose status was asked for since the start, or since the link was lost."""
        self._round: dict[str, Member] = {}
        """Who is asked for in this round."""
        self._wanted = asyncio.Event()
        self._asking: set[str] = set()
        self._free = asyncio.Semaphore(_MOST_AT_A_TIME)
        self._answered: Member | None = None
        """Whose status was told last."""
        self._turn = 0
        self._rests: dict[str, tuple[Member, float, float]] = {}
        """Until when an extension is left alone, and how long its rest was; whose it is by now may differ."""
        self.on_seen: Callable[[Member, AnyEvent], None] = lambda _member, _event: None
        self.needs_status: Callable[[Member], bool] = lambda member: not member.policy.excluded

    def read_every(self, seconds: float) -> None:
        """Go round at this interval from the next round on."""
        self._every_s = seconds

    def want(self, member: Member) -> None:
        """Ask for somebody who came, unless this round does so anyway."""
        if self._round.get(member.key) is not member:
            self._wanted.set()

    def want_all(self) -> None:
        """Begin a new round now."""
        self._seen.clear()
        self._wanted.set()

    def _lost(self) -> None:
        self._seen.clear()
        self._rests.clear()
        self._wanted.set()

    async def _is_answered(self) -> bool:
        """Whether 3CX tells a status: of whoever it told last, or else of somebody else each time."""
        member = self._answered
        if member is None or not self._people.has(member) or not self.needs_status(member):
            served = [one for one in self._people if self.needs_status(one)]
            if not served:
                return False
            self._turn += 1
            member = served[self._turn % len(served)]
        asked_at = self._clock.now()
        try:
            status = await self._statuses.status(member.key)
        except LinkError:
            self._answered = None
            return False
        self._found(member, status, asked_at)
        return True

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._is_up.wait()
                self._wanted.clear()
                round_ends = self._clock.now() + self._every_s
                try:
                    left = await self._read_together()
                except LinkError as error:
                    self._link.note("statuses", f"statuses can't be read: {error}", error.cure)
                    self._calls.want()  # which tells whether it is the link
                    await self._pause(_AGAIN_S)
                    continue
                self._link.note("statuses", "")
                left.sort(key=lambda member: member.key in self._seen)
                unseen = {member.key for member in left} - self._seen
                for member in left:
                    if self._wanted.is_set():
                        break
                    if member.key not in self._asking:
                        await self._free.acquire()
                        self._asking.add(member.key)
                        tasks.create_task(self._read_one(member), name=f"status of {member.key}")
                    self._seen.add(member.key)
                    unseen.discard(member.key)
                    pace = self._every_s / len(left)
                    await self._pause(min(pace, _HURRY_S) if unseen else pace)
                else:
                    await self._pause(round_ends - self._clock.now())

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless another round is wanted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wanted.wait()

    async def _read_together(self) -> list[Member]:
        """Whoever 3CX tells of in one answer. Returns who is left."""
        asked_at = self._clock.now()
        served = [member for member in self._people if self.needs_status(member)]
        self._round = {member.key: member for member in served}
        told = await self._statuses.all_statuses() if served else {}
        left = []
        for member in served:
            if member.key in told:
                self._found(member, told[member.key], asked_at)
            else:
                left.append(member)
        return left

    async def _read_one(self, member: Member) -> None:
        try:
            whose, rest_until, rested = self._rests.get(member.key, (member, 0.0, 0.0))
            asked_at = self._clock.now()
            if asked_at < rest_until and whose is member:
                return
            try:
                status = await self._statuses.status(member.key)
            except LinkError as error:
                rest = min(max(rested * 2, _FIRST_REST_S), _LONGEST_REST_S)
                self._rests[member.key] = (member, self._clock.now() + rest, rest)
                member.trouble("3cx", f"{error} ({error.cure})" if error.cure else str(error))
            else:
                self._found(member, status, asked_at)
        finally:
            self._asking.discard(member.key)
            self._free.release()

    def _found(self, member: Member, status: str, asked_at: float) -> None:
        if self._rests.pop(member.key, None):
            member.trouble("3cx", "")
        self._answered = member
        self.on_seen(member, StatusSeen(status, asked_at))
