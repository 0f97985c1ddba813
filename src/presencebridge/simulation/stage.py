"""An office with both emulators, the service in the midst of it, and a chronicle of what truly happens."""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import msgspec

from presencebridge.core.model import State
from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import GraphEmulator
from presencebridge.emulators.graph import presence as teams
from presencebridge.emulators.graph.background import Background
from presencebridge.emulators.graph.faults import NotificationFaults
from presencebridge.emulators.graph.keys import SigningKeys
from presencebridge.emulators.graph.presence import CLIENT_SESSION, Pair, Preferred
from presencebridge.emulators.world import User
from presencebridge.metrics import Metrics
from presencebridge.simulation import chronicle
from presencebridge.simulation.chronicle import AnyHappening, AtRest, Glance, Shown
from presencebridge.simulation.disk import Disk
from presencebridge.simulation.life import Life
from presencebridge.simulation.line import Answer, Lags, Line, served
from presencebridge.simulation.phones import V20, OldBridge, Phones, Switchboard
from presencebridge.simulation.plan import Plan
from presencebridge.simulation.site_file import START, WATCHERS, config_of, mail_of, world_of
from presencebridge.simulation.virtual_loop import VirtualLoop

_START_WITHIN_S: Final = 60.0
_LATE_NOTICE_S: Final = 2.5
"""By how much a notification comes late on a line that lags: seldom more than a change or two."""
_SAME_S: Final = 0.01
"""Two ends of a pause that are as close as this are one, reckoned at different times."""
_AGAIN_AFTER_S: Final = 5.0
"""After the service died of itself: what a service manager does."""


