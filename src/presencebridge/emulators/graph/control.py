"""The control port: a test plays the people, the clock and the mishaps. See docs/emulator-graph.md."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from presencebridge.emulators.control_kit import Refusal, json_answer, read, refused, since
from presencebridge.emulators.graph import faults, presence, subscriptions, wire
from presencebridge.emulators.graph.errors import GraphError
from presencebridge.emulators.graph.presence import Pair, Preferred
from presencebridge.emulators.world import User

if TYPE_CHECKING:
    from presencebridge.emulators.graph.emulator import GraphEmulator

LIFECYCLE_EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")


class _Client(msgspec.Struct, forbid_unknown_fields=True):
    availability: str
    activity: str = ""


class _Preferred(msgspec.Struct, forbid_unknown_fields=True):
    availability: str
    activity: str = ""
    expires_s: float | None = None


class _User(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What is left out stays as it is."""

    user_principal_name: str | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    mail: str | msgspec.UnsetType | None = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    other_mails: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    proxy_addresses: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    account_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    user_type: str | msgspec.UnsetType = msgspec.UNSET


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    advance_s: float


class _Lifecycle(msgspec.Struct, forbid_unknown_fields=True):
    event: str
    subscription_id: str | None = None


class _Approval(msgspec.Struct, forbid_unknown_fields=True):
    username: str = ""
    decline: bool = False


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    username: str


class _Certificate(msgspec.Struct, forbid_unknown_fields=True):
    certificate: str


class _Replay(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 1


def routes(emulator: "GraphEmulator") -> Starlette:
    """The control application."""
    port = _Control(emulator)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("PUT", "/users/{key}/client", port.put_client),
        ("PUT", "/users/{key}/preferred", port.put_preferred),
        ("GET", "/users/{key}", port.get_user),
        ("PUT", "/users/{key}", port.put_user),
        ("DELETE", "/users/{key}", port.delete_user),
        ("GET", "/requests", port.get_requests),
        ("DELETE", "/requests", port.clear_requests),
        ("POST", "/clock", port.advance),
        ("GET", "/clock", port.get_clock),
        ("GET", "/faults", port.get_faults),
        ("POST", "/faults", port.post_faults),
        ("DELETE", "/faults", port.clear_faults),
        ("POST", "/lifecycle", port.post_lifecycle),
        ("GET", "/subscriptions", port.get_subscriptions),
        ("GET", "/sign-ins", port.get_sign_ins),
        ("POST", "/sign-ins/revoke", port.revoke),
        ("POST", "/sign-ins/{user_code}/approve", port.approve),
        ("PUT", "/certificates", port.put_certificate),
        ("POST", "/keys/rotate", port.rotate_keys),
        ("GET", "/notifications", port.get_notifications),
        ("POST", "/notifications/replay", port.replay),
    ]
    return Starlette(
        routes=[Route(path, _guarded(call), methods=[method]) for method, path, call in table],
        exception_handlers={Refusal: refused, HTTPException: _no_such_route},
    )


