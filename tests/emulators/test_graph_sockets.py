"""The emulator over real sockets and TLS, with Microsoft's own sign-in library as the client."""

import asyncio
import json
import ssl
from pathlib import Path

import httpx2
import msal
import pytest
from cryptography.hazmat.primitives import serialization
from graph_bench import ANN, APP, WATCHER, WORLD, certificate, der, rsa_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from presencebridge.emulators.graph import RunningGraph, serve_graph
from presencebridge.emulators.tls import server_certificate
from presencebridge.serving import Listener

SCOPE = ["https://graph.microsoft.com/.default"]


@pytest.fixture(autouse=True)
def without_other_authorities(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _trust(ca: Path) -> ssl.SSLContext:
    trust = ssl.create_default_context(cafile=ca)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return trust


def _client(running: RunningGraph) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=running.url, verify=_trust(running.ca_file), trust_env=False)


async def test_msal_signs_in_with_a_secret_a_certificate_and_a_device_code(tmp_path):
    key = rsa_key()
    pem = certificate(key).public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    async with RunningGraph(WORLD, tls_dir=tmp_path) as running, _client(running) as graph:
        authority = f"{running.url}/{WORLD.tenant_id}"
        common = {
            "authority": authority,
            "instance_discovery": False,
            "verify": str(running.ca_file),
        }

        def with_credential(credential: object) -> dict:
            app = msal.ConfidentialClientApplication(APP, client_credential=credential, **common)
            answer = app.acquire_token_for_client(SCOPE)
            again = app.acquire_token_for_client(SCOPE)
            app.http_client.close()
            assert again.get("access_token") == answer.get("access_token")  # from msal's cache
            return answer

        by_secret = await asyncio.to_thread(with_credential, "a-secret")
        assert "error" not in by_secret, by_secret
        refused = await asyncio.to_thread(with_credential, "guess")
        assert refused["error"] == "invalid_client"

        async with httpx2.AsyncClient(base_url=running.control_url) as control:
            await control.put("/certificates", json={"certificate": pem})
            credential = {"private_key": private.decode(), "public_certificate": pem}
            by_certificate = await asyncio.to_thread(with_credential, credential)
            assert "error" not in by_certificate, by_certificate

            public = await asyncio.to_thread(msal.PublicClientApplication, APP, **common)
            flow = await asyncio.to_thread(public.initiate_device_flow, ["Presence.Read.All"])
            approval = {"username": WATCHER.username}
            await control.post(f"/sign-ins/{flow['user_code']}/approve", json=approval)
            by_device = await asyncio.to_thread(public.acquire_token_by_device_flow, flow)
            assert "error" not in by_device, by_device
            assert by_device["id_token_claims"]["preferred_username"] == WATCHER.username
            (account,) = public.get_accounts()
            assert account["home_account_id"] == f"{WATCHER.id}.{WORLD.tenant_id}"
            silent = await asyncio.to_thread(public.acquire_token_silent, ["Presence.Read.All"], account)
            assert silent["access_token"] == by_device["access_token"]
            renewed = await asyncio.to_thread(
                lambda: public.acquire_token_silent(["Presence.Read.All"], account, force_refresh=True)
            )
            assert renewed["access_token"] != by_device["access_token"]
            await control.post("/sign-ins/revoke", json={"username": WATCHER.username})
            ended = await asyncio.to_thread(
                lambda: public.acquire_token_silent_with_error(
                    ["Presence.Read.All"], account, force_refresh=True
                )
            )
            assert ended["error"] == "invalid_grant"
            public.http_client.close()

        for answer in (by_secret, by_certificate, by_device):
            headers = {"Authorization": f"Bearer {answer['access_token']}"}
            read = await graph.get(f"/v1.0/users/{ANN.id}/presence", headers=headers)
            assert read.status_code == 200
            assert read.headers.get_list("date") == [read.headers["date"]]


async def test_the_certificate_is_valid_for_the_real_names(tmp_path):
    async with RunningGraph(WORLD, tls_dir=tmp_path, control_port=None) as running:
        assert running.control_url is None
        port = int(running.url.rpartition(":")[2])
        for name in ("graph.microsoft.com", "login.microsoftonline.com", "localhost", "127.0.0.1"):
            trust = _trust(running.ca_file)
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
            writer.close()
            await writer.wait_closed()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=_trust(running.ca_file), server_hostname="x.org"
            )


def test_an_authority_that_is_there_is_used_again_and_keys_are_private(tmp_path):
    first = server_certificate(tmp_path)
    before = [file.read_bytes() for file in first]
    assert [file.read_bytes() for file in server_certificate(tmp_path)] == before
    assert {oct(file.stat().st_mode & 0o777) for file in tmp_path.glob("*-key.pem")} == {"0o600"}
    first.certificate.write_text("damaged")
    renewed = server_certificate(tmp_path)
    assert renewed.ca.read_bytes() == before[0]
    assert renewed.certificate.read_bytes() != before[1]
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(ValueError, match="only one is there"):
        server_certificate(tmp_path)
    (tmp_path / "ca-key.pem").write_text("damaged")
    with pytest.raises(ValueError, match=r"repair or remove ca\.pem"):
        server_certificate(tmp_path)
    (tmp_path / "ca-key.pem").write_bytes(before[2])
    with pytest.raises(ValueError, match=r"not the RSA or EC key of ca\.pem"):
        server_certificate(tmp_path)


