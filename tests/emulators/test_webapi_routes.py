"""The bridge without a server: a URL in, the answer and the printed lines out, byte for byte."""

import pytest

from presencebridge.emulators import world
from presencebridge.emulators.pbx_model import NewLeg
from presencebridge.emulators.webapi.dialects import ADN77_2023, ADN77_2024, ORIGINAL, Dialect, starting_lines
from presencebridge.emulators.webapi.pbx import Pbx
from presencebridge.emulators.webapi.routes import respond
from presencebridge.emulators.webapi.steps import Answered, Blocked, Hung, Request, Step
from presencebridge.emulators.webapi.wha import respond_wha

NULL = "Object reference not set to an instance of an object."
EMPTY = "Sequence contains no elements"
INDEX = "Index was outside the bounds of the array."


@pytest.fixture
def pbx() -> Pbx:
    return Pbx((world.Extension("100", "Ann"), world.Extension("101", "Bob", status="Custom 2")))


def get(pbx: Pbx, url: str, dialect: Dialect = ORIGINAL, **switches: bool) -> Step:
    return respond(Request("GET", url), pbx, dialect, **switches)


def printed(pbx: Pbx, url: str) -> tuple[str, ...]:
    """What the original prints for a request that it answers, without the URL and the answer."""
    step = get(pbx, url)
    assert isinstance(step, Answered)
    assert step.lines[0] == url
    assert step.lines[-1] == step.body
    return step.lines[1:-1]


def body(pbx: Pbx, url: str, dialect: Dialect = ORIGINAL) -> str:
    step = get(pbx, url, dialect)
    assert isinstance(step, Answered)
    return step.body


def last_words(pbx: Pbx, url: str, dialect: Dialect = ORIGINAL, **switches: bool) -> str:
    step = get(pbx, url, dialect, **switches)
    assert isinstance(step, Hung), step
    return step.lines[-1]


def talk(pbx: Pbx, state: str = "Connected", target: str | None = None) -> int:
    return pbx.start_call([NewLeg("100", state, "0123456789"), NewLeg("10000", state, "0123456789")], target)


# Profiles


def test_the_status_is_shown_and_printed_with_four_leading_spaces(pbx: Pbx) -> None:
    assert get(pbx, "/showstatus/100") == Answered(
        ("/showstatus/100", "    CURRENT_STATUS=Available", "    CURRENT_STATUS=Available"),
        "    CURRENT_STATUS=Available",
    )
    assert body(pbx, "/showstatus/101") == "    CURRENT_STATUS=Custom 2"


@pytest.mark.parametrize(
    ("word", "profile"),
    [
        ("avail", "Available"),
        ("away", "Away"),
        ("oof", "Out of office"),
        ("custom1", "Custom 1"),
        ("custom2", "Custom 2"),
    ],
)
def test_a_word_sets_a_profile(pbx: Pbx, word: str, profile: str) -> None:
    url = f"/setstatus/100/{word}"
    assert get(pbx, url) == Answered((url, f"CURRENT_STATUS={profile}", profile), profile)
    assert pbx.extensions["100"].status == profile


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/showstatus/999", NULL),
        ("/showstatus/", NULL),
        ("/showstatus", INDEX),
        ("/showstatus/100?x=1", NULL),
        ("/showstatus/%31%30%30", NULL),
        ("/setstatus/999/away", NULL),
        ("/setstatus/100", INDEX),
        ("/setstatus/100/busy", EMPTY),
        ("/setstatus/100/Away", EMPTY),
        ("/setstatus/100/", EMPTY),
        ("/setstatus/10000/away", NULL),
        ("/ondn/999", NULL),
        ("/dnregs/999", NULL),
        ("/ready/999", NULL),
        ("/login/login_all", INDEX),
        ("/save/login_all/100", INDEX),
        ("/makecall/100/101", INDEX),
        ("/unpark/100", INDEX),
        ("/drop/999", NULL),
        ("/getcallerid/999", NULL),
        ("/atttrans/999", NULL),
        ("/park/999", NULL),
        ("*", INDEX),
    ],
)
def test_a_failure_inside_is_printed_and_never_answered(pbx: Pbx, url: str, words: str) -> None:
    talk(pbx)  # the trunk 10000 is a DN, but no extension
    assert last_words(pbx, url) == words
    assert pbx.extensions["100"].status == "Available"


