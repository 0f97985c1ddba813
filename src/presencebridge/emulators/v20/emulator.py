"""The emulator as a whole: one phone system, its APIs on one origin, and the control port beside it."""

import random
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.request_log import RequestLog
from presencebridge.emulators.v20 import call_control, entities, version
from presencebridge.emulators.v20.active_calls import ActiveCalls
from presencebridge.emulators.v20.call_control import CallControl
from presencebridge.emulators.v20.control import control_app
from presencebridge.emulators.v20.errors import ApiError, odata_error
from presencebridge.emulators.v20.faults import Faults
from presencebridge.emulators.v20.gate import Gate, masked_form
from presencebridge.emulators.v20.participants import Participant, Table
from presencebridge.emulators.v20.pbx import Pbx
from presencebridge.emulators.v20.settings import Settings
from presencebridge.emulators.v20.sockets import REMOVE, UPSERT, Closing, Sockets, bearer
from presencebridge.emulators.v20.tokens import Tokens, form_of
from presencebridge.emulators.v20.xapi import Xapi
from presencebridge.emulators.world import World

TOKEN_PATH = "/connect/token"  # noqa: S105 - a path, no secret
_KEPT_S = 3600.0


class V20Emulator:
    """`app` is what API clients see and `control` plays the people, both ASGI applications.

    It waits by the clock alone and has no work of its own, so it works in process and under a virtual
    clock. With the same `seed` the same chances fall. `version` is the build: what differs between
    builds follows it, and one before 20 has none of these APIs (404).
    """

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        seed: int | None = None,
        version: str = version.DEFAULT,
    ) -> None:
        client_id = world.pbx_client_id or world.client_id
        self.version = version
        self.clock = clock or Clock()
        self.chance = random.Random(seed)  # noqa: S311 - ids and faults, no secrets
        self.faults = Faults()
        self.log = RequestLog(masked_form)
        self.pbx = Pbx(world.extensions, client_id)
        self.monitored = None if world.monitored is None else frozenset(world.monitored)
        self.settings = Settings()
        self.participants = Table()
        self.active_calls = ActiveCalls()
        self.call_control = CallControl(self)
        secret = world.pbx_client_secret or world.client_secret
        self.tokens = Tokens(client_id, secret, self.clock, self.chance)
        self.sockets = Sockets(self.call_control, self.tokens, self.clock, lambda: self.faults, self.chance)
        self._xapi = Xapi(self)
        self.app = Gate(self._api, self.sockets, self.clock, lambda: self.faults, self.log)
        self.control = control_app(self)

    def monitors(self, dn: str) -> bool:
        return self.monitored is None or dn in self.monitored

    def settle(self) -> None:
        """After any change: participants and active calls follow the legs, and the sockets are told."""
        kept_s = max(_KEPT_S, self.faults.active_calls_lag_s)
        self.active_calls.sync(self.pbx, self.clock.now(), kept_s)
        for is_there, participant in self.participants.sync(self.pbx, self.faults):
            self._announce(UPSERT if is_there else REMOVE, participant)

    def put_faults(self, changed: Faults) -> None:
        self.faults = changed
        self.settle()
        if changed.refuse is True:
            self.sockets.drop(Closing())
        self.clock.nudge()

    def _announce(self, event_type: int, participant: Participant) -> None:
        if participant.dn == self.pbx.client_id or self.monitors(participant.dn):
            self.sockets.tell(event_type, participant.entity)

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
        is_xapi = path.startswith(f"{entities.PREFIX}/")
        try:
            answer = await self._respond(request, path)
        except ApiError as error:
            answer = _error(error)
        if is_xapi:
            answer.headers["X-3CX-Version"] = self.version
        await answer(scope, receive, send)

    async def _respond(self, request: Request, path: str) -> Response:
        if not version.since(self.version, version.FIRST):
            raise ApiError(404)
        if path == TOKEN_PATH:
            return await self._token(request)
        if path.startswith(f"{entities.PREFIX}/"):
            self._require_token(request)
            return await self._xapi.respond(request, path.removeprefix(entities.PREFIX))
        if path == call_control.PREFIX or path.startswith(f"{call_control.PREFIX}/"):
            self._require_token(request)
            return await self._call_control(request, path)
        raise ApiError(404)

    async def _token(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        form = form_of(request.headers.get("content-type", ""), await request.body())
        issuer = f"{request.url.scheme}://{request.url.netloc}"
        answer = self.tokens.grant(form, self.faults, self.version, issuer)
        self.clock.nudge()
        return _json(answer)

    async def _call_control(self, request: Request, path: str) -> Response:
        if request.method == "GET":
            return _json(self.call_control.read(path))
        if request.method != "POST":
            return Response(status_code=405, headers={"Allow": "GET, POST"})
        try:
            given = msgspec.json.decode(await request.body() or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(400) from error
        return _json(self.call_control.do(path, given))

    def _require_token(self, request: Request) -> None:
        if self.tokens.expires(bearer(request.scope)) is None:
            raise odata_error(401, "Unauthorized") if self.faults.unauthorized_body else ApiError(401)


def _error(error: ApiError) -> Response:
    return Response(status_code=error.status) if error.body is None else _json(error.body, error.status)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json; charset=utf-8")
