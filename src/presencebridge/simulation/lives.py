"""People's office days: a plan first, as data, so that a shorter one can be tried; then it is played.

A day has two halves. Each is busy, and ends with a time in which nobody does anything, so that both sides can
come to rest; a meeting or a call may last through it.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

import msgspec

QUIET_S: Final = 2_100.0
"""How long nothing happens at the end of each half of a day."""

_OUT: Final = "10000"
"""The trunk: who is called outside, or calls from there."""


class Deed(msgspec.Struct, frozen=True, tag=True):
    """Base: what a person does, or what is done to one, at a moment of virtual time in seconds."""

    at: float
    person: str


class Shows(Deed, frozen=True):
    """The person's own Teams client reports this from now on; None: it signs out."""

    pair: str | None


class Chooses(Deed, frozen=True):
    """The person chooses this in Teams' own menu, where it outranks whatever runs; None: resets it.

    It is Graph's preferred presence, and counts while any client is signed in, or our session lives.
    """

    pair: str | None


class SetsByHand(Deed, frozen=True):
    """The person, or other software, sets the status on 3CX."""

    status: str


class Calls(Deed, frozen=True):
    """A call begins, with its legs as (extension or trunk, state). `call` is its number in the plan."""

    call: int
    legs: tuple[tuple[str, str], ...]


class LegIs(Deed, frozen=True):
    """The person's leg in a call is in another state, or there from now on."""

    call: int
    state: str


class Leaves(Deed, frozen=True):
    """The person's leg ends, and the call goes on."""

    call: int


class HangsUp(Deed, frozen=True):
    """The call is over, for everybody."""

    call: int


class IsPaused(Deed, frozen=True):
    """An operator pauses the person; `until` None: until resumed."""

    until: float | None


class IsResumed(Deed, frozen=True):
    pass


class IsTakenOut(Deed, frozen=True):
    """The person is to be served no more: 3CX has not their mail address, or the config leaves them out."""


class IsPutBack(Deed, frozen=True):
    """They are to be served again."""


AnyDeed = (
    Shows
    | Chooses
    | SetsByHand
    | Calls
    | LegIs
    | Leaves
    | HangsUp
    | IsPaused
    | IsResumed
    | IsTakenOut
    | IsPutBack
)


def plan_day(
    dice: random.Random,
    people: Sequence[str],
    start: float,
    hours: float,
    quiet_s: float = QUIET_S,
    *,
    may_go: bool = False,
) -> list[AnyDeed]:
    """What everybody does in a day that begins at `start`, in the order of time. `dice` alone decide.

    In each half nothing happens for its last `quiet_s` seconds. `may_go`: people are taken out, and put back.
    Raises `ValueError` for a day that is too short to have quiet times.
    """
    half_s = hours * 3600 / 2
    if half_s < 2 * quiet_s:
        raise ValueError(f"a day has at least {4 * quiet_s / 3600:.1f} hours, to be quiet in")
    deeds: list[AnyDeed] = []
    for half in _halves(dice, people, start, half_s, quiet_s, may_go=may_go):
        for person in people:
            deeds += half.of(person)
        deeds += half.together()
    return sorted(deeds, key=lambda deed: deed.at)


def choices_of_day(
    dice: random.Random, people: Sequence[str], start: float, hours: float, quiet_s: float = QUIET_S
) -> list[AnyDeed]:
    """What everybody chooses in Teams' menu in such a day."""
    halves = list(_halves(dice, people, start, hours * 1800, quiet_s))
    return [deed for half in halves for person in people for deed in half.in_the_menu(person)]


def absences_of_day(
    dice: random.Random, people: Sequence[str], start: float, hours: float, quiet_s: float = QUIET_S
) -> list[AnyDeed]:
    """Who is taken out in such a day, and put back."""
    halves = list(_halves(dice, people, start, hours * 1800, quiet_s))
    return [deed for half in halves for person in people for deed in half.comes_and_goes(person)]


def _halves(
    dice: random.Random,
    people: Sequence[str],
    start: float,
    half_s: float,
    quiet_s: float,
    *,
    may_go: bool = False,
) -> Iterator["_Half"]:
    numbers = count(1)
    for begins in (start, start + half_s):
        next_begins = None if begins > start else start + half_s
        yield _Half(dice, people, begins, begins + half_s - quiet_s, next_begins, numbers, may_go)


