"""An office that is only shown: everything that the page asks a site for, and no site behind it.

The same people, in the same conditions, every time; `live` changes somebody as a working day does.
"""

import asyncio
import random
from typing import Final

from msgspec.structs import replace

from presencebridge.core.commands import AnyCommand, ChangeStatus, ClearPresence, Note, SetPresence
from presencebridge.core.events import AnyEvent, LegsSeen, PresenceSeen, Source, StatusWritten
from presencebridge.core.model import (
    AVAILABLE,
    AWAY,
    Because,
    LegState,
    Presence,
    State,
    StatusClaim,
    TeamsClaim,
    Write,
)
from presencebridge.core.policy import SEED
from presencebridge.metrics import Metrics
from presencebridge.runtime.day import Day
from presencebridge.runtime.journal import Entry, Journal
from presencebridge.runtime.links import LinkReport, LinkState
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.web import views

FIRST: Final = (
    "Anna", "Bernd", "Clara", "David", "Elif", "Franz", "Greta", "Hans", "Ines", "Jonas", "Katja", "Lukas",
    "Marie", "Nils", "Özlem", "Paul", "Ruth", "Stefan", "Tanja", "Uwe", "Vera", "Wolfgang", "Yasmin", "Zoe",
)  # fmt: skip
LAST: Final = (
    "Albers", "Brandt", "Conrad", "Dietz", "Erdem", "Fuchs", "Graf", "Huber", "Iversen", "Jung", "Kern",
    "Lang", "Meißner", "Neumann", "Ostermann-Feldkirchner", "Petersen", "Quast", "Roth", "Schulz", "Thoma",
    "Ulrich", "Vogel", "Wagner", "Xanthopoulos", "Yildiz", "Ziegler",
)  # fmt: skip

FREE, OFF = Presence("Available", "Available"), Presence("Offline", "Offline")
MEETING, CALL = Presence("Busy", "InAMeeting"), Presence("Busy", "InACall")
SHOWING, AWAY_PAIR = Presence("DoNotDisturb", "Presenting"), Presence("Away", "Away")
BACK = Presence("BeRightBack", "BeRightBack")

_LEASE_S: Final = 300.0