def test_a_profile_that_the_extension_lacks_hangs(pbx: Pbx) -> None:
    pbx.extensions["100"].profiles = ("Available",)
    assert last_words(pbx, "/setstatus/100/away") == EMPTY


def test_a_trailing_slash_does_no_harm(pbx: Pbx) -> None:
    assert body(pbx, "/setstatus/100/away/") == "Away"
    assert body(pbx, "/showstatus/100/") == "    CURRENT_STATUS=Away"


@pytest.mark.parametrize(
    "url", ["/", "/divert/100/101", "/nothing", "/ShowStatus/100", "/Stop", "/setstatus?x=1"]
)
def test_an_unknown_route_is_idle(pbx: Pbx, url: str) -> None:
    assert get(pbx, url) == Answered((url, "idle"), "idle")


def test_clear_is_idle_and_says_so(pbx: Pbx) -> None:
    assert printed(pbx, "/clear") == ("Clearing the screen!",)
    assert body(pbx, "/clear") == "idle"


def test_without_the_pbx_whatever_touches_it_hangs_with_its_words(pbx: Pbx) -> None:
    assert last_words(pbx, "/showallcalls", connected=False) == "ConfigServer is not connected"
    assert last_words(pbx, "/setstatus/100/away", connected=False) == "ConfigServer is not connected"
    assert isinstance(get(pbx, "/stop", connected=False), Answered)


def test_a_bridge_that_ignores_a_set_answers_as_if_it_were_done(pbx: Pbx) -> None:
    step = get(pbx, "/setstatus/100/away", ignores_set=True)
    assert step == Answered(("/setstatus/100/away", "CURRENT_STATUS=Away", "Away"), "Away")
    assert pbx.extensions["100"].status == "Available"


# Queues


def test_ready_sets_the_status_even_where_the_extension_has_no_queues(pbx: Pbx) -> None:
    assert printed(pbx, "/ready/101") == (
        "CURRENT_STATUS=Available",
        "Login at Station 101",
        "Extension 101 is not an agent of the queues",
    )
    assert body(pbx, "/notready/101") == "is not an agent of the queues"
    assert pbx.extensions["101"].status == "Custom 1"
    assert body(pbx, "/logout/101") == "is not an agent of the queues"
    assert pbx.extensions["101"].status == "Away"


def agent(pbx: Pbx) -> Pbx:
    pbx.add_queue("800", "Sales")
    pbx.add_queue("801", "Support")
    pbx.extensions["100"].queues = ("800", "801")
    return pbx


def test_an_agent_logs_in_and_out(pbx: Pbx) -> None:
    agent(pbx)
    assert printed(pbx, "/logout/100") == (
        "CURRENT_STATUS=Away",
        "Login at Station 100",
        "Agent 100 LoggedOut:",
        "Working set:800,801[forced set 'None']",
        "Inactive Queues:",
    )
    assert printed(pbx, "/login/login_all/100")[1:] == (
        "Agent 100 LoggedIn:",
        "Working set:800,801[forced set 'None']",
        "Inactive Queues:",
    )
    assert body(pbx, "/login/login_all/100") == "true"
    assert body(pbx, "/ready/100") == "true"


def test_login_takes_the_action_first_and_answers_for_an_unknown_extension(pbx: Pbx) -> None:
    agent(pbx)
    assert printed(pbx, "/login/login_all/999") == ("Login at Station 999", "999 is not a valid extension")
    assert body(pbx, "/login/login_all/999") == "is not a valid extension"
    assert body(pbx, "/login/100/login_all") == "is not a valid extension"
    assert printed(pbx, "/login/dance/100") == ("Login at Station 100", "Unknown action 'dance'")
    assert body(pbx, "/login/dance/100") == "false"


