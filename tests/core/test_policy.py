"""The operator's rules as data: what the presets ask for, and that all they ask for is legal."""

import msgspec
import pytest
from msgspec.structs import replace

from presencebridge.core.model import (
    AVAILABLE,
    AWAY,
    CUSTOM_1,
    CUSTOM_2,
    OUT_OF_OFFICE,
    STATUSES,
    LegState,
    Presence,
    parse_pair,
)
from presencebridge.core.policy import (
    AVAILABILITIES,
    CALLS_ONLY,
    CUSTOM,
    IN_A_CALL,
    MIRROR,
    NO_CHANGE,
    PRESETS,
    SEED,
    SESSION_PAIRS,
    Policy,
    canonical_status,
)

# Teams' own words, as Microsoft's page on presence states lists them, and what each preset makes of them.
DOCUMENTED = {
    #                                seed       calls-only mirror
    "Available/Available": (AVAILABLE, AVAILABLE, AVAILABLE),
    "Available/OutOfOffice": (AVAILABLE, AVAILABLE, AVAILABLE),
    "AvailableIdle/Available": (AVAILABLE, AVAILABLE, AVAILABLE),
    "AvailableInactive/Available": (AVAILABLE, AVAILABLE, AVAILABLE),
    "Busy/Busy": (AWAY, AVAILABLE, AWAY),
    "Busy/InACall": (AWAY, AWAY, AWAY),
    "Busy/InAConferenceCall": (AWAY, AWAY, AWAY),
    "Busy/InAMeeting": (AWAY, AVAILABLE, AWAY),
    "BusyIdle/Busy": (AWAY, AVAILABLE, AWAY),
    "DoNotDisturb/DoNotDisturb": (AWAY, AVAILABLE, OUT_OF_OFFICE),
    "DoNotDisturb/Presenting": (AWAY, AWAY, OUT_OF_OFFICE),
    "DoNotDisturb/Focusing": (AWAY, AVAILABLE, OUT_OF_OFFICE),
    "Focusing/Focusing": (NO_CHANGE, AVAILABLE, OUT_OF_OFFICE),
    "BeRightBack/BeRightBack": (AWAY, AVAILABLE, AWAY),
    "Away/Away": (NO_CHANGE, AVAILABLE, AWAY),
    "Offline/OffWork": (NO_CHANGE, AVAILABLE, NO_CHANGE),
    "Offline/Offline": (NO_CHANGE, AVAILABLE, NO_CHANGE),
    "OutOfOffice/OutOfOffice": (NO_CHANGE, AVAILABLE, CUSTOM_2),
    "PresenceUnknown/PresenceUnknown": (NO_CHANGE, NO_CHANGE, NO_CHANGE),
    "SomethingNew/SomethingNew": (NO_CHANGE, AVAILABLE, NO_CHANGE),
}


@pytest.mark.parametrize("pair", DOCUMENTED)
def test_a_preset_asks_for_this_status(pair):
    presets = (SEED, CALLS_ONLY, MIRROR)
    assert tuple(policy.target(parse_pair(pair)) for policy in presets) == DOCUMENTED[pair]
    shouted = parse_pair(pair.upper())
    assert tuple(policy.target(shouted) for policy in presets) == DOCUMENTED[pair]


def test_the_most_exact_row_of_a_table_wins():
    table = {"busy/inameeting": CUSTOM_1, "*/inameeting": CUSTOM_2, "busy": AWAY, "*": OUT_OF_OFFICE}
    policy = replace(CUSTOM, status_for=table)
    assert policy.target(Presence("Busy", "InAMeeting")) == CUSTOM_1
    assert policy.target(Presence("DoNotDisturb", "InAMeeting")) == CUSTOM_2
    assert policy.target(Presence("Busy", "Busy")) == AWAY
    assert policy.target(Presence("Away", "Away")) == OUT_OF_OFFICE


def test_no_row_not_even_the_last_one_is_about_unknown_presence():
    policy = replace(CUSTOM, status_for={"*": AWAY, "presenceunknown": AWAY})
    assert policy.target(Presence("PresenceUnknown", "PresenceUnknown")) == NO_CHANGE
    assert policy.target(Presence("", "")) == NO_CHANGE


def test_no_change_is_a_legal_row_and_goes_before_a_wider_one():
    policy = replace(SEED, status_for={**SEED.status_for, "busy/inameeting": NO_CHANGE})
    assert policy.target(Presence("Busy", "InAMeeting")) == NO_CHANGE
    assert policy.target(Presence("Busy", "InACall")) == AWAY


@pytest.mark.parametrize("leg", LegState)
def test_every_leg_counts_but_one_that_rings_or_is_nothing(leg):
    assert SEED.counts(leg) == (leg not in {LegState.RINGING, LegState.UNDEFINED})
    assert replace(SEED, busy_while_ringing=True).counts(leg) == (leg is not LegState.UNDEFINED)


def test_with_manual_wins_nothing_may_be_freed():
    assert SEED.freeable() == (AWAY,)
    assert MIRROR.freeable() == (AWAY, OUT_OF_OFFICE)
    assert replace(SEED, manual_wins=True).freeable() == ()


def test_the_seed_is_the_default_in_every_switch_but_the_table():
    assert replace(Policy(), status_for=SEED.status_for, frees=SEED.frees) == SEED


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_speaks_of_statuses_and_pairs_that_exist(name):
    policy = PRESETS[name]
    for row, status in policy.status_for.items():
        assert row == row.casefold()
        assert status in {*STATUSES, NO_CHANGE}
        assert row == "*" or row.startswith("*/") or row in {word.casefold() for word in AVAILABILITIES}
    assert {*policy.takes_from, *policy.frees} <= set(STATUSES)
    assert {*policy.pair_for} <= {status.casefold() for status in STATUSES}
    assert {*policy.pair_for.values(), policy.call_pair} <= {*SESSION_PAIRS, None}
    assert 300 <= policy.lease_s <= 14_400  # what Graph takes


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_frees_what_it_does_not_itself_use_for_busy(name):
    assert {*PRESETS[name].frees} <= {*PRESETS[name].status_for.values()}


@pytest.mark.parametrize("name", PRESETS)
def test_a_policy_survives_being_written_down(name):
    assert msgspec.json.decode(msgspec.json.encode(PRESETS[name]), type=Policy) == PRESETS[name]


@pytest.mark.parametrize(
    ("spelled", "status"),
    [("available", AVAILABLE), (" AWAY ", AWAY), ("out of OFFICE", OUT_OF_OFFICE), ("Custom 2", CUSTOM_2)],
)
def test_a_status_is_known_however_it_is_spelled(spelled, status):
    assert canonical_status(spelled) == status


@pytest.mark.parametrize("word", ["", "busy", "Custom 3", "Out-of-office"])
def test_a_word_that_is_no_status_is_none(word):
    assert canonical_status(word) is None


def test_a_pair_is_two_words_around_one_slash():
    assert parse_pair("Busy/InACall") == IN_A_CALL
    assert str(IN_A_CALL) == "Busy/InACall"


@pytest.mark.parametrize("text", ["", "Busy", "Busy/", "/InACall", "Busy/InACall/x", "/"])
def test_anything_else_is_no_pair(text):
    with pytest.raises(ValueError, match="availability/activity"):
        parse_pair(text)