class ShownOffice:
    """Fits `web.operator.Site`."""

    def __init__(self, number: int, *, hours: float = 8, seed: int = 7, name: str = "Kanzlei Nord") -> None:
        self.name, self.is_dry_run = name, False
        self.metrics, self.journal = Metrics(), Journal()
        self.plots = Plots(self.now)
        self.day = Day(hours) if hours else None
        self._dice = random.Random(seed)  # noqa: S311 - the same office every time
        self._time = 1_795_852_800.0 + 11.4 * 3600  # a Friday in November, towards noon in UTC
        self._begun: float | None = None
        self.people = People([self._somebody(at) for at in range(number)])
        self.states = {member.key: State() for member in self.people}
        self.links = [
            LinkReport("store", LinkState.CONNECTED, "", "", self._time - 30000),
            LinkReport("graph", LinkState.CONNECTED, "", "", self._time - 29990),
            LinkReport("3cx", LinkState.CONNECTED, "", "", self._time - 29990),
            LinkReport("subscription default", LinkState.CONNECTED, "", "", self._time - 9000),
        ]
        self.left: list[views.LeftView] = []
        self.ends: list[views.Note] = []
        self.orders: list[tuple[object, ...]] = []
        self._live_through(hours or 1)

    def now(self) -> float:
        """The office's own time, which passes as fast as anybody's once it is looked at."""
        if self._begun is None:
            return self._time
        return self._time + asyncio.get_running_loop().time() - self._begun

    def start(self) -> None:
        """Let time pass from now on."""
        self._begun = asyncio.get_running_loop().time()

    def _somebody(self, number: int) -> Member:
        first, last = FIRST[number % len(FIRST)], LAST[(number * 7 + number // len(FIRST)) % len(LAST)]
        mail = f"{first}.{last}@example.org".casefold()
        return Member(str(101 + number), mail, SEED, user=f"id-{number}", name=f"{first} {last}")

    # What happens

    def _live_through(self, hours: float) -> None:
        """A morning behind everybody; some are looked at more closely than others."""
        end = self._time
        members = list(self.people)
        for number, member in enumerate(members):
            self._time = end - hours * 3600 + self._dice.uniform(0, 3000)
            self._set(member, PresenceSeen(FREE, Source.READ, self._time), (), shown=FREE, person=FREE,
                      status=AVAILABLE, legs=(), pbx_up=True)  # fmt: skip
            while number < 60 and self._time < end - 4000:  # so long as an episode may last
                self._time += self._dice.uniform(300, 2400)
                self.live(member)
                if self.states[member.key].legs:
                    self._time += self._dice.uniform(120, 900)
                    self.live(member)
            self._time = end - self._dice.uniform(5, 600)
            for _ in range(self._dice.choice((0, 0, 1, 1, 2))):
                self.live(member)
        self._time = end
        self._oddities(members)
        for slot in range(44, -1, -1):
            self._time = end - slot * 20
            for hop, usual in zip(Hop, (0.0042, 0.0009, 0.09, 0.12, 0.0008, 0.03, 0.07), strict=True):
                for _ in range(self._dice.randrange(0, 6)):
                    self.plots.took(hop, usual * self._dice.lognormvariate(0, 0.35))
        self._time = end

    def _oddities(self, members: list[Member]) -> None:
        """Those whom an operator looks for."""
        for number, member in enumerate(members):
            state = self.states[member.key]
            if number % 40 == 3:
                reason = "429 too many requests; Graph asks to wait 12 s"
                state = replace(state, teams_write=Write(None, 3, self._time + 12, reason))
            elif number % 50 == 7:
                state = replace(state, paused=True, paused_until=self._time + 2700)
            elif number % 50 == 20:
                member.policy = replace(SEED, excluded=True)
                state = State()
            elif number % 70 == 11:
                state = replace(state, shown=OFF, person=OFF, legs=(), teams_claim=None, status_claim=None)
            self.states[member.key] = state

    def live(self, member: Member | None = None) -> str:
        """Somebody does what people do; returns who."""
        member = member or self._dice.choice(list(self.people))
        state, now = self.states[member.key], self.now()
        if state.legs:
            ended = LegsSeen(()), (ClearPresence(Because.CALL_OVER, CALL),)
            self._set(member, *ended, legs=(), call_since=None, teams_claim=None, shown=state.person)
        elif state.status_claim:
            free = PresenceSeen(FREE, Source.NOTIFICATION, now)
            back = ChangeStatus(Because.TEAMS_FREE, (AWAY,), AVAILABLE)
            self._set(member, free, (back,), shown=FREE, person=FREE, status=AVAILABLE, status_claim=None)
        elif self._dice.random() < 0.45:
            legs = (self._dice.choice((LegState.CONNECTED, LegState.CONNECTED, LegState.HOLD)),)
            claim = TeamsClaim(CALL, Because.IN_CALL, now, state.person, now + _LEASE_S, now)
            begun = LegsSeen(legs), (SetPresence(Because.IN_CALL, CALL, 300),)
            self._set(member, *begun, legs=legs, call_since=now, teams_claim=claim, shown=CALL)
        elif self._dice.random() < 0.6:
            shown = self._dice.choice((MEETING, MEETING, SHOWING, BACK))
            seen = PresenceSeen(shown, Source.NOTIFICATION, now)
            taken = ChangeStatus(Because.TEAMS_BUSY, (AVAILABLE,), AWAY)
            claim_3cx = StatusClaim(AWAY, AVAILABLE, shown, now, confirmed=True, ours=(AWAY,))
            self._set(member, seen, (taken,), shown=shown, person=shown, status=AWAY, status_claim=claim_3cx)
            written = StatusWritten(AVAILABLE, AWAY, wrote=True), (Note(Because.STATUS_TAKEN, AWAY),)
            self._set(member, *written)
        else:
            shown = self._dice.choice([one for one in (FREE, OFF, AWAY_PAIR) if one != state.shown])
            self._set(member, PresenceSeen(shown, Source.READ, now), (), shown=shown, person=shown)
        return member.key

    def _set(self, member: Member, seen: AnyEvent, said: tuple[AnyCommand, ...], **known: object) -> None:
        state = self.states[member.key] = replace(self.states[member.key], **known)
        if self.day is not None:
            self.day.note(member.key, state, self.now())
        self.journal.add(Entry(self.now(), member.key, seen, said))

    # What the page asks

    def keys(self) -> list[str]:
        return sorted((member.key for member in self.people), key=lambda key: (len(key), key))

    def view(self, key: str) -> views.PersonView | None:
        if key not in self.people:
            return None
        return views.person(self.people[key], self.states[key], links_up=True)

    def find(self, name: str) -> str | None:
        member = self.people.find(name)
        return None if member is None else member.key

    def link_views(self) -> list[views.LinkView]:
        return [views.link(report) for report in self.links]

    def ending(self) -> list[views.Note]:
        return self.ends

    def overview(self) -> views.Overview:
        everybody = [view for key in self.keys() if (view := self.view(key))]
        return views.Overview(ready=True, dry_run=self.is_dry_run, links=self.link_views(), people=everybody)

    def person(self, name: str) -> views.PersonPage | None:
        key = self.find(name)
        view = self.view(key) if key else None
        return (
            None if view is None else views.person_page(view, self.journal.of(view.extension), dry_run=False)
        )

    def matching(self) -> views.MatchingView:
        return views.MatchingView("email", views.clock(self._time - 300), None, [], [], self.left)

    def pause(self, name: str, seconds: float | None) -> bool:
        return self._order(name, "pause", seconds)

    def resume(self, name: str) -> bool:
        return self._order(name, "resume")

    def _order(self, name: str, *what: object) -> bool:
        key = self.find(name)
        self.orders.append((key, *what))
        if key is not None:
            self.states[key] = replace(self.states[key], paused=what[0] == "pause", paused_until=None)
            self.journal.changed()
        return key is not None

    def stuck(self) -> list[str]:
        return []

    def measure(self) -> None:
        self.metrics.in_step.set(1)

    def refresh(self) -> None:
        self.orders.append(("refresh",))
