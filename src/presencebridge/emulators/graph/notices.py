"""PURE: the notifications themselves: items, encryption, validation tokens.

learn.microsoft.com/graph/changenotifications-for-presence and
graph/change-notifications-with-resource-data. No field tells who or what caused a change.
"""

import base64
import hashlib
import hmac
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.presence import Pair
from presencebridge.emulators.graph.subscriptions import Subscription

CHANGE_TRACKING = "0bf30f3b-4a52-48df-9a82-234910c4a086"  # the application that sends notifications
TOKEN_LIFE_S = 24 * 3600

# SHA-1 in both places is what Microsoft documents; SHA-256 would not be understood.
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303


def change(
    held: Subscription, tenant_id: str, user_id: str, pair: Pair, clock: Clock, chance: random.Random
) -> dict[str, Any]:
    """One item of a change notification, with its own data key where resource data is wanted."""
    resource = {
        "@odata.id": f"users/{user_id}/presence",
        "@odata.type": "#microsoft.graph.presence",
        "id": user_id,
    }
    item = {
        "subscriptionId": held.subscription_id,
        "clientState": held.client_state,
        "changeType": "updated",
        "tenantId": tenant_id,
        "resource": f"communications/presences/{user_id}",
        "subscriptionExpirationDateTime": wire.moment(clock.shown(held.expires)),
        "resourceData": resource,
        "organizationId": tenant_id,
    }
    if held.rich and held.certificate and held.certificate_id:
        whole = resource | {"availability": pair.availability, "activity": pair.activity}
        item["encryptedContent"] = encrypted(
            whole, held.certificate, held.certificate_id, chance.randbytes(32)
        )
    return item


def legacy_change(
    held: Subscription, tenant_id: str, user_id: str, pair: Pair, clock: Clock
) -> dict[str, Any]:
    """The payload seen around 2022: another resource form, and the values in the clear."""
    resource = f"communications/presences('{user_id}')"
    return {
        "subscriptionId": held.subscription_id,
        "clientState": held.client_state,
        "changeType": "updated",
        "tenantId": tenant_id,
        "resource": resource,
        "subscriptionExpirationDateTime": wire.moment(clock.shown(held.expires)),
        "resourceData": {
            "@odata.id": resource,
            "@odata.type": "#Microsoft.Graph.presence",
            "id": user_id,
            "activity": pair.activity,
            "availability": pair.availability,
        },
    }


def lifecycle(held: Subscription, tenant_id: str, event: str, clock: Clock) -> dict[str, Any]:
    """One item of a lifecycle notification."""
    return {
        "subscriptionId": held.subscription_id,
        "subscriptionExpirationDateTime": wire.moment(clock.shown(held.expires)),
        "tenantId": tenant_id,
        "clientState": held.client_state,
        "lifecycleEvent": event,
    }


def encrypted(resource: Mapping[str, Any], der: bytes, certificate_id: str, key: bytes) -> dict[str, str]:
    """Resource data under a data key: AES-CBC with the key's first 16 bytes as IV, signed by HMAC."""
    public, thumbprint = _recipient(der)
    padder = block_padding.PKCS7(128).padder()
    plain = padder.update(msgspec.json.encode(resource)) + padder.finalize()
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    data = cipher.update(plain) + cipher.finalize()
    return {
        "data": _b64(data),
        "dataSignature": _b64(hmac.new(key, data, hashlib.sha256).digest()),
        "dataKey": _b64(public.encrypt(key, _OAEP)),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": thumbprint,
    }


def token_claims(tenant_id: str, audience: str, version: str, now: float, token_id: str) -> dict[str, Any]:
    """The claims of a validation token; `ver` decides where the caller and the issuer are named."""
    moment = int(now)
    claims: dict[str, Any] = {
        "aud": audience,
        "iat": moment,
        "nbf": moment,
        "exp": moment + TOKEN_LIFE_S,
        "oid": CHANGE_TRACKING,
        "sub": CHANGE_TRACKING,
        "tid": tenant_id,
        "uti": token_id,
        "ver": version,
    }
    if version == "1.0":
        more = {"iss": f"https://sts.windows.net/{tenant_id}/", "appid": CHANGE_TRACKING, "appidacr": "2"}
    else:
        issuer = f"https://login.microsoftonline.com/{tenant_id}/v2.0"
        more = {"iss": issuer, "azp": CHANGE_TRACKING, "azpacr": "2"}
    return claims | more


@lru_cache(maxsize=256)
def _recipient(der: bytes) -> tuple[rsa.RSAPublicKey, str]:
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):  # refused when the subscription was made
        raise TypeError("an RSA certificate was expected")
    return key, certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
