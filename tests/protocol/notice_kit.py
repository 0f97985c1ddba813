"""Notifications made by hand, after Microsoft's documentation and without our own code.

https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import base64
import functools
import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from presencebridge.graph.notices import (
    Reject,
    Rejected,
    Seen,
    Trust,
    check_tokens,
    not_worth_opening,
    open_item,
    sort_out,
)

NOW = 1_800_000_000.0
APP = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
TENANT = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
OTHER_TENANT = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a99"
SENDER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
ANN = "00000000-0000-4000-8000-0000000000a1"
BEN = "00000000-0000-4000-8000-0000000000b2"
STRANGER = "00000000-0000-4000-8000-0000000000f9"
SUBSCRIPTION = "7f105c7d-2dc5-4530-97cd-4e7ae6534c07"
CLIENT_STATE = "a secret of ours"
LOGIN = "https://login.microsoftonline.com"


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def trust(**other: Any) -> Trust:
    """What the bridge believes in, unless told otherwise."""
    usual: dict[str, Any] = {
        "app": APP,
        "tenant": TENANT,
        "logins": (LOGIN, "http://127.0.0.1:9"),
        "client_states": {SUBSCRIPTION: CLIENT_STATE},
        "private_keys": {"ours": rsa_key("ours"), "older": rsa_key("older")},
        "signing_keys": {"k1": rsa_key("entra").public_key()},
        "people": frozenset({ANN, BEN}),
        "seen": {},
        "good_tokens": {},
    }
    return Trust(**usual | other)


# Tokens -------------------------------------------------------------------------------------------


def claims(**other: Any) -> dict[str, Any]:
    """The claims of a version 2.0 token; a value of None leaves one out."""
    usual = {
        "aud": APP,
        "iss": f"{LOGIN}/{TENANT}/v2.0",
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 86_400,
        "azp": SENDER,
        "azpacr": "2",
        "oid": "an object",
        "sub": "an object",
        "tid": TENANT,
        "ver": "2.0",
    }
    return {name: value for name, value in (usual | other).items() if value is not None}


def old_claims(**other: Any) -> dict[str, Any]:
    """The claims of a version 1.0 token."""
    iss = f"https://sts.windows.net/{TENANT}/"
    return claims(**{"ver": "1.0", "iss": iss, "azp": None, "appid": SENDER} | other)


def token(payload: dict[str, Any] | None = None, signer: str = "entra", **header: Any) -> str:
    signed = _unsigned({"alg": "RS256", "typ": "JWT", "kid": "k1"} | header, payload)
    digest = hashes.SHA512() if header.get("alg") == "RS512" else hashes.SHA256()
    signature = rsa_key(signer).sign(signed.encode(), padding.PKCS1v15(), digest)
    return f"{signed}.{_url64(signature)}"


def token_without_signature() -> str:
    return _unsigned({"alg": "none", "typ": "JWT", "kid": "k1"}, None) + "."


def token_by_hmac(secret: bytes) -> str:
    """The old trick: the public key, which everybody knows, taken for a shared secret."""
    signed = _unsigned({"alg": "HS256", "typ": "JWT", "kid": "k1"}, None)
    return f"{signed}.{_url64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _unsigned(header: dict[str, Any], payload: dict[str, Any] | None) -> str:
    parts = ({name: value for name, value in header.items() if value is not None}, payload or claims())
    return ".".join(_url64(json.dumps(part).encode()) for part in parts)


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# Items --------------------------------------------------------------------------------------------


def presence(user: str = ANN, availability: str = "Busy", activity: str = "InACall", **more: Any) -> bytes:
    return json.dumps(
        {
            "@odata.id": f"users/{user}/presence",
            "@odata.type": "#microsoft.graph.presence",
            "id": user,
            "availability": availability,
            "activity": activity,
        }
        | more
    ).encode()


def sealed(
    plain: bytes, *, data_key: bytes = bytes(range(32)), recipient: str = "ours", named: str = "ours"
) -> dict[str, str]:
    """A plain text under a data key of its own, as Graph seals it."""
    padder = PKCS7(128).padder()
    return sealed_raw(
        padder.update(plain) + padder.finalize(), data_key=data_key, recipient=recipient, named=named
    )


def sealed_raw(
    padded: bytes, *, data_key: bytes, recipient: str = "ours", named: str = "ours"
) -> dict[str, str]:
    encryptor = Cipher(algorithms.AES(data_key), modes.CBC(data_key[:16])).encryptor()
    return signed(encryptor.update(padded) + encryptor.finalize(), data_key, recipient, named)


def signed(data: bytes, data_key: bytes, recipient: str = "ours", named: str = "ours") -> dict[str, str]:
    """Data as it is, rightly signed, and the key rightly sealed."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as documented
    return {
        "data": b64(data),
        "dataSignature": b64(hmac.digest(data_key, data, hashlib.sha256)),
        "dataKey": b64(rsa_key(recipient).public_key().encrypt(data_key, oaep)),
        "encryptionCertificateId": named,
        "encryptionCertificateThumbprint": "07293748CC064953A3052FB978C735FB89E61C3D",
    }


def item(content: dict[str, str] | None, user: str | None = ANN, **other: Any) -> dict[str, Any]:
    """One item of a notification; a value of None leaves a word out."""
    usual = {
        "subscriptionId": SUBSCRIPTION,
        "clientState": CLIENT_STATE,
        "changeType": "updated",
        "tenantId": TENANT,
        "resource": f"communications/presences/{user}",
        "subscriptionExpirationDateTime": "2026-11-23T11:00:00.0000000Z",
        "resourceData": user
        and {
            "@odata.id": f"users/{user}/presence",
            "@odata.type": "#microsoft.graph.presence",
            "id": user,
        },
        "organizationId": TENANT,
        "encryptedContent": content,
    }
    return {name: value for name, value in (usual | other).items() if value is not None}


def lifecycle(event: str = "reauthorizationRequired", **other: Any) -> dict[str, Any]:
    return {
        "subscriptionId": SUBSCRIPTION,
        "subscriptionExpirationDateTime": "2026-11-23T11:00:00.1234567Z",
        "tenantId": TENANT,
        "clientState": CLIENT_STATE,
        "lifecycleEvent": event,
    } | other


def body(*items: Any, tokens: Any = ...) -> bytes:
    whole: dict[str, Any] = {"value": list(items)}
    whole["validationTokens"] = [token()] if tokens is ... else tokens
    return json.dumps(whole).encode()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# A body from end to end ---------------------------------------------------------------------------


@dataclass
class Understood:
    """What one notification came to."""

    seen: list[Seen] = field(default_factory=list)
    lifecycle: list[tuple[str, str]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)


def understand(raw: bytes, mine: Trust, now: float) -> Understood:
    """Every step that the receiver takes, one after another, for all items of a body."""
    letter = sort_out(raw, mine)
    found = Understood(lifecycle=letter.lifecycle, rejects=letter.rejects)
    if not letter.items:
        return found
    try:
        found.tokens = check_tokens(letter.tokens, mine, now)
    except Rejected as rejected:
        found.rejects += [rejected.why] * len(letter.items)
        return found
    mine = replace(mine, seen=dict.fromkeys(mine.seen))
    for notice in letter.items:
        if why := not_worth_opening(notice, mine):
            found.rejects.append(why)
            continue
        try:
            seen = open_item(notice, mine)
        except Rejected as rejected:
            found.rejects.append(rejected.why)
        else:
            mine.seen[seen.signature] = None
            found.seen.append(seen)
    return found
