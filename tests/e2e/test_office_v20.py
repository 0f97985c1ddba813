"""What only a 3CX V20 has: rights, changes that it accepts and ignores, and its secrets."""

import json

from e2e_programs import until
from e2e_sites import BUSY, FREE, V20, V20_WEBSOCKET, Site, on


@on(V20_WEBSOCKET)
def test_a_change_that_3cx_accepts_and_ignores_is_told_and_tried_again(new_site) -> None:
    site = new_site()
    site.ask_pbx("POST", "/faults", {"patch_profile": "ignored"})
    site.start_service()
    site.client(1, "Busy/InAMeeting")
    until(
        "the page says what is wrong",
        lambda: "3CX accepted the change but still shows Available" in site.trouble(101),
    )
    ignored = 'presencebridge_writes_total{kind="status",outcome="ignored",side="3cx",site='
    assert ignored in site.page("/metrics").text
    site.ask_pbx("DELETE", "/faults")
    site.until_status(1, "Away")


@on(V20_WEBSOCKET)
def test_an_extension_that_is_not_monitored_is_told_with_its_cure(new_site) -> None:
    site = new_site()
    site.add_person(3)
    site.start_service()
    until("the page says what is wrong", lambda: "extensions to monitor" in site.trouble(103))
    site.client(3, "Busy/InAMeeting")
    site.until_status(3, "Away")
    site.service.end()
    site.exclude(3)
    site.start_service()
    site.until_status(3, "Available")


@on(V20_WEBSOCKET)
def test_without_the_right_to_call_control_the_list_of_calls_does(new_site) -> None:
    site = new_site()
    no_right = {"status": {"code": 403, "path": "/callcontrol"}, "refuse_sockets": True}
    site.ask_pbx("POST", "/faults", no_right)
    site.start_service()
    call = site.dial(1, "Ringing")
    site.until_at_rest()
    assert site.teams(1) == FREE
    site.leg(call, 1, "Connected")
    site.until_teams(1, BUSY)
    site.hang_up(call)
    site.until_teams(1, FREE)
    assert any("/ActiveCalls" in one["path"] for one in site.ask_pbx("GET", "/requests"))


@on(V20_WEBSOCKET)
def test_calls_are_told_of_and_not_asked_for(site: Site) -> None:
    until("the socket is open", lambda: site.ask_pbx("GET", "/socket")["open"] == 1)
    site.until_at_rest()
    asked = looks_at_all_calls(site)
    for _ in range(5):
        call = site.dial(1)
        site.until_teams(1, BUSY)
        site.hang_up(call)
        site.until_teams(1, FREE)
    assert looks_at_all_calls(site) <= asked + 1, "one may have been due"


def looks_at_all_calls(site: Site) -> int:
    return sum(one["path"] == "/callcontrol" for one in site.ask_pbx("GET", "/requests"))


@on(*V20)
def test_v20_by_hand_and_a_wrong_key(new_site) -> None:
    site = new_site()
    assert site.command("pbx", "get", "101").stdout == "Available\n"
    assert site.command("pbx", "set", "101", "oof").stdout == "101: Out of office\n"
    assert site.status(1) == "Out of office"
    site.dial(1)
    assert "101  Connected" in site.command("pbx", "calls").stdout.splitlines()
    assert "3CX has no such user" in site.command("pbx", "get", "999").stderr
    (site.folder / "key").write_text("wrong")
    said = site.command("pbx", "get", "101")
    assert said.returncode == 1
    assert "[pbx] client_id" in said.stderr
    assert "wrong" not in said.stderr
    assert not any("AuthPassword" in json.dumps(one) for one in site.ask_pbx("GET", "/requests"))
