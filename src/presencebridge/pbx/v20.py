"""PURE: the Configuration API (XAPI) of 3CX V20: requests as values, and their answers understood.

github.com/3cx/xapi-tutorial. A user is never asked for without `$select`: the default answer holds SIP
passwords, and they are not for us.
"""

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from presencebridge.core.model import CUSTOM_1, CUSTOM_2, OUT_OF_OFFICE
from presencebridge.core.policy import canonical_status
from presencebridge.errors import Gone, LinkError, Malformed, Refused, TryAgain, cut
from presencebridge.pbx.answers import Licence, PbxUser

T = TypeVar("T")

TOKEN_PATH: Final = "/connect/token"  # noqa: S105 - a path
NAMES_PATH: Final = "/xapi/v1/Defs/Pbx.GetSystemParameters()"
OWN_SYNC_PATH: Final = "/xapi/v1/Microsoft365Integration?$select=AdUsers"
LICENCE_PATH: Final = "/xapi/v1/SystemStatus?$select=Version,LicenseActive,ExpirationDate,ProductCode"

PAGE: Final = 100
"""More than 100 users at a time are refused."""

_MINUTES_UP_TO: Final = 600
"""`expires_in` is in minutes before 20.0.9 and in seconds since (xapi-tutorial, commit 1c6947c)."""

_LEAST_LIFE_S: Final = 10.0
"""Whatever 3CX says of a token's life: each new one kills the one before it."""

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


class _DirectoryUser(msgspec.Struct, frozen=True, rename="pascal"):
    number: str
    display_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email_address: str | None = None
    enabled: bool | None = None


class _DirectoryUsers(msgspec.Struct, frozen=True):
    value: tuple[_DirectoryUser, ...]


class _SystemNames(msgspec.Struct, frozen=True):
    custom1: str | None = msgspec.field(default=None, name="Custom1Name")
    custom2: str | None = msgspec.field(default=None, name="Custom2Name")


class _Profile(msgspec.Struct, frozen=True, rename="pascal"):
    name: str | None = None
    custom_name: str | None = None


class _Profiles(msgspec.Struct, frozen=True):
    value: tuple[_Profile, ...]


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


def statuses_path(skip: int) -> str:
    """A page of everybody's status."""
    return f"/xapi/v1/Users?$select=Id,Number,CurrentProfileName&$orderby=Number&$top={PAGE}&$skip={skip}"


def directory_path(skip: int) -> str:
    """A page of who there is."""
    fields = "Number,DisplayName,FirstName,LastName,EmailAddress,Enabled"
    return f"/xapi/v1/Users?$select={fields}&$orderby=Number&$top={PAGE}&$skip={skip}"


def profiles_path(user: int) -> str:
    """What a user's five statuses are called."""
    return f"/xapi/v1/Users({user})/ForwardingProfiles?$select=Name,CustomName"


def change_path(user: int) -> str:
    return f"/xapi/v1/Users({user})"


def change_body(status: str) -> dict[str, str]:
    return {"CurrentProfileName": status}


# Answers ------------------------------------------------------------------------------------------


def parse_token(body: bytes) -> tuple[str, float]:
    """The access token, and how many seconds it lives. Raises `Malformed`.

    The token's own times are believed before `expires_in`, whose unit depends on the version.
    """
    token = decode(body, _Token, "the token endpoint")
    if not (token.access_token.isascii() and token.access_token.isprintable() and token.access_token):
        raise Malformed("3CX's answer to the token endpoint holds a token that no header can carry")
    claims = _claims(token.access_token)
    begin = claims.nbf if claims.nbf is not None else claims.iat
    if claims.exp is not None and begin is not None and claims.exp > begin:
        return token.access_token, max(claims.exp - begin, _LEAST_LIFE_S)
    seconds = token.expires_in * 60 if token.expires_in <= _MINUTES_UP_TO else token.expires_in
    return token.access_token, max(seconds, _LEAST_LIFE_S)


