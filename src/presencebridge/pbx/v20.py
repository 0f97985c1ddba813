"""PURE: the official APIs of 3CX V20: requests as values, and their answers understood.

Configuration API (XAPI): github.com/3cx/xapi-tutorial. Call Control: github.com/3cx/call-control-examples.
A user is never asked for without `$select`: the default answer holds SIP passwords, and they are not for us.
"""

import base64
import binascii
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from presencebridge.core.model import CUSTOM_1, CUSTOM_2, OUT_OF_OFFICE, LegState
from presencebridge.core.policy import canonical_status
from presencebridge.errors import Gone, LinkError, Malformed, Refused, TryAgain
from presencebridge.pbx.answers import Legs

T = TypeVar("T")

TOKEN_PATH: Final = "/connect/token"  # noqa: S105 - a path
CALLS_PATH: Final = "/callcontrol"
ACTIVE_CALLS_PATH: Final = "/xapi/v1/ActiveCalls"

_MINUTES_UP_TO: Final = 600
"""`expires_in` is in minutes before 20.0.9 and in seconds since (xapi-tutorial, commit 1c6947c)."""

_ALIASES: Final = {
    "dnd": OUT_OF_OFFICE,
    "do not disturb": OUT_OF_OFFICE,
    "outofoffice": OUT_OF_OFFICE,
    "lunch": CUSTOM_1,
    "business trip": CUSTOM_2,
    "available2": CUSTOM_1,
    "outofoffice2": CUSTOM_2,
}
"""Other names of the five statuses: the labels of the web client, and the words for greetings."""


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = 60


class _Claims(msgspec.Struct, frozen=True):
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None


class User(msgspec.Struct, frozen=True, rename="pascal"):
    """A user of the PBX, as far as we ask for it."""

    id: int
    number: str
    current_profile_name: str | None = None


class _Users(msgspec.Struct, frozen=True):
    value: tuple[User, ...]


class _Participant(msgspec.Struct, frozen=True):
    dn: str = ""
    status: str = ""


class _CallControlEntry(msgspec.Struct, frozen=True):
    dn: str
    participants: tuple[_Participant, ...] | None = None


class _ActiveCall(msgspec.Struct, frozen=True, rename="pascal"):
    caller: str | None = None
    callee: str | None = None
    status: str = ""


class _ActiveCalls(msgspec.Struct, frozen=True):
    value: tuple[_ActiveCall, ...]


class _ErrorDetail(msgspec.Struct, frozen=True):
    code: str | None = ""
    message: str | None = ""


class _Error(msgspec.Struct, frozen=True):
    error: _ErrorDetail | str


# Requests -----------------------------------------------------------------------------------------


def token_form(client_id: str, secret: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}


def user_path(extension: str) -> str:
    """One user by number: `$filter` works in every V20, `Users(Number=...)` only since 20.0.8."""
    number = quote(f"Number eq '{extension.replace(chr(39), chr(39) * 2)}'")
    return f"/xapi/v1/Users?$filter={number}&$select=Id,Number,CurrentProfileName&$top=1"


def change_path(user: int) -> str:
    return f"/xapi/v1/Users({user})"


def change_body(status: str) -> dict[str, str]:
    return {"CurrentProfileName": status}


# Answers ------------------------------------------------------------------------------------------


def parse_token(body: bytes) -> tuple[str, float]:
    """The access token, and how many seconds it lives. Raises `Malformed`.

    The token's own times are believed before `expires_in`, whose unit depends on the version.
    """
    token = _decode(body, _Token, "the token endpoint")
    claims = _claims(token.access_token)
    begin = claims.nbf if claims.nbf is not None else claims.iat
    if claims.exp is not None and begin is not None and claims.exp > begin:
        return token.access_token, claims.exp - begin
    seconds = token.expires_in * 60 if token.expires_in <= _MINUTES_UP_TO else token.expires_in
    return token.access_token, seconds


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(text, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return _Claims()


def parse_user(extension: str, body: bytes) -> User:
    """Raises `Gone` where 3CX has no such extension, `Malformed`."""
    found = [user for user in _decode(body, _Users, "Users").value if user.number == extension]
    if not found:
        raise Gone(
            f"extension {extension}: 3CX has no such user",
            cure="check the number, and that the API client's department and role may see this user",
        )
    return found[0]


def status_of(user: User) -> str:
    """The status by its internal name. Raises `Malformed` for a name that is none of the five."""
    name = user.current_profile_name or ""
    status = canonical_status(name) or _ALIASES.get(name.casefold().strip())
    if status is None:
        raise Malformed(
            f"extension {user.number}: 3CX shows the status {name!r}, which is none of its five",
            cure="check that the API client's role may read the user's status",
        )
    return status


def parse_call_control(body: bytes) -> Legs:
    """All legs of the extensions that the API client monitors. Raises `Malformed`.

    A call shows as several participants of an extension: each device, and a leg for signalling. Dialing,
    Ringing and Connected are attested; hold is not documented, so any other word is a leg in a call as long
    as the participant is there.
    """
    entries = _decode(body, tuple[_CallControlEntry, ...], "/callcontrol")
    legs: dict[str, tuple[LegState, ...]] = {}
    for entry in entries:
        states = tuple(_leg(one.status) for one in entry.participants or () if one.status)
        if states:
            legs[entry.dn] = states
    return Legs(legs, {}, frozenset(entry.dn for entry in entries))


def _leg(word: str) -> LegState:
    try:
        return LegState(word)
    except ValueError:
        return LegState.CONNECTED


def parse_active_calls(body: bytes) -> Legs:
    """Legs out of the list of calls, which has an extension as the first word of a text.

    Hold can't be seen here. Raises `Malformed`.
    """
    legs: dict[str, list[LegState]] = {}
    for call in _decode(body, _ActiveCalls, "ActiveCalls").value:
        caller, callee = _number(call.caller), _number(call.callee)
        word = call.status.casefold()
        if word in ("talking", "connected"):
            states = (LegState.CONNECTED, LegState.CONNECTED)
        elif word in ("routing", "ringing", "transferring", "dialing"):
            states = (LegState.DIALING, LegState.RINGING)
        else:
            continue
        for number, state in zip((caller, callee), states, strict=True):
            if number:
                legs.setdefault(number, []).append(state)
    return Legs({number: tuple(states) for number, states in legs.items()}, {})


def _number(text: str | None) -> str:
    first = (text or "").split(maxsplit=1)
    return first[0] if first and first[0].isdecimal() else ""


def _decode(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"3CX's answer to {what} is not what it should be: {error}") from error


def error(method: str, what: str, status: int, body: bytes) -> LinkError:
    """What an answer that is no success means. A body of another form than 3CX's errors is not shown."""
    try:
        detail = msgspec.json.decode(body, type=_Error).error
        said = detail if isinstance(detail, str) else f"{detail.code or ''} {detail.message or ''}".strip()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = ""
    text = f"{method} {what}: {status} {said}".rstrip()
    if status == 401:
        return Refused(text, status=status, cure="check [pbx] client_id and the API client's key on 3CX")
    if status == 403:
        cure = "tick XAPI and Call Control for the API client, and check its role and the licence"
        return Refused(text, status=status, cure=cure)
    if status == 404:
        return Gone(text, status=status, cure="check [pbx] url; versions before V20 do not have these APIs")
    if status == 429 or status >= 500:
        return TryAgain(text, status=status)
    return Refused(text, status=status)
