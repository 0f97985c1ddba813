"""What `cryptography` raises on a certificate or a key that can't be read: it has no one error for it."""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE: Final = (
    ValueError,
    TypeError,  # a key that is encrypted, and no password
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""The texts of some quote what they could not read, so they are not to be passed on."""
