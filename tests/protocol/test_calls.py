"""Graph's calls: the exact request, the answer decoded, and what each error means."""

import json
from datetime import UTC, datetime, timedelta, timezone

import httpx2
import msgspec
import pytest

from presencebridge.core.model import Presence
from presencebridge.errors import Conflict, Gone, LinkError, Malformed, Refused, TryAgain
from presencebridge.graph import calls, wire

ANN = "00000000-0000-4000-8000-0000000000a1"
BEN = "00000000-0000-4000-8000-0000000000b2"
APP = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
IN_A_CALL = Presence("Busy", "InACall")
WHEN = datetime(2026, 11, 23, 11, 0, 0, 250_000, UTC)


# Requests -----------------------------------------------------------------------------------------


def sent(call: calls.Call) -> tuple[str, object]:
    return f"{call.method} {call.path}", call.body


def test_presences_are_asked_for_by_their_ids():
    assert sent(calls.read_presences([ANN, BEN])) == (
        "POST /v1.0/communications/getPresencesByUserId",
        {"ids": [ANN, BEN]},
    )


def test_our_session_is_the_apps_own_and_ends_by_itself():
    assert sent(calls.set_presence(ANN, APP, IN_A_CALL, 300)) == (
        f"POST /v1.0/users/{ANN}/presence/setPresence",
        {
            "sessionId": APP,
            "availability": "Busy",
            "activity": "InACall",
            "expirationDuration": "PT5M",
        },
    )
    assert sent(calls.clear_presence(ANN, APP)) == (
        f"POST /v1.0/users/{ANN}/presence/clearPresence",
        {"sessionId": APP},
    )


def test_a_preferred_presence_names_no_session():
    assert sent(calls.set_preferred(ANN, Presence("Offline", "OffWork"), 28_800)) == (
        f"POST /v1.0/users/{ANN}/presence/setUserPreferredPresence",
        {"availability": "Offline", "activity": "OffWork", "expirationDuration": "PT8H"},
    )
    assert sent(calls.clear_preferred(ANN)) == (
        f"POST /v1.0/users/{ANN}/presence/clearUserPreferredPresence",
        {},
    )


def test_a_name_in_a_path_can_not_leave_its_place():
    path = calls.clear_presence("a/../b?c=d#e'f%20g@ü", APP).path
    assert path == "/v1.0/users/a%2F..%2Fb%3Fc%3Dd%23e%27f%2520g%40%C3%BC/presence/clearPresence"
    assert calls.get_subscription("x/y").path == "/v1.0/subscriptions/x%2Fy"


def test_people_are_found_by_both_of_their_names():
    call = calls.find_users(["ann@example.org"])
    assert (call.method, call.body) == ("GET", None)
    assert call.path == (
        "/v1.0/users?$filter=userPrincipalName%20eq%20%27ann%40example.org%27"
        "%20or%20mail%20eq%20%27ann%40example.org%27&$select=id,userPrincipalName,mail,displayName"
    )


def test_a_quote_in_a_name_is_doubled_and_odd_characters_stay_in_it():
    path = calls.find_users(["o'brien+x&y=#%/ü@example.org"]).path
    name = "o%27%27brien%2Bx%26y%3D%23%25/%C3%BC%40example.org"
    assert path == (
        f"/v1.0/users?$filter=userPrincipalName%20eq%20%27{name}%27%20or%20mail%20eq%20%27{name}%27"
        "&$select=id,userPrincipalName,mail,displayName"
    )


def test_a_full_group_of_names_stays_within_graphs_fifteen_clauses():
    path = calls.find_users([f"u{number}@example.org" for number in range(calls.NAMES_IN_ONE_FILTER)]).path
    assert path.count("%20eq%20") == 14


async def test_what_goes_over_the_wire_is_what_the_call_says():
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={"value": []})

    transport = httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport, base_url="https://graph.microsoft.com") as http:
        for call in (
            calls.find_users(["o'brien+x&y=#%/ü@example.org"]),
            calls.clear_presence("a/b?c'd%20e@ü", APP),
        ):
            await http.request(call.method, call.path)
            assert seen[-1].url.raw_path.decode() == call.path
            assert seen[-1].url.host == "graph.microsoft.com"


def test_a_subscription_is_rich_and_names_everybody():
    new = calls.NewSubscription((ANN, BEN), "https://hook.example.org/x", "secret", "Q0VSVA==", "key1", WHEN)
    assert sent(calls.create_subscription(new)) == (
        "POST /v1.0/subscriptions",
        {
            "changeType": "updated",
            "notificationUrl": "https://hook.example.org/x",
            "lifecycleNotificationUrl": "https://hook.example.org/x",
            "resource": f"/communications/presences?$filter=id in ('{ANN}','{BEN}')",
            "expirationDateTime": "2026-11-23T11:00:00.250000Z",
            "includeResourceData": True,
            "encryptionCertificate": "Q0VSVA==",
            "encryptionCertificateId": "key1",
            "clientState": "secret",
        },
    )