_MEETINGS: Final = (
    "Busy/InAMeeting",
    "Busy/InAMeeting",
    "Busy/InACall",
    "Busy/InAConferenceCall",
    "Busy/Busy",
    "DoNotDisturb/Presenting",
)
_REFUSALS: Final = ("DoNotDisturb/DoNotDisturb", "DoNotDisturb/Focusing", "BeRightBack/BeRightBack")
_IDLE: Final = ("Away/Away", "Away/Away", "BeRightBack/BeRightBack", "Offline/OffWork", None)
_FREE: Final = ("Available/Available",) * 7 + ("Available/OutOfOffice",)
_IN_TEAMS: Final[tuple[tuple[tuple[str | None, ...], float, float], ...]] = (
    (_MEETINGS, 120, 2_000),
    (_REFUSALS, 30, 1_200),
    (_IDLE, 20, 1_200),
    (_MEETINGS, 0.5, 8),
)
"""What somebody is in Teams, and for how many seconds. Nobody who polls need ever see the last."""
_CHOICES: Final = (
    *("Available/Available", "Busy/Busy", "DoNotDisturb/DoNotDisturb", "BeRightBack/BeRightBack"),
    *("Away/Away", "Offline/OffWork"),
)
"""What Teams' menu offers, as setUserPreferredPresence has it."""
_BRIEF_S: Final = 10.0
_HOW_OFTEN: Final = (0.55, 0.15, 0.2, 0.1)
_STATUSES: Final = ("Available", "Available", "Away", "Away", "Out of office", "Custom 1", "Custom 2")


