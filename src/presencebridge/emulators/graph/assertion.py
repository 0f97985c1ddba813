"""PURE: client assertions, the JWT that an application signs with its certificate to sign in.

learn.microsoft.com/entra/identity-platform/certificate-credentials: PS256 with `x5t#S256` (RS256 with
`x5t` is the older form), aud = the token endpoint, iss = sub = the client id, exp and nbf.
"""

import base64
from collections.abc import Iterable

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from presencebridge.emulators.graph.keys import unpadded

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SKEW_S = 300


class Certificates:
    """The certificates that are registered with the application."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._held: list[x509.Certificate] = []
        for text in given:
            self.register(text)

    def register(self, text: str) -> str:
        """Takes PEM or base64 DER, tells the SHA-256 thumbprint. Raises `ValueError` with the cure."""
        certificate = read_certificate(text)
        if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
            raise ValueError("the certificate must have an RSA key")  # noqa: TRY004 - bad input
        if certificate not in self._held:
            self._held.append(certificate)
        return certificate.fingerprint(hashes.SHA256()).hex().upper()

    def refusal(
        self, token: str, client_id: str, audiences: frozenset[str], now: float
    ) -> tuple[int, str] | None:
        """Entra's number and text if this assertion is no good, None if it is."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return 50027, "JWT token is invalid or malformed."
        if header.get("alg") not in {"RS256", "PS256"}:
            return (
                5002738,
                f"Invalid JWT token. '{header.get('alg')}' is not a supported signature algorithm.",
            )
        certificate = self._named(header)
        if certificate is None:
            thumbprint = header.get("x5t#S256") or header.get("x5t") or ""
            return 700027, (
                "The certificate with identifier used to sign the client assertion is not registered on "
                f"application. [Reason - The key was not found., Thumbprint of key used by client: "
                f"'{thumbprint}']"
            )
        return _checked(token, header["alg"], certificate, client_id, audiences, now)

    def _named(self, header: dict[str, str]) -> x509.Certificate | None:
        for certificate in self._held:
            for name, kind in (("x5t#S256", hashes.SHA256()), ("x5t", hashes.SHA1())):  # noqa: S303
                digest = certificate.fingerprint(kind)
                # Older libraries send the hexadecimal form in `kid` or pad the base64.
                if header.get(name, "").rstrip("=") == unpadded(digest):
                    return certificate
            if header.get("kid", "").upper() == certificate.fingerprint(hashes.SHA1()).hex().upper():  # noqa: S303
                return certificate
        return None


def _checked(
    token: str,
    algorithm: str,
    certificate: x509.Certificate,
    client_id: str,
    audiences: frozenset[str],
    now: float,
) -> tuple[int, str] | None:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):  # `register` lets no other in
        raise TypeError("an RSA key was expected")
    try:
        claims = jwt.decode(
            token,
            key,
            [algorithm],
            options={
                "verify_aud": False,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["aud", "exp", "iss", "sub"],
            },
        )
    except jwt.MissingRequiredClaimError as error:
        return 50027, f"JWT token is invalid or malformed. {error}."
    except (jwt.PyJWTError, InvalidSignature):
        return 700027, (
            "Client assertion failed signature validation. [Reason - The key used is expired or the "
            "signature does not match.]"
        )
    named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not audiences & {str(audience).rstrip("/") for audience in named}:
        return 700023, "Client assertion audience claim does not match Realm issuer."
    if not (claims["iss"] == claims["sub"] == client_id):
        return 700021, "Client assertion issuer or subject does not match the application identifier."
    if now > float(claims["exp"]) + _SKEW_S or now < float(claims.get("nbf", 0)) - _SKEW_S:
        return 700024, "Client assertion is not within its valid time range."
    if now > certificate.not_valid_after_utc.timestamp():
        return 700027, "Client assertion failed signature validation. [Reason - The key used is expired.]"
    return None


def read_certificate(text: str) -> x509.Certificate:
    """A certificate from PEM or base64 DER. Raises `ValueError` with the cure."""
    try:
        if "-----BEGIN" in text:
            return x509.load_pem_x509_certificate(text.encode())
        return x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, x509.InvalidVersion) as error:
        raise ValueError(f"no certificate ({error}): give PEM, or DER in base64") from error
