"""PURE: how long the service may take, and when one person's world is in trouble."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

import msgspec

from presencebridge.simulation.chronicle import AnyHappening, Forgotten, PutBack, TakenOut, Trouble
from presencebridge.simulation.plan import Site

_ROUND_TRIPS_S: Final = 10.0
"""A read, what it is compared with, the write and its read back, and Teams read again after our session."""
_TOLD_S: Final = 5.0
"""From a change until a notification or an event of it has come."""
WHOLE_EVERY_S: Final = 30.0
"""How often all calls are read where a websocket tells of them."""
_GIVEN_UP_S: Final = 60.0
"""From the first of several tries until a link counts as lost, and the last write has arrived."""
REPLAYED: Final = "replayed"
STOPPED: Final = "it was stopped"
"""What is told of notifications that are of any age."""
_LONGEST_RETRY_S: Final = 60.0
"""Between two tries, when nothing works for long."""
_LONGEST_REST_S: Final = 120.0
"""Between two tries of one extension that is not answered."""
KEY_REFUSED: Final = "3CX answers 401"
"""What is told of a 3CX that takes neither tokens nor the key."""
_LONGEST_REFUSAL_S: Final = 300.0
"""Between two tries of a key that was refused again and again, lest 3CX bars us."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long the service may take, in seconds of calm; `of` a site they are what its config promises."""

    teams_s: float = 60.0
    """From a change in Teams until everything that follows from it on 3CX is written."""
    calls_s: float = 60.0
    """From a change of calls until everything that follows from it in Teams is written."""
    status_s: float = 90.0
    """Until a status that was set by hand is noticed; not less than the other two."""
    heal_s: float = 180.0
    """After a trouble: until all links stand again and everything was read."""
    heal_extension_s: float = 240.0
    """After a time in which one extension was not answered."""
    heal_refused_s: float = 420.0
    """After a time in which 3CX refused the key."""
    heal_notices_s: float = 420.0
    """After trouble of notifications: until everything was read all the same."""
    people_s: float = 600.0
    """Until it is noticed who came or has gone, and what was held for them is given back."""
    blind_s: float = 120.0
    """Until it is noticed that 3CX can't be reached, and the last renewal has arrived."""
    late_s: float = 0.0
    """How late a notification may come where nothing is wrong, and be acted on until a read refutes it."""
    race_s: float = 5.0
    """Between a read of the status and the write that relies on it."""
    under_way_s: float = 25.0
    """How long a write that was begun may take to arrive in trouble."""
    stop_s: float = 10.0
    """How long before its death the service may already be stopping."""

    @classmethod
    def of(cls, site: Site) -> Self:
        told = site.delivery == "webhook"
        teams_s = (_TOLD_S if told else site.presence_every_s) + _ROUND_TRIPS_S
        calls_s = (_TOLD_S if site.kind == "3cx-v20" else site.calls_every_s) + _ROUND_TRIPS_S
        status_s = max(site.statuses_every_s + _ROUND_TRIPS_S, teams_s, calls_s)
        seen_s = max(site.presence_every_s, site.calls_every_s, site.statuses_every_s)
        return cls(
            teams_s=teams_s,
            calls_s=calls_s,
            status_s=status_s,
            late_s=teams_s if told and site.lag_share else 0.0,
            heal_s=_LONGEST_RETRY_S + seen_s + _ROUND_TRIPS_S,
            heal_extension_s=_LONGEST_REST_S + seen_s + _ROUND_TRIPS_S,
            heal_refused_s=_LONGEST_REFUSAL_S + seen_s + _ROUND_TRIPS_S,
            heal_notices_s=site.reconcile_every_s + _LONGEST_RETRY_S + _ROUND_TRIPS_S,
            blind_s=(WHOLE_EVERY_S if site.kind == "3cx-v20" else site.calls_every_s) + _GIVEN_UP_S,
            # A config that has changed is read at once; who is new in it is looked up, and again if need be.
            people_s=(site.look_every_s if site.match == "email" else _LONGEST_RETRY_S) + 2 * _ROUND_TRIPS_S,
        )