class _Half:
    """Half a day: everybody's episodes between two moments. `next_begins` None: there is no half after it."""

    def __init__(  # noqa: PLR0913, PLR0917 - each once
        self,
        dice: random.Random,
        people: Sequence[str],
        begins: float,
        ends: float,
        next_begins: float | None,
        numbers: Iterator[int],
        may_go: bool,
    ) -> None:
        self._dice, self._people, self._numbers = dice, people, numbers
        self._begins, self._ends, self._next_begins = begins, ends, next_begins
        self._may_go = may_go

    def of(self, person: str) -> list[AnyDeed]:
        """In Teams, on the phone, and by hand: each goes its own way, so that they meet at all moments."""
        return [
            *self._in_teams(person),
            *self._on_the_phone(person),
            *self._by_hand(person),
            *(self.comes_and_goes(person) if self._may_go else self._operator(person)),
        ]

    def together(self) -> list[AnyDeed]:
        """What takes several: transfers and queue calls."""
        deeds: list[AnyDeed] = []
        if len(self._people) < 2:
            return deeds
        for at in self._moments(3_600 / len(self._people) + 300):
            deeds += self._whole(self._dice.choice((self._transfer, self._queue_call))(at))
        return deeds

    # Teams

    def _in_teams(self, person: str) -> Iterator[AnyDeed]:
        dice = self._dice
        at = self._begins + dice.uniform(0, 120)
        yield Shows(_ms(at), person, dice.choice(_FREE))
        at += dice.expovariate(1 / 600)
        while at < self._ends - 60:
            kinds, shortest, longest = dice.choices(_IN_TEAMS, _HOW_OFTEN)[0]
            shown = dice.choice(kinds)
            lasts = (
                self._briefly(shortest, longest) if longest < _BRIEF_S else dice.uniform(shortest, longest)
            )
            over = self._over(at, lasts)
            yield Shows(_ms(at), person, shown)
            if shown and dice.random() < 0.3:
                yield from self._by_hand_around(person, at, over)
            if (
                dice.random() < 0.2 and over - at > 30
            ):  # from one thing to the next, without being free between
                middle = dice.uniform(at, min(over, self._ends))
                yield Shows(_ms(middle), person, dice.choice(_MEETINGS + _REFUSALS))
            if over > self._ends:  # who begins the next half with it is free again then
                return
            yield Shows(_ms(over), person, dice.choice(_FREE))
            at = over + dice.choice((self._briefly(0.2, _BRIEF_S), dice.expovariate(1 / 900)))

    def _over(self, at: float, lasts: float) -> float:
        """When something that begins now is over: before it is quiet, or now and then after that."""
        if at + lasts < self._ends:
            return at + lasts
        if self._next_begins is not None and self._dice.random() < 0.5:
            return self._next_begins + self._dice.uniform(0, 120)
        return self._dice.uniform(at, self._ends)

    def _by_hand_around(self, person: str, begun: float, over: float) -> Iterator[AnyDeed]:
        """The status is set shortly before, while and after something goes on."""
        dice = self._dice
        moments = [
            begun - dice.uniform(0, 20),
            begun + dice.uniform(0, 20),
            dice.uniform(begun, over),
            over - dice.uniform(0, 10),
            over + dice.uniform(0, 20),
        ]
        for at in sorted(dice.sample(moments, dice.randint(1, 3))):
            if self._begins <= at < self._ends:
                yield SetsByHand(_ms(at), person, dice.choice(_STATUSES))

    def in_the_menu(self, person: str) -> Iterator[AnyDeed]:
        """One thing after another, or two at once, of which the second replaces the first."""
        dice = self._dice
        for at in self._moments(5_400):
            yield Chooses(_ms(at), person, dice.choice(_CHOICES))
            lasts = dice.choice(
                (self._briefly(0.5, _BRIEF_S), dice.uniform(20, 2_400), dice.uniform(20, 9_000))
            )
            yield Chooses(_ms(self._over(at, lasts)), person, None)

    # Phone

    def _on_the_phone(self, person: str) -> Iterator[AnyDeed]:
        dice = self._dice
        episodes = (
            self._calls_out,
            self._calls_out,
            self._is_called,
            self._is_called,
            self._missed,
            self._two_calls,
            self._on_hold,
            self._shortest,
        )
        for at in self._moments(1_200):
            deeds = self._whole(dice.choice(episodes)(person, at))
            yield from deeds
            if deeds and dice.random() < 0.25:
                yield from self._by_hand_around(person, deeds[0].at, deeds[-1].at)

    def _calls_out(self, person: str, at: float) -> Iterator[AnyDeed]:
        call, answered = next(self._numbers), at + self._dice.uniform(2, 20)
        yield Calls(at, person, call, ((person, "Dialing"), (_OUT, "Ringing")))
        yield LegIs(answered, person, call, "Connected")
        yield HangsUp(self._over(answered, self._dice.uniform(5, 900)), person, call)

    def _is_called(self, person: str, at: float) -> Iterator[AnyDeed]:
        call, answered = next(self._numbers), at + self._dice.uniform(1, 25)
        yield Calls(at, person, call, ((_OUT, "Dialing"), (person, "Ringing")))
        yield LegIs(answered, person, call, "Connected")
        yield HangsUp(self._over(answered, self._dice.uniform(5, 900)), person, call)

    def _missed(self, person: str, at: float) -> Iterator[AnyDeed]:
        call = next(self._numbers)
        yield Calls(at, person, call, ((_OUT, "Dialing"), (person, "Ringing")))
        yield HangsUp(at + self._dice.uniform(3, 60), person, call)

    def _two_calls(self, person: str, at: float) -> Iterator[AnyDeed]:
        first, second = next(self._numbers), next(self._numbers)
        middle = at + self._dice.uniform(5, 300)
        first_over, second_over = (middle + self._dice.uniform(1, 300) for _ in range(2))
        yield Calls(at, person, first, ((person, "Connected"), (_OUT, "Connected")))
        yield LegIs(middle - 1, person, first, "Hold")
        yield Calls(middle, person, second, ((_OUT, "Connected"), (person, "Connected")))
        yield HangsUp(first_over, person, first)
        yield HangsUp(second_over, person, second)

    def _on_hold(self, person: str, at: float) -> Iterator[AnyDeed]:
        call, held = next(self._numbers), at + self._dice.uniform(5, 200)
        back = held + self._dice.uniform(5, 400)
        yield Calls(at, person, call, ((person, "Connected"), (_OUT, "Connected")))
        yield LegIs(held, person, call, self._dice.choice(("Hold", "Held")))
        yield LegIs(back, person, call, "Connected")
        yield HangsUp(self._over(back, self._dice.uniform(5, 200)), person, call)

    def _shortest(self, person: str, at: float) -> Iterator[AnyDeed]:
        """Over before anybody who polls has looked."""
        call = next(self._numbers)
        yield Calls(at, person, call, ((_OUT, "Connected"), (person, "Connected")))
        yield HangsUp(at + self._dice.uniform(0.1, 4), person, call)

    def _transfer(self, at: float) -> Iterator[AnyDeed]:
        """One takes a call and hands it to a colleague."""
        first, other = self._dice.sample(self._people, 2)
        call, asked = next(self._numbers), at + self._dice.uniform(10, 200)
        taken = asked + self._dice.uniform(1, 20)
        yield Calls(at, first, call, ((_OUT, "Connected"), (first, "Connected")))
        yield LegIs(asked, other, call, "Ringing")
        yield LegIs(taken, other, call, "Connected")
        yield Leaves(taken, first, call)
        yield HangsUp(self._over(taken, self._dice.uniform(5, 600)), other, call)

    def _queue_call(self, at: float) -> Iterator[AnyDeed]:
        """Several ring, one takes it; or nobody does."""
        dice = self._dice
        ringing = dice.sample(self._people, dice.randint(2, min(4, len(self._people))))
        call, taken = next(self._numbers), at + dice.uniform(1, 30)
        yield Calls(at, ringing[0], call, ((_OUT, "Dialing"), *((person, "Ringing") for person in ringing)))
        if dice.random() < 0.2:
            yield HangsUp(taken, ringing[0], call)
            return
        for person in ringing[1:]:
            yield Leaves(taken, person, call)
        yield LegIs(taken, ringing[0], call, "Connected")
        yield HangsUp(self._over(taken, self._dice.uniform(5, 600)), ringing[0], call)

    # By hand, and by operators

    def _by_hand(self, person: str) -> Iterator[AnyDeed]:
        """At any moment; and sometimes twice, for what is soon taken back."""
        dice = self._dice
        for at in self._moments(2_700):
            yield SetsByHand(_ms(at), person, dice.choice(_STATUSES))
            again = at + dice.choice((dice.uniform(1, 30), dice.uniform(60, 900)))
            if dice.random() < 0.6 and again < self._ends:
                yield SetsByHand(_ms(again), person, "Available")

    def _operator(self, person: str) -> Iterator[AnyDeed]:
        dice = self._dice
        if dice.random() < 0.8:
            return
        at = dice.uniform(self._begins, self._ends)
        over = self._over(at, dice.uniform(60, 2_400))
        by_time = dice.random() < 0.4
        yield IsPaused(_ms(at), person, _ms(over) if by_time else None)
        if not by_time:
            yield IsResumed(_ms(over), person)

    def comes_and_goes(self, person: str) -> Iterator[AnyDeed]:
        """Taken out for a while, which is noticed or not, and may last over the quiet time."""
        dice = self._dice
        if dice.random() < 0.5:
            return
        at = dice.uniform(self._begins, self._ends)
        yield IsTakenOut(_ms(at), person)
        yield IsPutBack(_ms(self._over(at, dice.choice((30, 300, 3_000)) * dice.uniform(0.5, 1.5))), person)

    # Time

    def _moments(self, every_s: float) -> Iterator[float]:
        at = self._begins + self._dice.expovariate(1 / every_s)
        while at < self._ends:
            yield at
            at += self._dice.expovariate(1 / every_s)

    def _briefly(self, shortest: float, longest: float) -> float:
        """So many seconds; fractions of one are as likely as several: what follows is under way then."""
        return math.exp(self._dice.uniform(math.log(shortest), math.log(longest)))

    def _whole(self, episode: Iterator[AnyDeed]) -> list[AnyDeed]:
        """An episode as a whole, in the order of time; none of it, if any would break the quiet."""
        deeds = [msgspec.structs.replace(deed, at=_ms(deed.at)) for deed in episode]
        fits = all(
            deed.at < self._ends or (self._next_begins is not None and deed.at >= self._next_begins)
            for deed in deeds
        )
        return sorted(deeds, key=lambda deed: deed.at) if fits else []


def _ms(at: float) -> float:
    """To the millisecond, which reads well and is exact enough."""
    return round(at, 3)
