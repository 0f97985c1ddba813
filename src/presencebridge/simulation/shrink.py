"""Makes a plan shorter for as long as it still shows what was wrong: delta debugging, over the plan's deeds.

Seeds choose a plan; what is played is always the plan. So whatever is left out, the rest stays as it was.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from presencebridge.simulation import lives, run
from presencebridge.simulation.plan import AnyDeed, Plan, Trouble, concerns
from presencebridge.simulation.run import Outcome

LEAD_S: Final = 120.0
"""Kept before the first deed, so that the service has started."""
_TAIL_S: Final = 1.0

Progress = Callable[[Outcome], None]


def shrunk(outcome: Outcome, within_s: float, tell: Progress = lambda _outcome: None) -> Outcome:
    """The shortest story found within so many seconds of real time that breaks one of the same properties."""
    return _Shrinking(outcome, within_s, tell).best()


class _Shrinking:
    def __init__(self, outcome: Outcome, within_s: float, tell: Progress) -> None:
        self._best = outcome
        first = outcome.violations[0]
        self._rule = first.rule
        self._ends = time.monotonic() + within_s
        self._tell = tell
        self._first_only = (self._cut_off_after, self._only_the_end)
        """Ways whose plans are to be tried in turn until one of them does."""

    def best(self) -> Outcome:
        before = None
        while before is not self._best and self._is_time():
            before = self._best
            self._try_all(self._cut_off_after, self._only_the_end, self._fewer_people, self._begun_later)
            self._fewer_deeds()
            self._try_all(self._shorter_troubles, self._simpler_house)
        return self._best

    def _is_time(self) -> bool:
        return time.monotonic() < self._ends

    def _try_all(self, *ways: Callable[[Plan], Iterator[Plan]]) -> None:
        for way in ways:
            for plan in list(way(self._best.plan)):
                if self._try(plan) and way in self._first_only:
                    break

    def _try(self, plan: Plan) -> bool:
        """Whether it is wrong in the same way still; then it is the best so far."""
        if not self._is_time() or plan == self._best.plan:
            return False
        outcome = run.play(plan)
        if not any(violation.rule == self._rule for violation in outcome.violations):
            return False
        self._best = outcome
        self._tell(outcome)
        return True

    # Ways to make it shorter

    def _cut_off_after(self, plan: Plan) -> Iterator[Plan]:
        """Nothing after what is wrong is needed, but the look at the end of it."""
        at = self._wrong_at()
        later = [rest for rest in plan.rests if rest >= at]
        for end in (at + _TAIL_S, *later[:1]):
            deeds = tuple(deed for deed in plan.deeds if deed.at < end)
            rests = tuple(rest for rest in plan.rests if rest <= end)
            yield replace(plan, deeds=deeds, rests=rests, ends=min(end, plan.ends))

    def _only_the_end(self, plan: Plan) -> Iterator[Plan]:
        """A story is short if it begins shortly before what is wrong."""
        for lead in (300.0, 900.0, 1800.0, 3600.0):
            begin = self._wrong_at() - lead
            if begin > LEAD_S:
                deeds = tuple(deed for deed in plan.deeds if deed.at >= begin)
                yield shifted(replace(plan, deeds=deeds), begin - LEAD_S)

    def _wrong_at(self) -> float:
        return min(violation.at for violation in self._best.violations if violation.rule == self._rule)

    def _fewer_people(self, plan: Plan) -> Iterator[Plan]:
        for person in plan.people:
            people = tuple(one for one in plan.people if one != person)
            deeds = tuple(deed for deed in plan.deeds if person not in concerns(deed))
            if people:
                yield replace(plan, people=people, deeds=deeds)

    def _begun_later(self, plan: Plan) -> Iterator[Plan]:
        """Without the time before the first deed, and without long times of peace."""
        if plan.deeds and plan.deeds[0].at > LEAD_S:
            yield shifted(plan, plan.deeds[0].at - LEAD_S)
            return
        yield replace(plan, rests=plan.rests[-1:])

    def _fewer_deeds(self) -> None:
        """Ever smaller parts are left out, as long as that changes nothing."""
        size = max(1, len(self._best.plan.deeds) // 2)
        while size and self._is_time():
            start = 0
            while start < len(self._best.plan.deeds) and self._is_time():
                deeds = self._best.plan.deeds
                left = deeds[:start] + deeds[start + size :]
                if not self._try(replace(self._best.plan, deeds=left)):
                    start += size
            size //= 2

    def _shorter_troubles(self, plan: Plan) -> Iterator[Plan]:
        for place, deed in enumerate(plan.deeds):
            if isinstance(deed, Trouble) and deed.lasts > LEAD_S:
                yield _with(plan, place, replace(deed, lasts=deed.lasts / 4))

    def _simpler_house(self, plan: Plan) -> Iterator[Plan]:
        for word in ("manual_wins", "busy_while_ringing"):
            if getattr(plan.house, word):
                yield replace(plan, house=replace(plan.house, **{word: False}))
        for place, deed in enumerate(plan.deeds):
            if isinstance(deed, lives.Shows) and deed.pair not in (
                None,
                "Available/Available",
                "Busy/InAMeeting",
            ):
                yield _with(plan, place, replace(deed, pair="Busy/InAMeeting"))


def shifted(plan: Plan, by_s: float) -> Plan:
    """The same, so much earlier."""
    deeds = tuple(_earlier(deed, by_s) for deed in plan.deeds)
    rests = tuple(rest - by_s for rest in plan.rests if rest > by_s)
    return replace(plan, deeds=deeds, rests=rests, ends=plan.ends - by_s)


def _earlier(deed: AnyDeed, by_s: float) -> AnyDeed:
    if isinstance(deed, lives.IsPaused) and deed.until is not None:
        deed = replace(deed, until=deed.until - by_s)
    return replace(deed, at=deed.at - by_s)


def _with(plan: Plan, place: int, deed: AnyDeed) -> Plan:
    deeds: Sequence[AnyDeed] = plan.deeds
    return replace(plan, deeds=(*deeds[:place], deed, *deeds[place + 1 :]))
