"""Every request that we send to the XAPI of 3CX V20, against 3CX's own description of it."""

import functools
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
import yaml

from presencebridge.core.model import STATUSES
from presencebridge.pbx import v20, v20_calls

_SPEC = Path(__file__).parents[2] / "../shared/specs/threecx-xapi.openapi.yaml"

_READS = {
    "one user": v20.user_path("10'1"),
    "statuses": v20.statuses_path(100),
    "directory": v20.directory_path(200),
    "names of statuses": v20.profiles_path(7),
    "names of custom statuses": v20.NAMES_PATH,
    "active calls": v20_calls.ACTIVE_CALLS_PATH,
}
_SECRETS = {"AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"}


@functools.cache
def description() -> Any:
    if not _SPEC.is_file():
        pytest.skip("3CX's description is not beside the repository")
    return yaml.safe_load(_SPEC.read_text("utf-8"))


def resolved(part: Any) -> Any:
    """What a `$ref` stands for."""
    while "$ref" in part:
        found = description()
        for word in part["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        part = found
    return part


def described(method: str, path: str) -> Any:
    for template, operations in description()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", r"[^/)]+", re.escape(template))
        if method in operations and re.fullmatch(pattern, path):
            return operations[method], operations.get("parameters", [])
    raise AssertionError(f"3CX describes no {method} {path}")


def properties(schema: Any) -> dict[str, Any]:
    """The properties of a schema, of its parts and of the items of its `value`."""
    schema = resolved(schema)
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= properties(part)
    if "value" in found and "items" in found["value"]:
        return properties(found["value"]["items"])
    return found


@pytest.mark.parametrize("name", _READS)
def test_a_question_is_one_that_3cx_describes(name):
    url = urlsplit(_READS[name])
    operation, shared = described("get", url.path)
    known = {resolved(one)["name"] for one in [*operation.get("parameters", []), *shared]}
    query = dict(parse_qsl(url.query))
    assert query.keys() <= known
    if "$select" in query:
        answer = resolved(operation["responses"]["200"])["content"]["application/json"]["schema"]
        assert set(query["$select"].split(",")) <= properties(answer).keys()


def test_every_question_about_people_says_what_it_wants_and_wants_no_secret():
    for path in filter(lambda path: "/Users" in path, _READS.values()):
        asked = dict(parse_qsl(urlsplit(path).query))["$select"].split(",")
        assert not _SECRETS & set(asked)
    user = description()["components"]["schemas"]["Pbx.User"]
    assert properties(user).keys() >= _SECRETS, "the secrets have other names by now"


@pytest.mark.parametrize("status", STATUSES)
def test_a_change_is_one_that_3cx_describes(status):
    operation, _ = described("patch", v20.change_path(7))
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    body = v20.change_body(status)
    assert body.keys() <= properties(schema).keys()
    jsonschema.validate(
        body["CurrentProfileName"], {"type": properties(schema)["CurrentProfileName"]["type"]}
    )


def test_the_check_itself_finds_what_is_wrong():
    with pytest.raises(AssertionError):
        described("get", "/xapi/v1/Persons")
    operation, _ = described("get", "/xapi/v1/Users")
    answer = resolved(operation["responses"]["200"])["content"]["application/json"]["schema"]
    assert "Fishing" not in properties(answer)
