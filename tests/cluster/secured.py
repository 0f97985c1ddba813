"""Certificates and credentials as an operator has them made: by a CA, and by `nsc` (JWTs and nkeys)."""

import base64
import hashlib
import ipaddress
import json
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nkeys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOCS = Path(__file__).parents[2] / "docs" / "cluster.md"


def server_config(number: int, ports: list[int], routes: list[int], folder: Path) -> str:
    """The one that docs/cluster.md has, with addresses and files of this machine instead of an operator's."""
    (text,) = re.findall(r"```\n(server_name:.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    for other, port in enumerate(routes, 1):
        text = text.replace(f"nats{other}.example.org:6222", f"127.0.0.1:{port}")
    text = text.replace("0.0.0.0:4222", f"127.0.0.1:{ports[number]}")
    text = text.replace("0.0.0.0:6222", f"127.0.0.1:{routes[number]}")
    text = text.replace("nats1", f"nats{number + 1}").replace("/etc/nats/", f"{folder}/")
    text = text.replace("/var/lib/nats", f"{folder}/{number}")
    assert "example.org" not in text
    return text


# Certificates


def make_certificates(folder: Path, names: tuple[str, ...] = ("nats1", "nats2", "nats3")) -> None:
    """`ca.pem`, and for each name a certificate and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA for a test")])
    ca = _certificate(ca_name, ca_key.public_key(), ca_name, ca_key, is_ca=True)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _certificate(subject, key.public_key(), ca_name, ca_key, is_ca=False)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _certificate(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(here, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


# Credentials


class Accounts:
    """An operator, an account with JetStream, and its users: https://docs.nats.io, "JWT authentication"."""

    def __init__(self) -> None:
        self._operator = _key(nkeys.PREFIX_BYTE_OPERATOR)
        self._system = _key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._account = _key(nkeys.PREFIX_BYTE_ACCOUNT)

    def server_config(self) -> str:
        """What `nsc generate config --mem-resolver` prints."""
        system, account = _public(self._system), _public(self._account)
        operator = _jwt(
            self._operator, _public(self._operator), {"type": "operator", "system_account": system}
        )
        common = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        jetstream = ("mem_storage", "disk_storage", "streams", "consumer")
        without = {"type": "account", "limits": dict.fromkeys(common, -1)}
        limits = dict.fromkeys(common + jetstream, -1) | {"wildcards": True}
        with_jetstream = {"type": "account", "limits": limits}
        return f"""
            operator: {operator}
            system_account: {system}
            resolver: MEMORY
            resolver_preload: {{
                {system}: {_jwt(self._operator, system, without)}
                {account}: {_jwt(self._operator, account, with_jetstream)}
            }}
        """

    def credentials(self, allowed: tuple[str, ...]) -> str:
        """A user's `.creds` file, who may send to these subjects and hear them."""
        user = _key(nkeys.PREFIX_BYTE_USER)
        rights = {"allow": list(allowed)}
        limits = {"subs": -1, "data": -1, "payload": -1}
        jwt = _jwt(self._account, _public(user), {"type": "user", "pub": rights, "sub": rights, **limits})
        seed = bytes(user.seed).decode()
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )


def _key(kind: int) -> Any:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def _public(key: Any) -> str:
    return bytes(key.public_key).decode()


def _jwt(issuer: Any, subject: str, claims: Mapping[str, Any]) -> str:
    body = {
        "iat": int(time.time()),
        "iss": _public(issuer),
        "name": str(claims["type"]),
        "sub": subject,
        "nats": {**claims, "version": 2},
    }
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
    signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
    return f"{signed}.{_encoded(issuer.sign(signed.encode()))}"


def _part(value: object) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
