"""Subscriptions: who may have one, what is checked, how long it lives."""

import asyncio
import base64
import datetime as dt

import pytest
from bent_certificates import of_no_kind, of_no_version
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from graph_bench import (
    ANN,
    APP,
    BEN,
    HOOK,
    LIFE,
    START,
    WATCHER,
    WORLD,
    bench,
    certificate,
    code,
    der,
    moment,
    rsa_key,
    wanted,
)
from starlette.responses import PlainTextResponse, Response

from presencebridge.emulators.clock import Clock


def _ends_in(row: dict) -> float:
    return dt.datetime.fromisoformat(row["expirationDateTime"]).timestamp() - START


async def test_a_subscription_is_made_after_the_handshake():
    async with bench() as b:
        graph = await b.as_user()
        answer = await graph.post("/subscriptions", wanted(lifecycleNotificationUrl=LIFE))
        assert answer.status_code == 201, answer.text
        row = answer.json()
        assert row["creatorId"] == WATCHER.id
        assert row["applicationId"] == APP
        assert row["clientState"] == "a-client-state"
        assert row["encryptionCertificateId"] == "first"
        assert row["latestSupportedTlsVersion"] == "v1_2"
        assert row["expirationDateTime"] == moment(3600)
        hook, life = b.subscriber.handshakes
        assert hook.startswith("/graph?customer=7&validationToken=Validation%3A+Testing+client+application")
        assert life.startswith("/life?validationToken=")


async def test_an_application_on_its_own_may_not_subscribe():
    async with bench() as b:
        graph = await b.as_app()
        for answer in (
            await graph.post("/subscriptions", wanted()),
            await graph.get("/subscriptions"),
            await graph.patch("/subscriptions/x", {"expirationDateTime": moment(3600)}),
            await graph.post("/subscriptions/x/reauthorize"),
        ):
            assert code(answer) == (403, "ExtensionError")
        assert "Reason: The request is not authorized for this user or application." in answer.text


async def test_the_token_must_hold_presence_read_all():
    async with bench() as b:
        graph = await b.as_user(scope="Presence.ReadWrite")
        assert code(await graph.post("/subscriptions", wanted())) == (403, "ExtensionError")


async def test_the_second_subscription_of_a_user_conflicts():
    async with bench() as b:
        graph = await b.as_user()
        first = await graph.post("/subscriptions", wanted(ANN))
        second = await graph.post("/subscriptions", wanted(BEN))
        assert code(second) == (409, "ExtensionError")
        assert second.json()["error"]["message"] == (
            "Operation: Create; Exception:[Status Code: Conflict; Reason: A subscripton already exists. "
            "It must be deleted before a another can be made.]"
        )
        other = await b.as_user("ann@example.org")
        assert (await other.post("/subscriptions", wanted(BEN))).status_code == 201
        assert (await graph.delete(f"/subscriptions/{first.json()['id']}")).status_code == 204
        assert (await graph.post("/subscriptions", wanted(BEN))).status_code == 201


