"""3CX V20's official APIs: literal answers in, values out."""

import base64
import json

import pytest

from presencebridge.core.model import LegState
from presencebridge.errors import Gone, Malformed, Refused, TryAgain
from presencebridge.pbx import v20

C, D, R = LegState.CONNECTED, LegState.DIALING, LegState.RINGING


def jwt(**claims: float) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.mark.parametrize(
    ("token", "expires_in", "life"),
    [
        ("opaque", 60, 3600),  # minutes, before 20.0.9
        ("opaque", 3600, 3600),  # seconds, since 20.0.9
        (jwt(nbf=1000, exp=2800), 60, 1800),
        (jwt(iat=1000, exp=2800), 3600, 1800),
        (jwt(exp=2800), 3600, 3600),
        (jwt(nbf=2800, exp=2800), 60, 3600),
        ("a.b.c", 3600, 3600),
    ],
)
def test_the_life_of_a_token_is_its_own_whatever_unit_expires_in_has(token, expires_in, life):
    body = {"token_type": "Bearer", "expires_in": expires_in, "access_token": token, "refresh_token": None}
    assert v20.parse_token(json.dumps(body).encode()) == (token, life)


def test_one_user_is_asked_for_by_a_filter_and_never_without_select():
    assert v20.user_path("101") == (
        "/xapi/v1/Users?$filter=Number%20eq%20%27101%27&$select=Id,Number,CurrentProfileName&$top=1"
    )
    assert "%27%27" in v20.user_path("1'1")


def users(*rows: dict) -> bytes:
    return json.dumps({"@odata.context": "x", "value": list(rows)}).encode()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Available", "Available"),
        ("away", "Away"),
        ("Out of office", "Out of office"),
        ("DND", "Out of office"),
        ("Do Not Disturb", "Out of office"),
        ("Lunch", "Custom 1"),
        ("Business Trip", "Custom 2"),
        ("Custom 2", "Custom 2"),
    ],
)
def test_a_status_is_known_by_all_its_names(name, status):
    user = v20.parse_user("101", users({"Id": 7, "Number": "101", "CurrentProfileName": name}))
    assert (user.id, v20.status_of(user)) == (7, status)


@pytest.mark.parametrize("name", [None, "", "Gone fishing"])
def test_a_status_that_is_none_of_the_five_is_an_error_that_names_the_extension(name):
    user = v20.parse_user("101", users({"Id": 7, "Number": "101", "CurrentProfileName": name}))
    with pytest.raises(Malformed, match="extension 101"):
        v20.status_of(user)


def test_a_user_who_is_not_there_is_an_error_that_names_the_extension():
    with pytest.raises(Gone, match="extension 101"):
        v20.parse_user("101", users({"Id": 7, "Number": "1010"}))


def test_several_participants_of_a_call_are_legs_of_their_extension():
    entries = [
        {
            "dn": "101",
            "type": "Wextension",
            "devices": [],
            "participants": [
                {"id": 1, "status": "Ringing", "dn": "101", "party_dn": "10000", "device_id": "sip:101@1"},
                {"id": 2, "status": "Connected", "dn": "101"},
                {"id": 3, "status": "Held", "dn": "101"},
                {"id": 4, "status": "Talking in tongues", "dn": "101"},
            ],
        },
        {"dn": "102", "type": "Wextension", "devices": [], "participants": []},
        {"dn": "103", "type": "Wextension", "participants": None},
    ]
    legs = v20.parse_call_control(json.dumps(entries).encode())
    assert legs.by_extension == {"101": (R, C, LegState.HELD, C)}
    assert legs.visible == {"101", "102", "103"}


def test_the_list_of_calls_has_an_extension_as_the_first_word():
    calls = [
        {"Id": 1, "Caller": "1002 tools, admin", "Callee": "101 Ann", "Status": "Talking"},
        {"Id": 2, "Caller": "102 Bob", "Callee": "0301234567", "Status": "Routing"},
        {"Id": 3, "Caller": "0307654321 Somebody", "Callee": "8003 Queue 1", "Status": "Talking"},
        {"Id": 4, "Caller": None, "Callee": "", "Status": "Talking"},
        {"Id": 5, "Caller": "103 Cyn", "Callee": "104", "Status": "Over"},
    ]
    legs = v20.parse_active_calls(json.dumps({"value": calls}).encode())
    assert legs.by_extension["1002"] == (C,)
    assert legs.by_extension["101"] == (C,)
    assert legs.by_extension["102"] == (D,)
    assert legs.by_extension["0301234567"] == (R,)
    assert "103" not in legs.by_extension
    assert legs.visible is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"\xff", b"[" * 100_000, b'{"value": 1}'])
def test_an_answer_of_another_form_is_an_error(body):
    for parse in (v20.parse_token, v20.parse_active_calls, lambda b: v20.parse_user("101", b)):
        with pytest.raises(Malformed):
            parse(body)
    with pytest.raises(Malformed):
        v20.parse_call_control(body or b"{}")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (404, Gone), (400, Refused), (429, TryAgain), (503, TryAgain)],
)
def test_what_an_error_means(status, kind):
    body = b'{"error":{"code":"","message":"Number:\\nWARNINGS.XAPI.NOT_FOUND"}}'
    error = v20.error("GET", "/xapi/v1/Users", status, body)
    assert type(error) is kind
    assert "WARNINGS.XAPI.NOT_FOUND" in str(error)
    assert "proxy" not in str(v20.error("GET", "/x", status, b"<html>a proxy's page</html>"))
