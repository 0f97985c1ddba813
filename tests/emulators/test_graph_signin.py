"""Sign-in: grants, refusals, tokens and the documents around them."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from graph_bench import ANN, APP, START, WATCHER, WORLD, Bench, bench, certificate, der, rsa_key

from presencebridge.emulators.graph.keys import unpadded
from presencebridge.emulators.world import World

TENANT = WORLD.tenant_id
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "https://graph.microsoft.com/.default"
TIMELESS = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


async def _refusal(b: Bench, tenant: str = TENANT, **form: str | None) -> tuple[int, str, int]:
    whole = {
        "grant_type": "client_credentials",
        "client_id": APP,
        "client_secret": "a-secret",
        "scope": SCOPE,
    } | form
    sent = {name: value for name, value in whole.items() if value is not None}
    answer = await b.graph.post(f"/{tenant}/oauth2/v2.0/token", data=sent)
    body = answer.json()
    assert set(body) >= {
        *("error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id")
    }
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status_code, body["error"], body["error_codes"][0]


@pytest.mark.parametrize(
    ("form", "refusal"),
    [
        ({"client_secret": "guess"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": "someone"}, (400, "unauthorized_client", 700016)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"scope": "Presence.Read.All"}, (400, "invalid_scope", 1002012)),
        ({"scope": "api://else/.default"}, (400, "invalid_resource", 500011)),
        ({"tenant": "unknown"}, (400, "invalid_request", 90002)),
        ({"tenant": "common"}, (400, "invalid_request", 50059)),
    ],
)
async def test_a_request_for_a_token_is_refused(form, refusal):
    async with bench() as b:
        assert await _refusal(b, **form) == refusal


async def test_no_secret_in_the_world_means_none_is_right():
    async with bench(World()) as b:
        assert (await _refusal(b, client_secret="anything"))[1] == "invalid_client"
        assert (await _refusal(b, client_secret=""))[1] == "invalid_client"


async def test_an_applications_token_holds_roles_and_is_signed_by_a_published_key():
    async with bench() as b:
        token = await b.app_token()
        keys = jwt.PyJWKSet.from_dict((await b.graph.get(f"/{TENANT}/discovery/v2.0/keys")).json())
        key = keys[jwt.get_unverified_header(token)["kid"]].key
        audience = "https://graph.microsoft.com"
        claims = jwt.decode(token, key, ["RS256"], audience=audience, options=TIMELESS)
        assert claims["roles"] == list(WORLD.app_roles)
        assert "scp" not in claims
        assert (claims["appid"], claims["tid"], claims["idtyp"]) == (APP, TENANT, "app")
        assert (claims["iat"], claims["exp"]) == (START, START + 3600)


async def test_the_secret_may_come_by_http_basic_and_the_older_endpoint_takes_a_resource():
    async with bench() as b:
        form = {"grant_type": "client_credentials", "resource": "https://graph.microsoft.com"}
        path = f"/{TENANT}/oauth2/token"
        answer = await b.graph.post(path, data=form, auth=(APP, "a-secret"))
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


async def test_a_token_dies_by_the_emulators_clock_but_is_stamped_by_the_outer_one():
    async with bench() as b:
        graph = await b.as_app()
        await b.advance(3599)
        assert (await graph.get(f"/users/{ANN.id}/presence")).status_code == 200
        await b.advance(1)
        answer = await graph.get(f"/users/{ANN.id}/presence")
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        token = await b.app_token()
        assert jwt.decode(token, options={"verify_signature": False})["iat"] == START


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer nonsense", "Bearer a.b.c", "Basic YTpi"])
async def test_without_a_good_token_there_is_no_answer(header):
    async with bench() as b:
        headers = {"Authorization": header} if header else {}
        answer = await b.graph.get("/v1.0/me", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
        assert "www-authenticate" in answer.headers


def _assertion(key, cert, algorithm="PS256", **change: object) -> str:
    claims = {
        "aud": f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token",
        "iss": APP,
        "sub": APP,
        "jti": "one",
        "nbf": int(START),
        "exp": int(START) + 600,
    } | change
    sha256 = algorithm == "PS256"
    name, kind = ("x5t#S256", hashes.SHA256()) if sha256 else ("x5t", hashes.SHA1())  # noqa: S303 - the older form
    return jwt.encode(claims, key, algorithm, headers={name: unpadded(cert.fingerprint(kind))})


def _asserting(token: str) -> dict:
    return {
        "client_secret": None,
        "client_assertion": token,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
async def test_a_registered_certificate_signs_in(algorithm):
    key = rsa_key()
    cert = certificate(key)
    async with bench(World(client_certificates=(der(cert),))) as b:
        form = {"grant_type": "client_credentials", "client_id": APP, "scope": SCOPE}
        form |= {name: value for name, value in _asserting(_assertion(key, cert, algorithm)).items() if value}
        answer = await b.graph.post(b.token_url, data=form)
        assert answer.status_code == 200, answer.text
        logged = (await b.control.get("/requests")).json()[0]["body"]
        assert logged["client_assertion"] == "***"


async def test_a_certificate_is_registered_by_the_control_port():
    key = rsa_key()
    cert = certificate(key)
    async with bench() as b:
        refused = await _refusal(b, **_asserting(_assertion(key, cert)))
        assert refused == (401, "invalid_client", 700027)
        answer = await b.control.put("/certificates", json={"certificate": der(cert)})
        assert answer.json()["thumbprint_sha256"] == cert.fingerprint(hashes.SHA256()).hex().upper()
        form = {"grant_type": "client_credentials", "client_id": APP, "scope": SCOPE}
        form |= {name: value for name, value in _asserting(_assertion(key, cert)).items() if value}
        assert (await b.graph.post(b.token_url, data=form)).status_code == 200
        assert (await b.control.put("/certificates", json={"certificate": "none"})).status_code == 400


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"aud": "https://elsewhere.example.com"}, 700023),
        ({"iss": "someone"}, 700021),
        ({"sub": "someone"}, 700021),
        ({"exp": int(START) - 301}, 700024),
        ({"nbf": int(START) + 301}, 700024),
    ],
)
async def test_an_assertion_is_refused(change, number):
    key = rsa_key()
    cert = certificate(key)
    async with bench(World(client_certificates=(der(cert),))) as b:
        refusal = await _refusal(b, **_asserting(_assertion(key, cert, **change)))
        assert refusal == (401, "invalid_client", number)


async def test_an_assertion_by_another_key_or_of_another_form_is_refused():
    cert = certificate(rsa_key())
    async with bench(World(client_certificates=(der(cert),))) as b:
        forged = _assertion(rsa_key(name="other"), cert)
        assert (await _refusal(b, **_asserting(forged)))[2] == 700027
        assert (await _refusal(b, **_asserting("no.token.atall")))[2] == 50027
        hs256 = jwt.encode({"iss": APP}, "k" * 32, "HS256")
        assert (await _refusal(b, **_asserting(hs256)))[1] == "invalid_client"


async def _device(b: Bench, scope: str = "Presence.Read.All offline_access openid") -> dict:
    form = {"client_id": APP, "scope": scope}
    answer = await b.graph.post(f"/{TENANT}/oauth2/v2.0/devicecode", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _polled(b: Bench, code: str) -> dict:
    form = {"grant_type": DEVICE, "client_id": APP, "device_code": code}
    return (await b.graph.post(b.token_url, data=form)).json()


async def test_a_device_code_waits_for_approval():
    async with bench() as b:
        started = await _device(b)
        assert (started["expires_in"], started["interval"]) == (900, 5)
        assert started["user_code"] in started["message"]
        assert (await _polled(b, started["device_code"]))["error"] == "authorization_pending"
        (pending,) = (await b.control.get("/sign-ins")).json()
        assert pending["user_code"] == started["user_code"]
        path = f"/sign-ins/{started['user_code']}/approve"
        assert (await b.control.post(path, json={"username": "stranger"})).status_code == 404
        assert (await b.control.post(path, json={})).status_code == 400
        assert (await b.control.post(path, json={"username": WATCHER.username})).status_code == 200
        answer = await _polled(b, started["device_code"])
        claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
        assert (claims["scp"], claims["oid"]) == ("Presence.Read.All", WATCHER.id)
        assert "roles" not in claims
        assert answer["scope"].split()[0] == "Presence.Read.All"
        assert answer["refresh_token"]
        assert answer["client_info"]
        identity = jwt.decode(answer["id_token"], options={"verify_signature": False})
        assert (identity["aud"], identity["preferred_username"]) == (APP, WATCHER.username)
        assert (await _polled(b, started["device_code"]))["error"] == "bad_verification_code"
        assert (await b.control.post(path, json={"username": WATCHER.username})).status_code == 404


async def test_a_device_code_is_declined_or_expires():
    async with bench() as b:
        started = await _device(b)
        await b.control.post(f"/sign-ins/{started['user_code']}/approve", json={"decline": True})
        assert (await _polled(b, started["device_code"]))["error"] == "authorization_declined"
        started = await _device(b)
        await b.advance(900)
        assert (await _polled(b, started["device_code"]))["error"] == "expired_token"
        assert (await _polled(b, "guess"))["error"] == "bad_verification_code"


async def test_a_person_may_type_the_code_into_the_page():
    async with bench() as b:
        started = await _device(b)
        form = {"user_code": started["user_code"].lower(), "username": ANN.user_principal_name}
        page = await b.graph.post("/devicelogin", data=form)
        assert "You are signed in" in page.text
        assert (await _polled(b, started["device_code"]))["access_token"]
        assert "didn&#x27;t work" in (await b.graph.post("/devicelogin", data=form)).text
        page = await b.graph.post("/devicelogin", data={"username": "<b>"})
        assert "no account &lt;b&gt;" in page.text
        assert (await b.graph.get("/devicelogin")).status_code == 200


async def test_a_scope_nobody_consented_to_is_refused():
    async with bench(World(client_secret="s", users=(ANN,), delegated_scopes=("Presence.Read",))) as b:
        started = await _device(b)
        await b.control.post(f"/sign-ins/{started['user_code']}/approve", json={"username": ANN.id})
        answer = await _polled(b, started["device_code"])
        assert (answer["error"], answer["error_codes"]) == ("invalid_grant", [65001])


async def test_scopes_are_written_as_they_were_asked_for():
    async with bench() as b:
        full = "https://graph.microsoft.com/Presence.Read"
        assert (await b.user_grant(ANN.id, full))["scope"].split()[0] == full
        whole = (await b.user_grant(ANN.id, "https://graph.microsoft.com/.default"))["scope"].split()
        assert {"https://graph.microsoft.com/.default", full} <= set(whole)


async def test_refresh_tokens_rotate_and_are_revoked():
    async with bench() as b:
        first = (await b.user_grant(WATCHER.username))["refresh_token"]
        form = {"grant_type": "refresh_token", "client_id": APP, "refresh_token": first}
        form["scope"] = "Presence.Read.All openid profile offline_access"
        second = (await b.graph.post(b.token_url, data=form)).json()
        assert second["refresh_token"] != first
        # Rotated, the old one stays good until it is revoked.
        assert (await b.graph.post(b.token_url, data=form)).status_code == 200
        answer = await b.control.post("/sign-ins/revoke", json={"username": WATCHER.username})
        assert answer.json()["revoked"] == 3
        form["refresh_token"] = second["refresh_token"]
        refused = (await b.graph.post(b.token_url, data=form)).json()
        assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [50173])
        form["refresh_token"] = "guess"
        assert (await b.graph.post(b.token_url, data=form)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("tenant", [TENANT, "common", "organizations"])
async def test_discovery_names_addresses_on_the_clients_own_host(tenant):
    async with bench() as b:
        for version in ("/v2.0", ""):
            path = f"/{tenant}{version}/.well-known/openid-configuration"
            headers = {"Host": "127.0.0.1:8443"}
            document = (await b.graph.get(path, headers=headers)).json()
            for name in ("token_endpoint", "jwks_uri", "authorization_endpoint"):
                assert document[name].startswith(f"https://127.0.0.1:8443/{tenant}/")
            keys = (await b.graph.get(document["jwks_uri"].removeprefix("https://127.0.0.1:8443"))).json()
            assert keys["keys"][0]["kid"]
        answer = await b.graph.get("/nobody/v2.0/.well-known/openid-configuration")
        assert answer.status_code == 400


async def test_keys_roll_over_and_the_one_before_is_still_published():
    async with bench() as b:
        token = await b.app_token()
        await b.control.post("/keys/rotate")
        path = "/common/discovery/keys"
        kids = [key["kid"] for key in (await b.graph.get(path)).json()["keys"]]
        assert len(kids) == 2
        assert jwt.get_unverified_header(token)["kid"] == kids[1]
        assert jwt.get_unverified_header(await b.app_token())["kid"] == kids[0]
        await b.control.post("/keys/rotate")
        assert kids[1] not in (await b.graph.get(path)).text


async def test_instance_discovery_and_admin_consent():
    async with bench() as b:
        found = (await b.graph.get("/common/discovery/instance")).json()
        assert found["tenant_discovery_endpoint"].endswith("/v2.0/.well-known/openid-configuration")
        query = {"client_id": APP, "redirect_uri": "https://example.org/back", "state": "7"}
        answer = await b.graph.get(f"/{TENANT}/adminconsent", params=query)
        assert answer.status_code == 302
        target = f"https://example.org/back?admin_consent=True&tenant={TENANT}&state=7"
        assert answer.headers["location"] == target
        assert (await b.graph.get(f"/{TENANT}/adminconsent")).status_code == 200
        assert (await b.graph.get(f"/{TENANT}/oauth2/v2.0/authorize")).status_code == 400


async def test_secrets_are_masked_in_the_log_of_requests():
    async with bench() as b:
        await b.app_token()
        refresh = (await b.user_grant(ANN.id))["refresh_token"]
        form = {"grant_type": "refresh_token", "client_id": APP, "refresh_token": refresh}
        await b.graph.post(b.token_url, data=form)
        log = (await b.control.get("/requests")).json()
        assert log[0]["body"]["client_secret"] == "***"
        assert log[-1]["body"]["refresh_token"] == "***"
        assert refresh not in json.dumps(log)
        assert "a-secret" not in json.dumps(log)
