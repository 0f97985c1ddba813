"""The way in of Graph: what is compressed is unpacked, and a refusal is one of Graph's errors."""

import random
import uuid
import zlib
from collections.abc import Callable
from urllib.parse import parse_qsl

import msgspec
from starlette.types import ASGIApp, Scope, Send

from presencebridge.emulators import gate
from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.errors import GraphError, throttled
from presencebridge.emulators.graph.faults import Faults
from presencebridge.emulators.mishaps import Refuse
from presencebridge.emulators.request_log import RequestLog

_SECRET = frozenset(
    {"client_secret", "client_assertion", "assertion", "refresh_token", "device_code", "password"}
)
_NAMES = {
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


class Gate(gate.Gate):
    def __init__(
        self, app: ASGIApp, clock: Clock, faults: Callable[[], Faults], log: RequestLog, chance: random.Random
    ) -> None:
        super().__init__(app, clock, faults, log)
        self._chance = chance

    def _unpacked(self, scope: Scope, body: bytes) -> bytes:
        """Some of Microsoft's SDKs compress what they send. What can't be unpacked is left to be refused."""
        if dict(scope["headers"]).get(b"content-encoding", b"").lower() != b"gzip":
            return body
        try:
            return zlib.decompress(body, wbits=31)
        except zlib.error:
            return b""

    async def _refuse(self, refuse: Refuse, scope: Scope, send: Send) -> None:
        error = GraphError(refuse.code, _NAMES.get(refuse.code, "UnknownError"), "Refused on demand.")
        if refuse.code == 429:
            error = throttled(1)
            error.headers = {}
        if refuse.retry_after_s is not None:
            error.headers["Retry-After"] = f"{refuse.retry_after_s:g}"
        now, request_id = self._clock.base(), str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        sent_id = dict(scope["headers"]).get(b"client-request-id", request_id.encode()).decode("latin-1")
        headers = {
            "content-type": "application/json",
            "date": wire.http_date(now),
            "request-id": request_id,
            "client-request-id": sent_id,
            **error.headers,
        }
        body = msgspec.json.encode(error.body(wire.moment(now, digits=0).rstrip("Z"), request_id, sent_id))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": refuse.code, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def masked_form(kind: str, body: bytes) -> dict[str, str] | None:
    """A form as the log of requests may show it; None for what is none."""
    if "x-www-form-urlencoded" not in kind:
        return None
    form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: "***" if name in _SECRET else value for name, value in form}
