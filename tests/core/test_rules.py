"""Every rule and every known trap, one person at a time. The name of a test is its sentence."""

import typing

import pytest
from msgspec.structs import replace
from playbook import (
    PBX_FAILS,
    SESSION_CLEARED,
    SESSION_SET,
    TEAMS_FAILS,
    Playbook,
    at_rest,
    clear,
    give_back,
    in_call,
    left,
    legs,
    look,
    look_after_session,
    notified,
    open_playbooks,
    play,
    renew,
    say_in_a_call,
    set_free,
    status,
    stored,
    take,
    taken,
    teams,
    wrote,
)

from presencebridge.core.commands import ChangeStatus, SetPresence
from presencebridge.core.events import (
    AnyEvent,
    LegsLost,
    Paused,
    PbxLost,
    PresenceWriteFailed,
    Recognized,
    Resumed,
    Started,
    StatusWriteFailed,
    TeamsFound,
    TimerFired,
)
from presencebridge.core.machine import _ON, next_wake, step
from presencebridge.core.model import (
    AVAILABLE,
    AWAY,
    CUSTOM_1,
    CUSTOM_2,
    OUT_OF_OFFICE,
    Because,
    LegState,
    Presence,
    State,
)
from presencebridge.core.policy import CALLS_ONLY, CUSTOM, MIRROR, SEED, Policy

DIALING, RINGING, CONNECTED, HOLD, HELD, UNDEFINED = (
    LegState.DIALING,
    LegState.RINGING,
    LegState.CONNECTED,
    LegState.HOLD,
    LegState.HELD,
    LegState.UNDEFINED,
)
MANUAL_WINS = replace(SEED, manual_wins=True)
FREE, MEETING, IN_CALL = "Available/Available", "Busy/InAMeeting", "Busy/InACall"
PRESENTING = Presence("DoNotDisturb", "Presenting")
DND = "DoNotDisturb/DoNotDisturb"


# Rule 1: Teams becomes busy -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair",
    [MEETING, "Busy/Busy", "BusyIdle/InAMeeting", "DoNotDisturb/Presenting", "BeRightBack/BeRightBack"],
)
def test_a_busy_person_is_away_on_3cx(pair):
    at_rest().feed(teams(pair)).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect().notes(
        Because.STATUS_TAKEN
    )


@pytest.mark.parametrize(
    "pair", ["Away/Away", "Offline/OffWork", "PresenceUnknown/PresenceUnknown", "Focusing/X"]
)
@pytest.mark.parametrize("on_3cx", [AVAILABLE, AWAY])
def test_away_offline_and_unknown_never_cause_anything(pair, on_3cx):
    at_rest(on_3cx=on_3cx).feed(teams(pair)).expect()
    taken().feed(teams(pair)).expect().feed(status(AWAY)).expect()


def test_words_are_compared_without_case():
    at_rest().feed(teams("busy/inAMeeting")).expect(take())


def test_the_first_sight_of_a_busy_person_counts_as_the_beginning():
    play().feed(Started(), legs(), teams(MEETING)).expect().feed(status(AVAILABLE)).expect(take())


def test_a_giving_back_without_an_answer_may_have_arrived_before_the_next_meeting():
    book = taken().feed(teams(FREE)).expect(give_back()).feed(PBX_FAILS).expect()
    book.feed(teams(MEETING)).expect().wait(1).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect().notes(
        Because.STATUS_TAKEN
    )
    book = taken().feed(teams(FREE)).expect(give_back()).feed(PBX_FAILS).expect()
    book.feed(teams(MEETING)).expect().wait(1).expect(take()).feed(left(AWAY)).expect().notes(
        Because.STATUS_TAKEN
    )
    book.feed(teams(FREE)).expect(give_back())


def test_a_claim_with_nothing_behind_it_goes_while_a_call_hides_whether_its_spell_goes_on():
    book = (
        at_rest().feed(teams(MEETING)).expect(take()).feed(PBX_FAILS, legs(CONNECTED)).expect(say_in_a_call())
    )
    book.feed(SESSION_SET, notified("Offline/Offline")).expect(look(Because.TO_CONFIRM))
    book.wait(10).feed(status(AVAILABLE)).expect()
    assert book.state.status_claim is None


def test_before_it_is_known_what_3cx_shows_nothing_is_claimed():
    """A write without an answer would leave it open whose the Away is that is found afterwards."""
    book = play().feed(Started(), legs(), teams(MEETING)).expect().wait(60).expect()
    book.feed(status(AVAILABLE)).expect(take())


def test_presence_that_was_seen_before_3cx_was_reached_is_answered_when_it_is():
    play().feed(Started(), teams(MEETING)).expect().feed(legs(), status(AVAILABLE)).expect(take())


@pytest.mark.parametrize("own", [AWAY, OUT_OF_OFFICE, CUSTOM_1, CUSTOM_2])
def test_a_status_that_is_not_available_is_left_alone_and_not_claimed(own):
    book = at_rest(on_3cx=own).feed(teams(MEETING)).expect(take())
    book.feed(left(own)).expect().notes(Because.STATUS_LEFT_ALONE)
    assert book.state.status_claim is None
    book.feed(teams("DoNotDisturb/DoNotDisturb"), status(own)).expect()


def test_a_spell_is_answered_once_however_its_presence_changes():
    taken().feed(teams("DoNotDisturb/DoNotDisturb"), teams("Busy/Busy"), teams("BeRightBack/X")).expect()


def test_who_sets_3cx_back_by_hand_is_left_alone_until_the_next_spell():
    book = taken().feed(status(AVAILABLE)).expect().notes(Because.STATUS_CHANGED_BY_HAND)
    book.feed(teams(MEETING), status(AVAILABLE), teams("Busy/Busy"), status(AVAILABLE)).expect()
    book.feed(teams(FREE)).expect(set_free()).feed(left(AVAILABLE)).expect()  # there was nothing to free
    book.feed(teams(MEETING)).expect(take())


def test_who_sets_another_status_by_hand_keeps_it():
    book = taken(MANUAL_WINS).feed(status(OUT_OF_OFFICE)).expect().notes(Because.STATUS_CHANGED_BY_HAND)
    book.feed(teams(FREE)).expect()


def test_a_change_by_hand_before_the_write_is_found_by_the_read_before_it():
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(left(CUSTOM_1)).expect()
    book.feed(teams(FREE)).expect()


def test_a_change_by_hand_during_the_write_wins():
    book = at_rest().feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, CUSTOM_1))
    book.expect().notes(Because.STATUS_CHANGED_BY_HAND)
    book.feed(teams(MEETING), status(CUSTOM_1)).expect()


def test_a_new_spell_finds_our_status_still_there_and_takes_it_as_answered():
    book = taken().feed(teams("Away/Away")).expect().feed(teams(MEETING)).expect()
    book.notes(Because.STATUS_ALREADY_OURS).feed(status(AVAILABLE)).expect()
    book.feed(teams("Busy/Busy")).expect()


# Rule 2: Teams becomes free -----------------------------------------------------------------------


