"""Answers and requests against Microsoft's own description of the API, where a copy of it is at hand."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from graph_bench import ANN, APP, BEN, LIFE, WORLD, bench, wanted

SPEC = Path(__file__).resolve().parents[2].parent / "shared/specs/graph-presence.openapi.yaml"

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="Microsoft's description isn't here")


@pytest.fixture(scope="module")
def spec() -> dict:
    return yaml.safe_load(SPEC.read_text())


def _schema(spec: dict, schema: dict) -> dict:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a type, references stay."""

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(each) for each in value]
        if not isinstance(value, dict):
            return value
        value = {name: plain(each) for name, each in value.items()}
        if value.pop("nullable", False) and "type" in value:
            value["type"] = [value["type"], "null"]
        return value

    return {**plain(schema), "components": plain(spec["components"])}


def _check_answer(spec: dict, method: str, path: str, answer) -> None:
    responses = spec["paths"][path][method]["responses"]
    found = responses.get(str(answer.status_code), responses.get("default"))
    assert found is not None, f"{answer.status_code} isn't described for {method} {path}"
    if "$ref" in found:
        found = spec["components"]["responses"][found["$ref"].rpartition("/")[2]]
    content = found.get("content")
    if content and answer.content:
        schema = _schema(spec, content["application/json"]["schema"])
        jsonschema.validate(answer.json(), schema, format_checker=jsonschema.FormatChecker())
    else:
        assert answer.content == b""


def _request_schema(spec: dict, method: str, path: str) -> dict:
    body = spec["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return _schema(spec, body)


async def test_answers_fit_the_description(spec):
    async with bench() as b:
        app, user = await b.as_app(), await b.as_user()
        await b.says(ANN, "Busy", "InAMeeting")
        one = f"/users/{ANN.id}/presence"
        message = {"statusMessage": {"message": {"content": "x", "contentType": "text"}}}
        pair = {"availability": "Busy", "activity": "Busy", "expirationDuration": "PT1H"}
        session = {"sessionId": APP, "availability": "Busy", "activity": "InACall"}
        for name, body in (
            ("setPresence", session),
            ("setPresence", {"sessionId": APP}),
            ("clearPresence", {"sessionId": APP}),
            ("clearPresence", {"sessionId": APP}),
            ("setUserPreferredPresence", pair),
            ("clearUserPreferredPresence", None),
            ("setStatusMessage", message),
        ):
            for prefix in ("", "microsoft.graph."):
                answer = await app.post(f"{one}/{prefix}{name}", body)
                path = f"/v1.0/users/{{user-id}}/presence/{prefix}{name}"
                _check_answer(spec, "post", path, answer)
        _check_answer(spec, "get", "/v1.0/users/{user-id}/presence", await app.get(one))
        _check_answer(spec, "get", "/v1.0/users/{user-id}/presence", await app.get("/users/x/presence"))
        answer = await app.get(f"/communications/presences/{ANN.id}")
        _check_answer(spec, "get", "/v1.0/communications/presences/{presence-id}", answer)
        for prefix in ("", "microsoft.graph."):
            path = f"/communications/{prefix}getPresencesByUserId"
            for body in ({"ids": [ANN.id, BEN.id]}, {}):
                _check_answer(spec, "post", f"/v1.0{path}", await app.post(path, body))

        body = wanted(lifecycleNotificationUrl=LIFE)
        made = await user.post("/subscriptions", body)
        _check_answer(spec, "post", "/v1.0/subscriptions", made)
        _check_answer(spec, "post", "/v1.0/subscriptions", await user.post("/subscriptions", body))
        _check_answer(spec, "get", "/v1.0/subscriptions", await user.get("/subscriptions"))
        path, at = "/v1.0/subscriptions/{subscription-id}", f"/subscriptions/{made.json()['id']}"
        _check_answer(spec, "get", path, await user.get(at))
        end = {"expirationDateTime": body["expirationDateTime"]}
        _check_answer(spec, "patch", path, await user.patch(at, end))
        for action in ("reauthorize", "microsoft.graph.reauthorize"):
            _check_answer(spec, "post", f"{path}/{action}", await user.post(f"{at}/{action}"))
        _check_answer(spec, "delete", path, await user.delete(at))
        _check_answer(spec, "patch", path, await user.patch(at, end))


async def test_what_the_description_refuses_the_emulator_refuses(spec):
    """Each broken body is invalid by Microsoft's schema, and is answered 400."""
    session = {"sessionId": APP, "availability": "Busy", "activity": "InACall"}
    broken = [
        ("setPresence", session | {"availability": 5}),
        ("setPresence", session | {"more": 1}),
        ("setPresence", {"sessionId": APP}),
        ("setPresence", session | {"expirationDuration": "1:00:00"}),
        ("clearPresence", {"sessionId": APP, "more": 1}),
        ("setUserPreferredPresence", {"availability": "Busy"}),
        ("setStatusMessage", {"message": {}}),
    ]
    async with bench() as b:
        app = await b.as_app()
        for name, body in broken:
            schema = _request_schema(spec, "post", f"/v1.0/users/{{user-id}}/presence/{name}")
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(body, schema)
            answer = await app.post(f"/users/{ANN.id}/presence/{name}", body)
            assert answer.status_code == 400, (name, body, answer.text)


async def test_what_the_description_asks_for_the_emulator_takes(spec):
    schema = _request_schema(spec, "post", "/v1.0/subscriptions")
    jsonschema.validate(wanted(), schema)
    async with bench() as b:
        user = await b.as_user()
        full = wanted(
            applicationId=APP,
            creatorId="someone",
            latestSupportedTlsVersion="v1_3",
            notificationQueryOptions="",
            notificationUrlAppId=WORLD.client_id,
            lifecycleNotificationUrl=LIFE,
        )
        full["@odata.type"] = "#microsoft.graph.subscription"
        jsonschema.validate(full, schema)
        answer = await user.post("/subscriptions", full)
        assert answer.status_code == 201
        assert answer.json()["latestSupportedTlsVersion"] == "v1_3"
