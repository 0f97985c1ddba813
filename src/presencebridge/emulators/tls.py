"""An emulator's own certificate authority, and the server certificate that it signs.

The server certificate is valid for loopback and for the real services' host names, so that an
unmodified client reaches the emulator by name resolution alone, once it trusts `ca.pem`. Strict
verifiers (RFC 5280 as Python 3.13 checks it) accept both certificates.
"""

import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from presencebridge.emulators.clock import Clock

NAMES = ("localhost", "graph.microsoft.com", "login.microsoftonline.com", "login.microsoft.com")
ADDRESSES = ("127.0.0.1", "::1")
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CA_DAYS, _SERVER_DAYS, _LEFT_DAYS = 3650, 365, 30


class TlsFiles(NamedTuple):
    """PEM files: the authority to trust, the server's certificate and its key."""

    ca: Path
    certificate: Path
    key: Path


def server_certificate(tls_dir: Path) -> TlsFiles:
    """Makes what is missing in that directory, and keeps what is there.

    An authority that is there already (`ca.pem` with `ca-key.pem`) signs. Raises `ValueError` with
    the cure when only one of the two is there, or when they can't be read.
    """
    tls_dir.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(tls_dir / "ca.pem", tls_dir / "server.pem", tls_dir / "server-key.pem")
    with _alone(tls_dir):
        now = dt.datetime.fromtimestamp(Clock().now(), dt.UTC)
        authority, authority_key = _authority(files.ca, tls_dir / "ca-key.pem", now)
        if not _serves(files, authority, now):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _server(key, authority, authority_key, now)
            _write(files.key, _pem_of_key(key))
            _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return files


def _authority(file: Path, key_file: Path, now: dt.datetime) -> tuple[x509.Certificate, _Key]:
    if file.exists() != key_file.exists():
        raise ValueError(
            f"{file.parent}: of {file.name} and {key_file.name} only one is there; add the other, or remove "
            "both to have a new authority made"
        )
    if file.exists():
        return _read_authority(file, key_file)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "presencebridge emulator authority")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    _write(key_file, _pem_of_key(key))
    _write(file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate, key


def _read_authority(file: Path, key_file: Path) -> tuple[x509.Certificate, _Key]:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{file.parent}: the authority can't be read ({error}); repair or remove {file.name} and "
            f"{key_file.name}"
        ) from error
    if not isinstance(key, _Key) or key.public_key() != certificate.public_key():
        raise ValueError(
            f"{key_file}: is not the RSA or EC key of {file.name}; put the right one there, or remove both"
        )
    return certificate, key


def _serves(files: TlsFiles, authority: x509.Certificate, now: dt.datetime) -> bool:
    """Whether the server certificate that is there can still be used."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made
        return False
    return (
        key.public_key() == certificate.public_key()
        and certificate.not_valid_after_utc > now + dt.timedelta(days=_LEFT_DAYS)
        and set(NAMES) <= set(names.get_values_for_type(x509.DNSName))
    )


def _server(
    key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, authority_key: _Key, now: dt.datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])])
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    return (
        _builder(subject, authority.subject, key.public_key(), now, _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issuer_identifier(authority, authority_key), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _issuer_identifier(authority: x509.Certificate, key: _Key) -> x509.AuthorityKeyIdentifier:
    try:
        found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, mode: int = 0o600) -> None:
    """In one step, and never with a wider mode in between."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
    part.replace(file)


@contextlib.contextmanager
def _alone(tls_dir: Path) -> Iterator[None]:
    """Two emulators may start on one directory at once."""
    with (tls_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