async def test_of_two_made_at_once_one_conflicts():
    async with bench() as b:
        graph = await b.as_user()
        b.subscriber.before_echo = lambda: asyncio.sleep(0.01)
        answers = await asyncio.gather(
            graph.post("/subscriptions", wanted(ANN)), graph.post("/subscriptions", wanted(BEN))
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"resource": "/me/presence"}, 400, "Unsupported workload."),
        ({"resource": "/communications/presences"}, 400, "Unsupported workload."),
        ({"resource": "/communications/presences?$filter=id in ()"}, 400, ""),
        ({"changeType": "created,updated"}, 400, "changeType"),
        ({"notificationUrl": "http://hook.example.com/graph"}, 400, "HTTPS"),
        ({"lifecycleNotificationUrl": "http://hook.example.com/graph"}, 400, "HTTPS"),
        ({"notificationUrl": None}, 400, "notificationUrl"),
        ({"expirationDateTime": "tomorrow"}, 400, "expirationDateTime"),
        ({"expirationDateTime": moment(3601)}, 400, "lifecycleNotificationUrl is a required property"),
        ({"clientState": "x" * 129}, 400, "clientState"),
        ({"encryptionCertificate": None}, 400, "encryptionCertificate"),
        ({"encryptionCertificateId": None}, 400, "encryptionCertificateId"),
        (
            {"encryptionCertificate": "bm9uZQ=="},
            400,
            "Certificate validation error: Cannot find the requested",
        ),
        ({"colour": "red"}, 400, "colour"),
        ({"includeResourceData": "yes"}, 400, "includeResourceData"),
    ],
)
async def test_a_create_request_is_refused(change, status, text):
    async with bench() as b:
        graph = await b.as_user()
        body = wanted(**change)
        for name, value in change.items():
            if value is None:
                body.pop(name, None)
        answer = await graph.post("/subscriptions", body)
        assert answer.status_code == status, answer.text
        assert text in answer.json()["error"]["message"]
        assert (await b.control.get("/subscriptions")).json() == []


@pytest.mark.parametrize(("bits", "status"), [(1024, 400), (2048, 201)])
async def test_the_size_of_the_encryption_key(bits, status):
    async with bench() as b:
        graph = await b.as_user()
        body = wanted(encryptionCertificate=der(certificate(rsa_key(bits))))
        assert (await graph.post("/subscriptions", body)).status_code == status


@pytest.mark.parametrize("bend", [of_no_kind, of_no_version])
async def test_a_certificate_that_nobody_can_read_is_refused(bend):
    bent = bend(certificate(rsa_key()).public_bytes(serialization.Encoding.DER))
    async with bench() as b:
        graph = await b.as_user()
        body = wanted(encryptionCertificate=base64.b64encode(bent).decode())
        answer = await graph.post("/subscriptions", body)
        assert (answer.status_code, "Certificate validation error" in answer.text) == (400, True)


async def test_the_encryption_key_must_be_rsa():
    async with bench() as b:
        graph = await b.as_user()
        body = wanted(encryptionCertificate=der(certificate(ec.generate_private_key(ec.SECP256R1()))))
        answer = await graph.post("/subscriptions", body)
        assert "Certificate validation error" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "form",
    [
        "communications/presences?$filter=id in ({ids})",
        "/communications/presences?$filter=id in ({ids})",
        "/communications/presences?$filter=id in ('{ann}', '{ben}')",
        "/communications/presences/{ann}",
    ],
)
async def test_the_forms_of_a_resource(form):
    async with bench() as b:
        graph = await b.as_user()
        resource = form.format(ids=f"{ANN.id},{BEN.id}", ann=ANN.id, ben=BEN.id)
        answer = await graph.post("/subscriptions", wanted(resource=resource))
        assert answer.json()["resource"] == resource
        watched = (await b.control.get("/subscriptions")).json()[0]["watched"]
        assert watched == sorted([ANN.id] if "$filter" not in form else [ANN.id, BEN.id])


async def test_at_most_650_users_are_watched():
    async with bench() as b:
        graph = await b.as_user()
        for count, status in ((651, 400), (650, 201)):
            ids = ",".join(f"'{number:032x}'" for number in range(count))
            resource = f"/communications/presences?$filter=id in ({ids},{ids})"
            assert (await graph.post("/subscriptions", wanted(resource=resource))).status_code == status


@pytest.mark.parametrize(("asked", "given"), [(60, 2700), (-500, 2700), (3000, 3000), (3600, 3600)])
async def test_an_end_under_45_minutes_is_raised(asked, given):
    async with bench() as b:
        graph = await b.as_user()
        answer = await graph.post("/subscriptions", wanted(expirationDateTime=moment(asked)))
        assert _ends_in(answer.json()) == given