@pytest.mark.parametrize("pair", [FREE, "AvailableIdle/Available", "Available/OutOfOffice"])
def test_our_away_goes_when_the_person_is_free(pair):
    book = taken().feed(teams(pair)).expect(give_back()).feed(wrote(AWAY, AVAILABLE)).expect()
    book.notes(Because.STATUS_GIVEN_BACK)
    assert book.state.status_claim is None


def test_our_away_goes_as_soon_as_teams_is_free_however_that_was_learned():
    """After a restart, after the link was lost, or once a write that was on its way has ended."""
    taken().restart().expect().feed(legs(), teams(FREE)).expect(give_back())
    taken().feed(PbxLost(), teams(FREE)).expect().feed(legs()).expect(give_back())
    book = at_rest().feed(teams(MEETING)).expect(take()).feed(teams(FREE)).expect()
    book.feed(wrote(AVAILABLE, AWAY)).expect(give_back())


def test_an_away_of_somebodys_own_goes_when_teams_changes_to_available():
    book = at_rest(on_3cx=AWAY).feed(teams("Away/Away")).expect().feed(teams(FREE)).expect(set_free())
    book.feed(wrote(AWAY, AVAILABLE)).expect().notes(Because.STATUS_FREED)
    book.feed(teams(FREE), status(AWAY)).expect()  # once


def test_an_away_of_somebodys_own_stays_when_teams_was_available_all_the_time():
    at_rest(on_3cx=AWAY).feed(teams(FREE), notified(FREE), status(AWAY), teams("AvailableIdle/X")).expect()


def test_an_away_of_somebodys_own_stays_at_start():
    at_rest(on_teams="Away/Away", on_3cx=AWAY).restart().feed(legs(), status(AWAY), teams(FREE)).expect()


def test_unknown_presence_between_two_free_ones_is_no_change():
    at_rest(on_3cx=AWAY).feed(teams("PresenceUnknown/PresenceUnknown"), teams(FREE)).expect()


def test_only_a_status_that_may_be_freed_is_freed():
    book = at_rest(on_3cx=OUT_OF_OFFICE).feed(teams("Away/Away"), teams(FREE)).expect(set_free())
    book.feed(left(OUT_OF_OFFICE)).expect().notes(Because.STATUS_LEFT_ALONE)


def test_an_away_that_is_set_after_3cx_was_seen_to_be_free_is_not_freed_any_more():
    book = at_rest(on_3cx=AWAY).feed(PbxLost(), teams("Away/Away"), teams(FREE)).expect()
    book.feed(status(AVAILABLE), status(AWAY), legs()).expect()


def test_with_manual_wins_only_our_own_away_goes():
    at_rest(MANUAL_WINS, on_3cx=AWAY).feed(teams("Away/Away"), teams(FREE)).expect()
    taken(MANUAL_WINS).feed(teams(FREE)).expect(give_back())


def test_with_manual_wins_an_away_set_before_the_meeting_is_there_after_it():
    book = at_rest(MANUAL_WINS, on_3cx=AWAY).feed(teams(MEETING)).expect(take())
    book.feed(left(AWAY)).expect().feed(teams(FREE)).expect()


def test_a_spell_that_begins_while_our_away_goes_is_answered_after_it():
    book = taken().feed(teams(FREE)).expect(give_back()).feed(teams(MEETING)).expect()
    book.feed(wrote(AWAY, AVAILABLE)).expect(take())


def test_a_giving_back_that_finds_another_status_leaves_it():
    book = taken().feed(teams(FREE)).expect(give_back()).feed(left(CUSTOM_1)).expect()
    book.notes(Because.STATUS_CHANGED_BY_HAND)


# Rules 3 and 4: calls -----------------------------------------------------------------------------


@pytest.mark.parametrize("leg", [DIALING, CONNECTED, HOLD, HELD])
def test_a_leg_makes_teams_busy_and_its_end_clears_it(leg):
    book = (
        at_rest()
        .feed(legs(leg))
        .expect(say_in_a_call())
        .feed(SESSION_SET)
        .expect()
        .notes(Because.SESSION_SET)
    )
    book.feed(legs()).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())
    book.feed(teams(FREE)).expect()
    assert book.state.teams_claim is None


@pytest.mark.parametrize("leg", [RINGING, UNDEFINED])
def test_a_leg_that_only_rings_is_no_call(leg):
    at_rest().feed(legs(leg)).expect()


def test_with_busy_while_ringing_it_is():
    at_rest(replace(SEED, busy_while_ringing=True)).feed(legs(RINGING)).expect(say_in_a_call())


def test_two_calls_overlap_and_teams_is_busy_until_both_have_ended():
    in_call().feed(legs(CONNECTED, HOLD)).expect().feed(legs(CONNECTED)).expect().feed(legs()).expect(clear())


def test_hold_is_still_a_call():
    in_call().feed(legs(HOLD), legs(HELD), legs(CONNECTED)).expect()


def test_several_participants_of_one_call_are_one_call():
    in_call().feed(legs(CONNECTED, CONNECTED, RINGING), legs(CONNECTED, UNDEFINED)).expect()


def test_the_session_is_renewed_before_half_of_its_lease_is_over_until_the_last_leg_ends():
    book = in_call().wait(149).expect().wait(2).expect(renew()).feed(SESSION_SET).expect()
    book.wait(151).expect(renew()).feed(SESSION_SET, legs()).expect(clear())


def test_a_call_that_ends_before_the_session_is_accepted_is_cleared_after_it():
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(legs()).expect()
    book.feed(SESSION_SET).expect(clear())


def test_a_call_that_begins_while_the_session_is_cleared_is_shown_after_it():
    book = in_call().feed(legs()).expect(clear()).feed(legs(CONNECTED)).expect()
    book.feed(SESSION_CLEARED).expect(look_after_session(), say_in_a_call())


def test_a_call_shorter_than_min_call_s_does_not_reach_teams():
    book = at_rest(replace(SEED, min_call_s=10)).feed(legs(CONNECTED)).expect().wait(9).expect()
    book.feed(legs()).expect().wait(60).expect()
    book.feed(legs(CONNECTED)).expect().wait(10).expect(say_in_a_call())


def test_an_extension_that_is_not_known_to_be_free_keeps_its_session():
    in_call().feed(PbxLost()).expect().feed(status(AVAILABLE)).expect()


def test_while_the_link_is_down_nothing_is_renewed_and_the_lease_ends_by_itself():
    book = in_call().feed(PbxLost()).expect().wait(299).expect()
    book.wait(2).expect(lambda now: look_after_session()(now - 1)).notes(Because.LEASE_ENDED)
    assert book.state.teams_claim is None


def test_a_call_that_outlasts_the_link_is_shown_again():
    book = in_call().feed(PbxLost()).wait(301).expect(lambda now: look_after_session()(now - 1))
    book.feed(legs(CONNECTED)).expect(say_in_a_call())


def test_a_link_that_comes_back_in_time_goes_on_renewing():
    in_call().feed(PbxLost()).wait(200).expect().feed(legs(CONNECTED)).expect(renew())
    in_call().feed(PbxLost()).wait(200).expect().feed(legs()).expect(clear())


def test_a_lease_does_not_end_while_its_renewal_is_on_its_way():
    book = in_call().wait(150).expect(renew()).wait(400).expect().feed(SESSION_SET).expect()
    book.wait(150).expect(renew())


