"""PURE: presence subscriptions: what may be asked for, what is held, what Graph says of it.

learn.microsoft.com/graph/api/subscription-post-subscriptions, subscription-update,
resources/subscription, graph/changenotifications-for-presence and
graph/change-notifications-with-resource-data.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.errors import GraphError, extension_error

USERS_AT_MOST = 650
LIFE_AT_LEAST_S, LIFE_AT_MOST_S = 45 * 60.0, 60 * 60.0
CLIENT_STATE_AT_MOST = 128

_ONE = re.compile(r"/?communications/presences/(?P<id>[^/?()]+)", re.IGNORECASE)
_MANY = re.compile(r"/?communications/presences\?\$filter=\s*id\s+in\s*\((?P<ids>[^()]*)\)\s*", re.IGNORECASE)
_REQUIRED = ("changeType", "notificationUrl", "resource", "expirationDateTime")
_KNOWN = frozenset(
    {
        *_REQUIRED,
        *("id", "applicationId", "creatorId", "clientState", "lifecycleNotificationUrl"),
        *("includeResourceData", "encryptionCertificate", "encryptionCertificateId"),
        *("latestSupportedTlsVersion", "notificationQueryOptions", "notificationUrlAppId"),
        "notificationContentType",
    }
)
_PATCHABLE = frozenset(
    {
        *("id", "expirationDateTime", "notificationUrl", "encryptionCertificate"),
        "encryptionCertificateId",
    }
)


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription. `authorized` turns false when its owner's consent is revoked."""

    subscription_id: str
    app_id: str
    owner_id: str
    resource: str
    watched: frozenset[str]
    notification_url: str
    lifecycle_url: str | None
    expires: float
    client_state: str | None
    rich: bool
    certificate: bytes | None
    certificate_id: str | None
    tls_version: str
    audience: str | None
    lifecycle_last: float
    authorized: bool = True


def requested(
    body: Mapping[str, Any], clock: Clock, subscription_id: str, app_id: str, owner_id: str, long_expiry: str
) -> Subscription:
    """A create request as a subscription. Raises Graph's refusal; the endpoints are checked elsewhere."""
    for name in body:
        if "@" not in name and name not in _KNOWN:
            raise _invalid(f"The property '{name}' does not exist on type 'microsoft.graph.subscription'.")
    texts = {name: _text(body, name) for name in _KNOWN - {"includeResourceData"}}
    for name in _REQUIRED:
        if not texts[name]:
            raise _invalid(f"'{name}' is a required property for subscription creation.")
    change_type = texts["changeType"] or ""
    if {part.strip().casefold() for part in change_type.split(",")} != {"updated"}:
        raise _invalid(f"Invalid 'changeType' attribute: '{change_type}'. Presence supports only 'updated'.")
    if len(texts["clientState"] or "") > CLIENT_STATE_AT_MOST:
        raise _invalid(f"'clientState' must not be longer than {CLIENT_STATE_AT_MOST} characters.")
    rich = body.get("includeResourceData") or False
    if not isinstance(rich, bool):
        raise _invalid("'includeResourceData' must be a boolean.")
    notification_url = checked_url("notificationUrl", texts["notificationUrl"] or "")
    lifecycle_url = texts["lifecycleNotificationUrl"]
    if lifecycle_url:
        checked_url("lifecycleNotificationUrl", lifecycle_url)
    watched = watched_users(texts["resource"] or "")
    return Subscription(
        subscription_id=subscription_id,
        app_id=app_id,
        owner_id=owner_id,
        resource=texts["resource"] or "",
        watched=watched,
        notification_url=notification_url,
        lifecycle_url=lifecycle_url,
        expires=expiry(
            texts["expirationDateTime"] or "", clock, long_expiry, has_lifecycle=bool(lifecycle_url)
        ),
        client_state=texts["clientState"],
        rich=rich,
        certificate=_certificate_of(texts, rich=rich),
        certificate_id=texts["encryptionCertificateId"],
        tls_version=texts["latestSupportedTlsVersion"] or "v1_2",
        audience=texts["notificationUrlAppId"],
        lifecycle_last=clock.now(),
    )


def renewed(held: Subscription, body: Mapping[str, Any], clock: Clock, long_expiry: str) -> Subscription:
    """A subscription after a PATCH, which also authorizes it again. Raises Graph's refusal."""
    for name in body:
        if "@" not in name and name not in _PATCHABLE:
            raise _invalid(f"The property '{name}' cannot be updated.")
    texts = {name: _text(body, name) for name in _PATCHABLE}
    if not texts["expirationDateTime"] and not texts["notificationUrl"]:
        raise _invalid(
            "Subscription must contain either the 'expirationDateTime' or 'notificationUrl' property and its "
            "value."
        )
    changed = msgspec.structs.replace(held, authorized=True, lifecycle_last=clock.now())
    if text := texts["expirationDateTime"]:
        end = expiry(text, clock, long_expiry, has_lifecycle=bool(held.lifecycle_url))
        changed = msgspec.structs.replace(changed, expires=end)
    if url := texts["notificationUrl"]:
        changed = msgspec.structs.replace(changed, notification_url=checked_url("notificationUrl", url))
    if texts["encryptionCertificate"] or texts["encryptionCertificateId"]:
        certificate = _certificate_of(texts, rich=True)
        changed = msgspec.structs.replace(
            changed, certificate=certificate, certificate_id=texts["encryptionCertificateId"]
        )
    return changed


