"""Tokens that end, sockets that are cut and events that are lost, all in the middle of a call on V20.

Nobody is left Busy in Teams, and no call is missed: neither the end nor the beginning of one in the gap.
"""

import pytest
from e2e_programs import until
from e2e_sites import BUSY, FREE, V20, V20_WEBSOCKET, Site, on


def written(site: Site, number: int) -> list[str]:
    """What was done to a person's presence, in order."""
    user = f"/users/00000000-0000-0000-0000-{100 + number:012}/presence/"
    paths = [one["path"] for one in site.ask_graph("GET", "/requests")]
    return [path.rpartition("/")[2] for path in paths if user in path]


def requests(site: Site, what: str) -> int:
    """How often 3CX was asked for this, such as "GET /callcontrol"."""
    return sum(f"{one['method']} {one['path']}" == what for one in site.ask_pbx("GET", "/requests"))


def until_sockets(site: Site, count: int) -> None:
    until(f"{count} sockets are open", lambda: site.ask_pbx("GET", "/socket")["open"] == count)


@on(*V20)
def test_tokens_that_end_again_and_again_are_not_noticed_in_a_call(new_site) -> None:
    site = new_site()
    site.ask_pbx("POST", "/faults", {"token_life_s": 3, "sockets_end_with_token": True})
    site.start_service()
    call = site.dial(1)
    site.until_teams(1, BUSY)
    tokens = requests(site, "POST /connect/token")
    until("three more tokens", lambda: requests(site, "POST /connect/token") >= tokens + 3)
    site.until_at_rest()
    assert site.teams(1) == BUSY
    assert written(site, 1) == ["setPresence"], "the end of a token showed in Teams"
    second = site.dial(2)
    site.until_teams(2, BUSY)
    site.hang_up(call)
    site.until_teams(1, FREE)
    assert site.teams(2) == BUSY
    site.hang_up(second)
    site.until_teams(2, FREE)


@on(*V20)
@pytest.mark.parametrize("with_sockets", [True, False], ids=["sockets-end-too", "sockets-go-on"])
def test_a_token_that_3cx_takes_back_in_a_call(new_site, *, with_sockets: bool) -> None:
    site = new_site()
    site.ask_pbx("POST", "/faults", {"sockets_end_with_token": with_sockets})
    site.start_service()
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.ask_pbx("DELETE", "/tokens")
    second = site.dial(2)
    site.hang_up(call)
    site.until_teams(1, FREE)
    site.until_teams(2, BUSY)
    site.hang_up(second)
    site.until_teams(2, FREE)
    site.until_ready()
    assert written(site, 1) == written(site, 2) == ["setPresence", "clearPresence"]


@on(V20_WEBSOCKET)
def test_a_socket_that_is_cut_in_a_call_is_opened_again(site: Site) -> None:
    until_sockets(site, 1)
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.ask_pbx("POST", "/socket/drop", {})
    second = site.dial(2)
    site.hang_up(call)
    site.until_teams(1, FREE)
    site.until_teams(2, BUSY)
    until_sockets(site, 1)
    site.hang_up(second)
    site.until_teams(2, FREE)


@on(V20_WEBSOCKET)
def test_while_sockets_are_refused_calls_are_polled(site: Site) -> None:
    until_sockets(site, 1)
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.ask_pbx("POST", "/faults", {"refuse_sockets": True})
    site.ask_pbx("POST", "/socket/drop", {})
    until_sockets(site, 0)
    site.hang_up(call)
    second = site.dial(2)
    site.until_teams(1, FREE)
    site.until_teams(2, BUSY)
    until("the page says so", lambda: "calls are polled" in site.page("/").text)
    looks, tries = requests(site, "GET /callcontrol"), requests(site, "WEBSOCKET /callcontrol/ws")
    until("ten more looks", lambda: requests(site, "GET /callcontrol") >= looks + 10)
    assert requests(site, "WEBSOCKET /callcontrol/ws") < tries + 5
    site.ask_pbx("DELETE", "/faults")
    until_sockets(site, 1)
    site.hang_up(second)
    site.until_teams(2, FREE)
    until("the page says no more", lambda: "calls are polled" not in site.page("/").text)


@on(V20_WEBSOCKET)
def test_calls_begin_and_end_without_a_single_socket(new_site) -> None:
    site = new_site()
    site.ask_pbx("POST", "/faults", {"refuse_sockets": True})
    site.start_service()
    call = site.dial(1, "Ringing")
    site.until_at_rest()
    assert site.teams(1) == FREE
    site.leg(call, 1, "Connected")
    site.until_teams(1, BUSY)
    site.hang_up(call)
    site.until_teams(1, FREE)


@on(V20_WEBSOCKET)
def test_events_that_are_lost_delay_a_call_and_no_more(site: Site) -> None:
    until_sockets(site, 1)
    call = site.dial(1)
    site.until_teams(1, BUSY)
    site.ask_pbx("POST", "/faults", {"drop_events": 1})
    site.hang_up(call)
    second = site.dial(2)
    until("Teams of 1 is free", lambda: site.teams(1) == FREE, patience_s=60)
    site.until_teams(2, BUSY)
    site.ask_pbx("DELETE", "/faults")
    site.hang_up(second)
    site.until_teams(2, FREE)


@on(V20_WEBSOCKET)
def test_events_that_come_twice_and_late_change_nothing(site: Site) -> None:
    until_sockets(site, 1)
    site.ask_pbx("POST", "/faults", {"duplicate_events": 1, "event_delay_s": 0.5})
    call = site.dial(1, "Ringing")
    site.leg(call, 1, "Connected")
    site.until_teams(1, BUSY)
    site.hang_up(call)
    second = site.dial(1)
    site.until_at_rest()
    assert site.teams(1) == BUSY
    site.hang_up(second)
    site.until_teams(1, FREE)