def test_late_answers_for_a_session_that_is_gone_change_nothing():
    at_rest().feed(SESSION_SET, SESSION_CLEARED, left(AVAILABLE)).expect()


# Echo ---------------------------------------------------------------------------------------------


def test_the_echo_of_our_session_does_not_set_3cx_away():
    in_call().feed(teams(IN_CALL)).expect().notes(Because.ECHO).feed(teams(IN_CALL)).expect().notes()


def test_the_echo_may_come_before_the_answer():
    at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(teams(IN_CALL)).expect()


@pytest.mark.parametrize("spelling", ["busy/inacall", "Busy/InACall + OOF", "Busy/InACallOutOfOffice"])
def test_the_echo_is_known_however_it_is_spelled(spelling):
    in_call().feed(teams(spelling)).expect()


@pytest.mark.parametrize(
    "pair", [MEETING, "Busy/Busy", "DoNotDisturb/Presenting", "Busy/InACallOnHold", "DoNotDisturb/InACall"]
)
def test_any_other_busy_pair_is_the_person(pair):
    in_call().feed(teams(pair)).expect(take())


def test_the_end_of_our_session_is_an_echo_too():
    """A read that Graph answers from what it knew before is looked at again."""
    book = in_call().feed(teams(IN_CALL), legs()).expect(clear()).feed(SESSION_CLEARED)
    book.expect(look_after_session())
    book.feed(teams(IN_CALL)).expect(look(Because.ECHO_TO_CONFIRM, in_s=4))
    book.wait(4).feed(teams(FREE)).expect()


def test_a_teams_call_that_outlasts_the_3cx_call_sets_away():
    book = in_call().feed(teams(IN_CALL), legs()).expect(clear()).feed(SESSION_CLEARED)
    book.expect(look_after_session()).feed(teams(IN_CALL)).expect(look(Because.ECHO_TO_CONFIRM, in_s=4))
    book.wait(4).feed(teams(IN_CALL)).expect(take())


def test_a_lease_that_ended_by_itself_has_an_echo_too():
    book = in_call().feed(PbxLost(), teams(IN_CALL)).wait(300).expect(look_after_session())
    book.feed(legs(), teams(IN_CALL)).expect(look(Because.ECHO_TO_CONFIRM, in_s=4))


def test_a_teams_meeting_that_ends_during_a_3cx_call_is_given_back_after_the_call():
    book = taken().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(SESSION_SET, teams(IN_CALL)).expect()
    book.feed(legs()).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())
    book.feed(teams(FREE)).expect(give_back())


def test_our_away_goes_during_the_call_when_teams_shows_the_person_free_all_the_same():
    """Who chooses Available in the Teams client is shown as available, whatever session we hold."""
    book = taken().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(SESSION_SET).expect()
    book.feed(teams(FREE)).expect(give_back())


def test_an_away_set_by_hand_before_a_3cx_call_is_still_there_after_it():
    book = in_call(on_3cx=AWAY).feed(teams(IN_CALL), legs()).expect(clear()).feed(SESSION_CLEARED)
    book.expect(look_after_session()).feed(teams(FREE), status(AWAY)).expect().wait(600).expect()


def test_an_away_of_somebodys_own_stays_when_a_meeting_ended_behind_our_session():
    book = at_rest(on_teams="Away/Away", on_3cx=AWAY).feed(legs(CONNECTED)).expect(say_in_a_call())
    book.feed(SESSION_SET, teams(IN_CALL), legs()).expect(clear()).feed(SESSION_CLEARED)
    book.expect(look_after_session()).feed(teams(FREE)).expect()
    book.feed(teams("Away/Away"), teams(FREE)).expect(set_free())  # and the next change counts again


def test_an_away_of_somebodys_own_stays_when_our_session_ended_unasked():
    """It may end a little before we think so: then Teams shows free while we hold it."""
    book = at_rest(on_teams="Away/Away", on_3cx=AWAY).feed(legs(CONNECTED)).expect(say_in_a_call())
    book.feed(SESSION_SET, teams(IN_CALL), PbxLost()).expect().wait(299).feed(legs(CONNECTED), teams(FREE))
    book.expect(renew())


# Notifications and reads --------------------------------------------------------------------------


def test_a_notification_is_acted_on_at_once_and_confirmed_by_a_look():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), teams(MEETING)).expect()
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), teams(FREE)).expect()


def test_a_notification_of_what_is_known_asks_nothing():
    at_rest().feed(notified(FREE)).expect()
    taken().feed(notified(MEETING), notified(MEETING)).expect()
    in_call().feed(teams(IN_CALL), notified(IN_CALL)).expect()


def test_a_late_notification_of_busy_is_taken_back_by_the_look():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), teams(FREE)).expect(look(Because.TO_CONFIRM, 4))
    book.now += 4
    book.feed(teams(FREE)).expect(give_back()).feed(wrote(AWAY, AVAILABLE), teams(FREE)).expect()


def test_a_late_notification_of_free_is_taken_back_by_the_look():
    book = taken().feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), teams(MEETING)).expect(look(Because.TO_CONFIRM, 4))
    book.now += 4
    book.feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, AWAY), teams(MEETING)).expect()


def test_after_a_late_notification_others_are_read_before_they_are_acted_on():
    """What Graph could not deliver in an outage it delivers afterwards, and there is a lot of it."""
    book = taken().feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE)).expect()
    book.now += 4
    book.feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, AWAY), teams(MEETING)).expect()
    for _ in range(3):
        book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM)).feed(status(AWAY)).expect()
        book.feed(teams(MEETING)).expect(look(Because.TO_CONFIRM, 4))
        book.now += 4
        book.feed(teams(MEETING)).expect()
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM)).feed(teams(FREE)).expect(give_back())


def test_after_a_notification_that_another_one_took_back_others_are_read_before_they_are_acted_on():
    book = taken().feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), notified(MEETING)).expect(take()).feed(wrote(AVAILABLE, AWAY))
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM)).feed(notified(MEETING)).expect()


def test_notifications_are_acted_on_again_when_none_was_late_for_an_hour():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY)).expect()
    book.now += 4
    book.feed(teams(FREE)).expect(give_back()).feed(wrote(AWAY, AVAILABLE)).expect()
    book.feed(notified(MEETING)).expect(look(Because.TO_CONFIRM)).feed(teams(FREE)).expect(
        look(Because.TO_CONFIRM, 4)
    )
    book.now += 4
    book.feed(teams(FREE)).expect()
    book.now += 3_601
    book.feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())


def test_what_a_late_notification_took_is_given_back_although_teams_is_away_now():
    book = at_rest(on_teams="Away/Away").feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY)).expect()
    book.now += 4
    book.feed(teams("Away/Away")).expect(give_back(because=Because.HINT_REFUTED)).feed(
        wrote(AWAY, AVAILABLE), teams("Away/Away")
    ).expect()


def test_what_a_late_notification_gave_back_is_taken_again_although_teams_is_away_now():
    book = taken().feed(teams("Away/Away")).expect()
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE)).expect()
    book.now += 4
    book.feed(teams("Away/Away")).expect(take()).feed(wrote(AVAILABLE, AWAY), teams("Away/Away")).expect()


