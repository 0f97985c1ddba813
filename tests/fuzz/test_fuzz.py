"""Every parser of outside bytes: it returns or raises what it says, in time that grows with the size only."""

import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from fuzz_kit import LONGEST_MESSAGE, SECONDS, Target, always, names
from fuzz_targets import TARGETS
from hypothesis import HealthCheck, Phase, given, seed, settings

_EXAMPLES = 60
_ROUND = 200
"""Inputs of a round when time is given: few, so that it ends before the timeout on a busy machine too."""
_GROWN_FROM, _GROWN_TO = 20_000, 200_000
_SLACK = 6.0


def attempt(target: Target, value: Any) -> None:
    try:
        target.parse(value)
    except target.raises as error:
        told = str(error)
    else:
        return
    assert len(told) <= LONGEST_MESSAGE, "an error quotes without end"


def one_round(target: Target, number: int | None, examples: int) -> int:
    """Random examples; a failing one is made small. Without a number it is the same round each time.

    Returns how many there were: fewer than asked for where there are no more.
    """
    tried = 0

    @settings(
        max_examples=examples,
        derandomize=number is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(target.inputs)
    def run(value: Any) -> None:
        nonlocal tried
        tried += 1
        attempt(target, value)

    if number is not None:
        run = seed(number)(run)
    run()
    return tried


@pytest.mark.parametrize("target", TARGETS, ids=names(TARGETS))
@pytest.mark.timeout(30 * SECONDS + 120)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_whatever_comes_is_understood_or_refused(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    if not SECONDS:
        for value in always(target):
            attempt(target, value)
        one_round(target, None, _EXAMPLES)
        return
    end = time.process_time() + SECONDS  # work and not waiting, so that it is as much on a busy machine
    inputs = 0
    while time.process_time() < end:
        inputs += one_round(target, secrets.randbits(32), _ROUND)
    record_property("inputs", inputs)  # conftest tells them at the end


def _cost_s(target: Target, size: int) -> float:
    assert target.grown is not None
    value = target.grown(size)
    costs = []
    for _ in range(5):
        begun = time.process_time()
        attempt(target, value)
        costs.append(time.process_time() - begun)
    return min(costs)


GROWING = [target for target in TARGETS if target.grown is not None]


@pytest.mark.parametrize("target", GROWING, ids=names(GROWING))
def test_ten_times_the_size_costs_about_ten_times_the_work(target: Target) -> None:
    small, large = _cost_s(target, _GROWN_FROM), _cost_s(target, _GROWN_TO)
    assert large <= _SLACK * 10 * max(small, 0.0005), (small, large)
