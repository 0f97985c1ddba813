"""How fast requests may follow one another, and whose turn it is."""

import itertools

import pytest

from presencebridge.graph.client import BUDGET_PER_S
from presencebridge.runtime.pacing import MOST_PER_S, Pace, Ring

LIMIT, WINDOW_S = 1500, 30.0
"""What Graph allows: the lower of the two published figures."""


def failed(pace: Pace, left_at: float, now: float, after_s: float | None = None, **more: object) -> bool:
    return pace.failed(left_at, now, after_s, **({"too_many": True, "longest_s": 30.0} | more))


def test_polls_stay_below_half_of_the_limit_and_everything_together_below_four_fifths() -> None:
    assert MOST_PER_S * WINDOW_S + 1 < LIMIT / 2
    assert BUDGET_PER_S["presence"] * (WINDOW_S + 1) < 0.8 * LIMIT


def test_a_sound_pace_is_even() -> None:
    pace = Pace(10.0)
    times = []
    now = 100.0
    for _ in range(20):
        now = max(now, pace.next_at)
        pace.left(now)
        pace.answered(now, now + 0.02)
        times.append(now)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.1] * 19)


def test_too_many_halves_the_pace_once_for_all_that_left_before_and_it_comes_back_step_by_step() -> None:
    pace = Pace(16.0)
    for left_at in (0.0, 0.1, 0.2):
        failed(pace, left_at, 1.0 + left_at)
    assert pace.rate == 8.0
    rates = []
    for left_at in range(10, 20):
        pace.answered(left_at, left_at + 0.5)
        rates.append(pace.rate)
    assert rates == [9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 16.0, 16.0]


def test_it_never_stops_altogether() -> None:
    pace = Pace(16.0)
    for left_at in range(100):
        failed(pace, left_at, left_at + 0.5)
    assert pace.rate == 0.25


def test_graphs_retry_after_stands_whatever_else_is_answered() -> None:
    pace = Pace(10.0)
    pace.left(0.0)
    pace.left(0.1)
    failed(pace, 0.0, 0.2, 60.0)
    failed(pace, 0.05, 0.25, 5.0)
    pace.answered(0.1, 0.3)
    assert pace.next_at == 60.2


def test_in_trouble_one_request_goes_at_a_time_later_each_time() -> None:
    pace = Pace(10.0)
    now, times = 0.0, []
    for _ in range(7):
        times.append(now)
        pace.left(now)
        failed(pace, now, now + 0.01, too_many=False, longest_s=20.0)
        now = pace.next_at
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([1.01, 2.01, 4.01, 8.01, 16.01, 20.01], abs=0.02)


def test_a_request_without_an_answer_is_overtaken_by_the_next_look() -> None:
    pace = Pace(10.0)
    pace.left(0.0)
    failed(pace, 0.0, 20.0, too_many=False, longest_s=5.0)
    times = []
    for _ in range(6):
        times.append(pace.next_at)
        pace.left(pace.next_at)
    assert times == [21.0, 23.0, 27.0, 32.0, 37.0, 42.0]
    failed(pace, times[0], 42.5, too_many=False, longest_s=5.0)
    assert pace.next_at == 47.0, "the end of an old look does not put off the next one"
    pace.answered(42.0, 43.0)
    assert pace.next_at == pytest.approx(43.1)


def test_what_fails_after_a_later_one_was_answered_is_not_graphs_trouble() -> None:
    pace = Pace(10.0)
    pace.left(0.0)
    pace.left(1.0)
    pace.answered(1.0, 1.1)
    assert failed(pace, 0.0, 20.0, too_many=False) is False
    assert pace.next_at < 2.0
    assert failed(pace, 20.0, 20.1, too_many=False) is True


def test_an_answer_from_before_the_trouble_does_not_end_it() -> None:
    pace = Pace(10.0)
    pace.left(0.0)
    pace.left(0.1)
    failed(pace, 0.1, 0.2, too_many=False)
    pace.answered(0.0, 0.3)
    assert pace.next_at == 1.2


# The ring -----------------------------------------------------------------------------------------


def turns(ring: Ring, every_s: float, start: float, end: float) -> list[tuple[float, int]]:
    """Everybody's turns, each request leaving at its time."""
    found = []
    now = start
    while True:
        turn, group = ring.first(every_s)
        now = max(now, turn)
        if group is None or now >= end:
            return found
        group.asked_at = now
        found.append((now, ring.groups.index(group)))
        now += 0.1  # the pace


@pytest.mark.parametrize(("people", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [6, 5]), (25, [9, 8, 8])])
def test_groups_are_as_few_and_as_even_as_can_be(people, sizes) -> None:
    ring = Ring(10, 0.0)
    ring.seat([str(number) for number in range(people)], 0.0)
    assert [len(group.users) for group in ring.groups] == sizes
    assert [user for group in ring.groups for user in group.users] == list(ring.users)


def test_after_a_first_round_at_once_the_turns_are_spread_evenly() -> None:
    ring = Ring(10, 0.0)
    ring.seat([str(number) for number in range(50)], 0.0)
    found = turns(ring, 30.0, 0.0, 300.0)
    assert [number for when, number in found if when < 0.6] == [0, 1, 2, 3, 4]
    late = [when for when, _ in found if when > 60.0]
    assert [y - x for x, y in itertools.pairwise(late)] == pytest.approx([6.0] * (len(late) - 1), abs=0.15)
    for number in range(5):
        mine = [when for when, which in found if which == number]
        gaps = [later - earlier for earlier, later in itertools.pairwise(mine)]
        assert max(gaps) <= 30.5
        assert min(gaps) >= 14.5


def test_a_group_that_failed_is_first_again_unless_a_newer_request_is_under_way() -> None:
    ring = Ring(10, 0.0)
    ring.seat([str(number) for number in range(20)], 0.0)
    turns(ring, 30.0, 0.0, 100.0)
    group = ring.groups[1]
    group.failed(group.asked_at - 30.0, 200.0)
    assert ring.first(30.0)[0] < 200.0
    group.failed(group.asked_at, 101.0)
    assert ring.first(30.0) == (101.0, group)


def test_who_comes_is_asked_about_and_the_others_keep_their_turns() -> None:
    ring = Ring(10, 0.0)
    everybody = [str(number) for number in range(20)]
    ring.seat(everybody, 0.0)
    turns(ring, 30.0, 0.0, 95.0)
    before = [group.asked_at for group in ring.groups]
    ring.seat([*everybody, "new"], 96.0)
    assert [group.asked_at for group in ring.groups][:2] == before
    assert ring.first(30.0) == (96.0, ring.groups[2])
    ring.seat([], 97.0)
    assert ring.first(30.0) == (float("inf"), None)
