"""What is said of several nodes, by hand-written stories: the onlooker knows the promises, not the code."""

import pytest

from presencebridge.simulation.chronicle import AnyHappening, Owns, Trouble, Violation
from presencebridge.simulation.owners import Act, Ledger, Renewal, Terms, judge
from presencebridge.simulation.plan import Site

TERMS = Terms.of(Site(nodes=3, node_lease_s=10.0))
ENDS = 300.0


def story(*others: AnyHappening) -> list[AnyHappening]:
    return [Trouble(0.0, 1.0, "nodes", "all nodes start", total=True), Owns(1.0, "a", 1), *others]


def acts(node: str, epoch: int, begin: float, end: float) -> list[Act]:
    """One each ten seconds, carried out at once."""
    moments = range(round(begin), round(end), 10)
    return [Act(float(at), node, epoch, "GET /", at + 0.1) for at in moments]


def renewals(node: str, begin: float, end: float) -> list[Renewal]:
    return [Renewal(float(at), node, is_end=False) for at in range(round(begin), round(end))]


def found(
    done: list[Act], renewed: list[Renewal], *others: AnyHappening, **notices: dict[str, float]
) -> list[Violation]:
    ledger = Ledger(
        sorted(done, key=lambda act: act.left), sorted(renewed, key=lambda one: one.at), **notices
    )
    return judge(ledger, story(*others), TERMS, ENDS)


DIES = Trouble(60.0, 90.0, "nodes", "a is killed")
MOVES = Owns(72.0, "b", 2)


def moved(*more: Act, gap: float = 72.0) -> tuple[list[Act], list[Renewal]]:
    """`a` dies after a minute, and `b` follows."""
    done = [*acts("a", 1, 2, 60), *acts("b", 2, gap, ENDS), *more]
    return done, [*renewals("a", 1, 60), *renewals("b", 1, ENDS)]


def test_who_stays_and_who_follows_are_fair():
    assert not found(acts("a", 1, 2, ENDS), renewals("a", 1, ENDS))
    assert not found(*moved(), DIES, MOVES)


def test_what_had_left_before_may_arrive_later():
    assert not found(*moved(Act(59.5, "a", 1, "PATCH /", carried=80.0)), DIES, MOVES)


@pytest.mark.parametrize("carried", [75.1, None])
def test_after_an_act_of_one_epoch_none_of_an_earlier_one_leaves(carried):
    wrong = found(*moved(Act(75.0, "a", 1, "PATCH /", carried)), DIES, MOVES)
    assert {one.rule for one in wrong} == {9}
    assert any("left after GET / of b, epoch 2, had been carried out" in one.what for one in wrong)


def test_nothing_leaves_after_the_lease_also_where_nobody_else_has_the_site():
    (wrong,) = found(
        acts("a", 1, 2, 100), renewals("a", 1, 60), Trouble(60.0, 300.0, "nodes", "down", total=True)
    )
    assert (wrong.rule, wrong.at) == (9, 72.0)
    assert "3.00 s after its lease" in wrong.what


def test_who_has_given_up_the_lease_sends_nothing():
    ended = [*renewals("a", 1, 60), Renewal(60.0, "a", is_end=True)]
    (wrong,) = found(acts("a", 1, 2, 70), ended, Trouble(60.0, 300.0, "nodes", "down", total=True))
    assert wrong.at == 62.0


def test_epochs_grow():
    (wrong,) = found(*moved(), DIES, MOVES, Owns(80.0, "c", 2))
    assert "epoch 2, after 2" in wrong.what


def test_nothing_moves_without_a_cause_and_something_does_after_it():
    late = Trouble(DIES.at, DIES.until, "nodes", "b is killed")
    assert not found(*moved(), late, MOVES)
    far = Owns(DIES.until + TERMS.settle_s + 1, "c", 3)
    (wrong,) = found(*moved(), DIES, MOVES, far)
    assert "nothing had happened" in wrong.what


def test_an_owner_that_is_gone_is_followed_in_time():
    done, renewed = moved(gap=260.0)
    (wrong,) = found(done, renewed, Trouble(60.0, 62.0, "nodes", "a is killed"), MOVES)
    assert "nobody served the site" in wrong.what
    everything = Trouble(60.0, 250.0, "nodes", "the engine has no leader", total=True)
    assert not found(done, renewed, everything, MOVES)
    all_three = [Trouble(60.0, 250.0, "nodes", f"{node} is killed") for node in "abc"]
    assert not found(done, renewed, *all_three, MOVES)
    assert found(done, renewed, *all_three[:2], MOVES), "one is left"


def test_a_notification_that_was_taken_in_reaches_an_owner():
    done, renewed = acts("a", 1, 2, ENDS), renewals("a", 1, ENDS)
    assert not found(done, renewed, accepted={"x": 50.0}, handed={"x": 90.0})
    assert not found(done, renewed, accepted={"x": ENDS - 1}, handed={})
    (wrong,) = found(done, renewed, accepted={"x": 50.0}, handed={"y": 51.0})
    assert wrong.rule == 6
