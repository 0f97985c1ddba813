"""The whole service on several nodes: nodes freeze and die at any step, and what is broken is found."""

import pytest
from msgspec.structs import replace

from presencebridge.simulation import campaign, leases, node_mutants, node_troubles, run, telling
from presencebridge.simulation.chronicle import Owns
from presencebridge.simulation.making import plan_of
from presencebridge.simulation.mutants import plan_between
from presencebridge.simulation.plan import Trouble

pytestmark = pytest.mark.timeout(600)


def told(outcome: run.Outcome) -> str:
    return "\n".join((telling.house(outcome.plan), *telling.story(outcome.chronicle, outcome.violations)))


def owners(outcome: run.Outcome) -> list[Owns]:
    return [one for one in outcome.chronicle if isinstance(one, Owns)]


@pytest.mark.parametrize("name", node_mutants.MUTANTS)
def test_it_is_found(name):
    mutant = node_mutants.MUTANTS[name]
    with mutant.patch():
        outcome = run.play(mutant.plan())
    expected = {"read from now on": 6, "begun with nothing": 5, "sent before saved": 5}.get(name, 9)
    assert expected in {violation.rule for violation in outcome.violations}, told(outcome)


PLANS = {(one.seed, one.until, one.also): one for one in node_mutants.MUTANTS.values()}


@pytest.mark.parametrize("mutant", PLANS.values(), ids=lambda one: f"{one.seed}-{one.also.kind}")
def test_without_it_nothing_is_found(mutant):
    outcome = run.play(mutant.plan())
    assert outcome.is_fair, told(outcome)
    assert len(owners(outcome)) > 1, "the site changes hands"


def test_a_seed_is_fair_and_replays_exactly():
    plan = plan_between(2, "all", 0, 0.6, nodes=3)
    first, second = run.play(plan), run.play(plan)
    assert first.is_fair, told(first)
    assert first.chronicle == second.chronicle
    assert (first.counts, first.requests) == (second.counts, second.requests)


def test_what_is_wrong_among_the_nodes_themselves_counts_and_is_told(monkeypatch):
    plan = plan_between(4, "none", 0, 0.02, nodes=2)
    monkeypatch.setattr(run, "play_seed", lambda *_: run.play(plan))
    whole = leases.played
    monkeypatch.setattr(leases, "played", lambda seed, _seconds, nodes: whole(seed, 20.0, nodes))
    verdict = campaign.judged(4, 1, "none", 0, nodes=2)
    assert not verdict.violations
    assert not verdict.story

    monkeypatch.setattr(leases, "played", lambda *_: ["two acted"])
    wrong = campaign.judged(4, 1, "none", 0, nodes=2)
    assert [one.rule for one in wrong.violations] == [9]
    assert wrong.story == ("the nodes among themselves: WRONG (property 9): two acted",)


def test_every_trouble_of_nodes_is_drawn_and_the_office_is_the_same_as_on_one_node():
    plans = [plan_of(seed, 2, "all", nodes=3) for seed in range(30)]
    kinds = {deed.kind for plan in plans for deed in plan.deeds if isinstance(deed, Trouble)}
    assert node_troubles.KINDS.keys() <= kinds
    alone = plan_of(3, 1, "none")
    assert plan_of(3, 1, "none", nodes=3) == replace(alone, site=replace(alone.site, nodes=3))
