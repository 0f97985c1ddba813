"""PURE: every call of Graph that we make, as a value: how it is asked, decoded, and what its errors mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import quote, urlsplit

import msgspec

from presencebridge.core.model import Presence
from presencebridge.errors import Conflict, Gone, LinkError, Malformed, Refused, TryAgain
from presencebridge.graph import wire

T = TypeVar("T")

_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LONGEST_WAIT_S: Final = 3600.0
"""Nobody is believed who asks us to wait for longer."""

MOST_IDS: Final = 650
"""People in one read, and in one subscription:
https://learn.microsoft.com/graph/api/cloudcommunications-getpresencesbyuserid"""

NAMES_IN_ONE_FILTER: Final = 7
"""Graph takes 15 clauses in a filter; a name costs two (user principal name, mail)."""

USERS_A_PAGE: Final = 999
"""Graph's largest page: https://learn.microsoft.com/graph/api/user-list"""

_USERS_PATH: Final = "/v1.0/users"
_USER_FIELDS: Final = "$select=id,userPrincipalName,mail,displayName"
_MORE_USER_FIELDS: Final = ",otherMails,proxyAddresses,accountEnabled,userType"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request that knows how to read its answer."""

    method: str
    path: str
    resource: str
    """Which of Graph's budgets it uses: `presence`, `subscriptions` or `users`."""
    answer: type[Any]
    """What the body of the answer is read as."""
    body: Mapping[str, Any] | None = None
    needs: str = ""
    """The permission that it needs, for the error message."""
    may_be_empty: bool = False
    """Whether an answer without a body is one."""
    may_wait: bool = False
    """Whether it lets others of its budget go first: there will be another one soon."""


def read_presences(ids: Sequence[str]) -> Call[wire.Presences]:
    """Presence of up to 650 people."""
    return Call(
        "POST",
        "/v1.0/communications/getPresencesByUserId",
        "presence",
        wire.Presences,
        {"ids": list(ids)},
        "Presence.Read.All",
        may_wait=True,
    )


def set_presence(user: str, app: str, pair: Presence, seconds: int) -> Call[None]:
    """Our session on a person. https://learn.microsoft.com/graph/api/presence-setpresence"""
    body = {
        "sessionId": app,
        "availability": pair.availability,
        "activity": pair.activity,
        "expirationDuration": duration(seconds),
    }
    return _act(user, "setPresence", body)


def clear_presence(user: str, app: str) -> Call[None]:
    """404 if there is no session. https://learn.microsoft.com/graph/api/presence-clearpresence"""
    return _act(user, "clearPresence", {"sessionId": app})


def set_preferred(user: str, pair: Presence, seconds: int) -> Call[None]:
    """https://learn.microsoft.com/graph/api/presence-setuserpreferredpresence"""
    body = {
        "availability": pair.availability,
        "activity": pair.activity,
        "expirationDuration": duration(seconds),
    }
    return _act(user, "setUserPreferredPresence", body)


def clear_preferred(user: str) -> Call[None]:
    """https://learn.microsoft.com/graph/api/presence-clearuserpreferredpresence"""
    return _act(user, "clearUserPreferredPresence", {})


def _act(user: str, action: str, body: Mapping[str, Any]) -> Call[None]:
    path = f"/v1.0/users/{quote(user, safe='')}/presence/{action}"
    return Call("POST", path, "presence", type(None), body, "Presence.ReadWrite.All")


def find_users(names: Sequence[str]) -> Call[wire.Users]:
    """People by user principal name or mail; at most NAMES_IN_ONE_FILTER names."""
    clauses = []
    for name in names:
        text = name.replace("'", "''")
        clauses += [f"userPrincipalName eq '{text}'", f"mail eq '{text}'"]
    path = f"{_USERS_PATH}?$filter={quote(' or '.join(clauses))}&{_USER_FIELDS}"
    return _users(path)


def list_users(*, further: bool = False) -> Call[wire.Users]:
    """The first page of everybody, with the fields that need `User.Read.All` too if `further`."""
    fields = _USER_FIELDS + (_MORE_USER_FIELDS if further else "")
    return _users(f"{_USERS_PATH}?{fields}&$top={USERS_A_PAGE}")


def more_users(link: str) -> Call[wire.Users]:
    """The page that an `@odata.nextLink` names. Raises `Malformed` for a link to anywhere else.

    Only its path and query are taken: whatever host it names, it is our Graph that is asked, so no token goes
    elsewhere.
    """
    try:
        parts = urlsplit(link)
        query = parts.query if link.isascii() and link.isprintable() and parts.path == _USERS_PATH else ""
    except ValueError:
        query = ""
    if not query:
        raise Malformed("Graph's list of users goes on at an address that is none of its own")
    return _users(f"{_USERS_PATH}?{query}")


def _users(path: str) -> Call[wire.Users]:
    """Microsoft's page of this request names User.Read.All as the least for apps.

    User.ReadBasic.All, which there has been for apps since 2024, is enough in some tenants and refused in
    others: https://learn.microsoft.com/answers/questions/6019739
    """
    return Call("GET", path, "users", wire.Users, needs="User.ReadBasic.All, or User.Read.All")


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """What a presence subscription is made of."""

    ids: tuple[str, ...]
    url: str
    client_state: str
    certificate: str
    certificate_id: str
    expires: datetime