def test_save_changes_single_queues(pbx: Pbx) -> None:
    agent(pbx)
    assert printed(pbx, "/save/logout_only_from/100/800") == (
        "Agent 100 LoggedIn:",
        "Working set:801[forced set '801']",
        "Inactive Queues:800",
    )
    assert printed(pbx, "/save/login_only_to/100/800")[1] == "Working set:800[forced set '800']"
    assert printed(pbx, "/save/logout_only_from/100/800")[0] == "Agent 100 LoggedOut:"
    assert printed(pbx, "/save/login_current/100/800")[0] == "Agent 100 LoggedIn:"
    assert printed(pbx, "/save/logout_current/100/800")[0] == "Agent 100 LoggedOut:"
    assert body(pbx, "/save/login_all/100/x") == "true"
    assert body(pbx, "/save/logout_all/100/x") == "true"
    assert body(pbx, "/save/dance/100/800") == "false"
    assert body(pbx, "/save/login_all/999/800") == "false"
    assert body(pbx, "/save/login_all/101/800") == "false"


# Calls


def test_no_calls_are_an_empty_page(pbx: Pbx) -> None:
    page = "<html><head></head><body></body></html>"
    assert get(pbx, "/showallcalls") == Answered(("/showallcalls", page), page)


def test_every_connection_of_every_call_has_its_line(pbx: Pbx) -> None:
    pbx.start_call([NewLeg("101", "Dialing", "100"), NewLeg("100", "Ringing", "101")])
    pbx.start_call([NewLeg("100", "Hold"), NewLeg("10000", "Held", "0123456789")])
    first = "ID=1;S=Dialing;DN=101;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;REC=Stop"
    second = "ID=2;S=Ringing;DN=100;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;REC=Stop"
    third = "ID=3;S=Hold;DN=100;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;REC=Stop"
    fourth = "ID=4;S=Held;DN=10000;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=0123456789;REC=Stop"
    page = f"<html><head></head><body>{first}<br>{second}<br>{third}<br>{fourth}<br></body></html>"
    assert get(pbx, "/showallcalls") == Answered(
        (
            "/showallcalls",
            "Call 1:",
            f"    {first}",
            f"    {second}",
            "Call 2:",
            f"    {third}",
            f"    {fourth}",
            page,
        ),
        page,
    )


def test_a_queue_is_named_twice_before_each_connection_in_the_original(pbx: Pbx) -> None:
    pbx.add_queue("8000", "Sales")
    talk(pbx, target="8000.1")
    lines = printed(pbx, "/showallcalls")
    assert lines[:4] == (
        "Call 1:",
        "Sales",
        "Sales",
        "    ID=1;S=Connected;DN=100;Queue_Name=Sales;Queue_Nummer=8000;EP=0123456789;REC=Stop",
    )
    assert lines[4:6] == ("Sales", "Sales")


def test_the_fork_names_the_queue_in_the_line_only(pbx: Pbx) -> None:
    pbx.add_queue("800", "Sales")
    talk(pbx, target="800.1")
    step = get(pbx, "/showallcalls", ADN77_2023)
    assert isinstance(step, Answered)
    assert step.lines[:2] == (
        "Call 1:",
        "    ID=1;S=Connected;DN=100;Queue_Name=Sales;Queue_Nummer=800;EP=0123456789;REC=Stop",
    )


def test_queue_numbers_of_other_lengths_break_the_original_and_not_the_fork(pbx: Pbx) -> None:
    pbx.add_queue("800", "Sales")
    talk(pbx, target="800.1")
    assert last_words(pbx, "/showallcalls") == NULL
    talk(pbx, target="9.1")
    pbx.end_call(1)
    assert last_words(pbx, "/showallcalls").startswith("Index and length must refer to a location")
    assert "Queue_Name=unidentifyable;Queue_Nummer=9;" in body(pbx, "/showallcalls", ADN77_2024)


def test_what_was_printed_before_a_failure_stays_printed(pbx: Pbx) -> None:
    pbx.start_call([NewLeg("101", "Dialing")])
    talk(pbx, target="80.1")
    step = get(pbx, "/showallcalls")
    assert isinstance(step, Hung)
    assert step.lines == (
        "/showallcalls",
        "Call 1:",
        "    ID=1;S=Dialing;DN=101;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;REC=Stop",
        "Call 2:",
        NULL,
    )