def test_who_was_free_for_a_moment_between_two_looks_gets_nothing_taken_again():
    """Two notifications in a row, and a read that says what the second one said."""
    book = taken().feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), notified("Away/Away")).expect(look(Because.TO_CONFIRM))
    book.feed(teams("Away/Away")).expect()
    book.feed(teams("Away/Away")).expect()


def test_a_late_notification_of_free_does_not_undo_what_a_person_set_by_hand():
    book = taken().feed(status(AVAILABLE)).expect()
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM))
    book.now += 4
    book.feed(teams(MEETING)).expect()


def test_a_notification_alone_never_frees_a_status_that_is_not_ours():
    book = at_rest(on_3cx=AWAY).feed(teams(MEETING)).expect(take()).feed(left(AWAY)).expect()
    book.feed(notified(FREE)).expect(look(Because.TO_CONFIRM)).feed(teams(FREE)).expect(set_free())


def test_a_look_that_lags_behind_a_notification_takes_nothing_back():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), teams(FREE)).expect(look(Because.TO_CONFIRM, 4))
    book.now += 4
    book.feed(teams(MEETING)).expect()


def test_an_echo_says_nothing_of_what_a_notification_said():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), legs(CONNECTED)).expect(say_in_a_call())
    book.feed(SESSION_SET).expect().feed(notified(IN_CALL)).expect(look(Because.TO_CONFIRM))
    book.now += 1
    book.feed(teams(IN_CALL), notified(IN_CALL)).expect()


def test_what_was_given_back_is_not_taken_again_where_another_notification_says_free_too():
    """A meeting asks for nothing in calls-only: it was read, then two notifications came, then it again."""
    book = at_rest(CALLS_ONLY, on_teams=MEETING)
    book.feed(notified("Busy/InAConferenceCall")).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), notified(MEETING)).expect()


def test_what_two_notifications_asked_for_and_gave_back_is_not_taken_again():
    """Busy, free and signed out, while nothing can be read: signed out is what was read before."""
    book = (
        at_rest(on_teams="Offline/Offline").feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    )
    book.feed(wrote(AVAILABLE, AWAY), notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE), notified("Offline/Offline")).expect()
    book.feed(teams("Offline/Offline")).expect().feed(teams(MEETING)).expect(take())


def test_what_shows_of_who_is_signed_out_once_our_session_is_there_frees_nothing():
    """A status that they chose in Teams' menu, and nothing that they did."""
    book = at_rest(MIRROR, on_teams="Offline/Offline").feed(status(OUT_OF_OFFICE))
    book.expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300)).feed(SESSION_SET, teams(FREE)).expect()
    book = at_rest(on_teams="Offline/Offline", on_3cx=AWAY).feed(legs(CONNECTED)).expect(say_in_a_call())
    book.feed(SESSION_SET, teams(FREE)).expect().feed(teams("Away/Away"), teams(FREE)).expect(set_free())


def test_a_newer_notification_takes_back_an_older_one():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(wrote(AVAILABLE, AWAY), notified(FREE)).expect(give_back())


def test_nothing_new_is_taken_while_a_notification_says_that_the_person_is_free():
    book = taken().feed(notified(FREE)).expect(look(Because.TO_CONFIRM), give_back())
    book.feed(wrote(AWAY, AVAILABLE)).expect().feed(legs(), status(AVAILABLE)).expect()


def test_a_lost_notification_is_made_good_by_the_next_read():
    at_rest().feed(teams(MEETING)).expect(take())


def test_a_read_that_was_asked_before_a_notification_is_repeated():
    book = at_rest().feed(notified(MEETING)).expect(look(Because.TO_CONFIRM), take())
    book.feed(teams(MEETING, asked_ago=1)).expect(look(Because.OVERTAKEN))


def test_a_read_that_was_overtaken_by_a_newer_one_says_nothing():
    book = taken()
    book.feed(teams(FREE, asked_ago=1)).expect(look(Because.OVERTAKEN)).feed(teams(MEETING)).expect()


def test_a_read_that_was_asked_before_our_write_was_accepted_is_repeated():
    book = taken().feed(legs(CONNECTED)).expect(say_in_a_call())
    book.now += 1
    book.feed(SESSION_SET, legs()).expect(clear())
    book.now += 1
    book.feed(SESSION_CLEARED).expect(look_after_session())
    book.feed(teams(FREE, asked_ago=1)).expect(look(Because.OVERTAKEN))


def test_a_read_with_an_older_number_is_from_a_graph_that_lags_and_is_repeated_a_little_later():
    book = at_rest().feed(teams(MEETING, sequence="B")).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()
    book.now += 1
    book.feed(teams(FREE, sequence="A")).expect(look(Because.OVERTAKEN, in_s=3))
    book.feed(teams(MEETING, sequence="C")).expect()
    assert book.state.sequence == "C"


def test_numbers_that_begin_anew_do_not_stop_the_reading():
    book = at_rest().feed(teams(MEETING, sequence="B")).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()
    book.wait(4).feed(teams(FREE, sequence="A")).expect(give_back())


def test_a_status_that_was_asked_before_our_write_ended_says_nothing():
    book = at_rest().feed(teams(MEETING)).expect(take())
    book.now += 1
    book.feed(status(AVAILABLE), wrote(AVAILABLE, AWAY), status(AVAILABLE, asked_ago=0.5)).expect()
    assert book.state.status_claim is not None


def test_a_status_that_is_seen_while_we_write_is_not_taken_for_somebodys_own():
    book = at_rest(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE)).feed(status(OUT_OF_OFFICE)).expect()
    book.feed(wrote(AVAILABLE, OUT_OF_OFFICE), teams(FREE)).expect(give_back(OUT_OF_OFFICE))
    book.feed(status(AVAILABLE)).expect().notes()


def test_a_status_that_was_overtaken_by_a_newer_one_says_nothing():
    book = taken()
    book.now += 2
    book.feed(status(AWAY), status(AVAILABLE, asked_ago=1)).expect()
    assert book.state.status_claim is not None


# Writes that fail ---------------------------------------------------------------------------------


def test_a_status_write_that_failed_is_tried_again_later_each_time():
    book = at_rest().feed(teams(MEETING)).expect(take())
    for delay in (1, 2, 4, 8, 16, 32, 60, 60):
        book.feed(PBX_FAILS).expect().notes(Because.WRITE_FAILED).wait(delay - 0.1).expect().wait(0.1).expect(
            take()
        )
    book.feed(wrote(AVAILABLE, AWAY)).expect()
    assert book.state.status_write.attempts == 0


def test_a_retry_waits_as_long_as_the_other_side_asks_for():
    book = at_rest().feed(teams(MEETING), legs(CONNECTED)).expect(take(), say_in_a_call())
    book.feed(StatusWriteFailed("busy", 20), PresenceWriteFailed("429", 30)).expect()
    book.wait(19).expect().wait(1).expect(take()).wait(9).expect().wait(1).expect(say_in_a_call())


def test_a_link_that_is_back_does_not_wait_for_the_next_try():
    book = (
        at_rest().feed(teams(MEETING)).expect(take()).feed(StatusWriteFailed("down", 60), PbxLost()).expect()
    )
    book.wait(5).feed(legs()).expect(take())


