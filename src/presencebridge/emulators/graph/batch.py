"""POST /$batch: learn.microsoft.com/graph/json-batching. At most 20, each one throttled by itself.

Items are done in the order they come; `dependsOn` an item that failed is answered 424.
"""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import Message, Scope

from presencebridge.emulators.graph.calls import Answer, Call
from presencebridge.emulators.graph.errors import bad_request

AT_MOST = 20


async def run(call: Call) -> Answer:
    requests = call.json.get("requests")
    if not isinstance(requests, list) or not all(_is_whole(item) for item in requests):
        raise bad_request("Invalid batch payload format.")
    if len(requests) > AT_MOST:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {AT_MOST}.")
    ids = [item["id"] for item in requests]
    if len(set(ids)) != len(ids):
        raise bad_request("The ids of the requests in a batch must be unique.")
    answers: dict[str, dict[str, Any]] = {}
    for item in requests:
        depends = item.get("dependsOn") or []
        if any(key not in ids for key in depends):
            raise bad_request("A request depends on one that is not in the batch.")
        # Only what comes before can be depended on, as in all of Microsoft's examples.
        is_held = any(answers.get(key, {"status": 424})["status"] >= 400 for key in depends)
        answers[item["id"]] = _failed(item) if is_held else await _one(call, item)
    return Answer(200, {"responses": list(answers.values())})


def _is_whole(item: object) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in ("id", "method", "url"))


def _failed(item: Mapping[str, Any]) -> dict[str, Any]:
    error = {"code": "FailedDependency", "message": "A request that this one depends on has failed."}
    return {"id": item["id"], "status": 424, "headers": {}, "body": {"error": error}}


async def _one(call: Call, item: Mapping[str, Any]) -> dict[str, Any]:
    """Runs an item through the same routes as a request of its own."""
    body = item.get("body")
    given = item.get("headers") or {}
    headers = {str(name).casefold(): str(value) for name, value in given.items()}
    for name in ("authorization", "host"):
        headers.setdefault(name, call.request.headers.get(name, ""))
    status, answered, raw = 500, {}, b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"" if body is None else msgspec.json.encode(body)}

    async def send(message: Message) -> None:
        nonlocal status, answered, raw
        if message["type"] == "http.response.start":
            status = message["status"]
            answered = {key.decode("latin-1"): value.decode("latin-1") for key, value in message["headers"]}
        else:
            raw += message.get("body", b"")

    await call.inner(_scope(call, item, headers), receive, send)
    shown = {name.title(): text for name, text in answered.items() if name in {"content-type", "retry-after"}}
    answer: dict[str, Any] = {"id": item["id"], "status": status, "headers": shown}
    if raw:
        is_json = "json" in answered.get("content-type", "")
        answer["body"] = msgspec.json.decode(raw) if is_json else base64.b64encode(raw).decode()
    return answer


def _scope(call: Call, item: Mapping[str, Any], headers: Mapping[str, str]) -> Scope:
    version = "/beta" if call.request.url.path.startswith("/beta") else "/v1.0"
    path, _, query = (version + "/" + item["url"].lstrip("/")).partition("?")
    outer = call.request.scope
    return {
        "type": "http",
        "asgi": outer["asgi"],
        "http_version": "1.1",
        "method": item["method"].upper(),
        "scheme": outer["scheme"],
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "server": outer.get("server"),
        "client": outer.get("client"),
    }
