"""Reads presence from Graph: everybody at intervals, and at once whoever's answer is awaited.

What is read is told to the hub when it is new, when somebody waits for it, and once a minute all the same.
Most reads say what was known, and are worth no step of the core.
"""

import asyncio
import contextlib
import heapq
import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from presencebridge.core.events import PresenceSeen, Source
from presencebridge.core.model import Presence
from presencebridge.errors import Gone, LinkError, Refused, TryAgain
from presencebridge.metrics import Metrics
from presencebridge.runtime import pacing
from presencebridge.runtime.links import Link
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.runtime.ports import Clock, PresenceRead, Teams

_GATHER_S: Final = 0.2
"""Questions that come within this time are asked together."""
_TELL_AGAIN_S: Final = 60.0
"""What did not change is told to the hub this often, so that whatever was missed there heals."""
_DELIVERED_WITHIN_S: Final = 90.0
"""Graph delivers within a minute: https://learn.microsoft.com/graph/api/resources/subscription"""
_MOST_UNDER_WAY: Final = 64
"""Reads that are not answered yet. The client has 100 connections; the others are for writes."""
_LOOK_ROUND_S: Final = 5.0
"""How often it is looked who has come and who has gone."""
_LONGEST_SLEEP_S: Final = 30.0
_PATIENT_S: Final = 5.0
"""The least of the longest rests between two tries: with a shorter interval too, Graph is left in peace."""
_FIRST_REST_S: Final = 5.0
_LONGEST_REST_S: Final = 600.0
"""Whom Graph refuses to tell of is left out of the requests for a while, longer each time."""
_MOST_ODD: Final = 8
"""If there are more in one request, and fewer of whom Graph tells, it is not they who are odd."""
_MOST_PAIRS: Final = 1000

_NEVER: Final = float("-inf")


class _Known(msgspec.Struct, gc=False):
    """What was last heard of a person, and when. There are as many as people, so it is small."""

    presence: Presence
    asked_at: float = _NEVER
    """When the read was sent that this is from."""
    told_at: float = _NEVER
    """The same for the last read that the hub was told of; never, if a notification came since."""
    notified_at: float = _NEVER


class _Asking:
    """A request: a group whose turn it is, or people whose answers are awaited, or both."""

    __slots__ = ("asked_at", "awaited", "group", "refused", "told", "users")

    def __init__(
        self, users: list[str], awaited: list[str], group: pacing.Group | None, asked_at: float
    ) -> None:
        self.users, self.awaited, self.group, self.asked_at = users, awaited, group, asked_at
        self.told = 0
        self.refused: dict[str, LinkError] = {}
        """Of how many Graph told so far, and of whom it refused to."""


