"""A bridge that makes no mistakes, and the office it serves: what the judge must never find fault with.

It knows the truth and looks at it when it should. It has no code in common with the service.
"""

import random
from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from presencebridge.simulation import worlds
from presencebridge.simulation.chronicle import (
    AnyHappening,
    AtRest,
    ClientShows,
    Glance,
    House,
    LegsAre,
    PausedByOperator,
    PutBack,
    ResumedByOperator,
    Shown,
    StatusByHand,
    TakenOut,
    Trouble,
    Wrote,
)
from presencebridge.simulation.lives import (
    AnyDeed,
    Calls,
    HangsUp,
    IsPaused,
    IsPutBack,
    IsResumed,
    IsTakenOut,
    Leaves,
    LegIs,
    SetsByHand,
    Shows,
    plan_day,
)

RANK = {"DoNotDisturb": 4, "Busy": 3, "Available": 2, "BeRightBack": 1, "Away": 1, "Offline": 0}


def told_of(deeds: Sequence[AnyDeed]) -> list[AnyHappening]:  # noqa: C901 - one case each
    """What happens where these deeds are done."""
    told: list[AnyHappening] = []
    calls: dict[int, dict[str, str]] = {}

    def legs(at: float, *people: str) -> None:
        for person in people:
            if person != "10000":
                mine = tuple(legs[person] for legs in calls.values() if person in legs)
                told.append(LegsAre(at, person, mine))

    for deed in sorted(deeds, key=lambda deed: deed.at):
        at, person = deed.at, deed.person
        match deed:
            case Shows():
                told.append(ClientShows(at, person, deed.pair))
            case SetsByHand():
                told.append(StatusByHand(at, person, deed.status))
            case IsPaused():
                told.append(PausedByOperator(at, person, deed.until))
            case IsResumed():
                told.append(ResumedByOperator(at, person))
            case IsTakenOut():
                told.append(TakenOut(at, person))
            case IsPutBack():
                told.append(PutBack(at, person))
            case Calls():
                calls[deed.call] = dict(deed.legs)
                legs(at, *calls[deed.call])
            case HangsUp():
                legs(at, *calls.pop(deed.call))
            case LegIs():
                calls[deed.call][person] = deed.state
                legs(at, person)
            case Leaves():
                calls[deed.call].pop(person, None)
                legs(at, person)
    return told


def a_day(seed: int, people: Sequence[str] = ("101", "102", "103"), hours: float = 4) -> list[AnyHappening]:
    """A random day with looks at its rests."""
    dice = random.Random(seed)  # noqa: S311 - no secrets
    told = told_of(plan_day(dice, people, 0, hours))
    half = hours * 1800
    return [*told, *(AtRest(end - 1, end - 2000, {}) for end in (half, 2 * half))]


