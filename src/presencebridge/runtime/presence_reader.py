"""Reads presence from Graph: everybody at intervals, and at once whoever's answer is awaited."""

import asyncio
import collections
import contextlib
from collections.abc import Callable
from typing import Final

from presencebridge import metrics
from presencebridge.core.events import PresenceSeen, Source
from presencebridge.core.model import Presence
from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.ports import Clock, Teams

_GATHER_S: Final = 0.2
"""Questions that come within this time are asked together."""
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0
_DELIVERED_WITHIN_S: Final = 90.0
"""Graph delivers within a minute: https://learn.microsoft.com/graph/api/resources/subscription"""


class PresenceReader:
    """Whoever is asked for is read until it works; many are read in one request."""

    def __init__(
        self, people: People, teams: Teams, link: Link, clock: Clock, group: int, every_s: float
    ) -> None:
        self._people = people
        self._teams = teams
        self._link = link
        self._clock = clock
        self._group = group
        self._every_s = every_s
        self._all_since = float("-inf")
        self._asked_at = clock.now()
        self._turn: collections.deque[str] = collections.deque()
        self.probe_every_s: float | None = None
        """If nobody was read for so long, one person is, so that a Graph that has gone is noticed."""
        self._wanted: dict[str, float] = {}
        """When each person is to be read, by object id."""
        self._changed = asyncio.Event()
        self._last: dict[str, Presence] = {}
        self._drifted: dict[str, float] = {}
        self.beat_at = clock.now()
        """When the last round began: the sign of life."""
        self.on_seen: Callable[[Member, PresenceSeen], None] = lambda _member, _event: None
        self.on_silence: Callable[[list[str]], None] | None = None
        """Called with those whose changes a read found and no notification told, where they should be."""

    def want(self, member: Member, not_before: float) -> None:
        """Read this person, not before the time given."""
        if member.user is not None and not member.policy.excluded:
            old = self._wanted.get(member.user)
            # An earlier question does not answer a later one, so the later time stands; it is never far.
            self._wanted[member.user] = not_before if old is None else max(old, not_before)
            self._changed.set()

    def read_all_every(self, seconds: float) -> None:
        """Read everybody at this interval from now on."""
        if seconds != self._every_s:
            self._every_s = seconds
            self._changed.set()

    def want_all(self) -> None:
        """Read everybody now."""
        now = self._clock.now()
        for user in self._people.users():
            self._wanted.setdefault(user, now)
        self._changed.set()

    def notified(self, member: Member, presence: Presence) -> None:
        """A notification came; whatever a read found before it was only early."""
        if member.user is not None:
            self._last[member.user] = presence
            self._drifted.pop(member.user, None)

    async def run(self) -> None:
        """Read until cancelled."""
        failures = 0
        while True:
            now = self.beat_at = self._clock.now()
            if now >= self._all_since + self._every_s:
                self._check_silence(now)
                self.want_all()
                self._all_since = now
            self._probe(now)
            due = [user for user, at in self._wanted.items() if at <= now][: self._group]
            if not due:
                next_probe = self._asked_at + (self.probe_every_s or self._every_s)
                next_all = self._all_since + self._every_s
                await self._wait(min([next_all, max(next_probe, now + 1), *self._wanted.values()]) - now)
                continue
            try:
                await self._read(due)
            except LinkError as error:
                metrics.READS.labels("teams", type(error).__name__).inc()
                self._link.failed(error)
                wait = min(_FIRST_RETRY_S * 2.0**failures, _LONGEST_RETRY_S)
                asked = error.after_s if isinstance(error, TryAgain) else None
                await self._rest(max(wait, asked or 0.0))
                failures += 1
            else:
                metrics.READS.labels("teams", "done").inc()
                self._link.connected()
                failures = 0

    def _probe(self, now: float) -> None:
        if self.probe_every_s is None or now < self._asked_at + self.probe_every_s:
            return
        if not self._turn:
            self._turn.extend(self._people.users())
        if self._turn:
            self._wanted.setdefault(self._turn.popleft(), now)

    async def _rest(self, seconds: float) -> None:
        """Sleep, however long, and show that we live meanwhile."""
        end = self._clock.now() + seconds
        while (left := end - self._clock.now()) > 0:
            self.beat_at = self._clock.now()
            await asyncio.sleep(min(left, _LONGEST_RETRY_S))

    async def _wait(self, seconds: float) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()
                await asyncio.sleep(_GATHER_S)

    async def _read(self, users: list[str]) -> None:
        asked_at = self._asked_at = self._clock.now()
        try:
            reads = await self._teams.presences(users)
        except Refused as error:
            if error.status != 400:
                raise
            await self._read_halves(users, error)
            return
        found = {read.id.casefold(): read for read in reads}
        metrics.LAST_SEEN.labels("teams_read").set(self._clock.now())
        for user in users:
            if self._wanted.get(user, asked_at) <= asked_at:
                self._wanted.pop(user, None)
            member = self._people.of_user(user)
            read = found.get(user)
            if member is None:
                continue
            if read is None:
                member.trouble("teams", "Graph does not tell this person's presence")
                continue
            member.trouble("teams", "")
            presence = Presence(read.availability, read.activity)
            last = self._last.get(user)
            if last is not None and not last.same_as(presence):
                self._drifted.setdefault(user, asked_at)
            self._last[user] = presence
            event = PresenceSeen(presence, Source.READ, asked_at, read.sequence_number)
            self.on_seen(member, event)

    async def _read_halves(self, users: list[str], error: Refused) -> None:
        """Graph refuses the request as a whole: find whose id it is, so that it costs nobody else."""
        if len(users) > 1:
            await self._read(users[: len(users) // 2])
            await self._read(users[len(users) // 2 :])
            return
        self._wanted.pop(users[0], None)
        member = self._people.of_user(users[0])
        if member is not None:
            member.trouble("teams", f"Graph refuses to tell this person's presence: {error}")

    def _check_silence(self, now: float) -> None:
        silent = [user for user, since in self._drifted.items() if now - since > _DELIVERED_WITHIN_S]
        for user in silent:
            del self._drifted[user]
        if silent and self.on_silence:
            metrics.DRIFT.inc(len(silent))
            self.on_silence(silent)
