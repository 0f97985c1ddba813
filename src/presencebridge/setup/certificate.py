"""The app's key and certificate: made once, and never over one that is there."""

import datetime as dt
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from presencebridge.unreadable import UNREADABLE

_DAYS: Final = 730
_BITS: Final = 2048


def make_certificate(pem: Path, now: float) -> bool:
    """See that `pem` holds key and certificate, and a .crt beside it the certificate alone.

    `now` in seconds. Returns whether a key was made; one that is there is kept. Raises `OSError`, and
    `ValueError` where what is there holds no certificate.
    """
    pem.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not pem.exists()
    if is_new:
        _write_new(pem, _made(now), 0o600)
    try:
        certificate = x509.load_pem_x509_certificate(pem.read_bytes())
    except UNREADABLE:  # its text quotes the file, private key and all
        raise ValueError("nothing in it can be read as one in PEM") from None
    public = certificate.public_bytes(serialization.Encoding.PEM)
    crt = pem.with_suffix(".crt")
    if not crt.exists() or crt.read_bytes() != public:
        crt.write_bytes(public)
    return is_new


def _made(now: float) -> bytes:
    key = rsa.generate_private_key(65537, _BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "presencebridge")])
    begin = dt.datetime.fromtimestamp(now, dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - dt.timedelta(hours=1))
        .not_valid_after(begin + dt.timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _write_new(file: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)


def write_secret(file: Path, text: str) -> None:
    """A file that only its owner can read. Raises `FileExistsError` rather than to write over one."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(file, text.encode(), 0o600)