async def test_an_end_beyond_60_minutes_is_cut_or_refused():
    async with bench() as b:
        graph = await b.as_user()
        body = wanted(expirationDateTime=moment(86400), lifecycleNotificationUrl=LIFE)
        made = await graph.post("/subscriptions", body)
        assert _ends_in(made.json()) == 3600
        await graph.delete(f"/subscriptions/{made.json()['id']}")
        await b.faults(long_expiry="refuse")
        assert code(await graph.post("/subscriptions", body)) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    "echo",
    [
        lambda _: PlainTextResponse("other"),
        lambda token: PlainTextResponse(token, 202),
        lambda token: Response(token, media_type="application/json"),
    ],
    ids=["another text", "another status", "another type"],
)
async def test_a_failed_handshake_refuses_the_subscription(echo):
    async with bench() as b:
        graph = await b.as_user()
        b.subscriber.echo = echo
        answer = await graph.post("/subscriptions", wanted())
        assert code(answer) == (400, "InvalidRequest")
        assert "Subscription validation request failed" in answer.text


@pytest.mark.looptime
async def test_the_handshake_must_be_answered_within_ten_seconds():
    async with bench(clock=Clock.of_loop(START)) as b:
        graph = await b.as_user()

        b.subscriber.before_echo = lambda: asyncio.sleep(10.5)
        answer = await graph.post("/subscriptions", wanted())
        assert code(answer) == (400, "InvalidRequest")
        assert "timed out" in answer.text
        b.subscriber.before_echo = lambda: asyncio.sleep(9.5)
        assert (await graph.post("/subscriptions", wanted())).status_code == 201


async def test_a_subscription_is_renewed_and_expires():
    async with bench() as b:
        graph = await b.as_user()
        made = (await graph.post("/subscriptions", wanted())).json()
        path = f"/subscriptions/{made['id']}"
        await b.advance(1800)
        # Seen from outside, the time that is left has shrunk.
        assert _ends_in((await graph.get(path)).json()) == 1800
        answer = await graph.patch(path, {"expirationDateTime": moment(3500)})
        assert answer.status_code == 200
        assert _ends_in(answer.json()) == 3500
        await b.advance(3499)
        graph = await b.as_user()
        assert (await graph.get(path)).status_code == 200
        await b.advance(1)
        for answer in (
            await graph.get(path),
            await graph.patch(path, {"expirationDateTime": moment(3600)}),
            await graph.delete(path),
            await graph.post(path + "/reauthorize"),
        ):
            assert code(answer) == (404, "ResourceNotFound")
        assert (await graph.get("/subscriptions")).json()["value"] == []


async def test_what_a_patch_may_hold():
    async with bench() as b:
        graph = await b.as_user()
        made = (await graph.post("/subscriptions", wanted())).json()
        path = f"/subscriptions/{made['id']}"
        answer = await graph.patch(path, {})
        assert answer.status_code == 400
        assert "must contain either" in answer.text
        assert (
            await graph.patch(path, {"resource": "x", "expirationDateTime": moment(1)})
        ).status_code == 400
        body = {"notificationUrl": "https://hook.example.com/life"}
        assert (await graph.patch(path, body)).json()["notificationUrl"].endswith("/life")
        assert b.subscriber.handshakes[-1].startswith("/life?")
        b.subscriber.echo = lambda _: Response(status_code=500)
        assert (await graph.patch(path, {"notificationUrl": HOOK})).status_code == 400
        body = {
            "expirationDateTime": moment(3000),
            "encryptionCertificate": der(certificate(rsa_key(name="next"))),
            "encryptionCertificateId": "second",
        }
        assert (await graph.patch(path, body)).json()["encryptionCertificateId"] == "second"
        body["encryptionCertificate"] = "bm9uZQ=="
        assert (await graph.patch(path, body)).status_code == 400


