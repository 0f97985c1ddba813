"""Plays a plan and says what came of it."""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from presencebridge.emulators.graph.background import Background
from presencebridge.simulation import fair, lives, node_troubles, owners, troubles, virtual_loop
from presencebridge.simulation.branches import Branches
from presencebridge.simulation.chronicle import AnyHappening, Violation
from presencebridge.simulation.making import Faults, plan_of
from presencebridge.simulation.phones import Switchboard
from presencebridge.simulation.plan import DAY_S, AnyDeed, Plan, Trouble
from presencebridge.simulation.stage import Office, office
from presencebridge.simulation.weather import Bounds

_MOST_ROUNDS_A_DAY: Final = 300_000
"""Of the loop; 50,000 to 170,000 are usual in its eight hours, by the people and how often all is read."""
_MORE_WITH_NODES: Final = 10
_HOURS_S: Final = 8 * 3600.0
_ROUNDS_TO_BEGIN: Final = 10_000


class Outcome(msgspec.Struct, frozen=True):
    """What came of a plan."""

    plan: Plan
    chronicle: tuple[AnyHappening, ...]
    violations: tuple[Violation, ...]
    counts: dict[str, int]
    """Of troubles and writes, by their names."""
    worst_rest_s: float
    """The longest that the service needed to come to rest after the last happening or trouble."""
    virtual_s: float
    requests: int

    @property
    def is_fair(self) -> bool:
        return not self.violations


def play_seed(seed: int, days: int, faults: Faults, nodes: int = 1) -> Outcome:
    return play(plan_of(seed, days, faults, nodes))


def play(plan: Plan) -> Outcome:
    """Play it and judge it."""
    in_memory = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="presencebridge-simulation-", dir=in_memory) as folder:
        return virtual_loop.run(_played(plan, Path(folder)))


async def _played(plan: Plan, folder: Path) -> Outcome:
    worst = 0.0
    among: list[Violation] = []
    async with office(plan, folder, Branches if plan.site.nodes > 1 else Office) as stage:
        await stage.start()
        async with Background() as tasks:
            patience = _Patience(stage, plan)
            for at, deed in _course(plan):
                if not await patience.until(at):
                    break
                if deed is None:
                    worst = max(worst, stage.tell_rest() or 0.0)
                elif isinstance(deed, Trouble):
                    tasks.spawn(_break(stage, deed))
                else:
                    await _do(stage, deed)
            await patience.until(plan.ends)
            if plan.ends not in plan.rests:
                stage.glance()
            if patience.is_over:
                stage.deaths.append(Violation(0, stage.time(), None, "the service goes round in circles"))
        ended = stage.time()
        chronicle = tuple(sorted(stage.happened, key=lambda happening: happening.at))
        stage.counts["decision"] = stage.decisions()
        requests = stage.teams_line.carried + stage.pbx_line.carried
        if isinstance(stage, Branches):
            stage.check_failures()
            among = owners.judge(stage.ledger, chronicle, owners.Terms.of(plan.site), ended)
    violations = (*stage.deaths, *among, *fair.judge(plan.house, chronicle, Bounds.of(plan.site)))
    return Outcome(plan, chronicle, violations, stage.counts, worst, ended, requests)


async def _break(stage: Office, trouble: Trouble) -> None:
    if isinstance(stage, Branches):
        await node_troubles.play(stage, trouble)
    else:
        await troubles.play(stage, trouble)


class _Patience:
    """A service that goes round in circles is played no further: what there is of it is enough to judge."""

    def __init__(self, stage: Office, plan: Plan) -> None:
        self._stage = stage
        self._over = asyncio.Event()
        nights, hours_s = divmod(plan.ends, DAY_S)
        days = nights + min(1.0, hours_s / _HOURS_S)
        rounds = _ROUNDS_TO_BEGIN + _MOST_ROUNDS_A_DAY * days
        stage.loop.after_steps(int(rounds * _MORE_WITH_NODES ** (plan.site.nodes > 1)), self._over.set)

    async def until(self, moment: float) -> bool:
        """Sleep until then; False if patience is over."""
        left = moment - self._stage.time()
        if left > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._over.wait()
        return not self.is_over

    @property
    def is_over(self) -> bool:
        return self._over.is_set()


def _course(plan: Plan) -> Sequence[tuple[float, AnyDeed | None]]:
    """Deeds, and None where everything is looked at, in the order of time."""
    course: list[tuple[float, AnyDeed | None]] = [(deed.at, deed) for deed in plan.deeds]
    course += [(at, None) for at in plan.rests]
    return sorted(course, key=lambda item: item[0])


async def _do(stage: Office, deed: lives.AnyDeed) -> None:
    match deed:
        case lives.Shows():
            stage.shows(deed.person, deed.pair)
        case lives.Chooses():
            stage.chooses(deed.person, deed.pair)
        case lives.SetsByHand():
            stage.set_by_hand(deed.person, deed.status)
        case lives.IsPaused():
            left = None if deed.until is None else deed.until - stage.time()
            if left is None or left > 0:
                await stage.order(deed.person, "pause", {} if left is None else {"seconds": left})
        case lives.IsResumed():
            await stage.order(deed.person, "resume", {})
        case lives.IsTakenOut() | lives.IsPutBack():
            stage.take(deed.person, is_in=isinstance(deed, lives.IsPutBack))
        case _:
            _on_the_phone(stage.switchboard, deed)
            stage.tell_legs()


def _on_the_phone(calls: Switchboard, deed: lives.Calls | lives.LegIs | lives.Leaves | lives.HangsUp) -> None:
    match deed:
        case lives.Calls():
            calls.start(deed.call, deed.legs)
        case lives.LegIs():
            calls.leg(deed.call, deed.person, deed.state)
        case lives.Leaves():
            calls.leave(deed.call, deed.person)
        case lives.HangsUp():
            calls.hang_up(deed.call)
