"""Answers against 3CX's own description of XAPI, where a copy of it is at hand."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from v20_bench import bench

SPEC = Path(__file__).resolve().parents[2].parent / "shared/specs/threecx-xapi.openapi.yaml"

pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="3CX's description isn't here")


@pytest.fixture(scope="module")
def spec() -> dict:
    return yaml.safe_load(SPEC.read_text(encoding="utf-8"))


def _plain(value: object) -> object:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes an alternative, references stay."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {name: _plain(each) for name, each in value.items()}
    return {"anyOf": [value, {"type": "null"}]} if value.pop("nullable", False) is True else value


def _names(spec: dict, schema: dict) -> set[str]:
    """The properties that a schema knows, so that none is made up."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= _names(spec, part)
    return found


def _check(spec: dict, method: str, path: str, answer) -> None:
    responses = spec["paths"][path][method]["responses"]
    found = responses.get(str(answer.status_code), responses.get("default"))
    if "$ref" in found:
        found = spec["components"]["responses"][found["$ref"].rpartition("/")[2]]
    content = found.get("content")
    if not content:
        assert answer.content == b""
        return
    schema = content["application/json"]["schema"]
    whole = {**_plain(schema), "components": _plain(spec["components"])}
    body = answer.json()
    jsonschema.validate(body, whole, format_checker=jsonschema.FormatChecker())
    made_up = {name for name in body if not name.startswith("@")} - _names(spec, schema)
    assert not made_up
    if isinstance(body.get("value"), list):
        items = _names(spec, spec["components"]["schemas"][_item_of(schema)])
        for item in body["value"]:
            assert not set(item) - items


def _item_of(schema: dict) -> str:
    return schema["$ref"].rpartition("/")[2].removesuffix("CollectionResponse")


async def test_answers_fit_the_description(spec):
    async with bench() as b:
        await b.sign_in()
        call = await b.call(("101", "Dialing", "102"), ("102", "Ringing", "101"))
        await b.call(("103", "Connected", "0123"))
        query = {"$count": "true", "$top": 2, "$expand": "Groups,ForwardingProfiles"}
        x = "/xapi/v1"
        for path, at, params in (
            ("/Users", "/Users", {}),
            ("/Users", "/Users", query),
            ("/Users", "/Users", {"$top": 101}),
            ("/Users({Id})", "/Users(1)", {"$expand": "*"}),
            ("/Users({Id})", "/Users(99)", {}),
            ("/Users(Number={Number})", "/Users(Number='101')", {}),
            ("/Users({Id})/ForwardingProfiles", "/Users(1)/ForwardingProfiles", {}),
            ("/Users({Id})/Groups", "/Users(1)/Groups", {}),
            ("/ActiveCalls", "/ActiveCalls", {"$count": "true"}),
            ("/SystemStatus", "/SystemStatus", {}),
            ("/MyUser", "/MyUser", {}),
            ("/MyUser/ForwardingProfiles", "/MyUser/ForwardingProfiles", {}),
            ("/Defs/Pbx.GetSystemParameters()", "/Defs/Pbx.GetSystemParameters()", {}),
        ):
            answer = await b.api.get(x + at, params=params or None)
            _check(spec, "get", x + path, answer)
        made = await b.api.post(x + "/Users", json={"FirstName": "Dora"})
        _check(spec, "post", x + "/Users", made)
        one = f"{x}/Users({made.json()['Id']})"
        for change in ({"CurrentProfileName": "Away"}, {"CurrentProfileName": "x"}, {"Number": "1"}):
            _check(spec, "patch", x + "/Users({Id})", await b.api.patch(one, json=change))
        _check(spec, "delete", x + "/Users({Id})", await b.api.delete(one))
        given = {"dn": "101", "destination": "0123"}
        _check(
            spec, "post", x + "/Users/Pbx.MakeCall", await b.api.post(x + "/Users/Pbx.MakeCall", json=given)
        )
        dropped = await b.api.post(f"{x}/ActiveCalls({call})/Pbx.DropCall")
        _check(spec, "post", x + "/ActiveCalls({Id})/Pbx.DropCall", dropped)


async def test_every_described_path_is_there(spec):
    samples = {"{Id}": "1", "{Number}": "'101'"}
    async with bench() as b:
        await b.sign_in()
        for path, methods in spec["paths"].items():
            at = path
            for name, value in samples.items():
                at = at.replace(name, value)
            for method in set(methods) & {"get", "post", "patch", "delete"}:
                if method == "delete" or "DropCall" in path:
                    continue
                body = {"json": {}} if method in {"post", "patch"} else {}
                answer = await b.api.request(method.upper(), at, **body)
                assert answer.status_code != 405, (method, path)
                assert answer.status_code < 500
                if "MyUser" not in path:
                    assert answer.status_code != 404, (method, path)


async def test_a_user_has_every_described_property(spec):
    async with bench() as b:
        await b.sign_in()
        shown = (await b.get("/xapi/v1/Users(1)", **{"$expand": "*"})).keys()
        assert _names(spec, {"$ref": "#/components/schemas/Pbx.User"}) == {
            name for name in shown if not name.startswith("@")
        }