async def test_a_list_holds_ones_own_without_client_state():
    async with bench() as b:
        graph = await b.as_user()
        made = (await graph.post("/subscriptions", wanted())).json()
        other = await b.as_user("ann@example.org")
        rows = (await graph.get("/subscriptions")).json()["value"]
        assert [(row["id"], row["clientState"]) for row in rows] == [(made["id"], None)]
        assert (await other.get("/subscriptions")).json()["value"] == []
        assert (await other.get(f"/subscriptions/{made['id']}")).status_code == 404
        full = (await b.control.get("/subscriptions")).json()
        assert full[0]["clientState"] == "a-client-state"


async def test_reauthorizing_does_not_extend():
    async with bench() as b:
        graph = await b.as_user()
        made = (await graph.post("/subscriptions", wanted())).json()
        for action in ("reauthorize", "microsoft.graph.reauthorize"):
            assert (await graph.post(f"/subscriptions/{made['id']}/{action}")).status_code == 204
        row = (await graph.get(f"/subscriptions/{made['id']}")).json()
        assert row["expirationDateTime"] == made["expirationDateTime"]


async def test_reauthorization_is_asked_for_each_quarter_of_the_last_hour():
    async with bench() as b:
        graph = await b.as_user()
        await graph.post("/subscriptions", wanted(lifecycleNotificationUrl=LIFE))
        await b.advance(3599)
        await _settled()
        items = [item for body in b.subscriber.lifecycle for item in body["value"]]
        assert [item["lifecycleEvent"] for item in items] == ["reauthorizationRequired"] * 3
        assert set(items[0]) == {
            *("subscriptionId", "subscriptionExpirationDateTime", "tenantId", "clientState", "lifecycleEvent")
        }
        assert all("validationTokens" not in body for body in b.subscriber.lifecycle)


async def test_how_often_reauthorization_is_asked_for_can_be_set():
    async with bench() as b:
        graph = await b.as_user()
        await b.faults(notifications={"lifecycle_every_s": 300})
        await graph.post("/subscriptions", wanted(lifecycleNotificationUrl=LIFE))
        await b.advance(901)
        await _settled()
        assert sum(len(body["value"]) for body in b.subscriber.lifecycle) == 3
        await b.faults(notifications={"lifecycle_every_s": 0})
        await b.advance(1000)
        # A shorter time, set later, doesn't send what it would have sent before.
        await b.faults(notifications={"lifecycle_every_s": 600})
        await b.advance(599)
        await _settled()
        assert sum(len(body["value"]) for body in b.subscriber.lifecycle) == 3


@pytest.mark.parametrize("event", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
async def test_the_control_port_sends_any_lifecycle_event(event):
    async with bench() as b:
        graph = await b.as_user()
        await graph.post("/subscriptions", wanted(lifecycleNotificationUrl=LIFE))
        assert (await b.control.post("/lifecycle", json={"event": event})).json() == {"sent": 1}
        await _settled()
        assert b.subscriber.lifecycle[0]["value"][0]["lifecycleEvent"] == event
        assert b.subscriber.lifecycle[0]["value"][0]["tenantId"] == WORLD.tenant_id
        assert (await b.control.post("/lifecycle", json={"event": "born"})).status_code == 400


async def test_revoked_consent_holds_changes_back_until_a_renewal():
    async with bench() as b:
        graph = await b.as_user()
        made = await graph.post("/subscriptions", wanted(lifecycleNotificationUrl=LIFE))
        answer = await b.control.post("/sign-ins/revoke", json={"username": WATCHER.username})
        assert answer.json() == {"revoked": 1}
        await b.says(ANN, "Busy")
        await _settled()
        assert b.subscriber.bodies == []
        assert b.subscriber.lifecycle[0]["value"][0]["lifecycleEvent"] == "reauthorizationRequired"
        graph = await b.as_user()
        await graph.post(f"/subscriptions/{made.json()['id']}/reauthorize")
        await _settled()
        assert len(b.subscriber.items) == 1


async def _settled() -> None:
    """Everything that is due goes out in the loop's next turns."""
    for _ in range(200):
        await asyncio.sleep(0)