def test_ondn_tells_the_last_call_or_nought(pbx: Pbx) -> None:
    assert body(pbx, "/ondn/100") == "0"
    talk(pbx)
    talk(pbx, "Hold")
    assert printed(pbx, "/ondn/100") == ("CallID: 1", "CallID_v16: 1", "CallID: 2", "CallID_v16: 2")
    assert body(pbx, "/ondn/100") == "2"
    assert body(pbx, "/ondn/10000") == "2"


def test_getcallerid_speaks_german(pbx: Pbx) -> None:
    assert body(pbx, "/getcallerid/100") == "idle"
    talk(pbx)
    assert printed(pbx, "/getcallerid/100") == ("Called Number: 0123456789", "Called Queue: ")
    assert body(pbx, "/getcallerid/100") == "Queue: Direkter Anruf Anrufer: 0123456789"
    pbx.add_queue("8000", "Sales")
    talk(pbx, target="8000.1")
    assert printed(pbx, "/getcallerid/100")[2:] == (
        "Sales",
        "Called Number: 0123456789",
        "Called Queue: 8000",
    )
    assert body(pbx, "/getcallerid/100") == "Queue: Sales Anrufer: 0123456789"


def test_dnregs_tells_the_first_phone_or_error(pbx: Pbx) -> None:
    assert body(pbx, "/dnregs/100") == "error"
    pbx.set_phones(pbx.extensions["100"], [("sip:100@10.0.0.5:5060", "Yealink T46"), ("sip:b", "3CX")])
    assert printed(pbx, "/dnregs/100") == ("1-sip:100@10.0.0.5:5060-Yealink T46",)
    assert body(pbx, "/dnregs/100") == "1-sip:100@10.0.0.5:5060-Yealink T46"


def test_makecall_sleeps_before_it_tells_the_call(pbx: Pbx) -> None:
    pbx.set_phones(pbx.extensions["100"], [("sip:a", "3CXPhone for Windows 16"), ("sip:b", "Yealink")])
    step = get(pbx, "/makecall/100/101/Desktop")
    assert isinstance(step, Blocked)
    assert step.seconds == 2.5
    assert step.lines == (
        "/makecall/100/101/Desktop",
        "From Extension: 100",
        "To Destination 101",
        "Phone Desktop",
        "DNReg 1-sip:a-3CXPhone for Windows 16",
        "next",
        "DNReg 2-sip:b-Yealink",
        "Desktop",
    )
    assert [(leg.dn, leg.state) for leg in pbx.legs_in(1)] == [("100", "Dialing"), ("101", "Ringing")]
    assert step.then() == Answered(("CallID: 1", "CallID_v16: 1", "1"), "1")


def test_makecall_fits_the_phone_to_the_kind_and_any_number_that_begins_so(pbx: Pbx) -> None:
    assert body(pbx, "/makecall/100/0123/Soft") == "null"
    pbx.set_phones(pbx.extensions["101"], [("sip:a", "3CXPhone for Windows 16")])
    assert body(pbx, "/makecall/10/0123/Desktop") == "null"
    assert body(pbx, "/makecall/10/0123/soft") == "null"
    soft = get(pbx, "/makecall/101/0123/Soft")
    assert isinstance(soft, Blocked)
    assert soft.lines[-1] == "DNReg 1-sip:a-3CXPhone for Windows 16"
    web = get(pbx, "/makecall/10/0123/Web")
    assert isinstance(web, Blocked)
    assert web.lines[-1] == "Web"
    # It looks for the call of the number as given, which is no DN.
    assert web.then() == Hung((NULL,))
    assert isinstance(get(pbx, "/makecall/all/0123/Soft"), Blocked)


def test_unpark_dials_the_parking_code(pbx: Pbx) -> None:
    pbx.set_phones(pbx.extensions["100"], [("sip:a", "Yealink")])
    step = get(pbx, "/unpark/100/Desktop")
    assert isinstance(step, Blocked)
    assert step.lines[2] == "To Destination *10"


