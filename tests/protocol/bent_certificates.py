"""Certificates that are well formed, and say what no reader knows. `cryptography` has an error for each."""

import ssl

_RSA = bytes.fromhex("2a864886f70d010101")
_VERSION_3 = bytes.fromhex("a003020102")


def of_no_kind(der: bytes) -> bytes:
    """Its key is of a kind that nobody knows."""
    return _bent(der, _RSA, b"\x1a" + _RSA[1:])


def of_no_version(der: bytes) -> bytes:
    """It says that it is one of version 11."""
    return _bent(der, _VERSION_3, _VERSION_3[:-1] + b"\x0a")


def in_pem(pem: str) -> list[str]:
    """Both, of the one certificate in a file that may hold a key too."""
    certificate = pem[pem.index("-----BEGIN CERT") :]
    der = ssl.PEM_cert_to_DER_cert(certificate)
    bent = (of_no_kind(der), of_no_version(der))
    return [pem.replace(certificate, ssl.DER_cert_to_PEM_cert(one)) for one in bent]


def _bent(der: bytes, was: bytes, becomes: bytes) -> bytes:
    assert der.count(was) == 1
    return der.replace(was, becomes)