class _Control:
    """The calls, each giving what is to be answered as JSON. Raises `ValueError` or `Refusal`: the cure."""

    def __init__(self, emulator: "GraphEmulator") -> None:
        self._emulator = emulator

    # -- the people

    async def put_client(self, request: Request) -> Any:
        """What the person's Teams client says; null signs it out."""
        emulator, user = self._emulator, self._user(request)
        form = await _given(request, _Client | None, empty=b"null")
        before = emulator.board.entry(user.id).presence
        if form is None:
            changed = presence.without_session(before, presence.CLIENT_SESSION)
        else:
            pair = _known_pair(form.availability, form.activity)
            changed = presence.told(before, presence.CLIENT_SESSION, pair, emulator.clock.now(), None)
        emulator.put_presence(user, changed)
        return self._view(user)

    async def put_preferred(self, request: Request) -> Any:
        """What the person picks in Teams' own status menu; null resets it."""
        emulator, user = self._emulator, self._user(request)
        form = await _given(request, _Preferred | None, empty=b"null")
        preferred = None
        if form:
            pair = Pair(form.availability, form.activity or form.availability)
            if pair not in presence.PREFERABLE:
                known = ", ".join(sorted("/".join(each) for each in presence.PREFERABLE))
                raise ValueError(f"{'/'.join(pair)} can't be preferred; one of: {known}")
            expires = None if form.expires_s is None else emulator.clock.now() + form.expires_s
            preferred = Preferred(pair, expires)
        before = emulator.board.entry(user.id).presence
        emulator.put_presence(user, presence.preferring(before, preferred))
        return self._view(user)

    async def get_user(self, request: Request) -> Any:
        return self._view(self._user(request))

    async def put_user(self, request: Request) -> Any:
        """Somebody new, or somebody's names, addresses and account."""
        form = await _given(request, _User, empty=b"{}")
        given = {
            name: value
            for name in form.__struct_fields__
            if (value := getattr(form, name)) is not msgspec.UNSET
        }
        key = request.path_params["key"]
        try:
            before = self._emulator.directory.find(key)
        except GraphError:
            by_name = {"user_principal_name": key} if "@" in key else {"id": key}
            given = by_name | given
            if "user_principal_name" not in given:
                raise ValueError("somebody new needs a userPrincipalName") from None
            user = User(**given)
        else:
            if given.get("id", before.id) != before.id:
                raise ValueError("an id can't be changed; delete the user and put another")
            user = msgspec.structs.replace(before, **given)
        self._emulator.put_user(user)
        return user

    async def delete_user(self, request: Request) -> Any:
        self._emulator.remove_user(self._user(request))
        return {}

    # -- what was asked, and the clock

    async def get_requests(self, request: Request) -> Any:
        return self._emulator.log.since(since(request))

    async def clear_requests(self, _: Request) -> Any:
        self._emulator.log.clear()
        return {}

    async def advance(self, request: Request) -> Any:
        form = await _given(request, _Advance)
        self._emulator.clock.advance(form.advance_s)
        self._emulator.settle()
        return self._clock()

    async def get_clock(self, _: Request) -> Any:
        return self._clock()

    # -- mishaps

    async def get_faults(self, _: Request) -> Any:
        return self._emulator.faults

    async def post_faults(self, request: Request) -> Any:
        change = await _given(request, dict[str, Any])
        self._emulator.put_faults(faults.merged(self._emulator.faults, change))
        return self._emulator.faults

    async def clear_faults(self, _: Request) -> Any:
        self._emulator.put_faults(faults.Faults())
        return self._emulator.faults

    async def post_lifecycle(self, request: Request) -> Any:
        """Sends an event, also one that Graph never sends for presence."""
        form = await _given(request, _Lifecycle)
        if form.event not in LIFECYCLE_EVENTS:
            raise ValueError(f"event must be one of {', '.join(LIFECYCLE_EVENTS)}")
        emulator = self._emulator
        chosen = [
            held
            for held in emulator.subscriptions.values()
            if form.subscription_id in {None, held.subscription_id}
        ]
        return {"sent": sum(emulator.send_lifecycle(held, form.event) for held in chosen)}

    async def replay(self, request: Request) -> Any:
        form = await _given(request, _Replay, empty=b"{}")
        return {"sent": await self._emulator.delivery.replay(form.count)}

    # -- sight of what is inside

    async def get_subscriptions(self, _: Request) -> Any:
        clock = self._emulator.clock
        return [
            {
                **subscriptions.view(held, clock),
                "watched": sorted(held.watched),
                "authorized": held.authorized,
            }
            for held in self._emulator.subscriptions.values()
        ]

    async def get_notifications(self, _: Request) -> Any:
        delivery = self._emulator.delivery
        return {
            "endpoints": delivery.endpoint_states(),
            "sent": [
                {
                    "url": sent.url,
                    "body": msgspec.json.decode(sent.body),
                    "time": sent.time,
                    "statuses": sent.statuses,
                }
                for sent in delivery.sent
            ],
        }

    # -- sign-in

    async def get_sign_ins(self, _: Request) -> Any:
        clock = self._emulator.clock
        return [
            {
                "user_code": device.user_code,
                "scopes": list(device.scopes),
                "expires_at": wire.moment(clock.shown(device.expires)),
            }
            for device in self._emulator.sign_in.pending
        ]

    async def approve(self, request: Request) -> Any:
        form = await _given(request, _Approval)
        if not form.decline and not form.username:
            raise ValueError('say who signs in: {"username": "watcher@example.org"}, or {"decline": true}')
        user = None if form.decline else self._account(form.username)
        code = request.path_params["user_code"]
        if not self._emulator.sign_in.decide(code, user):
            raise LookupError(f"no sign-in with the code {code} is pending; see GET /sign-ins")
        return {"user_code": code, "username": None if user is None else user.user_principal_name}

    async def revoke(self, request: Request) -> Any:
        form = await _given(request, _Account)
        return {"revoked": self._emulator.revoke(self._account(form.username))}

    async def put_certificate(self, request: Request) -> Any:
        form = await _given(request, _Certificate)
        return {"thumbprint_sha256": self._emulator.sign_in.certificates.register(form.certificate)}

    async def rotate_keys(self, _: Request) -> Any:
        return {"kid": self._emulator.keys.rotate(self._emulator.clock.base())}

    # --

    def _user(self, request: Request) -> User:
        self._emulator.settle()
        return self._account(request.path_params["key"])

    def _account(self, key: str) -> User:
        try:
            return self._emulator.directory.find(key)
        except GraphError:
            raise LookupError(
                f"{key} is not in the world file; give a user's id or userPrincipalName"
            ) from None

    def _clock(self) -> dict[str, Any]:
        clock = self._emulator.clock
        return {"now": wire.moment(clock.now()), "advanced_s": clock.now() - clock.shown(clock.now())}

    def _view(self, user: User) -> dict[str, Any]:
        """The shape is fixed. Expiries are in base time, so that a test on the real clock can compare."""
        clock, entry = self._emulator.clock, self._emulator.board.entry(user.id)
        now = clock.now()

        def until(moment: float | None) -> str | None:
            return None if moment is None else wire.moment(clock.shown(moment))

        preferred = entry.presence.preferred
        return {
            "sessions": [
                {
                    "session_id": session.session_id,
                    **_said(presence.faded(session, now)),
                    "expires_at": until(session.expires),
                }
                for session in entry.presence.sessions
            ],
            "preferred": preferred and {**_said(preferred.pair), "expires_at": until(preferred.expires)},
            "effective": _said(entry.published),
        }