def test_drop_hangs_up_the_last_connection(pbx: Pbx) -> None:
    assert printed(pbx, "/drop/100") == ("ActiveConnection Number for this Extension: 100", "Call 1:")
    assert body(pbx, "/drop/100") == "false"
    talk(pbx, "Hold")
    talk(pbx)
    assert printed(pbx, "/drop/100")[2:] == (
        "Call 1:",
        "ID 1:",
        "Active Connection Number is:",
        "",
        "Call 2:",
        "ID 3:",
        "Active Connection Number is:",
        "1",
    )
    assert [call for call, _ in pbx.calls()] == [1]
    assert body(pbx, "/drop/100") == "true"
    assert pbx.calls() == []


def test_two_who_are_left_talk_on(pbx: Pbx) -> None:
    pbx.start_call([NewLeg("100", "Connected"), NewLeg("101", "Connected"), NewLeg("10000", "Connected")])
    assert body(pbx, "/drop/100") == "true"
    assert [leg.dn for leg in pbx.legs_in(1)] == ["101", "10000"]


def test_answer_picks_up_and_tells_the_call(pbx: Pbx) -> None:
    assert printed(pbx, "/answer/100") == ("Wert:null",)
    assert body(pbx, "/answer/100") == "null"
    pbx.start_call([NewLeg("101", "Dialing", "100"), NewLeg("100", "Ringing", "101")])
    assert printed(pbx, "/answer/100") == (
        "ID=2:CCID=2:S=Ringing:DN=100:EP=TCX.Configuration.RegistrarRecord[]",
        "sip:100@127.0.0.1:5063",
        "Active Connection Type is Mobilephone or WebRTC",
        "Wert:true",
        "CallID: 1",
        "CallID_v16: 1",
    )
    assert [leg.state for leg in pbx.legs_in(1)] == ["Connected", "Connected"]
    assert printed(pbx, "/answer/100")[-2:] == ("next", "Wert:null")


def test_answer_passes_a_desk_phone_over(pbx: Pbx) -> None:
    pbx.start_call([NewLeg("100", "Ringing", "101")])
    pbx.set_phones(pbx.extensions["100"], [("sip:a@10.0.0.5", "Yealink")])
    assert body(pbx, "/answer/100") == "null"
    pbx.set_phones(pbx.extensions["100"], [("sip:a@10.0.0.5", "3CXPhone for Windows")])
    assert body(pbx, "/answer/100") == "1"


def test_record_changes_the_recording_of_the_connected_call(pbx: Pbx) -> None:
    assert body(pbx, "/record/100/Start") == "false"
    talk(pbx)
    talk(pbx, "Hold")
    assert printed(pbx, "/record/100/Start") == (
        "Call 1:",
        "ID=1:CCID=1:S=Connected:DN=100:EP=0123456789:REC=Stop",
        "Active Connection Number is:",
        "1",
        "Call 2:",
        "ID=3:CCID=1:S=Hold:DN=100:EP=0123456789:REC=Stop",
        "Active Connection Number is unknown",
        "Record on Extension:1",
    )
    assert ";EP=0123456789;REC=Start" in body(pbx, "/showallcalls")
    assert body(pbx, "/record/100/2") == "true"
    assert ";REC=Pause" in body(pbx, "/showallcalls")
    assert last_words(pbx, "/record/100/Dance").endswith("(Parameter 'Invalid record action')")
    assert last_words(pbx, "/record/100") == INDEX


def test_transfer_puts_the_destination_in_ones_place(pbx: Pbx) -> None:
    assert body(pbx, "/transfer/100/101") == "false"
    talk(pbx)
    assert printed(pbx, "/transfer/100/101")[-2:] == ("Transfer from:1 to101", "Answering on Phone:1")
    assert body(pbx, "/transfer/10000/") == "false"
    assert [(leg.dn, leg.state) for leg in pbx.legs_in(1)] == [("101", "Ringing"), ("10000", "Connected")]


def test_park_frees_the_extension(pbx: Pbx) -> None:
    assert printed(pbx, "/park/100") == ("keine offene Connection gefunden",)
    assert body(pbx, "/park/100") == "false"
    talk(pbx)
    assert printed(pbx, "/park/100")[1:] == ("Owner Status:Connected", "CallID: 1", "Park Position: *00")
    assert [leg.dn for leg in pbx.legs_in(1)] == ["*00", "10000"]