def watched_users(resource: str) -> frozenset[str]:
    """The user ids of a resource string, with quotes or without: Microsoft's pages show both."""
    if match := _ONE.fullmatch(resource):
        return frozenset({match["id"].casefold()})
    match = _MANY.fullmatch(resource)
    if not match:
        raise extension_error(400, "Create", "BadRequest", "Unsupported workload.")
    ids = frozenset(part.strip().strip("'\"").casefold() for part in match["ids"].split(",")) - {""}
    if not ids:
        raise extension_error(400, "Create", "BadRequest", "The filter names no user.")
    if len(ids) > USERS_AT_MOST:
        raise extension_error(
            400, "Create", "BadRequest", f"At most {USERS_AT_MOST} users can be watched by one subscription."
        )
    return ids


def expiry(text: str, clock: Clock, long_expiry: str, *, has_lifecycle: bool) -> float:
    """When it ends, in emulator time: raised to 45 minutes, and not beyond 60.

    A past date is raised like any other under 45 minutes: the page makes no exception.
    """
    moment = wire.epoch(text)
    if moment is None:
        raise _invalid(f"Invalid 'expirationDateTime' attribute: '{text}'.")
    now = clock.now()
    end = clock.meant(moment)
    if end > now + LIFE_AT_MOST_S:
        if not has_lifecycle:
            raise _invalid(
                "lifecycleNotificationUrl is a required property for subscription creation on this resource "
                "when the expirationDateTime value is set to greater than 1 hour."
            )
        if long_expiry == "refuse":
            raise _invalid("Subscription expiration can only be 60 minutes in the future.")
    return min(max(end, now + LIFE_AT_LEAST_S), now + LIFE_AT_MOST_S)


def checked_url(name: str, url: str) -> str:
    """Takes https anywhere, and http on loopback only, which Graph itself would never take."""
    parts = urlsplit(url)
    if parts.hostname and (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    ):
        return url
    raise _invalid(f"Invalid '{name}' attribute: the URL must use the HTTPS protocol.")


def view(held: Subscription, clock: Clock, *, listed: bool = False) -> dict[str, Any]:
    """What the API says of it. In a list the client state is null."""
    return {
        "id": held.subscription_id,
        "resource": held.resource,
        "applicationId": held.app_id,
        "changeType": "updated",
        "clientState": None if listed else held.client_state,
        "notificationUrl": held.notification_url,
        "notificationQueryOptions": None,
        "lifecycleNotificationUrl": held.lifecycle_url,
        "expirationDateTime": wire.moment(clock.shown(held.expires)),
        "creatorId": held.owner_id,
        "includeResourceData": held.rich,
        "latestSupportedTlsVersion": held.tls_version,
        "encryptionCertificate": None,
        "encryptionCertificateId": held.certificate_id,
        "notificationUrlAppId": held.audience,
        "notificationContentType": "application/json",
    }


def next_lifecycle(held: Subscription, every_s: float | None) -> float | None:
    """When reauthorizationRequired is due next; None: never.

    learn.microsoft.com/graph/change-notifications-lifecycle-events prints a formula, each 15 minutes of
    the last hour, and calls it illustrative.
    """
    if not held.lifecycle_url:
        return None
    if every_s is not None:
        return held.lifecycle_last + every_s if every_s > 0 else None
    moments = (held.expires - quarter * 900 for quarter in (3, 2, 1))
    return next((moment for moment in moments if moment > held.lifecycle_last), None)


def certificate_problem(raw: str) -> str | None:
    """Why this encryption certificate is refused; None if it is not."""
    try:
        key = x509.load_der_x509_certificate(
            base64.b64decode("".join(raw.split()), validate=True)
        ).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return "Cannot find the requested object."
    if not isinstance(key, rsa.RSAPublicKey):
        return "The certificate's key must be an RSA key."
    if not 2048 <= key.key_size <= 4096:
        return f"The key size of {key.key_size} bits is not between 2048 and 4096."
    return None


def _certificate_of(texts: Mapping[str, str | None], *, rich: bool) -> bytes | None:
    raw = texts["encryptionCertificate"]
    if rich and not (raw and texts["encryptionCertificateId"]):
        raise _invalid(
            "'encryptionCertificate' and 'encryptionCertificateId' are required when 'includeResourceData' "
            "is true."
        )
    if not raw:
        return None
    if problem := certificate_problem(raw):
        raise _invalid(f"Certificate validation error: {problem}")
    return base64.b64decode("".join(raw.split()))


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"'{name}' must be a string.")
    return value


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _invalid(message: str) -> GraphError:
    return GraphError(400, "InvalidRequest", message)
