"""Notifications: what is in them, and how they are delivered, or not."""

import asyncio
import json

import httpx2
import jwt
import pytest
from graph_bench import (
    ANN,
    APP,
    BEN,
    LIFE,
    START,
    WORLD,
    Bench,
    bench,
    certificate,
    decrypted,
    der,
    moment,
    rsa_key,
    wanted,
)

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import notices
from presencebridge.emulators.graph.delivery import Endpoint


async def _settled() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


async def _subscribed(b: Bench, **more: object) -> dict:
    graph = await b.as_user()
    answer = await graph.post("/subscriptions", wanted(**more))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_change_is_told_in_an_encrypted_item():
    async with bench() as b:
        made = await _subscribed(b)
        await b.says(ANN, "Busy", "InAMeeting")
        await _settled()
        (item,) = b.subscriber.items
        content = item.pop("encryptedContent")
        assert item == {
            "subscriptionId": made["id"],
            "clientState": "a-client-state",
            "changeType": "updated",
            "tenantId": WORLD.tenant_id,
            "resource": f"communications/presences/{ANN.id}",
            "subscriptionExpirationDateTime": made["expirationDateTime"],
            "resourceData": {
                "@odata.id": f"users/{ANN.id}/presence",
                "@odata.type": "#microsoft.graph.presence",
                "id": ANN.id,
            },
            "organizationId": WORLD.tenant_id,
        }
        assert content["encryptionCertificateId"] == "first"
        assert len(content["encryptionCertificateThumbprint"]) == 40
        assert decrypted(content, rsa_key()) == {
            "@odata.id": f"users/{ANN.id}/presence",
            "@odata.type": "#microsoft.graph.presence",
            "id": ANN.id,
            "availability": "Busy",
            "activity": "InAMeeting",
        }


async def test_a_basic_subscription_is_told_without_content_or_tokens():
    async with bench() as b:
        await _subscribed(
            b, includeResourceData=None, encryptionCertificate=None, encryptionCertificateId=None
        )
        await b.says(ANN, "Busy")
        await _settled()
        (body,) = b.subscriber.bodies
        assert set(body) == {"value"}
        assert "encryptedContent" not in body["value"][0]


async def test_nothing_is_told_of_the_unwatched_nor_of_what_did_not_change():
    async with bench() as b:
        await _subscribed(b, resource=f"/communications/presences/{ANN.id}")
        await b.says(BEN, "Busy")
        await b.says(ANN, "Away")
        await b.says(ANN, "Away")
        await _settled()
        assert [item["resourceData"]["id"] for item in b.subscriber.items] == [ANN.id]


async def test_the_applications_own_writes_come_back_without_an_originator():
    async with bench() as b:
        await _subscribed(b)
        await b.says(ANN, "Available")
        await _settled()
        app = await b.as_app()
        await app.set_presence(ANN, "Busy", "InACall")
        await _settled()
        by_hand, by_app = b.subscriber.items
        assert set(by_hand) == set(by_app)
        assert decrypted(by_app["encryptedContent"], rsa_key())["activity"] == "InACall"


async def test_changes_that_come_at_once_share_a_post_and_each_has_its_own_data_key():
    async with bench() as b:
        await _subscribed(b)
        graph = await b.as_app()
        for user in (ANN, BEN):
            await graph.set_presence(user, "Busy", "InACall", "PT5M")
        await _settled()
        b.subscriber.bodies.clear()
        await b.advance(300)
        await _settled()
        (body,) = b.subscriber.bodies
        assert [item["resourceData"]["id"] for item in body["value"]] == [ANN.id, BEN.id]
        assert len({item["encryptedContent"]["dataKey"] for item in body["value"]}) == 2
        assert len(body["validationTokens"]) == 1


@pytest.mark.parametrize(
    ("version", "caller", "issuer"),
    [
        ("1.0", "appid", f"https://sts.windows.net/{WORLD.tenant_id}/"),
        ("2.0", "azp", f"https://login.microsoftonline.com/{WORLD.tenant_id}/v2.0"),
    ],
)
async def test_the_validation_token_can_be_checked_by_the_published_keys(version, caller, issuer):
    async with bench() as b:
        await b.faults(notifications={"token_version": version})
        await _subscribed(b)
        await b.control.post("/keys/rotate")
        await b.says(ANN, "Busy")
        await _settled()
        (token,) = b.subscriber.bodies[0]["validationTokens"]
        document = (await b.graph.get("/common/v2.0/.well-known/openid-configuration")).json()
        keys = jwt.PyJWKSet.from_dict((await b.graph.get(document["jwks_uri"])).json())
        key = keys[jwt.get_unverified_header(token)["kid"]].key
        timeless = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        claims = jwt.decode(token, key, ["RS256"], audience=APP, options=timeless)
        assert claims[caller] == notices.CHANGE_TRACKING
        assert (claims["iss"], claims["ver"], claims["tid"]) == (issuer, version, WORLD.tenant_id)
        assert claims["exp"] - claims["iat"] == 86400
        assert claims["iat"] == START