def _said(pair: Pair) -> Mapping[str, str]:
    return {"availability": pair.availability, "activity": pair.activity}


def _known_pair(availability: str, activity: str) -> Pair:
    activity = activity or availability
    if availability not in presence.AVAILABILITIES:
        raise ValueError(f"availability must be one of {', '.join(sorted(presence.AVAILABILITIES))}")
    if activity not in presence.ACTIVITIES:
        raise ValueError(f"activity must be one of {', '.join(sorted(presence.ACTIVITIES))}")
    return Pair(availability, activity)


async def _given(request: Request, form: Any, empty: bytes = b"") -> Any:
    """The body as that form; `empty` is what no body stands for."""
    known = ", ".join(getattr(form, "__struct_fields__", ()) or _optional_fields(form))
    fields = f"known fields are {known}" if known else ""
    return await read(request, form, fields=fields, no_json="send a JSON value, null included", empty=empty)


def _optional_fields(form: Any) -> tuple[str, ...]:
    for choice in getattr(form, "__args__", ()):
        if fields := getattr(choice, "__struct_fields__", ()):
            return tuple(fields)
    return ()


def _guarded(call: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            return json_answer(await call(request))
        except LookupError as error:
            return json_answer({"error": str(error.args[0])}, 404)
        except ValueError as error:
            return json_answer({"error": str(error)}, 400)

    return guarded


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path} is not known here; docs/emulator-graph.md lists what is"
    return json_answer({"error": what}, status)