class Office:
    """Everything but the plan's course."""

    def __init__(self, plan: Plan, folder: Path, tasks: Background) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise TypeError("the simulation runs on a virtual loop")
        self.loop, self.tasks, self.plan, self._folder = loop, tasks, plan, folder
        self.happened: list[AnyHappening] = []
        self.deaths: list[chronicle.Violation] = []
        """Of the service, by its own doing; and whatever else is seen at once to be wrong."""
        self.counts: dict[str, int] = {}
        self.metrics = Metrics()
        """Of all lives of the service together."""
        self.changed_at = 0.0
        """When people or troubles last did something."""
        self.written_at = 0.0
        """When the service last wrote something."""
        self.broken = 0
        """How many troubles there are just now."""
        world = self._world = world_of(plan)
        self.config = config_of(plan, world, folder)
        dice = random.Random(f"office {plan.seed}")  # noqa: S311 - no secrets
        clock = Clock.of_loop(START)
        self.hook = _Hook(self)
        self.graph = GraphEmulator(
            world, clock=clock, transport=self.hook, seed=dice.getrandbits(32), keys=_signing_keys()
        )
        self.phones: Phones = (
            OldBridge(world, clock) if plan.site.kind == "3cx-web-api" else V20(world, clock, dice)
        )
        self.switchboard = Switchboard(self.phones)
        self.disk = Disk(random.Random(f"disk {plan.seed}"))  # noqa: S311
        self.disk.on_committed, self.disk.on_load = self._committed, self.pauses_loaded
        self.teams_line = Line(self.graph.app, random.Random(f"teams {plan.seed}"), tasks)  # noqa: S311
        self.teams_line.lags = Lags("/getPresencesByUserId", plan.site.lag_share)
        self.teams_line.is_write = _writes_presence
        self.teams_line.watch = self._watch_teams
        self.teams_line.on_hurry = self._hurried
        self.pbx_line = Line(self.phones.app, random.Random(f"3cx {plan.seed}"), tasks)  # noqa: S311
        self.pbx_line.is_write = lambda method, path: self.phones.written(method, path) is not None
        self.pbx_line.watch = self._watch_pbx
        self.wall_offset = 0.0
        self.hook_cuts = 0
        self.signed_out: set[str] = set()
        self.notification_faults: list[NotificationFaults] = []
        self.ugly_facts: list[dict[str, Any]] = []
        self.life: Life | None = None
        self._user_of = dict(zip(plan.people, world.users, strict=True))
        self._person_of = {user.id: person for person, user in self._user_of.items()}
        self._ours = world.client_id
        self._paused: dict[str, _Pause] = {}
        self._to_resume: set[str] = set()
        """Whose pause an operator has ended; it counts with the next state of theirs that is on the disk."""
        self._legs: dict[str, tuple[str, ...]] = {}
        self._not_served = set(plan.house.excluded)
        self._call_changed = asyncio.Event()
        self.set_notification_faults()

    # Time

    def time(self) -> float:
        return self.loop.time()

    def wall(self) -> float:
        return START + self.loop.time() + self.wall_offset

    # What people do

    def shows(self, person: str, pair: str | None) -> None:
        """Their Teams client reports this from now on."""
        user, now = self._user_of[person], self.graph.clock.now()
        before = self.graph.board.entry(user.id).presence
        if pair is None:
            changed = teams.without_session(before, CLIENT_SESSION)
        else:
            changed = teams.told(before, CLIENT_SESSION, _pair(pair), now, None)
        self.graph.put_presence(user, changed)
        self._tell(chronicle.ClientShows(self.time(), person, pair))

    def chooses(self, person: str, pair: str | None) -> None:
        """Their preferred presence from now on."""
        user = self._user_of[person]
        chosen = None if pair is None else Preferred(_pair(pair), None)
        before = self.graph.board.entry(user.id).presence
        self.graph.put_presence(user, teams.preferring(before, chosen))
        self._tell(chronicle.Chose(self.time(), person, pair))

    def set_by_hand(self, person: str, status: str) -> None:
        self.phones.set_status(person, status)
        self._tell(chronicle.StatusByHand(self.time(), person, status))

    def take(self, person: str, *, is_in: bool) -> None:
        """Out of those who are to be served, or in again: by their mail address on 3CX, or by the config."""
        (self._not_served.discard if is_in else self._not_served.add)(person)
        if self.plan.site.match == "email":
            self.phones.set_mail(person, mail_of(person) if is_in else "")
        else:
            self._write_config()
        told = chronicle.PutBack if is_in else chronicle.TakenOut
        self._tell(told(self.time(), person))

    def _write_config(self) -> None:
        """As an operator does, and has it read anew."""
        without = frozenset(self._not_served - self.plan.house.excluded)
        self.config = config_of(self.plan, self._world, self._folder, without)
        if self.life is not None:
            self.life.reload(self.config)

    def forgotten(self, person: str) -> None:
        """What the service kept of the person can't be read any more."""
        self._paused.pop(person, None)
        self._tell(chronicle.Forgotten(self.time(), person))

    def tell_legs(self) -> None:
        """After anything that changes calls."""
        for person in self.plan.people:
            legs = self.switchboard.legs_of(person)
            if legs != self._legs.get(person, ()):
                self._legs[person] = legs
                self._tell(chronicle.LegsAre(self.time(), person, legs))
                if person not in self._not_served:
                    self._call_changed.set()

    async def a_call_changes(self) -> None:
        """Until the calls of somebody who is served are others than now."""
        self._call_changed.clear()
        await self._call_changed.wait()

    async def calls_rest_for(self, seconds: float) -> None:
        """Until nobody's calls have changed for so long."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(seconds):
                    await self.a_call_changes()

    def calls_of_the_served(self) -> dict[str, tuple[str, ...]]:
        """Who is in which calls now."""
        return {
            person: legs for person, legs in self._legs.items() if legs and person not in self._not_served
        }

    async def order(self, person: str, what: str, body: dict[str, Any]) -> None:
        """What the operator wants; it counts once it is on the disk (`_committed`)."""
        if self.life is not None and self.life.alive:
            if what == "resume":  # perhaps before the pause is on the disk
                self._to_resume.add(person)
            else:
                self._to_resume.discard(person)
            await self.life.order(person, what, body)
            self.changed_at = self.time()

    # The service

    async def start(self) -> None:
        """A new life, on what is on the disk. Returns when it listens, or does not get so far."""
        self.count("start")
        life = self.life = Life(self)
        self._to_resume.clear()
        self.tasks.spawn(self._lives(life))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_WITHIN_S):
                await life.listens.wait()

    async def _lives(self, life: Life) -> None:
        try:
            await life.run()
        except Exception as error:  # noqa: BLE001 - that the service dies is a finding, whatever it dies of
            what = f"the service died of itself: {in_words(error)}"
            self.deaths.append(chronicle.Violation(0, self.time(), None, what))
            life.kill()
            begun = self.time()
            await asyncio.sleep(_AGAIN_AFTER_S)
            self.tell_trouble(begun, self.time(), "service", what)
            if self.life is life:
                await self.start()

    async def posted(self, request: httpx2.Request, body: bytes) -> Answer:
        """What Graph posts to the webhook. Raises `httpx2.ConnectError` where nobody listens."""
        app = self.life.webhook if self.life else None
        if app is None:
            raise httpx2.ConnectError("nobody listens there")
        return await served(app, request, body)

    def end(self) -> None:
        """The story is over."""
        if self.life is not None:
            self.life.kill()

    def decisions(self) -> int:
        """How many commands the core has given, in all lives of the service."""
        return total_of(self.metrics.commands)

    @property
    def serves(self) -> bool:
        return self.life is not None and self.life.alive and self.life.listens.is_set()

    # What is told

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def tell_trouble(
        self, begun: float, until: float, link: Any, what: str, person: str | None = None, total: bool = False
    ) -> None:
        self.happened.append(chronicle.Trouble(begun, until, link, what, person, total))
        self.changed_at = max(self.changed_at, until)

    def tell_rest(self) -> float | None:
        """What everybody shows, if all is calm. Returns how long the service took to come to rest."""
        if self.broken or not self.serves:
            return None
        self.happened.append(AtRest(self.time(), self.changed_at, self._everybody()))
        return max(0.0, self.written_at - self.changed_at)

    def glance(self) -> None:
        """A look at any time, also while the service is dead."""
        self.happened.append(Glance(self.time(), self._everybody()))

    def _everybody(self) -> dict[str, Shown]:
        self.graph.settle()
        return {person: self.shown(person) for person in self.plan.people}

    def shown(self, person: str) -> Shown:
        user, now = self._user_of[person], self.graph.clock.now()
        entry = self.graph.board.entry(user.id)
        session = teams.session_of(entry.presence, self._ours, now)
        without = teams.shown(teams.without_session(entry.presence, self._ours), now)
        return Shown(
            "/".join(entry.published),
            "/".join(without),
            "/".join(session.pair) if session else None,
            self.phones.status(person),
            self.switchboard.legs_of(person),
        )

    def user_id(self, person: str) -> str:
        return self._user_of[person].id

    def revoke_graph_tokens(self) -> None:
        """No token that was issued so far holds any more."""
        self.graph.tokens.revoke_all()

    def watcher_account(self, name: str) -> User:
        return self.graph.directory.find(WATCHERS[name])

    def set_notification_faults(self) -> None:
        """Those of all troubles that there are just now, together."""
        worst = NotificationFaults(reorder=self.plan.site.lag_share, reorder_s=_LATE_NOTICE_S)
        for faults in self.notification_faults:
            for field in ("drop", "duplicate", "reorder", "delay_s", "silent_stop"):
                setattr(worst, field, max(getattr(worst, field), getattr(faults, field)))
        self.graph.put_faults(msgspec.structs.replace(self.graph.faults, notifications=worst))

    def set_ugly_facts(self) -> None:
        """The same for 3CX."""
        together: dict[str, Any] = {}
        for facts in self.ugly_facts:
            together |= facts
        self.phones.ugly(**together)

    def _tell(self, happening: AnyHappening) -> None:
        self.happened.append(happening)
        self.changed_at = self.time()

    def _committed(self, person: str, state: State) -> None:
        """A pause holds from when it is on the disk, until its time is over or an operator ends it."""
        if self.life is None:
            return
        before = self._paused.get(person, _Pause())
        paused = _Pause(state.paused, state.paused_until, self._virtual(state.paused_until))
        if paused.is_as(before):
            self._paused[person] = paused
        elif state.paused:
            self._paused[person] = paused
            self._tell_pause(person, paused.ends)
        elif person in self._to_resume or self._is_over(person):
            self._paused[person] = paused
            self._to_resume.discard(person)
            self._tell(chronicle.ResumedByOperator(self.time(), person))

    def _is_over(self, person: str) -> bool:
        ends = self._paused.get(person, _Pause()).ends
        return ends is not None and ends <= self.time()

    def pauses_loaded(self) -> None:
        """A life takes up what was kept; the ends are by the wall, which may have been set since."""
        for person, pause in self._paused.items():
            if pause.is_on:
                ends = self._virtual(pause.until)
                self._paused[person] = pause._replace(ends=ends)
                self._tell_pause(person, ends)

    def _tell_pause(self, person: str, ends: float | None) -> None:
        if ends is None or ends > self.time():
            self._tell(chronicle.PausedByOperator(self.time(), person, ends))

    def _virtual(self, moment: float | None) -> float | None:
        """A moment by the wall as it is set now, in virtual time."""
        return None if moment is None else moment - self.wall() + self.time()

    def _watch_teams(self, method: str, path: str, body: bytes) -> Callable[[int], None] | None:  # noqa: ARG002
        parts = path.split("/")
        if not _writes_presence(method, path):
            return None
        user = parts[-3]
        person = self._person_of[user.casefold()]
        before = self._session(user)

        def told(status: int) -> None:
            if 200 <= status < 300:
                self._wrote(person, "teams", before, self._session(user))

        return told

    def _session(self, user: str) -> str | None:
        entry = self.graph.board.entry(user)
        session = teams.session_of(entry.presence, self._ours, self.graph.clock.now())
        return "/".join(session.pair) if session else None

    def _watch_pbx(self, method: str, path: str, body: bytes) -> Callable[[int], None] | None:  # noqa: ARG002
        person = self.phones.written(method, path)
        if person is None:
            return None
        before = self.phones.status(person)

        def told(status: int) -> None:
            if 200 <= status < 300:
                self._wrote(person, "3cx", before, self.phones.status(person))

        return told

    def _hurried(self, request: str, early_s: float) -> None:
        what = f"{request} came {early_s:.1f} s before Graph's Retry-After was over"
        self.deaths.append(chronicle.Violation(10, self.time(), None, what))

    def _wrote(self, person: str, side: Any, before: str | None, after: str | None) -> None:
        if before != after:  # a renewal is no unrest
            self.written_at = self.time()
        self.count(f"write {side}")
        self.happened.append(chronicle.Wrote(self.time(), person, side, before, after))


class _Pause(NamedTuple):
    """As it was kept: its end by the wall, and when that was as the wall was set then."""

    is_on: bool = False
    until: float | None = None
    ends: float | None = None

    def is_as(self, other: "_Pause") -> bool:
        if self.ends is None or other.ends is None:
            return (self.is_on, self.ends) == (other.is_on, other.ends)
        return self.is_on == other.is_on and abs(self.ends - other.ends) < _SAME_S


@functools.cache
def _signing_keys() -> SigningKeys:
    """Entra's: to make one takes as long as half an hour of an office day, so all days have the same."""
    return SigningKeys()


class _Hook(httpx2.AsyncBaseTransport):
    """Whatever Graph posts goes to the webhook, while somebody listens there."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._office.hook_cuts:
            raise httpx2.ConnectError("nobody listens there")
        status, headers, content = await self._office.posted(request, await request.aread())
        return httpx2.Response(status, headers=headers, content=content)


def total_of(counter: Any) -> int:
    """Of a metric that counts, over all its labels."""
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return sum(int(sample.value) for sample in samples if sample.name.endswith("_total"))


@contextlib.asynccontextmanager
async def office(
    plan: Plan, folder: Path, kind: Callable[[Plan, Path, Background], Office] = Office
) -> AsyncIterator[Office]:
    """The office, open; nobody is there and the service does not run yet."""
    async with Background() as tasks:
        made = kind(plan, folder, tasks)
        async with made.graph:
            try:
                yield made
            finally:
                made.end()
                await asyncio.sleep(1)


def _pair(text: str) -> Pair:
    availability, _, activity = text.partition("/")
    return Pair(availability, activity)


def _writes_presence(_method: str, path: str) -> bool:
    return path.endswith(("/presence/setPresence", "/presence/clearPresence"))


def in_words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(in_words(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
