"""Notifications as Graph makes them, by the thousand, after Microsoft's documentation and not by our code.

https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

APP = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
TENANT = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
SENDER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
AVAILABLE, BUSY = ("Available", "Available"), ("Busy", "InAMeeting")

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as documented


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SignIn:
    """The key that validation tokens are signed with, and a token of a real one's size."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    def keys(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        n, e = (value.to_bytes((value.bit_length() + 7) // 8, "big") for value in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "use": "sig", "kid": "k1", "n": url64(n), "e": url64(e)}]}

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "aud": APP,
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 86_400,
            "azp": SENDER,
            "azpacr": "2",
            "oid": user_id(0),
            "rh": "x" * 200,
            "sub": user_id(0),
            "tid": TENANT,
            "uti": url64(os.urandom(240)),
            "ver": "2.0",
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        signed = ".".join(url64(json.dumps(part).encode()) for part in (head, claims))
        return f"{signed}.{url64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class Sealer:
    """Items of one subscription."""

    def __init__(self, subscription: str, client_state: str, certificate: str, certificate_id: str) -> None:
        self._subscription = subscription
        self._client_state = client_state
        self._key = x509.load_der_x509_certificate(base64.b64decode(certificate)).public_key()
        self._certificate_id = certificate_id

    def item(self, number: int, pair: tuple[str, str], *, client_state: str = "") -> dict[str, Any]:
        user = user_id(number)
        named = {
            "@odata.id": f"users('{user}')/presence",
            "@odata.type": "#microsoft.graph.presence",
            "id": user,
        }
        plain = json.dumps(named | {"availability": pair[0], "activity": pair[1]}).encode()
        return {
            "subscriptionId": self._subscription,
            "clientState": client_state or self._client_state,
            "changeType": "updated",
            "resource": f"communications/presences('{user}')",
            "subscriptionExpirationDateTime": "2026-11-23T11:00:00.0000000Z",
            "resourceData": named,
            "encryptedContent": self._seal(plain),
            "tenantId": TENANT,
        }

    def _seal(self, plain: bytes) -> dict[str, str]:
        key = os.urandom(32)  # each item has a data key of its own
        fill = 16 - len(plain) % 16
        encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        data = encryptor.update(plain + bytes([fill]) * fill) + encryptor.finalize()
        return {
            "data": b64(data),
            "dataSignature": b64(hmac.digest(key, data, hashlib.sha256)),
            "dataKey": b64(self._key.encrypt(key, _OAEP)),
            "encryptionCertificateId": self._certificate_id,
            "encryptionCertificateThumbprint": "07293748CC064953A3052FB978C735FB89E61C3D",
        }


def body(items: list[dict[str, Any]], token: str) -> bytes:
    return json.dumps({"value": items, "validationTokens": [token]}, separators=(",", ":")).encode()
