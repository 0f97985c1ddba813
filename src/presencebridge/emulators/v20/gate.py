"""The way in of a V20: sockets pass as well as requests, and a refusal says nothing."""

import functools
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from presencebridge.emulators import gate
from presencebridge.emulators.clock import Clock
from presencebridge.emulators.mishaps import Refuse, strikes
from presencebridge.emulators.request_log import RequestLog
from presencebridge.emulators.v20.faults import Faults
from presencebridge.emulators.v20.tokens import form_of

CUT = "presencebridge.cut"
"""Where the scope of a socket has what cuts its connection."""


class Gate(gate.Gate):
    def __init__(
        self,
        app: ASGIApp,
        sockets: ASGIApp,
        clock: Clock,
        faults: Callable[[], Faults],
        log: RequestLog,
    ) -> None:
        super().__init__(app, clock, faults, log)
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            raise RuntimeError("this application speaks HTTP and WebSocket only")

    def _cuts(self, path: str) -> bool:
        return strikes(self._faults(), "refuse", path)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = self._log.add(scope, b"", self._clock.base())
        is_cut = self._cuts(entry.path)
        if is_cut and not gate.cut(send):
            await send({"type": "websocket.close", "code": 1006, "reason": ""})
            return
        if is_cut or strikes(self._faults(), "hang", entry.path):
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return

        async def passed_on(message: Message) -> None:
            if message["type"] == "websocket.accept":
                entry.status = 101
            elif message["type"] == "websocket.http.response.start":
                entry.status = message["status"]
            await send(message)

        await self._sockets({**scope, CUT: functools.partial(gate.cut, send)}, receive, passed_on)

    async def _refuse(self, refuse: Refuse, scope: Scope, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-length", b"0")]
        if refuse.retry_after_s is not None:
            headers.append((b"retry-after", f"{refuse.retry_after_s:g}".encode()))
        await send({"type": "http.response.start", "status": refuse.code, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def masked_form(kind: str, body: bytes) -> dict[str, str] | None:
    """A form as the log of requests may show it; None for what is none."""
    if not kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return None
    form = form_of(kind, body)
    return {name: "***" if name == "client_secret" else text for name, text in form.items()}