class Person:
    """One person's truth, and what the bridge believes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client, self.client_since = "Offline/Offline", -1.0
        self.session: str | None = None
        self.session_since = self.renewed = -1.0
        self.status = "Available"
        self.legs: tuple[str, ...] = ()
        self.paused = False
        self.pause_ends: float | None = None
        self.wish: str | None = None
        self.claim: str | None = None
        self.calling = False
        self.fresh = True
        """Teams was not looked at since the start, or since the pause."""

    def shown(self) -> Shown:
        mine = self.session or "Offline/Offline"
        ours = (RANK[mine.partition("/")[0]], self.session_since, mine)
        own = (RANK[self.client.partition("/")[0]], self.client_since, self.client)
        effective = max(ours, own)[2] if self.session else self.client
        return Shown(effective, self.client, self.session, self.status, self.legs)


class Bridge:
    """Looks at everything at once (`every` None), or at Teams, calls and statuses every so many seconds."""

    def __init__(self, house: House, every: tuple[float, float, float] | None = None) -> None:
        self.house, self.every = house, every
        self.people: dict[str, Person] = {}
        self.now = 0.0
        self.wrote: list[AnyHappening] = []

    def serve(self, told: Sequence[AnyHappening]) -> list[AnyHappening]:
        """The chronicle of that day."""
        chronicle: list[AnyHappening] = []
        troubles = [happening for happening in told if isinstance(happening, Trouble)]
        names = {getattr(happening, "person", None) or "" for happening in told} - {""}
        self.people = {name: Person(name) for name in sorted(names)}
        ends = max((happening.at for happening in told), default=0.0)
        looks = [(at, what) for what, at in self._looks(ends)]
        for at, due in sorted([*looks, *((happening.at, happening) for happening in told)], key=_when):
            self.now = at
            down = {trouble.link for trouble in troubles if trouble.at <= at < trouble.until}
            for person in self.people.values():
                self._by_itself(person)
            what = self._with_looks(due) if isinstance(due, AtRest | Glance) else due
            if isinstance(what, Trouble) and what.link == "service":
                for person in self.people.values():
                    person.fresh = True
            if not isinstance(what, str):
                self._happens(what)
                chronicle.append(what)
            for person in self.people.values():
                if "service" not in down and person.name not in self.house.excluded and not person.paused:
                    self._look(person, what if isinstance(what, str) else "", down)
            chronicle += self.wrote
            self.wrote = []
        return chronicle

    def _with_looks(self, look: AtRest | Glance) -> AtRest | Glance:
        return replace(look, shown={name: person.shown() for name, person in self.people.items()})

    def _looks(self, ends: float) -> Iterator[tuple[str, float]]:
        every = self.every or (10.0, 10.0, 10.0)
        for what, interval in zip(("teams", "calls", "status"), every, strict=True):
            yield from ((what, number * interval) for number in range(int(ends / interval) + 1))

    def _by_itself(self, person: Person) -> None:
        if person.session and person.renewed + self.house.lease_s <= self.now:
            person.session = None
        if person.pause_ends is not None and person.pause_ends <= self.now:
            self._resume(person)

    def _resume(self, person: Person) -> None:
        person.paused, person.pause_ends, person.fresh = False, None, True

    def _happens(self, happening: AnyHappening) -> None:
        person = self.people.get(getattr(happening, "person", None) or "")
        match happening:
            case ClientShows() if person and (happening.pair or "Offline/Offline") != person.client:
                person.client, person.client_since = happening.pair or "Offline/Offline", self.now
            case StatusByHand() if person:
                person.status = happening.status
            case LegsAre() if person:
                person.legs = happening.legs
            case PausedByOperator() if person:
                person.paused, person.pause_ends = True, happening.until
            case ResumedByOperator() if person:
                self._resume(person)
            case _:
                pass

    def _look(self, person: Person, what: str, down: Collection[str]) -> None:
        if "3cx" in down:
            return
        everything = self.every is None or person.fresh
        if everything or what == "calls":
            person.calling = worlds.in_a_call(person.legs, self.house.busy_while_ringing)
        if everything or what == "status":
            self._at_status(person)
        if "teams" in down:
            return
        self._level(person)
        if everything or what == "teams":
            self._at_teams(person)
            self._level(person)

    def _at_status(self, person: Person) -> None:
        if person.claim != person.status:
            person.claim = None

    def _level(self, person: Person) -> None:
        """What the session in Teams should be."""
        out = self.house.preset == "mirror" and person.status == "Out of office" != person.claim
        wanted = "Busy/InACall" if person.calling else "DoNotDisturb/Presenting" if out else None
        due = self.now - person.renewed >= self.house.lease_s / 2
        if wanted != person.session or (wanted and due):
            self.wrote.append(Wrote(self.now, person.name, "teams", person.session, wanted))
            if wanted != person.session:
                person.session, person.session_since = wanted, self.now
            person.renewed = self.now

    def _at_teams(self, person: Person) -> None:
        hides = person.session is not None and person.shown().effective == person.session
        if hides:
            return
        wish, before = worlds.wish_of(self.house.preset, person.client), person.wish
        fresh, person.fresh, person.wish = person.fresh or before is None, False, wish
        self._at_status(person)
        if wish == "Available":
            frees = worlds.freed(self.house.preset, self.house.manual_wins)
            own = not fresh and before != "Available" and person.status in frees
            if person.claim or own:
                self._set(person, "Available")
        elif wish not in {"no change", before} and (person.claim or person.status == "Available"):
            self._set(person, wish)

    def _set(self, person: Person, status: str) -> None:
        if person.status != status:
            self.wrote.append(Wrote(self.now, person.name, "3cx", person.status, status))
        person.status = status
        person.claim = None if status == "Available" else status


def _when(item: tuple[float, object]) -> tuple[float, bool]:
    """What happens goes before who looks at it."""
    return item[0], isinstance(item[1], str)
