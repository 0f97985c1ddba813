"""Many seeds, side by side in processes of their own, and what they came to."""

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from typing import Final

import msgspec

from presencebridge.simulation.chronicle import Violation
from presencebridge.simulation.making import Faults
from presencebridge.simulation.plan import DAY_S

_PROTOCOL_S: Final = 300.0
_YEAR_S: Final = 365.25 * DAY_S


class Verdict(msgspec.Struct, frozen=True):
    """What one seed came to. `story` is told where something was wrong."""

    seed: int
    violations: tuple[Violation, ...]
    counts: dict[str, int]
    worst_rest_s: float
    virtual_s: float
    requests: int
    digest: str
    """Of the chronicle: the same, if the seed replays exactly."""
    story: tuple[str, ...] = ()


class Summary(msgspec.Struct):
    """All seeds so far."""

    seeds: int = 0
    wrong: list[int] = []
    virtual_s: float = 0.0
    worst_rest_s: float = 0.0
    requests: int = 0
    counts: dict[str, int] = {}

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        if verdict.violations:
            self.wrong = sorted([*self.wrong, verdict.seed])
        self.virtual_s += verdict.virtual_s
        self.requests += verdict.requests
        self.worst_rest_s = max(self.worst_rest_s, verdict.worst_rest_s)
        for what, count in verdict.counts.items():
            self.counts[what] = self.counts.get(what, 0) + count

    @property
    def troubles(self) -> dict[str, int]:
        """How often each kind of trouble was there."""
        found = {
            what.removeprefix("trouble: "): count
            for what, count in self.counts.items()
            if what.startswith("trouble: ")
        }
        return dict(sorted(found.items()))

    def line(self) -> str:
        """The last line of a campaign."""
        wrong = f"{len(self.wrong)} wrong ({', '.join(map(str, self.wrong))})" if self.wrong else "none wrong"
        writes = self.counts.get("write teams", 0) + self.counts.get("write 3cx", 0)
        moves = self.counts.get("change of owner")
        owners = f"{moves} changes of owner, " if moves else ""
        return (
            f"{self.seeds} seeds, {wrong}: {self.virtual_s / DAY_S:.1f} days "
            f"({self.virtual_s / _YEAR_S:.3f} years), {sum(self.troubles.values())} troubles of "
            f"{len(self.troubles)} kinds, {owners}{self.counts.get('decision', 0)} decisions, "
            f"{writes} writes, {self.requests} requests, worst time to rest {self.worst_rest_s:.1f} s"
        )


def judged(seed: int, days: int, faults: Faults, shrink_s: float, nodes: int = 1) -> Verdict:
    """Play one seed; what is wrong is told as shortly as can be found within `shrink_s` seconds."""
    from presencebridge.simulation import run, shrink, telling  # noqa: PLC0415 - in the process that plays

    outcome = run.play_seed(seed, days, faults, nodes)
    story: tuple[str, ...] = ()
    if outcome.violations:
        shortest = shrink.shrunk(outcome, shrink_s) if shrink_s > 0 else outcome
        story = (
            telling.house(shortest.plan),
            *telling.story(shortest.chronicle, shortest.violations),
        )
    protocol = _protocol(seed, nodes) if nodes > 1 else ()
    story += tuple(f"the nodes among themselves: WRONG (property 9): {one.what}" for one in protocol)
    return Verdict(
        seed,
        (*outcome.violations, *protocol),
        outcome.counts,
        outcome.worst_rest_s,
        outcome.virtual_s,
        outcome.requests,
        hashlib.sha256(msgspec.json.encode(outcome.chronicle)).hexdigest()[:16],
        story,
    )


def _protocol(seed: int, nodes: int) -> tuple[Violation, ...]:
    """What the nodes do among themselves, with sites that do nothing but act and save."""
    from presencebridge.simulation import leases  # noqa: PLC0415 - in the process that plays

    return tuple(Violation(9, 0.0, None, what) for what in leases.played(seed, _PROTOCOL_S, nodes))


def verdicts(
    seeds: range, days: int, faults: Faults, jobs: int, shrink_s: float, nodes: int = 1
) -> Iterator[Verdict]:
    """Of all seeds, as they come.

    Always in processes of their own: they are started with a fixed order of sets of words, without which a
    seed would not replay exactly.
    """
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=_begin) as pool:
            playing = [pool.submit(judged, seed, days, faults, shrink_s, nodes) for seed in seeds]
            for done in as_completed(playing):
                yield done.result()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before


def _begin() -> None:
    _be_quiet()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _be_quiet() -> None:
    """In each process: nothing is logged, and what lives as long as it is not looked through for garbage."""
    import gc  # noqa: PLC0415
    import logging  # noqa: PLC0415

    import structlog  # noqa: PLC0415

    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _end_with_parent() -> None:
    """A pool's processes would play on to the end of the day if whoever started them was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
