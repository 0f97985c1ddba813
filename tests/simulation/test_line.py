"""The lines of the simulation: which of several faults hits a request."""

import random

import pytest

from presencebridge.emulators.graph.background import Background
from presencebridge.simulation.line import Fate, Fault, Line


@pytest.fixture
def line() -> Line:
    return Line(None, random.Random(1), Background())  # noqa: S311 - no secrets


@pytest.mark.parametrize("fates", [("slow", "lost"), ("lost", "slow")])
def test_what_is_cut_is_not_slow_as_well(line: Line, fates: tuple[Fate, ...]) -> None:
    line.faults = [Fault(fate) for fate in fates]
    hit = line.fault_for("/anything")
    assert hit is not None
    assert hit.fate == "lost"


def test_where_the_cut_spares_a_request_it_is_slow(line: Line) -> None:
    line.faults = [Fault("slow"), Fault("lost", spares=("/callcontrol",))]
    hit = line.fault_for("/callcontrol/101")
    assert hit is not None
    assert hit.fate == "slow"