async def test_the_audience_of_the_token_may_be_another_application():
    async with bench() as b:
        await _subscribed(b, notificationUrlAppId="another-app")
        await b.says(ANN, "Busy")
        await _settled()
        (token,) = b.subscriber.bodies[0]["validationTokens"]
        assert jwt.decode(token, options={"verify_signature": False})["aud"] == "another-app"


async def test_tokens_may_be_null_and_the_payload_old():
    async with bench() as b:
        await _subscribed(b)
        await b.faults(notifications={"validation_tokens_null": True})
        await b.says(ANN, "Busy")
        await _settled()
        assert b.subscriber.bodies[0]["validationTokens"] is None
        await b.faults(notifications={"legacy_payload": True})
        await b.says(ANN, "Away")
        await _settled()
        item = b.subscriber.items[1]
        assert item["resource"] == f"communications/presences('{ANN.id}')"
        assert item["resourceData"]["availability"] == "Away"
        assert "validationTokens" not in b.subscriber.bodies[1]


async def test_a_renewed_certificate_encrypts_from_then_on():
    async with bench() as b:
        made = await _subscribed(b)
        graph = await b.as_user()
        key = rsa_key(name="next")
        body = {
            "expirationDateTime": moment(3000),
            "encryptionCertificate": der(certificate(key)),
            "encryptionCertificateId": "second",
        }
        await graph.patch(f"/subscriptions/{made['id']}", body)
        await b.says(ANN, "Busy")
        await _settled()
        content = b.subscriber.items[0]["encryptedContent"]
        assert content["encryptionCertificateId"] == "second"
        assert decrypted(content, key)["availability"] == "Busy"


async def test_an_expired_or_deleted_subscription_says_nothing():
    async with bench() as b:
        made = await _subscribed(b)
        await b.advance(3600)
        await b.says(ANN, "Busy")
        made = await _subscribed(b)
        graph = await b.as_user()
        await graph.delete(f"/subscriptions/{made['id']}")
        await b.says(ANN, "Away")
        await _settled()
        assert b.subscriber.bodies == []


async def test_of_a_leap_in_time_everything_before_the_end_is_told():
    """A session fades at 5 and 10 minutes; the subscription ends at 45; the session at 60."""
    async with bench() as b:
        await _subscribed(b, expirationDateTime=moment(60))
        graph = await b.as_app()
        await graph.set_presence(ANN, "Available", "Available", "PT1H")
        await b.advance(7200)
        await _settled()
        seen = [decrypted(item["encryptedContent"], rsa_key())["activity"] for item in b.subscriber.items]
        assert seen == ["Available", "AvailableInactive", "Away"]


async def test_a_failed_post_is_sent_again_byte_for_byte_with_growing_pauses_for_four_hours():
    async with bench() as b:
        await _subscribed(b)
        b.subscriber.status = 503
        await b.says(ANN, "Busy")
        await _settled()
        for pause, count in ((10, 2), (19, 2), (1, 3), (40, 4)):
            await b.advance(pause)
            await _settled()
            assert len(b.subscriber.bodies) == count
        b.subscriber.status = 202
        await b.advance(80)
        await _settled()
        await b.advance(1000)
        await _settled()
        assert len(b.subscriber.bodies) == 5
        assert all(body == b.subscriber.bodies[0] for body in b.subscriber.bodies)
        assert (await b.control.get("/notifications")).json()["sent"][0]["statuses"] == [503] * 4 + [202]


async def test_retries_end_after_four_hours_or_with_the_subscription():
    async with bench() as b:
        b.emulator.delivery._is_wanted = lambda _: True  # a subscription lives an hour at most
        await _subscribed(b)
        b.subscriber.status = 503
        await b.says(ANN, "Busy")
        await _settled()
        for _ in range(20):
            await b.advance(1800)
            await _settled()
        sent = len(b.subscriber.bodies)
        assert 8 <= sent <= 17
        await b.advance(86400)
        await _settled()
        assert len(b.subscriber.bodies) == sent
    async with bench() as b:
        made = await _subscribed(b)
        b.subscriber.status = 503
        await b.says(ANN, "Busy")
        await _settled()
        await (await b.as_user()).delete(f"/subscriptions/{made['id']}")
        await b.advance(60)
        await _settled()
        assert len(b.subscriber.bodies) == 1


@pytest.mark.looptime
async def test_the_first_answer_must_come_in_three_seconds_and_a_retrys_in_ten():
    async with bench(clock=Clock.of_loop(START)) as b:
        await _subscribed(b)
        b.subscriber.before_answer = lambda: asyncio.sleep(3.5)
        await b.says(ANN, "Busy")
        await asyncio.sleep(60)
        assert [sent.statuses for sent in b.emulator.delivery.sent] == [[None, 202]]
        b.subscriber.before_answer = lambda: asyncio.sleep(2.5)
        await b.says(ANN, "Away")
        await asyncio.sleep(60)
        assert b.emulator.delivery.sent[-1].statuses == [202]