class PresenceReader:
    """Whoever is asked for is read until it works; many are read in one request."""

    def __init__(  # noqa: PLR0913 - what it stands on, each once
        self,
        people: People,
        teams: Teams,
        link: Link,
        clock: Clock,
        group: int,
        every_s: float,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._people = people
        self._teams = teams
        self._link = link
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._most = group
        self._every_s = every_s
        now = clock.now()
        self._pace = pacing.Pace(pacing.MOST_PER_S)
        self._ring = pacing.Ring(group, now)
        self._looked_at = _NEVER
        self._all_wanted = True
        self._tell_all_from = _NEVER
        self._sent_at = now
        self._under_way = 0
        self._turn = 0
        self.probe_every_s: float | None = None
        """If nobody was read for so long, one person is, so that a Graph that has gone is noticed."""
        self._wanted: dict[str, float] = {}
        """Whose answer is awaited, by object id: it must not have been asked for before that time."""
        self._questions: list[tuple[float, str, float]] = []
        """A heap of what is to be asked: when, whom, and the time in `_wanted`, or it is overtaken."""
        self._changed = asyncio.Event()
        self._wake_at = _NEVER
        self._known: dict[str, _Known] = {}
        self._pairs: dict[tuple[str, str], Presence] = {}
        self._drifted: dict[str, float] = {}
        self._troubled: set[str] = set()
        self._odd: dict[str, tuple[float, float]] = {}
        """Whom Graph refused to tell of: left out until when, and how long that is once it is sure."""
        self.beat_at = now
        """When the last round began: the sign of life."""
        self.plots = Plots(clock.now)
        self.on_seen: Callable[[Member, PresenceSeen], None] = lambda _member, _event: None
        self.on_back: Callable[[], None] = lambda: None
        """Called when Graph answers after it did not."""
        self.on_silence: Callable[[list[str]], None] | None = None
        """Called with those whose changes a read found and no notification told, where they should be."""

    # What others ask for

    def want(self, member: Member, not_before: float) -> None:
        """Read this person, not before the time given."""
        if member.user is not None and not member.policy.excluded:
            old = self._wanted.get(member.user)
            # An earlier question does not answer a later one, so the later time stands; it is never far.
            if old is None or old < not_before:
                self._ask(member.user, not_before, max(not_before, self._clock.now() + _GATHER_S))
            if member.user not in self._known:  # somebody new, or a thousand of them
                self._looked_at = _NEVER

    def want_all(self) -> None:
        """Read everybody now."""
        self._all_wanted = True
        self._changed.set()

    def read_all_every(self, seconds: float) -> None:
        """Read everybody at this interval from now on."""
        if seconds != self._every_s:
            self._every_s = seconds
            self._changed.set()

    def notified(self, member: Member, presence: Presence) -> None:
        """A notification came; whatever a read found before it was only early."""
        if member.user is None:
            return
        presence = self._pair(presence.availability, presence.activity)
        known = self._known.get(member.user)
        if known is None:
            known = self._known[member.user] = _Known(presence)
        known.presence, known.notified_at, known.told_at = presence, self._clock.now(), _NEVER
        self._drifted.pop(member.user, None)

    @property
    def interval_s(self) -> float:
        """At what interval everybody is read: longer than was asked for where Graph's limit wants it."""
        return max(self._every_s, len(self._ring.groups) / self._pace.rate)

    # The loop

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = self.beat_at = self._clock.now()
                self._look_round(now)
                self._check_silence(now)
                self._probe(now)
                asking = self._next(now)
                if asking is None:
                    await self._sleep(now)
                    continue
                self._pace.left(now)
                self._sent_at = now
                self._under_way += 1
                tasks.create_task(self._read(asking), name="read presences")

    async def _sleep(self, now: float) -> None:
        """Until there is something to do."""
        turn, _ = self._ring.first(self.interval_s)
        question = self._questions[0][0] if self._questions else float("inf")
        probe = float("inf")
        if self.probe_every_s is not None and self._ring.users and not self._questions:
            probe = self._sent_at + self.probe_every_s
        send_at = max(min(turn, question, probe), self._pace.next_at)
        wake_at = min(
            send_at if self._under_way < _MOST_UNDER_WAY else float("inf"),
            self._looked_at + _LOOK_ROUND_S,
            next(iter(self._drifted.values()), float("inf")) + _DELIVERED_WITHIN_S,
            now + _LONGEST_SLEEP_S,
        )
        # A hair later than asked, so that the time has certainly come by our clock too.
        self._wake_at = max(wake_at, now) + 0.001
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wake_at - now):
                await self._changed.wait()

    def _look_round(self, now: float) -> None:
        """Who is to be read by now; whoever is new is read at once."""
        if now < self._looked_at + _LOOK_ROUND_S and not self._all_wanted:
            return
        self._looked_at = now
        users = self._people.users()
        if users != self._ring.users:
            self._seat(users, now)
        if self._all_wanted:
            self._all_wanted = False
            self._tell_all_from = now
            self._want_ring(now)
        self._metrics.poll_interval.set(self.interval_s)

    def _seat(self, users: tuple[str, ...], now: float) -> None:
        before, here = set(self._ring.users), set(users)
        self._ring.seat(users, now)
        for user in before - here:
            for memory in (self._known, self._wanted, self._drifted, self._odd):
                memory.pop(user, None)
            self._troubled.discard(user)
        new = here - before
        if not before or len(new) > self._most:
            self._want_ring(now)
            return
        for user in new - self._wanted.keys():
            self._ask(user, now, now)

    def _want_ring(self, now: float) -> None:
        """Everybody is read group by group; questions of many need no requests of their own then."""
        self._ring.want(now)
        if len(self._questions) > self._most:
            self._questions = [question for question in self._questions if question[2] > now]
            heapq.heapify(self._questions)

    def _probe(self, now: float) -> None:
        if self.probe_every_s is None or now < self._sent_at + self.probe_every_s or not self._ring.users:
            return
        if now < self._pace.next_at or self._questions:
            return
        users = self._not_odd(self._ring.users, now)
        if not users:
            self._sent_at = now
            return
        self._turn %= len(users)
        self._ask(users[self._turn], now, now)
        self._turn += 1

    def _ask(self, user: str, not_before: float, at: float) -> None:
        self._wanted[user] = not_before
        heapq.heappush(self._questions, (at, user, not_before))
        if at < self._wake_at:
            self._changed.set()

    def _next(self, now: float) -> _Asking | None:
        """The request that is to leave now. Who is awaited goes first, with a group where that has room."""
        if now < self._pace.next_at or self._under_way >= _MOST_UNDER_WAY:
            return None
        self._drop_overtaken()
        turn, group = self._ring.first(self.interval_s)
        asked = self._questions[0][1] if self._questions and self._questions[0][0] <= now else None
        if turn > now or (group and asked and len(group.users) >= self._most and asked not in group.users):
            group = None
        if group is None and asked is None:
            return None
        users = self._not_odd(group.users, now) if group else []
        awaited = self._take(now, users)
        if group:
            group.asked_at = now
        users = list(dict.fromkeys([*users, *awaited]))
        return _Asking(users, awaited, group, now) if users else None

    def _drop_overtaken(self) -> None:
        while self._questions and self._wanted.get(self._questions[0][1]) != self._questions[0][2]:
            heapq.heappop(self._questions)

    def _take(self, now: float, users: list[str]) -> list[str]:
        """Those who are awaited, of `users` and beside them as far as there is room.

        The ones that still gather come along.
        """
        members, room = set(users), self._most - len(users)
        taken: list[str] = []
        later = []
        while self._questions and self._questions[0][0] <= now + _GATHER_S:
            question = heapq.heappop(self._questions)
            _, user, not_before = question
            if self._wanted.get(user) != not_before:
                continue
            if self._is_odd(user, now):
                del self._wanted[user]
            elif not_before > now or not (room or user in members):
                later.append(question)
            else:
                taken.append(user)
                room -= user not in members
        for question in later:
            heapq.heappush(self._questions, question)
        return taken

    def _not_odd(self, users: Sequence[str], now: float) -> list[str]:
        if not self._odd:
            return list(users)
        return [user for user in users if not self._is_odd(user, now)]

    def _is_odd(self, user: str, now: float) -> bool:
        return user in self._odd and self._odd[user][0] > now

    # A read

    async def _read(self, asking: _Asking) -> None:
        try:
            await self._read_users(asking, asking.users, asking.asked_at)
            self._judge(asking)
        except LinkError as error:
            if not asking.told:
                for user in asking.refused:
                    self._odd.pop(user, None)
            self._failed(asking, error)
        else:
            if asking.refused and not asking.told:
                return  # somebody alone, which says nothing of the others
            self._metrics.reads.labels("teams", "done").inc()
            self._pace.answered(asking.asked_at, self._clock.now())
            if asking.group:
                asking.group.tries = 0
            if not self._link.is_up:
                self.on_back()
            self._tell_link()
        finally:
            self._under_way -= 1
            self._changed.set()

    def _judge(self, asking: _Asking) -> None:
        """Whether it is those who were refused who are odd, or Graph. Raises `LinkError` for Graph."""
        if not asking.told and asking.refused and (len(asking.users) > 1 or len(self._ring.users) == 1):
            raise next(iter(asking.refused.values()))
        if len(asking.refused) > asking.told:
            return  # hard to say: they are asked again soon
        for user in asking.refused.keys() & self._odd.keys():
            _, rested = self._odd[user]
            rest = min(max(rested * 2, _FIRST_REST_S), _LONGEST_REST_S)
            self._odd[user] = self._clock.now() + rest, rest

    async def _read_users(self, asking: _Asking, users: list[str], asked_at: float) -> None:
        """Where Graph refuses the request as a whole, find whose id it is, so that it costs nobody else.

        What one unknown id does to a request of many is not documented: it may be a 400 or a 404 for all.
        """
        try:
            with self.plots.timed(Hop.TEAMS_READ):
                reads = await self._teams.presences(users)
        except (Refused, Gone) as error:
            may_be_one = isinstance(error, Gone) or error.status == 400
            if not may_be_one or len(asking.refused) >= max(_MOST_ODD, asking.told):
                raise
            if len(users) == 1:
                asking.refused[users[0]] = error
                self._leave_out(users[0], error)
                return
            # Every second one, since those who have left may stand beside each other in the list.
            for part in (users[::2], users[1::2]):
                while (left := self._pace.part_at - self._clock.now()) > 0:
                    await asyncio.sleep(left + 0.001)
                now = self._clock.now()
                self._pace.part_left(now)
                await self._read_users(asking, part, now)
            return
        self._metrics.last_seen.labels("teams_read").set(self._clock.now())
        asking.told += len(users)
        found = {read.id.casefold(): read for read in reads}
        for user in users:
            self._odd.pop(user, None)
            read = found.get(user)
            if read is None:
                self._not_told(user, "Graph does not tell this person's presence")
            else:
                self._hear(user, read, asked_at)

    def _leave_out(self, user: str, error: LinkError) -> None:
        self._not_told(user, f"Graph refuses to tell this person's presence: {error}")
        if self._people.of_user(user) is None:  # gone while the request was under way
            return
        _, rested = self._odd.get(user, (0.0, 0.0))
        self._odd[user] = self._clock.now() + _FIRST_REST_S, rested

    def _hear(self, user: str, read: PresenceRead, asked_at: float) -> None:
        presence = self._pair(read.availability, read.activity)
        known = self._known.get(user)
        if known is None:
            if self._people.of_user(user) is None:  # gone while the request was under way
                self._wanted.pop(user, None)
                return
            known = self._known[user] = _Known(presence)
        elif asked_at < known.asked_at:
            # A later read has overtaken this one. Nobody can tell which is newer, since Graph may have worked
            # through this one later. If they differ, the next one tells.
            if known.presence is not presence and (member := self._people.of_user(user)):
                self.want(member, self._clock.now())
            return
        changed = known.presence is not presence and not known.presence.same_as(presence)
        if changed and known.notified_at < asked_at:
            if self.on_silence:
                self._drifted.setdefault(user, asked_at)
            known.presence = presence
        known.asked_at = asked_at

        awaited = user in self._wanted and self._wanted[user] <= asked_at
        again = known.told_at < max(self._tell_all_from, asked_at - _TELL_AGAIN_S)
        if not (changed or awaited or again or user in self._troubled):
            return
        if awaited:
            del self._wanted[user]
        member = self._people.of_user(user)
        if member is None:
            return
        if user in self._troubled:
            self._troubled.discard(user)
            member.trouble("teams", "")
        known.told_at = asked_at
        self.on_seen(member, PresenceSeen(presence, Source.READ, asked_at, read.sequence_number))

    def _not_told(self, user: str, why: str) -> None:
        self._wanted.pop(user, None)
        member = self._people.of_user(user)
        if member is not None:
            self._troubled.add(user)
            member.trouble("teams", why)

    def _pair(self, availability: str, activity: str) -> Presence:
        """The one object for a pair: there are few pairs and many people."""
        presence = self._pairs.get((availability, activity))
        if presence is None:
            if len(self._pairs) >= _MOST_PAIRS:  # they are open words, after all
                self._pairs.clear()
            presence = self._pairs[availability, activity] = Presence(availability, activity)
        return presence

    # What became of it

    def _failed(self, asking: _Asking, error: LinkError) -> None:
        self._metrics.reads.labels("teams", type(error).__name__).inc()
        now, group = self._clock.now(), asking.group
        longest_s = pacing.LONGEST_RETRY_S
        if isinstance(error, TryAgain):  # while Graph is away, one request an interval is a look at it
            longest_s = min(max(self._every_s, _PATIENT_S), longest_s)
        in_trouble = self._pace.failed(
            asking.asked_at,
            now,
            error.after_s if isinstance(error, TryAgain) else None,
            too_many=error.status in (429, 503),
            longest_s=longest_s,
        )
        again_at = now
        if in_trouble:
            self._link.failed(error)
        else:  # others were answered meanwhile: only these wait longer
            tries = group.tries + 1 if group else 1
            again_at = now + pacing.rest(tries)
            if group:
                group.tries = tries
        if group:
            group.failed(asking.asked_at, again_at)
        for user in asking.awaited:
            not_before = self._wanted.get(user)
            if not_before is not None and not_before <= asking.asked_at:  # otherwise it is in the heap
                self._ask(user, not_before, again_at)

    def _tell_link(self) -> None:
        groups, interval_s = len(self._ring.groups), self.interval_s
        self._metrics.poll_interval.set(interval_s)
        what = cure = ""
        if interval_s > self._every_s:
            what = (
                f"everybody is read every {math.ceil(interval_s)} s instead of every {self._every_s:g} s: "
                f"{len(self._ring.users)} people are {groups} requests, and "
            )
            if self._pace.is_slowed:
                what += "Graph asked for fewer; the pace comes back by itself"
            else:
                what += f"{pacing.MOST_PER_S:g} in a second are half of Graph's limit"
                least = math.ceil(groups / pacing.MOST_PER_S)
                cure = (
                    f"set [teams] poll_every_s to {least} or more, or let Microsoft tell us ([teams.webhook])"
                )
        self._link.note("pace", what, cure)
        self._link.connected()

    def _check_silence(self, now: float) -> None:
        # The oldest is the first, or not much later than it.
        if now < next(iter(self._drifted.values()), float("inf")) + _DELIVERED_WITHIN_S:
            return
        silent = [user for user, since in self._drifted.items() if now - since >= _DELIVERED_WITHIN_S]
        for user in silent:
            del self._drifted[user]
        if self.on_silence:
            self._metrics.drift.labels("teams").inc(len(silent))
            self.on_silence(silent)
