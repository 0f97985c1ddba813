"""Every request that we send to Graph, against Microsoft's own description of it."""

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
import yaml

from presencebridge.core.policy import SESSION_PAIRS
from presencebridge.graph import calls

_SPEC = Path(__file__).parents[2] / "../shared/specs/graph-presence.openapi.yaml"
_ANN = "00000000-0000-4000-8000-0000000000a1"
_APP = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
_END = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)

_CALLS = {
    "read presences": calls.read_presences([_ANN]),
    **{f"set {pair}": calls.set_presence(_ANN, _APP, pair, 300) for pair in SESSION_PAIRS},
    "clear presence": calls.clear_presence(_ANN, _APP),
    "set preferred": calls.set_preferred(_ANN, SESSION_PAIRS[0], 300),
    "clear preferred": calls.clear_preferred(_ANN),
    "subscribe": calls.create_subscription(
        calls.NewSubscription((_ANN,), "https://hook.example.org/x", "secret", "Q0VSVA==", "key1", _END)
    ),
    "renew": calls.renew_subscription("s1", _END),
    "renew with a new key": calls.renew_subscription("s1", _END, "Q0VSVA==", "key2"),
    "reauthorize": calls.reauthorize_subscription("s1"),
    "get subscription": calls.get_subscription("s1"),
    "list subscriptions": calls.list_subscriptions(),
    "unsubscribe": calls.delete_subscription("s1"),
}


@functools.cache
def description() -> Any:
    if not _SPEC.is_file():
        pytest.skip("Microsoft's description is not beside the repository")
    return yaml.safe_load(_SPEC.read_text("utf-8"))


def operation(call: calls.Call[Any]) -> Any:
    """What the description says about a method on a path."""
    sent = unquote(call.path.partition("?")[0]).split("/")
    for path, methods in description()["paths"].items():
        parts = path.split("/")
        same = len(parts) == len(sent) and all(
            part.startswith("{") or part == word for part, word in zip(parts, sent, strict=True)
        )
        if same and call.method.lower() in methods:
            return methods[call.method.lower()]
    raise AssertionError(f"Graph knows no {call.method} {call.path}")


def allowing_null(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON schema: `nullable` is a type of its own there."""
    if isinstance(schema, list):
        return [allowing_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: allowing_null(part) for name, part in schema.items()}
    if found.pop("nullable", False) and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


@pytest.mark.parametrize("name", _CALLS)
def test_a_request_is_one_that_graph_describes(name):
    call = _CALLS[name]
    described = operation(call).get("requestBody")
    if call.body is None:
        assert described is None or not described.get("required")
        return
    if described is None:
        assert call.body == {}
        return
    schema = {
        "components": allowing_null(description()["components"]),
        **allowing_null(described["content"]["application/json"]["schema"]),
    }
    jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(call.body)


def test_the_check_itself_finds_a_wrong_body():
    call = calls.set_presence(_ANN, _APP, SESSION_PAIRS[0], 300)
    schema = operation(call)["requestBody"]["content"]["application/json"]["schema"]
    whole = {"components": allowing_null(description()["components"]), **allowing_null(schema)}
    for wrong in ({**(call.body or {}), "session": "x"}, {"sessionId": _APP}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(whole).validate(wrong)
