"""Crashes, outages and restarts: everybody ends right, and meanwhile the service says what is wrong."""

import signal
import socket

from e2e_programs import PATIENCE_S, Program, until
from e2e_sites import BUSY, FREE, Site, on_every_pbx

pytestmark = on_every_pbx


def test_killed_during_a_call_that_ends_meanwhile(site: Site) -> None:
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.service.end(signal.SIGKILL)
    site.hang_up(call)
    assert site.teams(1) == BUSY
    site.start_service()
    site.until_teams(1, FREE)
    site.until_at_rest()
    assert site.status(1) == "Available"


def test_killed_during_a_meeting_that_ends_meanwhile(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.service.end(signal.SIGKILL)
    site.client(1, FREE)
    site.start_service()
    site.until_status(1, "Available")


def test_killed_while_a_write_is_on_its_way(site: Site) -> None:
    site.ask_graph("POST", "/faults", {"latency_s": 0.5})
    call = site.dial(1)
    until("a write is on its way", lambda: _is_writing(site))
    site.service.end(signal.SIGKILL)
    site.hang_up(call)
    site.ask_graph("DELETE", "/faults")
    # It arrives all the same. Who starts sooner clears before it, and the session lasts for its lease.
    site.until_teams(1, BUSY)
    site.start_service()
    site.until_at_rest()
    site.until_teams(1, FREE)
    assert site.sessions(1) == ["client"]


def _is_writing(site: Site) -> bool:
    asked = site.ask_graph("GET", "/requests")
    return any(one["path"].endswith("/presence/setPresence") and one["status"] is None for one in asked)


def test_who_is_excluded_while_the_service_does_not_run_gets_a_status_back_and_no_other_write(
    site: Site,
) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.service.end(signal.SIGKILL)
    site.exclude(1)
    site.start_service()
    site.until_status(1, "Available")
    site.client(2, "Busy/InAMeeting")
    site.until_status(2, "Away")
    assert site.status(1) == "Available"


def test_a_status_set_by_hand_before_a_kill_is_still_left_alone_after_it(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_taken(1, "Away")
    site.set_by_hand(1, "Available")
    until("our claim is gone", lambda: site.holding(1) == "nothing")
    site.service.end(signal.SIGKILL)
    site.start_service()
    site.until_at_rest()
    assert site.status(1) == "Available"


def test_without_a_restart_our_session_ends_by_itself(site: Site) -> None:
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.service.end(signal.SIGKILL)
    site.ask_graph("POST", "/clock", {"advance_s": 301})
    assert site.teams(1) == FREE
    site.hang_up(call)


def test_an_orderly_stop_takes_our_sessions_back_and_is_quick(site: Site) -> None:
    site.dial(1)
    site.until_teams(1, BUSY)
    assert site.service.end() == 0, site.service.log
    assert site.teams(1) == FREE
    site.start_service()
    site.until_teams(1, BUSY)


def test_an_orderly_stop_is_not_held_up_by_open_streams_and_half_sent_requests(site: Site) -> None:
    watching = Program(site.folder / "watch.log", "watch", "--config", str(site.config))
    watching.start()
    half_sent = socket.create_connection(("127.0.0.1", site.ports["hook"]))
    half_sent.sendall(b"POST /presence-hook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
    try:
        until("watch follows", lambda: "watching" in watching.log)
        site.client(1, "Busy/InAMeeting")
        until("watch tells what happens", lambda: "Teams became busy (rule 1)" in watching.log)
        assert site.service.end() == 0, site.service.log
        assert watching.process is not None
        assert watching.process.wait(PATIENCE_S) == 1
        assert "the service has stopped" in watching.log
        assert "Traceback" not in site.service.log
    finally:
        half_sent.close()
        watching.close()


def test_a_second_service_on_one_state_folder_is_refused(site: Site) -> None:
    second = Site(site.worlds, site.folder / "second-config")
    try:
        text = second.config.read_text().replace('dir = "state"', f'dir = "{site.folder}/state"')
        second.config.write_text(text)
        said = second.command("run")
        assert said.returncode == 1
        assert "another presencebridge uses" in said.stderr
        assert "[state] dir" in said.stderr
    finally:
        second.close()
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")


def test_a_port_that_is_taken_is_told_with_its_cure(site: Site) -> None:
    second = Site(site.worlds, site.folder / "second-config")
    try:
        text = second.config.read_text()
        old, new = f"127.0.0.1:{second.ports['page']}", f"127.0.0.1:{site.ports['page']}"
        second.config.write_text(text.replace(old, new))
        said = second.command("run")
        assert said.returncode == 2
        assert "[operator] listen" in said.stderr
    finally:
        second.close()


def test_an_orderly_stop_leaves_our_sessions_to_their_lease_if_told_so(new_site) -> None:
    site = new_site(extra='on_stop = "leave"')
    site.start_service()
    call = site.dial(1)
    site.until_teams(1, BUSY)
    assert site.service.end() == 0, site.service.log
    assert site.teams(1) == BUSY
    site.hang_up(call)
    site.start_service()
    site.until_teams(1, FREE)


def test_3cx_is_away_for_a_while(site: Site) -> None:
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.ask_pbx("POST", "/faults", {"refuse": True})
    until("not ready", lambda: site.page("/readyz").status_code == 503)
    assert "3cx: down" in site.page("/readyz").text
    said = site.command("status")
    assert said.returncode == 1
    assert "can't be reached" in said.stdout
    assert "can&#39;t be reached" in site.page("/").text
    site.client(2, "Busy/InAMeeting")
    site.hang_up(call)
    site.ask_pbx("DELETE", "/faults")
    site.until_ready()
    site.until_teams(1, FREE)
    site.until_status(2, "Away")


def test_3cx_that_never_answers_is_a_link_that_is_down(site: Site) -> None:
    site.ask_pbx("POST", "/faults", {"hang": True})
    until("not ready", lambda: "did not answer" in site.page("/readyz").text)
    site.ask_pbx("DELETE", "/faults")
    site.until_ready()


def test_3cx_is_restarted_in_a_call_that_does_not_survive_it(site: Site) -> None:
    site.dial(1)
    site.until_teams(1, BUSY)
    site.worlds.pbx.end(signal.SIGKILL)
    until("not ready", lambda: site.page("/readyz").status_code == 503)
    site.worlds.pbx.start()
    site.until_teams(1, FREE)
    site.until_ready()
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.hang_up(call)
    site.until_teams(1, FREE)


def test_3cx_is_restarted_in_a_call_and_another_one_begins(site: Site) -> None:
    site.dial(1)
    site.until_teams(1, BUSY)
    site.worlds.pbx.end(signal.SIGKILL)
    site.worlds.pbx.start()
    call = site.dial(2)
    site.until_teams(1, FREE)
    site.until_teams(2, BUSY)
    site.hang_up(call)
    site.until_teams(2, FREE)


def test_3cx_is_restarted_in_a_call_that_survives_it(site: Site) -> None:
    site.dial(1)
    site.until_teams(1, BUSY)
    site.worlds.pbx.end(signal.SIGKILL)
    site.worlds.pbx.start()
    call = site.dial(1)
    site.until_ready()
    site.until_at_rest()
    assert site.teams(1) == BUSY
    site.hang_up(call)
    site.until_teams(1, FREE)


def test_graph_is_away_for_a_while(site: Site) -> None:
    site.client(2, "Busy/InAMeeting")
    site.until_status(2, "Away")
    site.ask_graph("POST", "/faults", {"status": 503})
    call = site.dial(1)
    site.client(2, FREE)
    until("not ready", lambda: site.page("/readyz").status_code == 503)
    assert "graph: down" in site.page("/readyz").text
    site.ask_graph("DELETE", "/faults")
    site.until_teams(1, BUSY)
    site.until_status(2, "Available")
    site.until_ready()
    site.hang_up(call)
    site.until_teams(1, FREE)


def test_a_subscription_that_is_gone_is_made_again(site: Site) -> None:
    before = site.ask_graph("GET", "/subscriptions")[0]["id"]
    site.ask_graph("POST", "/lifecycle", {"event": "subscriptionRemoved"})
    until(
        "another subscription",
        lambda: [one["id"] for one in site.ask_graph("GET", "/subscriptions")] not in ([], [before]),
    )
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")


def test_a_restart_keeps_the_subscription(site: Site) -> None:
    before = [one["id"] for one in site.ask_graph("GET", "/subscriptions")]
    assert site.service.end() == 0
    site.start_service()
    assert [one["id"] for one in site.ask_graph("GET", "/subscriptions")] == before


def test_a_sign_in_that_died_is_an_alarm_with_its_cure(site: Site) -> None:
    assert site.service.end() == 0
    for kept in (site.folder / "state").glob("watcher-*.json"):
        kept.unlink()
    for kept in (site.folder / "state").glob("subscription-*.json"):
        kept.unlink()
    site.service.start()
    until("an alarm", lambda: "subscription default: refused" in site.page("/readyz").text)
    said = site.command("status")
    assert said.returncode == 1
    assert "presencebridge login --config FILE --watcher default" in said.stdout
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.hang_up(call)
    site.client(2, "Busy/InAMeeting")  # without notifications everybody is polled
    site.until_status(2, "Away")
    site.sign_in()
    site.until_ready()
