"""The keys that tokens are signed with, and the documents by which a client finds them.

learn.microsoft.com/entra/identity-platform/access-tokens: RS256, `kid` in the header, keys published
as a JSON Web Key Set that may roll over at any time.
"""

import base64
import datetime as dt
import hashlib
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


class SigningKeys:
    """The newest key signs, the one before is still published."""

    def __init__(self) -> None:
        self._keys: list[_Key] = []

    def rotate(self, now: float) -> str:
        """Makes a new key and tells its id. At most the last two are published."""
        self._keys = [_Key(now), *self._keys[:1]]
        return self._keys[0].kid

    def sign(self, claims: dict[str, Any], now: float) -> str:
        if not self._keys:
            self.rotate(now)
        key = self._keys[0]
        return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid, "x5t": key.kid})

    def published(self, now: float, issuer: str | None = None) -> dict[str, Any]:
        """The JSON Web Key Set; the v2.0 form names an issuer with each key."""
        if not self._keys:
            self.rotate(now)
        more = {"issuer": issuer} if issuer else {}
        return {"keys": [key.jwk | more for key in self._keys]}


class _Key:
    def __init__(self, now: float) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.private.public_key().public_numbers()
        certificate = _own_certificate(self.private, now).public_bytes(serialization.Encoding.DER)
        # Entra's key id is the thumbprint of the certificate.
        self.kid = unpadded(hashlib.sha1(certificate, usedforsecurity=False).digest())
        self.jwk = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": unpadded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
            "e": unpadded(numbers.e.to_bytes(3)),
            "x5c": [base64.b64encode(certificate).decode()],
        }


def unpadded(raw: bytes) -> str:
    """base64url as JSON Web Tokens want it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _own_certificate(key: rsa.RSAPrivateKey, now: float) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
    start = dt.datetime.fromtimestamp(now, dt.UTC) - dt.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * 5))
        .sign(key, hashes.SHA256())
    )