def test_a_call_that_can_not_be_seen_any_more_is_left_to_its_lease():
    book = in_call().feed(LegsLost()).expect().wait(299).expect()
    book.wait(2).expect(lambda now: look_after_session()(now - 1)).notes(Because.LEASE_ENDED)
    in_call().feed(LegsLost()).expect().feed(legs()).expect(clear())


def test_a_graph_that_is_back_does_not_wait_for_the_next_try():
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(PresenceWriteFailed("down", 60))
    book.expect().wait(5).expect().feed(TeamsFound()).expect(say_in_a_call()).feed(TeamsFound()).expect()


def test_a_request_that_is_never_answered_may_have_arrived_all_the_same():
    """The old bridge does so: the status is found to be what we wanted, and it is ours."""
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS).wait(1).expect(take())
    book.feed(left(AWAY)).expect().notes(Because.STATUS_TAKEN).feed(teams(FREE)).expect(give_back())
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS, status(AWAY)).expect()
    book.notes(Because.WRITE_FAILED, Because.STATUS_TAKEN).wait(60).expect().feed(teams(FREE)).expect(
        give_back()
    )


def test_an_away_that_comes_after_our_write_was_seen_not_to_arrive_is_somebodys_own():
    book = (
        at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(StatusWriteFailed("busy", 30)).expect()
    )
    book.wait(4).feed(status(AVAILABLE)).expect().wait(26).expect(take())
    book.feed(left(AWAY)).expect().notes(Because.STATUS_LEFT_ALONE).feed(teams(FREE)).expect()


def test_a_write_that_failed_may_still_arrive_after_a_look_that_did_not_show_it():
    book = (
        at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS, status(AVAILABLE)).expect()
    )
    book.wait(1).expect(take()).feed(left(AWAY)).expect().notes(Because.STATUS_TAKEN)
    book.feed(teams(FREE)).expect(give_back())
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).restart().feed(status(AVAILABLE)).expect()
    book.feed(legs(), teams(MEETING)).expect(take()).feed(left(AWAY)).expect().notes(Because.STATUS_TAKEN)


def test_a_spell_that_is_over_before_its_write_arrived_leaves_nothing_to_give_back():
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS).expect()
    book.feed(teams("Away/Away")).wait(4).feed(status(AVAILABLE)).expect()
    assert book.state.status_claim is None
    book.wait(60).expect().feed(status(AWAY), teams(FREE)).expect()


def test_a_second_value_that_never_arrived_leaves_the_first_one_ours_for_later():
    book = (
        taken(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY))).feed(PBX_FAILS).expect()
    )
    book.feed(teams("Offline/OffWork")).wait(4).feed(status(AWAY)).expect()
    book.feed(teams(FREE)).expect(give_back(AWAY))


def test_a_write_that_may_have_arrived_is_taken_back_when_the_person_is_free():
    book = at_rest().feed(teams(MEETING)).expect(take()).feed(PBX_FAILS, teams(FREE)).expect()
    book.wait(1).expect(give_back()).feed(left(AVAILABLE)).expect()


def test_a_change_that_3cx_accepts_and_ignores_is_tried_again():
    book = at_rest().feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, AVAILABLE))
    book.expect().notes(Because.IGNORED_BY_PBX).wait(1).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()
    book.feed(teams(FREE)).expect(give_back()).feed(wrote(AWAY, AWAY)).expect().wait(1).expect(give_back())
    assert "still shows Away" in (book.state.status_write.trouble or "")


def test_a_change_that_3cx_ignored_is_not_ours_when_somebody_makes_it():
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS).wait(1).expect(take())
    for rest in (2, 4):
        book.feed(wrote(AVAILABLE, AVAILABLE)).expect().wait(rest).expect(take())
    book.feed(wrote(AVAILABLE, AVAILABLE)).wait(5).feed(status(AVAILABLE)).expect()
    book.feed(status(AWAY)).expect().feed(teams(FREE)).expect()
    book.wait(60).expect()
    assert book.state.status_claim is None


@pytest.mark.parametrize("found_by", ["status", "retry", "status, late"])
def test_a_change_that_shows_after_it_was_read_back_is_ours(found_by):
    book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, AVAILABLE)).expect()
    if found_by == "status":
        book.wait(0.5).feed(status(AWAY)).expect().notes(Because.STATUS_TAKEN)
    else:
        book.wait(1).expect(take())
        if found_by == "retry":
            book.feed(left(AWAY)).expect().notes(Because.STATUS_TAKEN)
        else:
            book.feed(wrote(AVAILABLE, AVAILABLE)).wait(1.9).feed(status(AWAY)).expect()
    book.wait(60).expect()
    assert book.state.status_write.trouble is None, "nothing waits any more"
    book.feed(teams(FREE)).expect(give_back()).feed(wrote(AWAY, AVAILABLE)).expect()


def test_a_status_that_was_given_back_late_is_taken_for_the_next_meeting():
    book = at_rest().feed(teams(MEETING)).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()
    book.feed(teams(FREE)).expect(give_back()).feed(wrote(AWAY, AWAY)).expect()
    book.feed(teams(MEETING), status(AVAILABLE)).expect().wait(5)
    book.feed(status(AVAILABLE)).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()


def test_a_freeing_that_3cx_ignores_is_tried_again():
    book = at_rest(on_3cx=AWAY).feed(teams("Away/Away"), teams(FREE)).expect(set_free())
    book.feed(wrote(AWAY, AWAY)).expect().wait(1).expect(set_free()).feed(PBX_FAILS).expect()
    book.wait(2).expect(set_free()).feed(wrote(AWAY, AVAILABLE)).expect()


def test_a_presence_write_that_failed_is_tried_again():
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(TEAMS_FAILS).expect()
    book.notes(Because.WRITE_FAILED).wait(1).expect(say_in_a_call()).feed(SESSION_SET, legs()).expect(clear())
    book.feed(TEAMS_FAILS).expect().wait(1).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())


def test_a_session_that_may_have_arrived_is_cleared_when_the_call_is_over():
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(TEAMS_FAILS, legs()).expect()
    book.feed(teams(IN_CALL)).expect().wait(1).expect(clear())


def test_a_renewal_that_fails_is_tried_again_and_may_have_lengthened_the_lease():
    book = in_call().wait(150).expect(renew()).feed(TEAMS_FAILS).expect().wait(1).expect(renew())
    book.feed(PresenceWriteFailed("down", 3600)).expect().wait(299).expect()
    book.wait(2).expect(lambda now: look_after_session()(now - 1))


def test_a_renewal_may_have_lengthened_the_lease_until_it_is_known_to_have_failed():
    book = in_call().wait(150).expect(renew())
    book.now += 10
    book.feed(PresenceWriteFailed("down", 3600)).expect().wait(299).expect().wait(1).expect(
        look_after_session()
    )


def test_a_clearing_without_an_answer_may_have_arrived_so_the_next_call_sets_the_session_anew():
    book = in_call().feed(legs()).expect(clear()).feed(TEAMS_FAILS, legs(CONNECTED)).expect()
    book.wait(1).expect(say_in_a_call()).feed(SESSION_SET).expect().wait(100).expect()