class Weather:
    """When one person's world was in trouble, and the whiles after it."""

    def __init__(self, bounds: Bounds, lease_s: float, person: str, told: Sequence[AnyHappening]) -> None:
        all_troubles = [
            happening for happening in told if isinstance(happening, Trouble) and happening.link != "nodes"
        ]
        mine = [trouble for trouble in all_troubles if trouble.person in {None, person}]
        self._blind = [
            (trouble.at + bounds.blind_s, trouble.until)
            for trouble in mine
            if trouble.link == "3cx" and trouble.total
        ]
        self.of_others = [trouble for trouble in all_troubles if trouble.person not in {None, person}]
        self._bounds = bounds
        self.deaths = [trouble for trouble in mine if trouble.link == "service"]
        self._notices = [
            (trouble.at - bounds.teams_s, trouble.until + bounds.heal_notices_s, trouble.what == REPLAYED)
            for trouble in mine
            if trouble.link == "notifications"
        ]
        troubled = [_felt(bounds, trouble) for trouble in mine]
        troubled += [
            (happening.at, happening.at + lease_s + bounds.heal_s)
            for happening in told
            if isinstance(happening, Forgotten) and happening.person == person
        ]
        self._troubled = joined(troubled)
        self._rough = joined([*troubled, *_absent(bounds, person, told)])
        self._lossy = [
            (trouble.at - bounds.stop_s, trouble.until + bounds.under_way_s)
            for trouble in mine
            if trouble.link in {"3cx", "service"}
        ]
        self._unread = [
            (trouble.at, trouble.until + bounds.heal_s) for trouble in mine if trouble.link == "teams"
        ]
        self._turns = sorted({turn for stretch in self._rough + self._lossy for turn in stretch})

    def turns(self, since: float, until: float) -> list[float]:
        """When the weather turns within that time."""
        return [turn for turn in self._turns if since < turn < until]

    def calm_s(self, since: float, until: float, *, but_absent: bool = False) -> float:
        """How much of that time was calm; `but_absent`: whether the person was served or not."""
        calm = until - since
        for begun, over in self._troubled if but_absent else self._rough:
            calm -= max(0.0, min(over, until) - max(begun, since))
        return calm

    def is_rough(self, since: float, until: float, *, but_absent: bool = False) -> bool:
        """`since` and `until` are the same moment, or nothing turns between them."""
        rough = self._troubled if but_absent else self._rough
        return any(begun <= since and until <= over for begun, over in rough)

    def is_lossy(self, since: float, until: float) -> bool:
        """Likewise: whether answers of 3CX get lost."""
        return any(begun <= since and until <= over for begun, over in self._lossy)

    def is_unread(self, at: float) -> bool:
        """Whether it may not be possible to read what Teams shows, so that a notification is all there is."""
        return any(begun <= at <= over for begun, over in self._unread)

    def is_blind(self, at: float) -> bool:
        """Whether it must have noticed that nothing can be known of 3CX."""
        return any(begun <= at <= over for begun, over in self._blind)

    def is_the_end(self, at: float) -> bool:
        """Whether the service is stopping, and may end its sessions."""
        stops = (death.at for death in self.deaths if death.what == STOPPED)
        return any(begun <= at <= begun + self._bounds.under_way_s for begun in stops)

    def hints_since(self, at: float) -> float | None:
        """From when notifications may come as late as `at`; None: they come when they should."""
        late = [at - self._bounds.late_s] if self._bounds.late_s else []
        late += [
            float("-inf") if is_replay else since
            for since, until, is_replay in self._notices
            if since <= at <= until
        ]
        return min(late, default=None)


def joined(stretches: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of time, without overlap and in order."""
    apart: list[tuple[float, float]] = []
    for begun, over in sorted(stretches):
        if apart and begun <= apart[-1][1]:
            first, last = apart.pop()
            apart.append((first, max(last, over)))
        else:
            apart.append((begun, over))
    return apart


def _felt(bounds: Bounds, trouble: Trouble) -> tuple[float, float]:
    heal_s = bounds.heal_notices_s if trouble.link == "notifications" else bounds.heal_s
    if trouble.link == "3cx" and trouble.person is not None:
        heal_s = bounds.heal_extension_s
    if trouble.what == KEY_REFUSED:
        heal_s = bounds.heal_refused_s
    early_s = bounds.stop_s if trouble.link == "service" else 0.0
    return trouble.at - early_s, trouble.until + heal_s


def _absent(bounds: Bounds, person: str, told: Sequence[AnyHappening]) -> Iterator[tuple[float, float]]:
    """From when somebody is to be served no more until it is certain that they are served again."""
    begun: float | None = None
    for happening in told:
        match happening:
            case TakenOut() if happening.person == person and begun is None:
                begun = happening.at
            case PutBack() if happening.person == person and begun is not None:
                yield begun, happening.at + bounds.people_s
                begun = None
            case _:
                pass
    if begun is not None:
        yield begun, float("inf")
