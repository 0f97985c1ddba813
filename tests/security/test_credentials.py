"""A certificate file that is damaged: what is wrong is told, and nothing of the key in it."""

from datetime import UTC, datetime

import pytest
from bent_certificates import in_pem

from presencebridge.graph.auth import certificate_credential
from presencebridge.graph.keys import make_key

PEM = make_key(datetime(2026, 11, 23, tzinfo=UTC)).to_pem()
KEY = [line for line in PEM.partition("-----BEGIN CERT")[0].splitlines() if len(line) == 64]

NO_KIND, NO_VERSION = in_pem(PEM)

DAMAGED = {
    "a key of no kind": NO_KIND,
    "a version of its own": NO_VERSION,
    "an old heading": PEM.replace(" CERTIFICATE-----", " X509 CERTIFICATE-----"),
    "a dash less": PEM.replace("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----"),
    "no end": PEM.replace("-----END PRIVATE KEY-----", ""),
    "no line": PEM.replace("-----BEGIN PRIVATE KEY-----\n", ""),
    "another end": PEM.replace("-----END PRIVATE KEY-----", "-----END RSA KEY-----"),
    "a line less": PEM.replace(KEY[3] + "\n", ""),
    "odd letters": PEM.replace(KEY[3], KEY[3][:40] + "!!"),
    "another kind": PEM.replace("PRIVATE KEY", "EC PRIVATE KEY"),
}


def test_the_file_is_good_as_it_was() -> None:
    assert certificate_credential(PEM)["private_key"]


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match="the file holds") as caught:
        certificate_credential(text)
    assert not any(line[:16] in str(caught.value) for line in KEY)
    assert len(str(caught.value)) < 200
