"""3CX V20's official APIs: literal answers in, values out."""

import base64
import json
import re

import pytest

from presencebridge.errors import Gone, Malformed, Refused, TryAgain
from presencebridge.pbx import v20
from presencebridge.pbx.answers import PbxUser


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


RENAMED = {"gone fishing": "Custom 1", "away": "Custom 2"}


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
        (" Gone Fishing ", "Custom 1"),
        ("", None),
        (None, None),
        ("Gone", None),
    ],
)
def test_a_status_is_known_by_all_its_names_and_an_internal_name_comes_first(name, status):
    assert v20.status_named(name, RENAMED) == status


def test_what_the_operator_calls_the_custom_statuses():
    body = json.dumps({"Custom1Name": "Mittag ", "Custom2Name": "", "Version": "20"}).encode()
    assert v20.parse_system_names(body) == {"mittag": "Custom 1"}
    profiles = [
        {"Name": "Custom 2", "CustomName": "Werkstatt"},
        {"Name": "Away", "CustomName": ""},
        {"Name": "?"},
    ]
    assert v20.parse_profiles(json.dumps({"value": profiles}).encode()) == {"werkstatt": "Custom 2"}


def test_people_of_the_pbx_by_their_own_list():
    rows = [
        {"Number": "101", "DisplayName": "Ann A", "EmailAddress": " ann@example.org ", "Enabled": True},
        {"Number": "102", "FirstName": "Bob", "LastName": None, "EmailAddress": None, "Enabled": False},
    ]
    assert v20.parse_directory(users(*rows)) == (
        PbxUser("101", "Ann A", "ann@example.org"),
        PbxUser("102", "Bob", "", enabled=False),
    )
    (endless,) = v20.parse_directory(users({"Number": "103", "DisplayName": "e" * 20_000}))
    assert len(endless.name) == 256


@pytest.mark.parametrize(
    ("settings", "does"),
    [
        ({}, ""),
        ({"AdUsers": None}, ""),
        ({"AdUsers": {"SetTeamsPresence": False, "StatusSyncConfiguration": None}}, ""),
        ({"AdUsers": {"SetTeamsPresence": True}}, "sets presences in Teams"),
        ({"AdUsers": {"StatusSyncConfiguration": {"PBXToM365Busy": True}}}, "maps 3CX to Teams"),
        (
            {"AdUsers": {"StatusSyncConfiguration": {"M365ToPbxBindings": [{"From": "Busy", "To": "Away"}]}}},
            "maps Teams to 3CX",
        ),
    ],
)
def test_what_the_own_sync_of_3cx_does(settings, does):
    assert v20.parse_own_sync(json.dumps(settings).encode()) == does


def test_no_path_asks_for_a_secret_and_every_page_is_at_most_a_hundred():
    for path in (v20.user_path("101"), v20.statuses_path(0), v20.directory_path(100)):
        assert "$select=" in path
        assert not {"AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"} & set(
            re.split(r"[=,&]", path)
        )
    assert v20.statuses_path(200).endswith("&$top=100&$skip=200")


def test_a_user_who_is_not_there_is_an_error_that_names_the_extension():
    with pytest.raises(Gone, match="extension 101"):
        v20.parse_user("101", users({"Id": 7, "Number": "1010"}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"\xff", b"[" * 100_000, b'{"value": 1}'])
def test_an_answer_of_another_form_is_an_error(body):
    parsers = (v20.parse_token, v20.parse_statuses, v20.parse_directory, lambda b: v20.parse_user("101", b))
    for parse in parsers:
        with pytest.raises(Malformed):
            parse(body)


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
