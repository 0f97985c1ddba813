"""The keys that notifications are encrypted for: made here, kept here, replaced without a gap.

A new key is used from the next renewal on; the old one is kept as long as Graph may still deliver what it
encrypted. https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import base64
import contextlib
import fnmatch
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from presencebridge.errors import TryAgain
from presencebridge.files import Files
from presencebridge.unreadable import UNREADABLE

RENEW_AFTER: Final = timedelta(days=90)
AHEAD_AT_MOST: Final = timedelta(days=1)
"""A key that begins later was made by a clock that was wrong, and whoever checks dates would not take it."""
KEEP_OLD_FOR: Final = timedelta(days=2)
"""A subscription lives an hour and a delivery is retried for four, so two days are ample."""
_VALID_FOR: Final = timedelta(days=365)


class EncryptionKey:
    """One key pair; `certificate` is what Graph gets."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.id = certificate.fingerprint(hashes.SHA256()).hex()[:32]
        self.made_at = certificate.not_valid_before_utc
        self.expires_at = certificate.not_valid_after_utc
        self.certificate = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self._pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def to_pem(self) -> str:
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key.decode() + self._pem


class EncryptionKeys:
    """The key ring: the newest key, and every key that may still be needed."""

    def __init__(self, files: Files, now: Callable[[], float]) -> None:
        self._files = files
        self._now = now
        self._keys: dict[str, EncryptionKey] = {}
        for name in fnmatch.filter(files.names(), _file_of("*")):
            # torn: as good as lost, and a new one takes its place
            with contextlib.suppress(*UNREADABLE):
                key = _load(files.read(name) or b"")
                self._keys[key.id] = key

    def newest(self) -> EncryptionKey:
        """The key for new and renewed subscriptions; makes one where none has begun yet, or it is old.

        Raises `TryAgain` where a new one can't be kept.
        """
        now = datetime.fromtimestamp(self._now(), UTC)
        begun = [key for key in self._keys.values() if key.made_at - now <= AHEAD_AT_MOST]
        newest = max(begun, key=lambda key: key.made_at, default=None)
        if newest is None or now - newest.made_at > RENEW_AFTER:
            newest = self._make(now)
        return newest

    def rotate(self) -> EncryptionKey:
        """Make a new key now."""
        return self._make(datetime.fromtimestamp(self._now(), UTC))

    def private_keys(self) -> dict[str, rsa.RSAPrivateKey]:
        """Every key that a notification may name, by id."""
        return {key.id: key.key for key in self._keys.values()}

    def _make(self, now: datetime) -> EncryptionKey:
        key = make_key(now)
        try:
            self._files.write(_file_of(key.id), key.to_pem().encode())
            # A key is not needed any more, once the one after it has lasted a while.
            by_age = sorted(self._keys.values(), key=lambda old: old.made_at)
            for old, successor in itertools.pairwise(by_age):
                if now - successor.made_at > KEEP_OLD_FOR:
                    del self._keys[old.id]
                    self._files.delete(_file_of(old.id))
        except OSError as error:
            cure = "free the disk, or mend the state folder's rights"
            raise TryAgain(f"a new notification key can't be kept: {error}", cure=cure) from error
        self._keys[key.id] = key
        return key


def make_key(now: datetime) -> EncryptionKey:
    """RSA 2048 with a self-signed certificate; Graph checks neither issuer nor name."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "presencebridge notifications")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALID_FOR)
        .sign(key, hashes.SHA256())
    )
    return EncryptionKey(key, certificate)


def _file_of(key: str) -> str:
    return f"notification-key-{key}.pem"


def _load(pem: bytes) -> EncryptionKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("the file holds no RSA key")
    certificate = x509.load_pem_x509_certificate(pem)
    if certificate.public_key() != key.public_key():
        raise ValueError("the file holds the certificate of another key")
    return EncryptionKey(key, certificate)