def test_who_dies_while_clearing_sets_the_session_anew_for_the_next_call():
    book = in_call().feed(legs()).expect(clear()).wait(5).restart().feed(legs(CONNECTED))
    book.expect(say_in_a_call()).feed(SESSION_SET).expect()


def test_a_clearing_that_never_works_ends_with_the_lease():
    book = in_call().feed(legs()).expect(clear()).feed(PresenceWriteFailed("down", 3600)).expect()
    book.wait(299).expect().wait(1).expect(look_after_session()).notes(Because.LEASE_ENDED)


# A mapping of several statuses --------------------------------------------------------------------


def test_mirror_follows_from_one_status_to_the_next_and_gives_back_the_first():
    book = taken(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY)))
    book.feed(wrote(AWAY, OUT_OF_OFFICE)).expect().feed(status(OUT_OF_OFFICE)).expect()
    book.feed(teams(FREE)).expect(give_back(OUT_OF_OFFICE)).feed(wrote(OUT_OF_OFFICE, AVAILABLE)).expect()


def test_mirror_follows_a_change_that_came_while_the_first_write_was_on_its_way():
    book = at_rest(MIRROR).feed(teams(MEETING)).expect(take()).feed(teams(DND)).expect()
    book.feed(wrote(AVAILABLE, AWAY)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY)))
    book.feed(wrote(AWAY, OUT_OF_OFFICE)).expect()


def test_mirror_follows_from_what_only_a_notification_said_to_what_a_read_says():
    """In one step: nobody asked for Available between the two."""
    book = at_rest(MIRROR).feed(notified(DND)).expect(look(Because.TO_CONFIRM), take(OUT_OF_OFFICE))
    book.feed(wrote(AVAILABLE, OUT_OF_OFFICE)).expect()
    book.now += 4
    book.feed(teams(MEETING)).expect(take(AWAY, (AVAILABLE, OUT_OF_OFFICE)))
    book.feed(wrote(OUT_OF_OFFICE, AWAY), teams(FREE)).expect(give_back())


def test_a_second_value_that_fails_to_arrive_leaves_the_first_one_ours():
    book = (
        taken(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY))).feed(PBX_FAILS).expect()
    )
    book.feed(status(AWAY)).expect().wait(1).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY)))
    book.feed(PBX_FAILS).expect().feed(teams(FREE)).expect().wait(2)
    book.expect(ChangeStatus(Because.TEAMS_FREE, (AWAY, OUT_OF_OFFICE), AVAILABLE))


def test_a_second_value_that_was_on_its_way_at_a_crash_leaves_the_first_one_ours():
    book = taken(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY)))
    book.restart().feed(legs(), status(AWAY), teams(FREE))
    book.expect(ChangeStatus(Because.TEAMS_FREE, (AWAY, OUT_OF_OFFICE), AVAILABLE))


def test_going_back_to_the_first_value_finds_it_still_there():
    book = (
        taken(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE, (AVAILABLE, AWAY))).feed(PBX_FAILS).expect()
    )
    book.feed(teams(MEETING)).expect().wait(1).expect(take(AWAY, (AVAILABLE, OUT_OF_OFFICE)))
    book.feed(left(AWAY)).expect().notes(Because.STATUS_TAKEN).feed(teams(FREE)).expect(give_back())


def test_mirror_shows_a_status_set_by_hand_and_not_one_of_ours():
    book = at_rest(MIRROR).feed(status(OUT_OF_OFFICE))
    book.expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300)).feed(
        SESSION_SET, teams(str(PRESENTING))
    ).expect()
    book.feed(status(AVAILABLE)).expect(clear(PRESENTING, Because.STATUS_NOT_SHOWN))
    at_rest(MIRROR).feed(teams(DND)).expect(take(OUT_OF_OFFICE)).feed(
        wrote(AVAILABLE, OUT_OF_OFFICE)
    ).expect()


def test_mirror_keeps_a_session_that_shows_a_status_while_teams_asks_for_the_same_status():
    book = (
        at_rest(MIRROR).feed(status(OUT_OF_OFFICE)).expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300))
    )
    book.feed(SESSION_SET, teams(DND)).expect(take(OUT_OF_OFFICE)).feed(left(OUT_OF_OFFICE)).expect()
    book.notes(Because.STATUS_LEFT_ALONE)


def test_the_end_of_a_call_ends_its_session_though_nothing_is_known_of_the_status():
    book = play(MIRROR).feed(Started(), legs(CONNECTED)).expect(say_in_a_call()).feed(SESSION_SET)
    book.feed(legs()).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())
    book.feed(status(OUT_OF_OFFICE)).expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300))


def test_a_session_that_shows_a_status_stays_while_nothing_is_known_of_it():
    book = at_rest(MIRROR).feed(status(OUT_OF_OFFICE))
    book.expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300)).feed(SESSION_SET)
    book.feed(PbxLost(), legs()).expect()
    book.feed(status(AVAILABLE)).expect(clear(PRESENTING, Because.STATUS_NOT_SHOWN))


def test_a_call_replaces_the_session_that_shows_a_status_and_its_echo_is_known():
    book = (
        at_rest(MIRROR).feed(status(OUT_OF_OFFICE)).expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300))
    )
    book.feed(SESSION_SET, teams(str(PRESENTING))).expect()
    book.feed(legs(CONNECTED)).expect(say_in_a_call()).feed(TEAMS_FAILS).expect()
    book.feed(
        teams(str(PRESENTING)), status(OUT_OF_OFFICE)
    ).expect()  # still ours: the new one has not arrived
    book.wait(1).expect(say_in_a_call()).feed(SESSION_SET).expect(look(Because.SESSION_SET))
    book.feed(teams(str(PRESENTING))).expect(look(Because.ECHO_TO_CONFIRM, in_s=4))
    book.feed(teams(IN_CALL)).expect()
    book.feed(legs()).expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300)).feed(TEAMS_FAILS).expect()
    book.feed(status(AVAILABLE)).expect().wait(1).expect(clear(PRESENTING, Because.STATUS_NOT_SHOWN))
    book.feed(SESSION_CLEARED).expect(look_after_session())
    for pair in (IN_CALL, str(PRESENTING)):
        book.feed(teams(pair)).expect(look(Because.ECHO_TO_CONFIRM, in_s=4))


def test_a_session_that_shows_a_status_waits_for_the_status_after_a_restart():
    book = (
        at_rest(MIRROR).feed(status(OUT_OF_OFFICE)).expect(SetPresence(Because.STATUS_SHOWN, PRESENTING, 300))
    )
    book.feed(SESSION_SET).restart().feed(legs()).expect().feed(status(OUT_OF_OFFICE)).expect()
    book.restart().feed(legs()).expect().feed(status(AVAILABLE)).expect(
        clear(PRESENTING, Because.STATUS_NOT_SHOWN)
    )


def test_a_session_of_the_same_pair_outlives_its_cause():
    policy = replace(SEED, pair_for={"custom 1": Presence("Busy", "InACall")})
    book = in_call(policy).feed(status(CUSTOM_1), legs()).expect()
    assert book.state.teams_claim.why is Because.STATUS_SHOWN