def test_a_renewal_names_the_end_and_a_new_certificate_only_if_there_is_one():
    end = {"expirationDateTime": "2026-11-23T11:00:00.250000Z"}
    assert sent(calls.renew_subscription("s1", WHEN)) == ("PATCH /v1.0/subscriptions/s1", end)
    assert sent(calls.renew_subscription("s1", WHEN, "Q0VSVA==", "key2")) == (
        "PATCH /v1.0/subscriptions/s1",
        end | {"encryptionCertificate": "Q0VSVA==", "encryptionCertificateId": "key2"},
    )


def test_the_small_calls_of_subscriptions():
    assert sent(calls.get_subscription("s1")) == ("GET /v1.0/subscriptions/s1", None)
    assert sent(calls.delete_subscription("s1")) == ("DELETE /v1.0/subscriptions/s1", None)
    assert sent(calls.reauthorize_subscription("s1")) == ("POST /v1.0/subscriptions/s1/reauthorize", None)
    assert sent(calls.list_subscriptions()) == ("GET /v1.0/subscriptions", None)


def test_the_link_to_the_next_page_is_followed_and_its_host_is_not():
    link = "https://elsewhere.example.com/v1.0/subscriptions?$skiptoken=a%2Bb"
    assert sent(calls.list_subscriptions(link)) == ("GET /v1.0/subscriptions?$skiptoken=a%2Bb", None)
    assert sent(calls.list_subscriptions("https://elsewhere.example.com/steal")) == (
        "GET /v1.0/subscriptions",
        None,
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "PT0S"),
        (1, "PT1S"),
        (300, "PT5M"),
        (330, "PT5M30S"),
        (3600, "PT1H"),
        (3661, "PT1H1M1S"),
        (7200, "PT2H"),
        (14_400, "PT4H"),
    ],
)
def test_durations_are_iso_8601(seconds, text):
    assert calls.duration(seconds) == text


def test_times_are_written_in_utc():
    berlin = timezone(timedelta(hours=1))
    assert calls.timestamp(datetime(2026, 11, 23, 12, 0, 0, 0, berlin)) == "2026-11-23T11:00:00.000000Z"


# Answers ------------------------------------------------------------------------------------------


def test_presences_are_read_as_microsoft_documents_them():
    body = b"""{"@odata.context":"x","value":[
      {"id":"a1","availability":"Busy","activity":"InAMeeting","outOfOfficeSettings":{"message":null,
       "isOutOfOffice":false},"sequenceNumber":"A0131311063",
       "statusMessage":{"expiryDateTime":{"dateTime":"9999-12-31T00:00:00.0000000","timeZone":"UTC"}}},
      {"id":"b2","availability":"Away","activity":"Away","workLocation":null,"sequenceNumber":null}]}"""
    items = calls.decode(calls.read_presences([ANN]), 200, {}, body).value
    assert [msgspec.json.decode(item, type=wire.PresenceBody) for item in items] == [
        wire.PresenceBody("a1", "Busy", "InAMeeting", "A0131311063"),
        wire.PresenceBody("b2", "Away", "Away", None),
    ]


