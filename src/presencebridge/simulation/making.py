"""A seed becomes a plan: who works there, by which rules, what they do, and what goes wrong."""

import random
from collections.abc import Callable
from typing import Final, Literal

from msgspec.structs import replace

from presencebridge.simulation import lives, node_troubles, troubles
from presencebridge.simulation.chronicle import House
from presencebridge.simulation.plan import DAY_S, AnyDeed, Kind, Plan, Site, Trouble

Faults = Literal["none", "some", "all"]

_HOURS: Final = 8.0
_HALF_S: Final = _HOURS * 1800
_KINDS: Final[tuple[Kind, ...]] = ("3cx-web-api", "3cx-v20", "3cx-v20-active-calls")
_PRESETS: Final = ("seed", "calls-only", "mirror")
_CALLS_A_DAY: Final = 100_000
"""More than there are; plans of single days number their calls from 1."""
_NIGHTS: Final = ("slept", "slept", "restarted")
_NODE_LEASES_S: Final = (10.0, 10.0, 20.0, 30.0)
_STARTED_S: Final = 30.0
_SHARE_WITHOUT: Final = 0.5


def plan_of(seed: int, days: int, faults: Faults, nodes: int = 1) -> Plan:
    """The plan of a seed. Neighbouring seeds go through all kinds, deliveries, presets and `manual_wins`.

    With several nodes it is the same office, and other troubles.
    """
    dice = random.Random(f"plan {seed}")  # noqa: S311 - no secrets
    people = tuple(str(101 + number) for number in range(dice.randint(2, 5)))
    kind, rings = _KINDS[seed % 3], dice.random() < 0.3
    house = House(
        _PRESETS[seed // 6 % 3],
        manual_wins=bool((seed + seed // 18) % 2),
        # The list of active calls names one of several phones that ring.
        busy_while_ringing=rings and kind != "3cx-v20-active-calls",
        lease_s=dice.choice((300, 300, 420, 900)),
        excluded=frozenset(people[-1:]) if len(people) > 2 and dice.random() < 0.3 else frozenset(),
    )
    site = Site(
        kind,
        "webhook" if seed // 3 % 2 else "poll",
        presence_every_s=dice.choice((20.0, 30.0, 40.0)),
        reconcile_every_s=dice.choice((120.0, 300.0)),
        calls_every_s=dice.choice((10.0, 20.0, 30.0)),
        statuses_every_s=dice.choice((20.0, 30.0, 60.0)),
        on_stop=dice.choice(("clear", "leave")),
        match="email" if kind != "3cx-web-api" and dice.random() < 0.5 else "list",
        look_every_s=dice.choice((60.0, 180.0, 600.0)),
        watchers=dice.choice((1, 2)),
        lag_share=random.Random(f"lags {seed}").choice((0.0, 0.0, 0.1, 0.4)),  # noqa: S311
        nodes=nodes,
        node_lease_s=random.Random(f"leases {seed}").choice(_NODE_LEASES_S),  # noqa: S311
    )
    deeds: list[AnyDeed] = []
    rests: list[float] = []
    for day in range(days):
        begin = day * DAY_S
        lived = lives.plan_day(
            dice,
            people,
            begin + _STARTED_S,
            _HOURS - _STARTED_S / 1800,
            may_go=site.match == "email",
        )
        deeds += _numbered(lived, day)
        if nodes == 1:
            deeds += _sometimes("choices", lives.choices_of_day, seed, day, people)
        if nodes == 1 and site.match == "list":
            paused = {deed.person for deed in lived if isinstance(deed, lives.IsPaused)}
            others = tuple(person for person in people if person not in paused)
            deeds += _sometimes("absences", lives.absences_of_day, seed, day, others)
        for half in range(2):
            rests.append(begin + (half + 1) * _HALF_S)
            active = (begin + half * _HALF_S + _STARTED_S, rests[-1] - lives.QUIET_S)
            moments = [deed.at for deed in lived if active[0] <= deed.at < active[1]]
            deeds += _troubles(dice, site, people, faults, active, moments)
            if faults != "none" and nodes == 1:
                deeds += _rare_troubles(random.Random(f"rare {seed} {day} {half}"), site, people, active)  # noqa: S311
        if day + 1 < days:
            nights = _NIGHTS if nodes == 1 else (node_troubles.NIGHT,)
            deeds.append(_night(dice, nights, rests[-1] + 5.0, (day + 1) * DAY_S))
    deeds.sort(key=lambda deed: deed.at)
    return Plan(seed, people, house, site, tuple(deeds), tuple(rests), rests[-1])


def _sometimes(
    what: str, of_day: Callable[..., list[lives.AnyDeed]], seed: int, day: int, people: tuple[str, ...]
) -> list[lives.AnyDeed]:
    """On half of the days; by dice of their own, so that all else of a seed stays as it was."""
    dice = random.Random(f"{what} {seed} {day}")  # noqa: S311
    if dice.random() < _SHARE_WITHOUT:
        return []
    return of_day(dice, people, day * DAY_S + _STARTED_S, _HOURS - _STARTED_S / 1800)


def _numbered(deeds: list[lives.AnyDeed], day: int) -> list[lives.AnyDeed]:
    """With calls that no other day has."""
    return [
        replace(deed, call=deed.call + day * _CALLS_A_DAY)
        if isinstance(deed, lives.Calls | lives.LegIs | lives.Leaves | lives.HangsUp)
        else deed
        for deed in deeds
    ]


def _troubles(
    dice: random.Random,
    site: Site,
    people: tuple[str, ...],
    faults: Faults,
    span: tuple[float, float],
    moments: list[float],
) -> list[Trouble]:
    if faults == "none":
        return []
    if site.nodes > 1:
        count = dice.randint(1, 3) if faults == "some" else dice.randint(4, 9)
        return node_troubles.drawn(dice, site, people, count, mild=faults == "some", span=span)
    names = troubles.possible(site, mild=faults == "some")
    count = dice.randint(1, 3) if faults == "some" else dice.randint(3, 12)
    begin, end = span
    chosen = [troubles.drawn(dice, dice.choice(names), people, begin, end, moments) for _ in range(count)]
    if faults == "all" and dice.random() < 0.3:
        chosen += troubles.swizzle(dice, site, dice.uniform(begin, end - 1600), end)
    return troubles.without_overlap(chosen)


def _rare_troubles(
    dice: random.Random, site: Site, people: tuple[str, ...], span: tuple[float, float]
) -> list[Trouble]:
    """One, or none; by dice of their own."""
    names = troubles.possible(site, mild=False, rare=True)
    drawn = troubles.drawn(dice, dice.choice(names), people, *span)
    return [drawn] if dice.random() > _SHARE_WITHOUT else []


def _night(dice: random.Random, kinds: tuple[str, ...], begin: float, end: float) -> Trouble:
    """The machine sleeps, or the service is stopped: sixteen hours of polling would tell nothing new."""
    return Trouble(begin, end - begin, dice.choice(kinds))