def test_calls_only_knows_teams_calls_and_nothing_else():
    at_rest(CALLS_ONLY).feed(
        teams(MEETING), teams(DND), teams("BeRightBack/X"), teams("Offline/OffWork")
    ).expect()
    book = at_rest(CALLS_ONLY).feed(teams(IN_CALL)).expect(take()).feed(wrote(AVAILABLE, AWAY)).expect()
    book.feed(teams(MEETING)).expect(give_back()).feed(wrote(AWAY, AVAILABLE)).expect()
    in_call(CALLS_ONLY).feed(teams(IN_CALL)).expect()
    at_rest(CALLS_ONLY, on_3cx=AWAY).feed(teams(MEETING), teams(FREE)).expect()


def test_a_custom_table_does_what_it_says_and_gives_back_what_was_there():
    policy = replace(CUSTOM, status_for={"busy": CUSTOM_2, "*": AVAILABLE}, takes_from=(AVAILABLE, CUSTOM_1))
    book = at_rest(policy, on_3cx=CUSTOM_1).feed(teams(MEETING)).expect(take(CUSTOM_2, (AVAILABLE, CUSTOM_1)))
    book.feed(wrote(CUSTOM_1, CUSTOM_2), legs(CONNECTED)).expect()  # calls are not in this table
    book.feed(teams("Away/Away")).expect(give_back(CUSTOM_2, to=CUSTOM_1))


def test_what_is_given_back_is_what_the_write_found():
    policy = replace(CUSTOM, status_for={"busy": CUSTOM_2, "*": AVAILABLE}, takes_from=(AVAILABLE, CUSTOM_1))
    book = play(policy).feed(Started(), legs(), status(AVAILABLE), teams(MEETING))
    book.expect(take(CUSTOM_2, (AVAILABLE, CUSTOM_1)))
    book.feed(wrote(CUSTOM_1, CUSTOM_2), teams("Away/Away")).expect(give_back(CUSTOM_2, to=CUSTOM_1))


# Direction, pause, exclusion ----------------------------------------------------------------------


def test_teams_to_3cx_only_writes_3cx_only():
    policy = replace(SEED, threecx_to_teams=False)
    at_rest(policy).feed(legs(CONNECTED)).expect().feed(teams(MEETING)).expect(take())


def test_3cx_to_teams_only_writes_teams_only():
    policy = replace(SEED, teams_to_3cx=False)
    book = at_rest(policy, on_3cx=AWAY).feed(teams(MEETING), teams("Away/Away"), teams(FREE)).expect()
    book.feed(legs(CONNECTED)).expect(say_in_a_call())


def test_a_direction_that_was_switched_off_gives_back_what_it_held():
    book = taken().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(SESSION_SET).expect()
    book.policy = replace(SEED, teams_to_3cx=False, threecx_to_teams=False)
    back, end = give_back(because=Because.LET_GO), clear(because=Because.LET_GO)
    book.restart().feed(legs(CONNECTED)).expect(back, end)


def test_an_excluded_person_gets_no_write():
    book = at_rest(replace(SEED, excluded=True)).feed(teams(MEETING), legs(CONNECTED)).expect()
    book.wait(1000).feed(teams(FREE), legs()).expect()


def test_who_is_excluded_gets_back_what_is_ours_and_no_other_write():
    book = taken().feed(legs(CONNECTED)).expect(say_in_a_call()).feed(SESSION_SET).expect()
    book.policy = replace(SEED, excluded=True)
    back, end = give_back(because=Because.LET_GO), clear(because=Because.LET_GO)
    book.restart().feed(legs(CONNECTED)).expect(back, end)
    book.feed(wrote(AWAY, AVAILABLE), SESSION_CLEARED).expect(look_after_session())
    book.feed(status(AVAILABLE), teams(MEETING), legs(), legs(CONNECTED)).wait(1000).expect()


def test_who_is_excluded_while_paused_is_left_as_they_are_until_they_are_not():
    book = taken().feed(Paused()).expect()
    book.policy = replace(SEED, excluded=True)
    book.restart().feed(legs()).wait(1000).expect()
    book.feed(Resumed()).expect(give_back(because=Because.LET_GO))


def test_a_paused_person_gets_no_write_and_is_served_after_it():
    book = at_rest().feed(Paused()).expect().notes(Because.PAUSED)
    book.feed(teams(MEETING), legs(CONNECTED)).expect().wait(5000).expect().restart().expect()
    book.feed(legs(CONNECTED), status(AVAILABLE), teams(MEETING)).expect()
    book.feed(Resumed()).expect(take(), say_in_a_call())


def test_a_pause_ends_at_its_time():
    book = at_rest().feed(lambda now: Paused(now + 60), teams(MEETING)).expect().wait(59).expect()
    book.wait(1).expect(take()).notes(Because.PAUSE_OVER)


def test_a_pause_of_which_the_time_is_over_already_is_none():
    at_rest().feed(Paused(until=0), Resumed(), teams(MEETING)).expect(take())


def test_resuming_who_is_not_paused_says_nothing():
    at_rest().feed(Resumed()).expect().notes()
    at_rest().feed(Paused(), Resumed()).expect().notes(Because.PAUSED, Because.RESUMED)


def test_a_paused_session_is_not_renewed_and_not_cleared():
    book = in_call().feed(Paused()).wait(200).feed(legs()).expect()
    book.wait(100).expect(look_after_session()).feed(Resumed()).expect()


def test_a_change_to_free_during_a_pause_frees_nothing_after_it():
    book = at_rest(on_3cx=AWAY).feed(teams("Away/Away"), Paused(), teams(FREE), Resumed()).expect()
    book.feed(teams(FREE), status(AWAY)).expect()


def test_a_freeing_that_waits_is_forgotten_by_a_pause():
    book = at_rest(on_3cx=AWAY).feed(PbxLost(), teams("Away/Away"), teams(FREE), Paused(), Resumed()).expect()
    book.feed(legs(), status(AWAY)).expect()


def test_our_away_that_was_to_go_during_a_pause_goes_after_it():
    taken().feed(Paused(), teams(FREE)).expect().feed(Resumed()).expect(give_back())


# Restart ------------------------------------------------------------------------------------------


def test_a_restart_in_the_middle_of_a_spell_changes_nothing():
    book = taken().restart().feed(legs(), status(AWAY), teams(MEETING)).expect()
    book.feed(teams(FREE)).expect(give_back())


def test_a_restart_does_not_answer_a_spell_again_that_a_person_has_overruled():
    taken().feed(status(AVAILABLE)).restart().feed(legs(), status(AVAILABLE), teams(MEETING)).expect()


def test_a_status_write_that_was_on_its_way_is_made_again_and_is_ours_if_it_had_arrived():
    for then in (wrote(AVAILABLE, AWAY), left(AWAY)):
        book = at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).restart().feed(legs()).expect()
        book.feed(teams(MEETING)).expect(take()).feed(then).expect().notes(Because.STATUS_TAKEN)
        book.feed(status(AWAY), teams(FREE)).expect(give_back())


