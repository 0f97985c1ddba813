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


def _properties(spec: dict, schema: dict) -> dict:
    """The properties that a schema knows, each with its own schema."""
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= _properties(spec, part)
    return found


def _made_up(spec: dict, schema: dict, value: object, at: str = "") -> list[str]:
    """Where an answer has what the description does not know, however deep."""
    if isinstance(value, list):
        return [name for each in value for name in _made_up(spec, schema.get("items", {}), each, at)]
    if not isinstance(value, dict):
        return []
    known = _properties(spec, schema)
    found = []
    for name, inner in value.items():
        if not name.startswith("@"):
            path = f"{at}/{name}"
            found += _made_up(spec, known[name], inner, path) if name in known else [path]
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
    assert _made_up(spec, schema, body) == []


ALL = {"$expand": "*"}
PAGE = {"$count": "true", "$top": 2, "$skip": 1, "$orderby": "Id desc"}
ROUTES = [
    ("get", "/Users", "/Users", {}),
    ("get", "/Users", "/Users", {**PAGE, "$expand": "Groups($expand=*),ForwardingProfiles"}),
    ("get", "/Users", "/Users", {"$top": 101}),
    ("get", "/Users", "/Users", {"$filter": "Nothing eq 1"}),
    ("get", "/Users({Id})", "/Users(1)", ALL),
    ("get", "/Users({Id})", "/Users(99)", {}),
    ("get", "/Users(Number={Number})", "/Users(Number='101')", ALL),
    ("get", "/Users(Number={Number})", "/Users(Number='999')", {}),
    ("get", "/Users({Id})/ForwardingProfiles", "/Users(1)/ForwardingProfiles", PAGE),
    ("get", "/Users({Id})/ForwardingProfiles", "/Users(99)/ForwardingProfiles", {}),
    ("get", "/Users({Id})/Groups", "/Users(1)/Groups", {**PAGE, "$skip": 0, **ALL}),
    ("get", "/ActiveCalls", "/ActiveCalls", {**PAGE, "$filter": "contains(Caller,'101')", "$skip": 0}),
    ("get", "/ActiveCalls", "/ActiveCalls", {}),
    ("get", "/SystemStatus", "/SystemStatus", {}),
    ("get", "/SystemStatus", "/SystemStatus", {"$select": "Version,TrunksRegistered"}),
    ("get", "/MyUser", "/MyUser", {}),
    ("get", "/MyUser/ForwardingProfiles", "/MyUser/ForwardingProfiles", {}),
    ("patch", "/MyUser", "/MyUser", {"QueueStatus": "LoggedOut"}),
    ("get", "/Defs/Pbx.GetSystemParameters()", "/Defs/Pbx.GetSystemParameters()", {}),
    ("post", "/Users", "/Users", {"FirstName": "Dora"}),
    ("post", "/Users", "/Users", {"Number": "101"}),
    ("patch", "/Users({Id})", "/Users(1)", {"CurrentProfileName": "Away", "QueueStatus": "LoggedOut"}),
    ("patch", "/Users({Id})", "/Users(1)", {"CurrentProfileName": "x"}),
    ("patch", "/Users({Id})", "/Users(1)", {"Number": "1"}),
    ("delete", "/Users({Id})", "/Users(3)", None),
    ("delete", "/Users({Id})", "/Users(3)", None),
    ("post", "/Users/Pbx.MakeCall", "/Users/Pbx.MakeCall", {"dn": "101", "destination": "0123"}),
    ("post", "/Users/Pbx.MakeCall", "/Users/Pbx.MakeCall", {"dn": "999", "destination": "0123"}),
    ("post", "/ActiveCalls({Id})/Pbx.DropCall", "/ActiveCalls(1)/Pbx.DropCall", None),
    ("post", "/ActiveCalls({Id})/Pbx.DropCall", "/ActiveCalls(1)/Pbx.DropCall", None),
]
"""What is asked, in this order: method, described path, path, and the options or the body."""


@pytest.mark.parametrize("version", ["20.0.8.1109", "20.0.10.1"])
async def test_answers_fit_the_description(spec, version):
    async with bench(version=version) as b:
        await b.sign_in()
        await b.play("PUT", "/profile-names", {"Custom 1": "Lunch"})
        await b.call(("101", "Dialing", "102"), ("102", "Ringing", "101"))
        await b.call(("103", "Connected", "0123"))
        for method, path, at, given in ROUTES:
            sent = {"params" if method == "get" else "json": given} if given else {}
            answer = await b.api.request(method.upper(), f"/xapi/v1{at}", **sent)
            _check(spec, method, f"/xapi/v1{path}", answer)


def test_every_described_route_is_asked(spec):
    described = {
        (method, path.removeprefix("/xapi/v1"))
        for path, methods in spec["paths"].items()
        for method in set(methods) & {"get", "post", "put", "patch", "delete"}
    }
    assert described == {(method, path) for method, path, _, _ in ROUTES}


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


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("Users(1)", "Pbx.User"),
        ("SystemStatus", "Pbx.SystemStatus"),
        ("Defs/Pbx.GetSystemParameters()", "Pbx.SystemParameters"),
    ],
)
async def test_every_described_property_is_there(spec, path: str, schema: str):
    """So that whatever a client selects is there to be selected."""
    async with bench() as b:
        await b.sign_in()
        params = ALL if path.startswith("Users") else {}
        shown = (await b.get(f"/xapi/v1/{path}", **params)).keys()
        assert set(_properties(spec, {"$ref": f"#/components/schemas/{schema}"})) == {
            name for name in shown if not name.startswith("@")
        }