def create_subscription(new: NewSubscription) -> Call[wire.Subscription]:
    """https://learn.microsoft.com/graph/changenotifications-for-presence"""
    body = {
        "changeType": "updated",
        "notificationUrl": new.url,
        "lifecycleNotificationUrl": new.url,
        "resource": watched(new.ids),
        "expirationDateTime": timestamp(new.expires),
        "includeResourceData": True,
        "encryptionCertificate": new.certificate,
        "encryptionCertificateId": new.certificate_id,
        "clientState": new.client_state,
    }
    return _subscription("POST", "", wire.Subscription, body)


def watched(ids: Sequence[str]) -> str:
    """The resource of a subscription to these people."""
    listed = ",".join(f"'{user}'" for user in ids)
    return f"/communications/presences?$filter=id in ({listed})"


def renew_subscription(
    subscription: str, expires: datetime, certificate: str = "", certificate_id: str = ""
) -> Call[wire.Subscription | None]:
    """Give it a new end, and a new encryption certificate if one is named.

    The reference page has 200 and the subscription for an answer, Microsoft's OpenAPI 204 and none.
    """
    body: dict[str, Any] = {"expirationDateTime": timestamp(expires)}
    if certificate:
        body |= {"encryptionCertificate": certificate, "encryptionCertificateId": certificate_id}
    return Call(
        "PATCH",
        f"/v1.0/subscriptions/{quote(subscription, safe='')}",
        "subscriptions",
        wire.Subscription,
        body,
        "Presence.Read.All",
        may_be_empty=True,
    )


def reauthorize_subscription(subscription: str) -> Call[None]:
    """Not within 10 minutes of a renewal: https://learn.microsoft.com/graph/change-notifications-lifecycle-events"""
    return _subscription("POST", f"/{quote(subscription, safe='')}/reauthorize", type(None))


def get_subscription(subscription: str) -> Call[wire.Subscription]:
    return _subscription("GET", f"/{quote(subscription, safe='')}", wire.Subscription)


def list_subscriptions(link: str = "") -> Call[wire.Subscriptions]:
    """This app's subscriptions of the signed-in user; `link` is a page's `@odata.nextLink`."""
    if link:
        _, _, rest = link.partition("/v1.0/subscriptions")
        return _subscription("GET", rest, wire.Subscriptions)
    return _subscription("GET", "", wire.Subscriptions)


def delete_subscription(subscription: str) -> Call[None]:
    return _subscription("DELETE", f"/{quote(subscription, safe='')}", type(None))


def _subscription(method: str, rest: str, answer: type[T], body: Mapping[str, Any] | None = None) -> Call[T]:
    return Call(method, f"/v1.0/subscriptions{rest}", "subscriptions", answer, body, "Presence.Read.All")


# How values are written ---------------------------------------------------------------------------


def duration(seconds: int) -> str:
    """ISO 8601, as Graph wants it: 300 -> PT5M, 7200 -> PT2H."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + ("".join(f"{number}{unit}" for number, unit in parts if number) or "0S")


def timestamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# What answers mean --------------------------------------------------------------------------------


def decode(call: Call[T], status: int, headers: Mapping[str, str], body: bytes) -> T:
    """The call's answer. Raises the `LinkError` that says what to do next."""
    if not 200 <= status < 300:
        raise _error(call, status, headers, body)
    if call.answer is type(None) or (call.may_be_empty and not body):
        return cast("T", None)
    try:
        return cast("T", msgspec.json.decode(body, type=call.answer))
    except _NO_JSON as error:
        raise Malformed(f"Graph's answer to {_name(call)} is not what it should be: {error}") from error


def _error(call: Call[Any], status: int, headers: Mapping[str, str], body: bytes) -> LinkError:
    try:
        detail = msgspec.json.decode(body, type=wire.ErrorBody).error
        said = f"{detail.code} {detail.message}".strip()
    except _NO_JSON:
        said = ""  # not Graph's own error form: a proxy's page, and none of our business
    what = f"{_name(call)}: {status} {said}".rstrip()
    if status == 429 or status >= 500:
        return TryAgain(what, after_s=retry_after(headers.get("retry-after", "")), status=status)
    if status == 401:
        return Refused(
            what, status=status, cure="sign in again, or check the app's credential and its expiry"
        )
    if status == 403:
        cure = f"give the app the permission {call.needs} in Entra, with admin consent" if call.needs else ""
        return Refused(what, status=status, cure=cure)
    if status in (404, 410):
        return Gone(what, status=status)
    if status == 409:
        return Conflict(what, status=status)
    return Refused(what, status=status)


def _name(call: Call[Any]) -> str:
    """What was called, without whom it was about."""
    parts = call.path.partition("?")[0].split("/")
    action = parts[-1] if parts[-1].isalpha() else parts[2]
    return f"{call.method} {action}"


def retry_after(text: str) -> float | None:
    """Seconds out of a Retry-After header; None where it holds none (Graph always sends seconds)."""
    return min(float(text), _LONGEST_WAIT_S) if text.strip().isdecimal() else None