def test_an_attended_transfer_joins_two_calls(pbx: Pbx) -> None:
    assert printed(pbx, "/atttrans/100") == ("0",)
    assert body(pbx, "/atttrans/100") == "false"
    talk(pbx, "Hold")
    pbx.start_call([NewLeg("100", "Connected", "101"), NewLeg("101", "Connected", "100")])
    assert body(pbx, "/atttrans/100") == "true"
    assert len(pbx.calls()) == 2
    pbx.set_phones(
        pbx.extensions["100"], [("sip:a", "3CXPhone for Windows"), ("sip:b", "3CXPhone for Windows")]
    )
    assert printed(pbx, "/atttrans/100") == (
        "2",
        "3CXPhone for Windows-sip:a-1",
        "3CXPhone for Windows-sip:b-2",
    )
    assert [(call, [leg.dn for leg in legs]) for call, legs in pbx.calls()] == [(1, ["10000", "101"])]


def test_two_connections_of_one_call_joined_leave_nothing_behind(pbx: Pbx) -> None:
    pbx.set_phones(pbx.extensions["100"], [("sip:a", "3CXPhone for Windows")])
    pbx.start_call([NewLeg("100", "Ringing"), NewLeg("100", "Ringing"), NewLeg("101", "Dialing")])
    assert body(pbx, "/atttrans/100") == "true"
    assert [leg.dn for leg in pbx.legs_in(1)] == ["101"]


# Dialects


def test_the_original_never_answers_a_request_with_a_body(pbx: Pbx) -> None:
    step = respond(Request("POST", "/setstatus/100/away", "x", has_body=True), pbx, ORIGINAL)
    assert step == Hung(
        (
            "/setstatus/100/away",
            "Cannot access a disposed object.\nObject name: 'System.Net.HttpRequestStream'.",
        )
    )
    assert pbx.extensions["100"].status == "Available"


def test_the_original_treats_every_method_alike(pbx: Pbx) -> None:
    for method in ("POST", "DELETE", "BREW"):
        step = respond(Request(method, "/setstatus/100/away"), pbx, ORIGINAL)
        assert isinstance(step, Answered)
        assert step.body == "Away"


@pytest.mark.parametrize("dialect", [ADN77_2023, ADN77_2024])
class TestTheFork:
    def test_a_post_to_any_path_prints_its_body_and_answers_with_the_token(self, dialect: Dialect) -> None:
        pbx = Pbx(())
        url = "/setstatus/100/away?ValidationToken=Validation%3A+a%20b%2Fc"
        step = respond(Request("POST", url, '{"value":[]}', has_body=True), pbx, dialect)
        token = "Validation: a b/c"
        assert step == Answered(('{"value":[]}', token), token, "text/plain")

    def test_a_notification_prints_an_empty_line_for_its_empty_answer(self, dialect: Dialect) -> None:
        step = respond(Request("POST", "/hook", '{"value":[]}', has_body=True), Pbx(()), dialect)
        assert step == Answered(('{"value":[]}', ""), "", "text/plain")

    def test_the_url_is_not_printed_and_pages_are_html(self, dialect: Dialect, pbx: Pbx) -> None:
        line = "    CURRENT_STATUS=Available"
        assert get(pbx, "/showstatus/100", dialect) == Answered((line, line), line, "text/html")

    def test_other_methods_may_have_a_body_which_is_printed(self, dialect: Dialect, pbx: Pbx) -> None:
        step = respond(Request("PUT", "/setstatus/100/away", "hello", has_body=True), pbx, dialect)
        assert step == Answered(("hello", "CURRENT_STATUS=Away", "Away"), "Away", "text/html")

    def test_an_unknown_route_is_an_idle_page(self, dialect: Dialect, pbx: Pbx) -> None:
        page = "<HTML><BODY>Idle</BODY></HTML>"
        assert get(pbx, "/nothing", dialect) == Answered((page,), page, "text/html")

    def test_an_unknown_extension_hangs_as_ever(self, dialect: Dialect, pbx: Pbx) -> None:
        assert get(pbx, "/showstatus/999", dialect) == Hung((NULL,))


