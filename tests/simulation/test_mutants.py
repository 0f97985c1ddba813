"""Every fault that is put into the service on purpose is found, by a seed that is fair without it."""

import pytest

from presencebridge.simulation import mutants, run


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_it_is_found(name):
    mutant = mutants.MUTANTS[name]
    with mutant.patch():
        assert not run.play(mutant.plan()).is_fair


@pytest.mark.parametrize(
    ("seed", "faults", "hours"),
    sorted({(mutant.seed, mutant.faults, mutant.hours) for mutant in mutants.MUTANTS.values()}),
)
def test_without_it_nothing_is_found(seed, faults, hours):
    outcome = run.play(mutants.plan_until(seed, faults, hours))
    assert outcome.is_fair, outcome.violations