@pytest.mark.parametrize("fraction", ["", ".0", ".1234567", ".0000000"])
def test_a_subscription_is_read_with_whatever_fraction_of_a_second(fraction):
    body = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity",
        "id": "7f105c7d",
        "resource": "/communications/presences?$filter=id in ('x')",
        "applicationId": None,
        "changeType": "updated",
        "clientState": None,
        "notificationUrl": "https://hook.example.org",
        "lifecycleNotificationUrl": None,
        "expirationDateTime": f"2026-11-23T11:00:00{fraction}Z",
        "creatorId": "c3",
        "latestSupportedTlsVersion": "v1_2",
        "includeResourceData": True,
        "encryptionCertificateId": "key1",
        "notificationContentType": "application/json",
    }
    made = calls.decode(calls.get_subscription("7f105c7d"), 201, {}, json.dumps(body).encode())
    assert (made.id, made.encryption_certificate_id) == ("7f105c7d", "key1")
    assert made.expiration_date_time.replace(microsecond=0) == datetime(2026, 11, 23, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(("status", "body"), [(200, b""), (202, b""), (204, b""), (200, b"<odd>")])
def test_an_action_is_done_with_any_good_status_and_body(status, body):
    assert calls.decode(calls.set_presence(ANN, APP, IN_A_CALL, 300), status, {}, body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>login</html>",
        b'{"value":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_an_answer_of_another_form_is_malformed(body):
    with pytest.raises(Malformed, match=r"^Graph's answer to POST getPresencesByUserId is not what"):
        calls.decode(calls.read_presences([ANN]), 200, {}, body)


# Errors -------------------------------------------------------------------------------------------

_GRAPH_SAYS = b"""{"error":{"code":"InvalidArgument",
"message":"[SessionId]: The SessionId field is required.",
"innerError":{"date":"2026-11-23T11:00:00","request-id":"x","client-request-id":"y"}}}"""


def error(status: int, body: bytes = _GRAPH_SAYS, **headers: str) -> LinkError:
    call = calls.set_presence(ANN, APP, IN_A_CALL, 300)
    with pytest.raises(LinkError) as raised:
        calls.decode(call, status, headers, body)
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Refused),
        (302, Refused),
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, Gone),
        (405, Refused),
        (409, Conflict),
        (410, Gone),
        (423, Refused),
        (429, TryAgain),
        (500, TryAgain),
        (502, TryAgain),
        (503, TryAgain),
        (504, TryAgain),
        (509, TryAgain),
    ],
)
def test_the_status_says_what_to_do_next(status, kind):
    found = error(status)
    assert type(found) is kind
    assert found.status == status
    assert str(found) == (
        f"POST setPresence: {status} InvalidArgument [SessionId]: The SessionId field is required."
    )


def test_a_missing_right_is_named_with_its_cure():
    found = error(403, b'{"error":{"code":"Forbidden","message":""}}')
    assert str(found) == "POST setPresence: 403 Forbidden"
    assert found.cure == "give the app the permission Presence.ReadWrite.All in Entra, with admin consent"
    assert "sign in again" in error(401).cure


@pytest.mark.parametrize(
    ("call", "needs"),
    [
        (calls.read_presences([ANN]), "Presence.Read.All"),
        (calls.clear_presence(ANN, APP), "Presence.ReadWrite.All"),
        (calls.find_users(["a@b"]), "User.ReadBasic.All"),
        (calls.list_subscriptions(), "Presence.Read.All"),
    ],
)
def test_each_call_knows_the_right_that_it_needs(call, needs):
    with pytest.raises(Refused) as raised:
        calls.decode(call, 403, {}, b"")
    assert needs in raised.value.cure


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Proxy: user=ann&token=eyJ0eXAi</html>",
        b'"eyJ0eXAi"',
        b'{"access_token":"eyJ0eXAi"}',
        b'{"error":"eyJ0eXAi"}',
        b'{"error":{"code":7,"message":"eyJ0eXAi"}}',
        b'{"error":{"code":"eyJ0eXAi\xff"}}',
        b'{"error":' + b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("status", [302, 400, 401, 407, 500])
def test_a_body_of_another_form_is_not_shown(status, body):
    assert str(error(status, body)) == f"POST setPresence: {status}"


def test_nobody_is_named_in_an_error():
    for call in (
        calls.clear_presence(ANN, APP),
        calls.find_users(["ann@example.org"]),
        calls.get_subscription("7f105c7d-2dc5-4530-97cd-4e7ae6534c07"),
        calls.renew_subscription("7f105c7d-2dc5-4530-97cd-4e7ae6534c07", WHEN),
        calls.list_subscriptions("https://graph.microsoft.com/v1.0/subscriptions?$skiptoken=abc"),
    ):
        with pytest.raises(LinkError) as raised:
            calls.decode(call, 500, {}, b"")
        said = str(raised.value)
        assert not any(word in said for word in (ANN, "ann@", "7f105c7d", "skiptoken"))
        assert said.rpartition(" ")[0].removesuffix(":").split(" ")[1] in {
            "clearPresence",
            "users",
            "subscriptions",
        }


def test_no_error_is_longer_than_256_characters():
    found = error(400, json.dumps({"error": {"code": "x", "message": "long " * 1000}}).encode())
    assert len(str(found)) == 256


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"retry-after": "10"}, 10.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "9" * 400}, 3600.0),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_and_never_more_than_an_hour(header, seconds):
    found = error(429, **header)
    assert isinstance(found, TryAgain)
    assert found.after_s == seconds


def test_retry_after_is_read_whatever_its_case():
    with pytest.raises(TryAgain) as raised:
        calls.decode(calls.list_subscriptions(), 503, httpx2.Headers({"Retry-After": "3"}), b"")
    assert raised.value.after_s == 3.0
