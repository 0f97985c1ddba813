"""What people do, and what they see of it: the whole system, by its programs, with every kind of PBX."""

from e2e_programs import until
from e2e_sites import BUSY, FREE, Site, on_every_pbx

pytestmark = on_every_pbx


def test_a_meeting_makes_the_phone_away_and_its_end_gives_it_back(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.client(1, FREE)
    site.until_status(1, "Available")
    assert site.status(2) == "Available"


def test_a_call_shows_in_teams_and_its_end_gives_back_what_teams_showed_without_us(site: Site) -> None:
    site.client(1, "Away/Away")
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.until_at_rest()
    assert site.status(1) == "Available", "the echo of our own session made the phone Away"
    site.hang_up(call)
    site.until_teams(1, "Away/Away")
    assert site.sessions(1) == ["client"]
    site.until_at_rest()
    assert site.status(1) == "Available"


def test_overlapping_calls_and_hold_are_one_time_in_a_call(site: Site) -> None:
    first = site.dial(1, "Dialing")
    site.until_teams(1, BUSY)
    site.leg(first, 1, "Connected")
    site.leg(first, 1, "Hold")
    site.until_at_rest()
    assert site.teams(1) == BUSY
    second = site.dial(1)
    site.hang_up(first)
    site.until_at_rest()
    assert site.teams(1) == BUSY
    site.leg(second, 1, "Held")
    site.until_at_rest()
    assert site.teams(1) == BUSY
    site.hang_up(second)
    site.until_teams(1, FREE)


def test_ringing_is_not_yet_a_call(site: Site) -> None:
    call = site.dial(1, "Ringing")
    site.until_at_rest()
    assert site.teams(1) == FREE
    site.leg(call, 1, "Connected")
    site.until_teams(1, BUSY)


def test_a_teams_call_that_outlasts_the_phone_call_makes_the_phone_away(site: Site) -> None:
    call = site.dial(1)
    until("our session stands", lambda: len(site.sessions(1)) == 2)
    site.client(1, BUSY)
    site.until_at_rest()
    assert site.status(1) == "Available"
    site.hang_up(call)
    site.until_status(1, "Away")
    site.client(1, FREE)
    site.until_status(1, "Available")


def test_a_meeting_that_ends_during_a_phone_call_gives_back_once_the_call_is_over(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    call = site.dial(1)
    until("our session stands", lambda: len(site.sessions(1)) == 2)
    site.client(1, FREE)
    site.until_at_rest()
    assert site.status(1) == "Away"
    site.hang_up(call)
    site.until_status(1, "Available")


def test_a_status_set_by_hand_is_left_alone_until_the_next_meeting(site: Site) -> None:
    site.client(1, "DoNotDisturb/DoNotDisturb")
    site.until_taken(1, "Away")
    site.set_by_hand(1, "Available")
    until("our claim is gone", lambda: site.holding(1) == "nothing")
    site.client(1, "Busy/InAMeeting")
    site.until_at_rest()
    assert site.status(1) == "Available"
    site.client(1, FREE)
    until("the page shows it", lambda: site.shown("/api/people/101")["person"]["teams"] == FREE)
    site.client(1, "Busy/Busy")
    site.until_status(1, "Away")


def test_an_away_set_by_hand_before_a_call_is_there_after_it(site: Site) -> None:
    site.set_by_hand(1, "Away")
    site.until_at_rest()
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.hang_up(call)
    site.until_teams(1, FREE)
    site.until_at_rest()
    assert site.status(1) == "Away"


def test_out_of_office_and_custom_statuses_are_never_touched(site: Site) -> None:
    for status in ("Out of office", "Custom 1"):
        site.set_by_hand(1, status)
        site.client(1, "Busy/InAMeeting")
        site.until_at_rest()
        site.client(1, FREE)
        site.until_at_rest()
        assert site.status(1) == status


def test_somebody_who_is_not_in_the_list_is_left_alone(site: Site) -> None:
    site.client(3, "Busy/InAMeeting")
    call = site.dial(3)
    site.until_at_rest()
    assert site.status(3) == "Available"
    assert site.sessions(3) == ["client"]
    site.hang_up(call)


def test_a_paused_person_gets_no_write_and_is_served_again_after_it(site: Site) -> None:
    assert site.command("pause", "101").returncode == 0
    site.client(1, "Busy/InAMeeting")
    call = site.dial(1)
    site.until_at_rest()
    assert site.status(1) == "Available"
    assert site.sessions(1) == ["client"]
    assert site.command("resume", "ann@example.org").returncode == 1, "the config knows her by another name"
    assert site.command("resume", "Ann").returncode == 0
    site.until_status(1, "Away")
    until("our session stands", lambda: len(site.sessions(1)) == 2)
    site.hang_up(call)


def test_an_extension_that_3cx_does_not_know_delays_nobody(new_site) -> None:
    site = new_site()
    site.add_person(3, "999")
    site.start_service()
    site.client(3, "Busy/InAMeeting")
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    until("the page says what is wrong", lambda: "extension 999" in site.trouble(999))
    site.client(1, FREE)
    site.until_status(1, "Available")
