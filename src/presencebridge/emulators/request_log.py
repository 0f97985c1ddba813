"""The requests that an emulator was sent, as its control port shows them."""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.types import Scope

_KEPT = 20_000

FormReader = Callable[[str, bytes], dict[str, str] | None]
"""The fields of a body of that content type, its secrets masked; None where it is no form."""


class Seen(msgspec.Struct):
    """One request as the control port shows it. `status` stays null where no answer was given.

    `time` is when it had arrived, `answered` when its answer left.
    """

    index: int
    method: str
    path: str
    body: Any
    time: float
    status: int | None = None
    answered: float | None = None


class RequestLog:
    """The last requests, with secrets masked."""

    def __init__(self, form: FormReader) -> None:
        self._form = form
        self._requests: deque[Seen] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, scope: Scope, body: bytes, now: float) -> Seen:
        raw = scope.get("raw_path") or scope["path"].encode()
        query = scope.get("query_string") or b""
        path = (raw.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
        method = scope.get("method", "WEBSOCKET")
        seen = Seen(self._count, method, path, self._readable(scope, body), now)
        self._count += 1
        self._requests.append(seen)
        return seen

    def since(self, index: int) -> list[Seen]:
        return [seen for seen in self._requests if seen.index >= index]

    def clear(self) -> None:
        self._requests.clear()

    def _readable(self, scope: Scope, body: bytes) -> Any:
        if not body:
            return None
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        form = self._form(kind, body)
        if form is not None:
            return form
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return body.decode("utf-8", "replace")