def _claims(token: str) -> _Claims:
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(text, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return _Claims()


def parse_user(extension: str, body: bytes) -> User:
    """Raises `Gone` where 3CX has no such extension, `Malformed`."""
    found = [user for user in decode(body, _Users, "Users").value if user.number == extension]
    if not found:
        raise Gone(
            f"extension {extension}: 3CX has no such user",
            cure="check the number, and that the API client's department and role may see this user",
        )
    return found[0]


def parse_statuses(body: bytes) -> tuple[User, ...]:
    """A page of users; it is the last one if it is not full. Raises `Malformed`."""
    return decode(body, _Users, "Users").value


def parse_directory(body: bytes) -> tuple[PbxUser, ...]:
    """A page of users; it is the last one if it is not full. Raises `Malformed`."""
    return tuple(
        PbxUser(
            user.number,
            cut(user.display_name or " ".join(filter(None, (user.first_name, user.last_name)))),
            (user.email_address or "").strip(),
            user.enabled is not False,
        )
        for user in decode(body, _DirectoryUsers, "Users").value
    )


def status_named(name: str | None, renamed: Mapping[str, str]) -> str | None:
    """The status by its internal name, None for a name that nobody has told us.

    `CurrentProfileName` should be the internal name whatever the phones call it; whether every version keeps
    to that is not known, so the labels and the operator's own names are understood as well.
    """
    folded = (name or "").casefold().strip()
    return canonical_status(folded) or renamed.get(folded) or _ALIASES.get(folded)


def unknown_status(extension: str, name: str | None) -> Malformed:
    return Malformed(
        f"extension {extension}: 3CX shows the status {name or ''!r}, which is none of its five",
        cure="check that the API client's role may read the user's status",
    )


def parse_system_names(body: bytes) -> dict[str, str]:
    """What the two custom statuses are called on this PBX, in lower case, to their internal names."""
    names = decode(body, _SystemNames, "GetSystemParameters")
    pairs = ((names.custom1, CUSTOM_1), (names.custom2, CUSTOM_2))
    return {name.casefold().strip(): status for name, status in pairs if name and name.strip()}


def parse_profiles(body: bytes) -> dict[str, str]:
    """What a user's statuses are called, in lower case, to their internal names."""
    found = {}
    for profile in decode(body, _Profiles, "ForwardingProfiles").value:
        status = canonical_status(profile.name or "")
        if status and profile.custom_name:
            found[profile.custom_name.casefold().strip()] = status
    return found


def parse_own_sync(body: bytes) -> str:
    """What 3CX's own sync with Teams does, in words; empty if it is off. Raises `Malformed`."""
    settings = decode(body, dict[str, Any], "Microsoft365Integration")
    users = settings.get("AdUsers")
    users = users if isinstance(users, dict) else {}
    bindings = users.get("StatusSyncConfiguration")
    bindings = bindings if isinstance(bindings, dict) else {}
    does = []
    if users.get("SetTeamsPresence") is True:
        does.append("sets presences in Teams")
    if bindings.get("PBXToM365Busy") is True or bindings.get("PBXToM365Bindings"):
        does.append("maps 3CX to Teams")
    if bindings.get("M365ToPbxBindings"):
        does.append("maps Teams to 3CX")
    return ", ".join(does)


def parse_licence(body: bytes) -> Licence:
    """The licence, of SystemStatus. Raises `Malformed`."""
    told = decode(body, dict[str, Any], "SystemStatus")
    product = told.get("ProductCode")
    return Licence(
        active=told.get("LicenseActive") is not False,
        ends_at=_moment(told.get("ExpirationDate")),
        product=product if isinstance(product, str) else "",
    )


def _moment(text: object) -> float | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
        return found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def decode(body: bytes | str, kind: type[T], what: str) -> T:
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
        cure = "tick 3CX Configuration API for the API client, and check its role and the licence"
        return Refused(text, status=status, cure=cure)
    if status == 404:
        return Gone(text, status=status, cure="check [pbx] url; versions before V20 do not have these APIs")
    if status == 429 or status >= 500:
        return TryAgain(text, status=status)
    return Refused(text, status=status)
