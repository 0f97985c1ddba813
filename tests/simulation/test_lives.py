import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presencebridge.simulation.lives import (
    QUIET_S,
    AnyDeed,
    Calls,
    HangsUp,
    IsPaused,
    IsResumed,
    Leaves,
    LegIs,
    SetsByHand,
    Shows,
    plan_day,
)

PEOPLE = ("101", "102", "103", "104")
START, HOURS = 1_000.0, 8.0
HALF_S = HOURS * 1_800


def day(seed: int, people: Sequence[str] = PEOPLE) -> list[AnyDeed]:
    return plan_day(random.Random(seed), people, START, HOURS)  # noqa: S311 - no secrets


seeds = st.integers(0, 2**32)
often = settings(deadline=None)


@often
@given(seeds)
def test_the_dice_alone_decide(seed: int) -> None:
    assert day(seed) == day(seed)
    assert day(seed) != day(seed + 1)


@often
@given(seeds)
def test_each_half_ends_in_quiet(seed: int) -> None:
    for deed in day(seed):
        assert 0 <= deed.at - START < 2 * HALF_S
        assert (deed.at - START) % HALF_S < HALF_S - QUIET_S


@often
@given(seeds)
def test_a_day_is_told_in_order_and_everybody_comes(seed: int) -> None:
    deeds = day(seed)
    assert [deed.at for deed in deeds] == sorted(deed.at for deed in deeds)
    assert {deed.person for deed in deeds if isinstance(deed, Shows)} == set(PEOPLE)


@often
@given(seeds)
def test_every_call_is_over_by_the_evening(seed: int) -> None:
    running: set[int] = set()
    for deed in day(seed):
        match deed:
            case Calls():
                assert deed.call not in running
                running.add(deed.call)
            case LegIs() | Leaves():
                assert deed.call in running
            case HangsUp():
                running.remove(deed.call)
            case _:
                pass
    assert not running


@often
@given(seeds)
def test_who_is_paused_is_paused_to_a_time_or_resumed(seed: int) -> None:
    open_ended = [deed.person for deed in day(seed) if isinstance(deed, IsPaused) and deed.until is None]
    assert sorted(open_ended) == sorted(deed.person for deed in day(seed) if isinstance(deed, IsResumed))


def test_all_of_life_happens() -> None:
    deeds = [deed for seed in range(20) for deed in day(seed)]
    pairs = {deed.pair for deed in deeds if isinstance(deed, Shows)}
    assert {
        "Busy/InAMeeting",
        "Busy/InACall",
        "DoNotDisturb/Presenting",
        "DoNotDisturb/DoNotDisturb",
    } <= pairs
    assert {"BeRightBack/BeRightBack", "Away/Away", "Offline/OffWork", "Available/OutOfOffice", None} <= pairs
    statuses = {deed.status for deed in deeds if isinstance(deed, SetsByHand)}
    assert statuses == {"Available", "Away", "Out of office", "Custom 1", "Custom 2"}
    begun = {deed.call: deed for deed in deeds if isinstance(deed, Calls)}
    assert {state for call in begun.values() for _, state in call.legs} == {"Dialing", "Ringing", "Connected"}
    assert {deed.state for deed in deeds if isinstance(deed, LegIs)} == {
        "Connected",
        "Hold",
        "Held",
        "Ringing",
    }
    assert any(len(call.legs) > 3 for call in begun.values())
    assert any(isinstance(deed, IsPaused) and deed.until for deed in deeds)


def test_some_things_last_through_the_quiet_and_some_are_over_at_once() -> None:
    lasted: list[float] = []
    for seed in range(20):
        begun: dict[int, float] = {}
        for deed in day(seed):
            if isinstance(deed, Calls):
                begun[deed.call] = deed.at
            if isinstance(deed, HangsUp):
                lasted.append(deed.at - begun[deed.call])
    assert min(lasted) < 2
    assert max(lasted) > QUIET_S


def test_a_day_is_not_too_full() -> None:
    """Otherwise nothing ever comes to rest, and all that is seen is the exception."""
    deeds = [deed for seed in range(20) for deed in day(seed)]
    assert 60 < len(deeds) / 20 / len(PEOPLE) < 200


def test_one_person_has_a_day_as_well() -> None:
    assert {deed.person for deed in day(1, ("101",))} == {"101"}


def test_a_day_that_is_too_short_to_be_quiet_in_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 2\.3 hours"):
        plan_day(random.Random(1), PEOPLE, 0, 2)  # noqa: S311 - no secrets