def test_a_status_write_that_had_arrived_before_the_crash_is_found_by_the_first_look():
    book = (
        at_rest(MANUAL_WINS).feed(teams(MEETING)).expect(take()).restart().feed(status(AWAY), legs()).expect()
    )
    book.feed(teams(MEETING)).expect().feed(teams(FREE)).expect(give_back())


def test_an_away_set_before_the_meeting_is_not_ours_after_a_crash_or_a_failure():
    for trouble in (lambda book: book.restart(), lambda book: book.feed(PBX_FAILS)):
        book = trouble(at_rest(MANUAL_WINS, on_3cx=AWAY).feed(teams(MEETING)).expect(take())).expect()
        book.feed(status(AWAY), legs(), teams(MEETING)).wait(1).expect(take())
        book.feed(left(AWAY)).expect().notes(Because.STATUS_LEFT_ALONE).feed(teams(FREE)).expect()


def test_what_was_there_before_a_failed_write_is_looked_at_again_for_the_next_one():
    book = at_rest(MANUAL_WINS, on_3cx=AWAY).feed(teams(MEETING)).expect(take()).feed(PBX_FAILS).expect()
    book.feed(status(AVAILABLE)).wait(1).expect(take()).feed(PBX_FAILS).wait(2).expect(take())
    book.feed(left(AWAY)).expect().feed(teams(FREE)).expect(give_back())


def test_a_giving_back_that_had_arrived_before_the_crash_is_not_made_again():
    book = taken().feed(teams(FREE)).expect(give_back()).restart()
    book.feed(status(AVAILABLE), legs(), teams(FREE)).expect()


def test_a_session_that_was_being_set_is_set_again_or_cleared():
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).restart()
    book.feed(teams(IN_CALL)).expect().feed(legs(CONNECTED)).expect(say_in_a_call())
    book = at_rest().feed(legs(CONNECTED)).expect(say_in_a_call()).restart().feed(legs()).expect(clear())


def test_a_session_that_stands_is_neither_set_nor_cleared_by_a_restart():
    in_call().restart().feed(legs(CONNECTED), teams(IN_CALL)).expect().wait(145).expect(renew())


@pytest.mark.parametrize("min_call_s", [10, 600])
def test_a_restart_soon_after_a_long_enough_call_was_shown_does_not_clear_it(min_call_s):
    policy = replace(SEED, min_call_s=min_call_s)
    book = (
        at_rest(policy)
        .feed(legs(CONNECTED))
        .wait(min_call_s)
        .expect(say_in_a_call())
        .feed(SESSION_SET)
        .expect()
    )
    book.restart(after_s=1).feed(legs(CONNECTED)).expect()


def test_a_session_that_is_being_cleared_does_not_shorten_min_call_s_for_the_next_call():
    policy = replace(SEED, min_call_s=10)
    book = at_rest(policy).feed(legs(CONNECTED)).wait(10).expect(say_in_a_call()).feed(SESSION_SET).expect()
    book.feed(legs()).expect(clear()).feed(legs(CONNECTED), SESSION_CLEARED).expect(look_after_session())
    book.wait(10).expect(say_in_a_call())


@pytest.mark.parametrize("by_the_clock_s", [5, 400, 90_000, -400])
def test_a_session_may_have_outlived_a_crash_whatever_the_clock_says(by_the_clock_s: float):
    """The clock may have been set meanwhile, and what is not ended lasts for what is left of its lease."""
    in_call().restart(by_the_clock_s).expect().feed(legs(), teams(IN_CALL)).expect(clear())


@pytest.mark.parametrize("by_the_clock_s", [400, 90_000])
def test_a_call_that_outlasts_a_crash_has_its_session_renewed(by_the_clock_s: float):
    in_call().restart(by_the_clock_s).feed(legs(CONNECTED)).expect(renew())


def test_a_session_of_a_clock_that_was_ahead_is_renewed_at_once():
    in_call().restart(-400).feed(legs(CONNECTED)).expect(say_in_a_call())


def test_the_end_of_a_session_by_a_clock_that_was_ahead_does_not_explain_what_is_shown_for_ever():
    book = in_call().feed(legs()).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())
    book.restart(-4_000).feed(legs(), status(AVAILABLE), teams(IN_CALL)).expect(
        look(Because.ECHO_TO_CONFIRM, in_s=4)
    )
    book.wait(4).feed(teams(IN_CALL)).expect(take())


def test_a_clearing_that_had_arrived_before_the_crash_is_made_again():
    book = in_call().feed(legs()).expect(clear()).restart().feed(legs(), teams(FREE)).expect(clear())
    book.feed(SESSION_CLEARED).expect(look_after_session())


def test_the_echo_of_a_session_that_ended_just_before_the_crash_is_known():
    book = in_call().feed(legs()).expect(clear()).feed(SESSION_CLEARED).expect(look_after_session())
    book.restart(after_s=1).feed(legs(), teams(IN_CALL)).expect(look(Because.ECHO_TO_CONFIRM, in_s=3))


# The machine as such ------------------------------------------------------------------------------


def test_every_event_has_one_place_where_it_is_folded_in():
    assert set(_ON) == set(typing.get_args(AnyEvent))


def test_no_wake_is_wanted_where_nothing_waits_for_the_time():
    assert next_wake(State(), 0.0, SEED) is None
    assert next_wake(at_rest().feed(TimerFired()).expect().state, 1e9, SEED) is None


def test_the_stored_part_is_all_that_a_restart_takes():
    state = taken().feed(legs(CONNECTED)).expect(say_in_a_call()).state
    assert stored(state).durable() == state.durable()
    assert (
        step(stored(state), Started(), 1e9, SEED)[0].durable()
        == step(state, Started(), 1e9, SEED)[0].durable()
    )


def test_of_whom_nothing_is_kept_it_is_not_kept_who_they_are():
    assert at_rest().feed(Recognized("id-1")).expect().state.durable() == State().durable()
    assert taken().feed(Recognized("id-1")).expect().state.durable() != taken().state.durable()


def test_what_is_seen_of_3cx_and_held_there_outlasts_another_owner_of_the_extension():
    book = taken().feed(Recognized("id-1"), legs(CONNECTED)).expect(say_in_a_call()).feed(Paused()).expect()
    before = book.state
    book.feed(Recognized("id-1")).expect()
    assert book.state == before
    after = book.feed(Recognized("id-2")).expect().state  # the write that is under way ends first
    assert (after.status, after.legs, after.status_claim) == (before.status, before.legs, before.status_claim)
    assert (after.spell, after.paused, after.person) == (None, False, None)


def test_a_failed_playbook_shows_what_was_expected_and_what_came():
    with pytest.raises(AssertionError, match=r"(?s)-ChangeStatus.*the story so far.*PresenceSeen"):
        at_rest().feed(teams(FREE)).expect(take())
    with pytest.raises(AssertionError, match="noted"):
        at_rest().feed(Paused()).expect().notes()


def test_a_playbook_that_was_never_checked_is_found():
    book = Playbook(Policy()).feed(Started())
    assert book.unchecked
    assert book in open_playbooks
    book.expect()


def test_a_meeting_makes_the_phone_away_although_its_calls_can_not_be_seen():
    book = play().feed(Started(), status(AVAILABLE), teams(MEETING)).expect(take())
    book.feed(wrote(AVAILABLE, AWAY)).expect()