async def test_drop_duplicate_and_silent_stop():
    async with bench() as b:
        await _subscribed(b)
        await b.faults(notifications={"drop": True})
        await b.says(ANN, "Busy")
        await _settled()
        assert b.subscriber.bodies == []
        await b.faults(notifications={"drop": 0, "duplicate": 1.0})
        await b.says(ANN, "Away")
        await _settled()
        first, second = b.subscriber.bodies
        assert first == second
        await b.faults(notifications={"duplicate": None, "silent_stop": True})
        await b.says(ANN, "DoNotDisturb")
        await _settled()
        assert len(b.subscriber.bodies) == 2
        assert len((await b.control.get("/subscriptions")).json()) == 1


async def test_delay_and_reorder():
    async with bench() as b:
        await _subscribed(b)
        await b.faults(notifications={"delay_s": 60})
        await b.says(ANN, "Busy")
        await b.advance(59)
        await _settled()
        assert b.subscriber.bodies == []
        await b.advance(1)
        await _settled()
        assert len(b.subscriber.bodies) == 1
        await b.faults(notifications={"delay_s": 0, "reorder": True})
        await b.says(ANN, "Away")
        await b.faults(notifications={"reorder": False})
        await b.says(BEN, "Busy")
        await _settled()
        await b.advance(1)
        await _settled()
        ids = [item["resourceData"]["id"] for item in b.subscriber.items]
        assert ids == [ANN.id, BEN.id, ANN.id]


async def test_what_comes_within_the_batch_time_shares_a_post():
    async with bench() as b:
        await _subscribed(b)
        await b.faults(notifications={"batch_s": 5})
        await b.says(ANN, "Busy")
        await b.advance(2)
        await b.says(BEN, "Busy")
        await b.advance(3)
        await _settled()
        assert [len(body["value"]) for body in b.subscriber.bodies] == [2]


async def test_replay_sends_the_last_bodies_again():
    raw = []

    class Keeps(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            raw.append(await request.aread())
            return httpx2.Response(202)

    async with bench() as b:
        await _subscribed(b, lifecycleNotificationUrl=LIFE)
        await b.says(ANN, "Busy")
        await _settled()
        b.emulator._outgoing._client._transport = Keeps()
        await b.says(BEN, "Busy")
        await _settled()
        answer = await b.control.post("/notifications/replay", json={"count": 2})
        assert answer.json() == {"sent": 2}
        assert raw[2] == raw[0]
        assert json.loads(raw[1]) == b.subscriber.bodies[0]


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        ([0.1] * 100, "normal"),
        ([0.1] * 90 + [4] * 10, "normal"),
        ([0.1] * 89 + [4] * 11, "slow"),
        ([0.1] * 84 + [10] * 16, "drop"),
        ([10] * 99, "normal"),
    ],
    ids=["fast", "a tenth over 3 s", "more than a tenth", "more than 15 % over 10 s", "too few to tell"],
)
def test_an_endpoint_that_is_slow(seconds, state):
    endpoint = Endpoint()
    for taken in seconds:
        endpoint.answered(1000, taken)
    assert endpoint.state(1001, 100) == state


def test_an_endpoint_is_tried_again_after_ten_minutes():
    endpoint = Endpoint()
    for _ in range(100):
        endpoint.answered(1000, 10)
    assert endpoint.state(1000, 100) == "drop"
    assert endpoint.state(1599, 100) == "drop"
    assert endpoint.state(1600, 100) == "normal"
    for _ in range(100):
        endpoint.answered(2000, 5)
    assert endpoint.state(2000, 100) == "slow"
    assert endpoint.state(2600, 100) == "normal"


@pytest.mark.looptime
async def test_a_slow_endpoint_is_told_ten_minutes_later_and_a_hanging_one_nothing():
    async with bench(clock=Clock.of_loop(START)) as b:
        await _subscribed(b)
        await b.faults(notifications={"slow_after": 1})
        b.subscriber.before_answer = lambda: asyncio.sleep(3.5)
        await b.says(ANN, "Busy")
        await asyncio.sleep(30)
        assert (await b.control.get("/notifications")).json()["endpoints"] == {"hook.example.com": "slow"}
        b.subscriber.before_answer = None
        b.subscriber.bodies.clear()
        await b.says(ANN, "Away")
        await asyncio.sleep(599)
        assert b.subscriber.bodies == []
        await asyncio.sleep(2)
        assert len(b.subscriber.bodies) == 1
        b.subscriber.before_answer = lambda: asyncio.sleep(11)
        await b.says(ANN, "Busy")
        await asyncio.sleep(30)
        assert (await b.control.get("/notifications")).json()["endpoints"] == {"hook.example.com": "drop"}


async def test_a_hook_that_cannot_be_reached_hurts_nobody():
    async with bench() as b:
        await _subscribed(b)

        def broken():
            raise RuntimeError("out of order")

        b.subscriber.before_answer = broken
        await b.says(ANN, "Busy")
        await _settled()
        assert b.emulator.delivery.sent[-1].statuses == [None]
        assert await b.shows(ANN) == "Busy/Busy"