async def test_it_announces_where_it_listens_and_ends_when_cancelled(tmp_path):
    said: list[str] = []
    spoken = asyncio.Event()

    def announce(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            spoken.set()

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(
            serve_graph(WORLD, port=0, control_port=0, tls_dir=tmp_path, announce=announce)
        )
        await asyncio.wait_for(spoken.wait(), 20)
        assert said[0].startswith("graph: https://127.0.0.1:")
        assert said[0].endswith(f" (TLS, authority {tmp_path / 'ca.pem'})")
        async with httpx2.AsyncClient(base_url=said[1].removeprefix("control: ")) as control:
            assert (await control.get("/clock")).status_code == 200
        serving.cancel()


async def _app_token(graph: httpx2.AsyncClient) -> dict:
    form = {
        "grant_type": "client_credentials",
        "client_id": APP,
        "client_secret": "a-secret",
        "scope": SCOPE[0],
    }
    answer = await graph.post(f"/{WORLD.tenant_id}/oauth2/v2.0/token", data=form)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_a_lost_answer_and_a_hanging_one_over_a_real_connection():
    async with RunningGraph(WORLD) as running:
        assert running.url.startswith("http://")
        async with (
            httpx2.AsyncClient(base_url=running.url) as graph,
            httpx2.AsyncClient(base_url=running.control_url) as control,
        ):
            headers = await _app_token(graph)
            await control.post("/faults", json={"drop_after_write": {"count": 1}})
            body = {"sessionId": APP, "availability": "Busy", "activity": "InACall"}
            with pytest.raises(httpx2.RemoteProtocolError):
                await graph.post(f"/v1.0/users/{ANN.id}/presence/setPresence", headers=headers, json=body)
            shown = (await control.get(f"/users/{ANN.id}")).json()["effective"]
            assert shown == {"availability": "Busy", "activity": "InACall"}
            await control.post("/faults", json={"hang": {"count": 1}})
            with pytest.raises(httpx2.ReadTimeout):
                await graph.get("/v1.0/users", headers=headers, timeout=0.2)
            assert (await graph.get("/v1.0/users", headers=headers)).status_code == 200


async def test_notifications_reach_a_private_https_hook_only_with_its_authority(tmp_path):
    told = asyncio.Event()
    bodies = []

    async def take(request: Request) -> Response:
        if (token := request.query_params.get("validationToken")) is not None:
            return PlainTextResponse(token)
        bodies.append(json.loads(await request.body()))
        told.set()
        return Response(status_code=202)

    tls = server_certificate(tmp_path)
    hook = Starlette(routes=[Route("/hook", take, methods=["POST"])])
    async with Listener(hook, certificate=tls.certificate, key=tls.key) as listener:
        body = {
            "changeType": "updated",
            "notificationUrl": f"{listener.url}/hook",
            "resource": f"/communications/presences/{ANN.id}",
            "expirationDateTime": "2099-01-01T00:00:00Z",
            "lifecycleNotificationUrl": f"{listener.url}/hook",
            "includeResourceData": True,
            "encryptionCertificate": der(certificate(rsa_key())),
            "encryptionCertificateId": "one",
        }
        for ca, status in ((None, 400), (tls.ca, 201)):
            async with (
                RunningGraph(WORLD, notification_ca=ca) as running,
                httpx2.AsyncClient(base_url=running.url) as graph,
                httpx2.AsyncClient(base_url=running.control_url) as control,
            ):
                headers = await _watcher_token(graph, control)
                answer = await graph.post("/v1.0/subscriptions", headers=headers, json=body)
                assert answer.status_code == status, answer.text
                if status == 201:
                    await control.put(f"/users/{ANN.id}/client", json={"availability": "Busy"})
                    await asyncio.wait_for(told.wait(), 10)
    assert bodies[0]["value"][0]["resourceData"]["id"] == ANN.id


async def _watcher_token(graph: httpx2.AsyncClient, control: httpx2.AsyncClient) -> dict:
    base = f"/{WORLD.tenant_id}/oauth2/v2.0"
    form = {"client_id": APP, "scope": "Presence.Read.All"}
    started = (await graph.post(f"{base}/devicecode", data=form)).json()
    path = f"/sign-ins/{started['user_code']}/approve"
    await control.post(path, json={"username": WATCHER.username})
    form = {"grant_type": "device_code", "client_id": APP, "device_code": started["device_code"]}
    answer = (await graph.post(f"{base}/token", data=form)).json()
    return {"Authorization": f"Bearer {answer['access_token']}"}
