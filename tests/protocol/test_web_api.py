"""3cx-web-API's answers, word for word as the original and its forks give them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presencebridge.core.model import STATUSES, LegState
from presencebridge.errors import Malformed
from presencebridge.pbx import web_api

_HEAD, _TAIL = "<html><head></head><body>", "</body></html>"


def leg(state: str, dn: str, number: int = 3, queue: str = "Direkter Anruf", party: str = "") -> str:
    return f"ID={number};S={state};DN={dn};Queue_Name={queue};Queue_Nummer=null;EP={party};REC=Stop"


def page(*lines: str) -> str:
    return _HEAD + "".join(f"{line}<br>" for line in lines) + _TAIL


# Paths --------------------------------------------------------------------------------------------


def test_the_paths_are_those_of_the_bridge():
    assert web_api.CALLS_PATH == "/showallcalls"
    assert web_api.status_path("101") == "/showstatus/101"
    assert [web_api.change_path("101", status) for status in STATUSES] == [
        "/setstatus/101/avail",
        "/setstatus/101/away",
        "/setstatus/101/oof",
        "/setstatus/101/custom1",
        "/setstatus/101/custom2",
    ]


# Status -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_read_behind_its_four_spaces(status):
    assert web_api.parse_status("101", f"    CURRENT_STATUS={status}") == status


@pytest.mark.parametrize(
    "body", ["CURRENT_STATUS=Away", "    CURRENT_STATUS=Away\r\n", "\n  CURRENT_STATUS=AWAY  \n"]
)
def test_white_space_and_case_around_a_status_do_not_matter(body):
    assert web_api.parse_status("101", body) == "Away"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "idle",
        "Idle",
        "<HTML><BODY>Idle</BODY></HTML>",
        "<HTML><BODY> Server Stopped</BODY></HTML>",
        "    CURRENT_STATUS=",
        "    CURRENT_STATUS=Lunch",
        "    CURRENT_STATUS=Away\n    CURRENT_STATUS=Available",
        "NEXT_STATUS=Away",
        "Away",
        '{"message":"Away","status":"OK"}',
        "x" * 5000,
        "CURRENT_STATUS=" + " " * 3_000_000 + "\nx",  # in linear time: nobody else is served meanwhile
    ],
)
def test_an_odd_answer_about_a_status_names_the_extension(body):
    with pytest.raises(Malformed, match=r"^extension 101: ") as raised:
        web_api.parse_status("101", body)
    assert "/showstatus/101" in raised.value.cure
    assert len(str(raised.value)) <= 256


@pytest.mark.parametrize(("wanted", "body"), [("Away", "Away"), ("Out of office", "Out of office\r\n")])
def test_a_change_is_confirmed_by_the_new_name(wanted, body):
    web_api.parse_change("101", wanted, body)


@pytest.mark.parametrize("body", ["Available", "", "idle", "    CURRENT_STATUS=Away", "away!", "true"])
def test_an_odd_answer_to_a_change_names_the_extension(body):
    with pytest.raises(Malformed, match=r"^extension 101: .*asked for Away"):
        web_api.parse_change("101", "Away", body)


# Calls --------------------------------------------------------------------------------------------


def test_no_calls_are_an_empty_page():
    assert web_api.parse_calls("<html><head></head><body></body></html>").by_extension == {}


def test_a_call_has_a_leg_for_each_side():
    body = (
        "<html><head></head><body>ID=3;S=Connected;DN=100;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;"
        "REC=Stop<br>ID=4;S=Connected;DN=10000;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=0123456789;"
        "REC=Stop<br></body></html>"
    )
    legs = web_api.parse_calls(body)
    assert legs.by_extension == {"100": (LegState.CONNECTED,), "10000": (LegState.CONNECTED,)}
    assert legs.unreadable == {}


@pytest.mark.parametrize("state", LegState)
def test_every_state_that_3cx_has_is_known(state):
    assert web_api.parse_calls(page(leg(state.value, "101"))).by_extension == {"101": (state,)}


def test_several_legs_of_an_extension_keep_their_order():
    body = page(leg("Hold", "101", 1), leg("Ringing", "102", 2), leg("Dialing", "101", 3))
    assert web_api.parse_calls(body).by_extension["101"] == (LegState.HOLD, LegState.DIALING)


def test_a_queues_name_may_hold_anything_but_a_line_break():
    body = page(leg("Connected", "101", queue="Sales; DN=999; ä <b> S=Held"))
    assert web_api.parse_calls(body).by_extension == {"101": (LegState.CONNECTED,)}


def test_white_space_around_lines_and_page_does_not_matter():
    body = f"\r\n{_HEAD}\n    {leg('Connected', '101')}<br>\n{_TAIL}\n"
    assert web_api.parse_calls(body).by_extension == {"101": (LegState.CONNECTED,)}


def test_a_leg_in_an_unknown_state_makes_its_extension_unreadable_and_nobody_elses():
    body = page(leg("Connected", "101"), leg("Parked", "101"), leg("Ringing", "102"), leg("connected", "103"))
    legs = web_api.parse_calls(body)
    assert legs.by_extension == {"102": (LegState.RINGING,)}
    assert legs.unreadable == {
        "101": "extension 101: unknown state of a call: 'Parked'",
        "103": "extension 103: unknown state of a call: 'connected'",
    }


@pytest.mark.parametrize(
    "body",
    [
        "",
        "idle",
        "Idle",
        "<HTML><BODY>Idle</BODY></HTML>",
        "<html><head></head><body>",
        f"{_HEAD}{leg('Connected', '101')}<br>",
        f"{leg('Connected', '101')}<br>{_TAIL}",
        f"{_HEAD}ID=98741:CCID=1:S=Connected:DN=101:{_TAIL}",
        f"{_HEAD}nonsense<br>{_TAIL}",
        page(leg("Connected", "101"), "nonsense"),
        page("ID=x;S=Connected;DN=101;"),
        page("S=Connected;DN=101;"),
    ],
)
def test_what_is_no_list_of_calls_is_never_taken_for_no_calls(body):
    with pytest.raises(Malformed):
        web_api.parse_calls(body)


def test_numbers_of_callers_are_not_told():
    with pytest.raises(Malformed) as raised:
        web_api.parse_calls(page("EP=+49301234567;S=?"))
    assert "49301234567" not in str(raised.value)
    assert "…" in str(raised.value)


@settings(deadline=None, derandomize=True, database=None)
@given(st.text(max_size=80) | st.text(max_size=60).map(lambda text: _HEAD + text + _TAIL))
def test_no_text_does_harm(body):
    for parse in (
        web_api.parse_calls,
        lambda text: web_api.parse_status("101", text),
        lambda text: web_api.parse_change("101", "Away", text),
    ):
        try:
            parse(body)
        except Malformed as error:
            assert len(str(error)) <= 256  # noqa: PT017 - it need not raise