def test_stop_ends_each_dialect_in_its_own_words(pbx: Pbx) -> None:
    stopped = "<HTML><BODY> Server Stopped</BODY></HTML>"
    original, year_2023, year_2024 = (get(pbx, "/stop", each) for each in (ORIGINAL, ADN77_2023, ADN77_2024))
    assert isinstance(original, Answered)
    assert original.lines == ("/stop", stopped)
    assert original.ends
    assert original.farewell[0] == (
        "System.InvalidOperationException: Please call the Start() method before calling this method."
    )
    assert isinstance(year_2023, Answered)
    assert (year_2023.body, year_2023.farewell) == (stopped, original.farewell)
    assert isinstance(year_2024, Answered)
    assert year_2024.body == "<HTML><BODY>Server Stopped</BODY></HTML>"
    assert year_2024.farewell == ("exited gracefully",)


def test_the_program_says_where_it_listens() -> None:
    assert starting_lines(8888) == (
        "Port Submitted, use Generic Port: 8888",
        "Debug Mode off",
        "http://*:8888/",
        "Listening... on Port 8888 for Development",
        "To Stop open URL: http://127.0.0.1:8888/stop",
    )
    assert starting_lines(None)[0] == "No Port Submitted, use Generic Port: 8889"
    assert starting_lines(None)[2] == "http://*:8889/"


# wha


def wha(pbx: Pbx, url: str, method: str = "GET", **how: str | bool) -> tuple[int, str]:
    key = how.pop("given", None)
    request = Request(method, url, api_key=str(key) if key else None)
    step = respond_wha(request, pbx, 1_800_000_000.25, **how)  # type: ignore[arg-type]
    assert isinstance(step, Answered)
    assert step.lines == ()
    return step.status, step.body


def test_wha_answers_in_json_with_its_own_status_words(pbx: Pbx) -> None:
    at = '"timeStamp":"2027-01-15T08:00:00.25+00:00"}'
    assert wha(pbx, "/status/extension/101") == (200, '{"message":"Custom 2","status":"OK",' + at)
    assert wha(pbx, "/status/extension/999") == (
        200,
        '{"message":"extension 999 not found","status":"NOT_FOUND",' + at,
    )
    assert wha(pbx, "/Status/Extension/100/Profile/out_of_office") == (
        200,
        '{"message":"Out of office","status":"OK",' + at,
    )
    assert pbx.extensions["100"].status == "Out of office"
    assert wha(pbx, "/status/extension/999/profile/away")[1].startswith(
        '{"message":"extension 999 not found"'
    )
    assert wha(pbx, "/status/extension/100/profile/oof") == (
        200,
        '{"message":"unknown profile short-code: oof","status":"BAD_REQUEST",' + at,
    )


def test_wha_sets_everybody_who_has_that_profile(pbx: Pbx) -> None:
    pbx.extensions["101"].profiles = ("Available", "Custom 2")
    assert '"Away (applied to 1, skipped 1)"' in wha(pbx, "/status/extensions/profile/away")[1]
    assert [each.status for each in pbx.extensions.values()] == ["Away", "Custom 2"]
    lacking = wha(pbx, "/status/extension/101/profile/away")[1]
    assert lacking.startswith(
        '{"message":"profile \\u0027Away\\u0027 not configured on extension 101","status":"NOT'
    )
    assert "BAD_REQUEST" in wha(pbx, "/status/extensions/profile/oof")[1]


def test_wha_refuses_as_aspnet_does(pbx: Pbx) -> None:
    assert wha(pbx, "/showstatus/100") == (404, "")
    assert wha(pbx, "/status/extension/100", "POST") == (405, "")
    assert wha(pbx, "/status/extension/100", api_key="k") == (401, "")
    assert wha(pbx, "/status/extension/100", api_key="k", given="K") == (401, "")
    assert wha(pbx, "/status/extension/100", api_key="k", given="k")[0] == 200
    assert wha(pbx, "/status/extension/100", connected=False) == (500, "")
    assert wha(pbx, "/status/extension/100/profile/away", ignores_set=True)[0] == 200
    assert pbx.extensions["100"].status == "Available"
