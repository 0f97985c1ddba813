"""Every fault that is put into the service on purpose is found, by a seed that is fair without it."""

import pytest

from presencebridge.simulation import mutants, run

pytestmark = pytest.mark.timeout(600)
"""Some seconds each, where nobody else wants the processor."""


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_it_is_found(name):
    mutant = mutants.MUTANTS[name]
    with mutant.patch():
        assert not run.play(mutant.plan()).is_fair


def test_what_was_sent_and_not_saved_is_found_by_what_it_leaves_after_a_crash():
    mutant = mutants.MUTANTS["sent before saved"]
    with mutant.patch():
        assert {violation.rule for violation in run.play(mutant.plan()).violations} == {5}


PLANS = {(one.seed, one.faults, one.since, one.until): one for one in mutants.MUTANTS.values()}


@pytest.mark.parametrize("mutant", PLANS.values(), ids=lambda one: f"{one.seed}-{one.since}-{one.until}")
def test_without_it_nothing_is_found(mutant):
    outcome = run.play(mutant.plan())
    assert outcome.is_fair, outcome.violations
