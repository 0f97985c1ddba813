"""Keys for notifications: made, kept in files of our own, replaced without a gap."""

import base64
import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bent_certificates import in_pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from presencebridge import files as files_module
from presencebridge.errors import TryAgain
from presencebridge.files import FolderFiles, write_private
from presencebridge.graph.keys import EncryptionKeys, make_key

DAY = 86_400.0


class Days:
    """The time, in days since the test began."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return 1_800_000_000.0 + self.passed * DAY


@pytest.fixture
def days() -> Days:
    return Days()


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_first_key_is_made_and_kept_for_its_owner_alone(tmp_path, days):
    folder = tmp_path / "state"
    old = os.umask(0)
    try:
        key = EncryptionKeys(FolderFiles(folder), days).newest()
    finally:
        os.umask(old)
    file = folder / f"notification-key-{key.id}.pem"
    assert files(folder) == {file.name}
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_graph_gets_the_certificate_and_never_the_private_key(tmp_path, days):
    key = EncryptionKeys(FolderFiles(tmp_path), days).newest()
    certificate = x509.load_der_x509_certificate(base64.b64decode(key.certificate, validate=True))
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert public == key.key.public_key()
    assert 2048 <= public.key_size <= 4096
    assert key.id == certificate.fingerprint(hashes.SHA256()).hex()[:32]
    assert len(key.id) <= 128
    assert certificate.not_valid_before_utc <= datetime.fromtimestamp(days(), UTC)
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days >= 180


def test_a_restart_finds_the_same_key(tmp_path, days):
    key = EncryptionKeys(FolderFiles(tmp_path), days).newest()
    days.passed = 10
    again = EncryptionKeys(FolderFiles(tmp_path), days)
    assert again.newest().id == key.id
    assert set(again.private_keys()) == {key.id}


def test_a_key_is_replaced_after_ninety_days_and_the_old_one_kept(tmp_path, days):
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    first = ring.newest().id
    days.passed = 89.9
    assert ring.newest().id == first
    days.passed = 90.1
    second = ring.newest().id
    assert second != first
    assert ring.newest().id == second
    assert set(ring.private_keys()) == {first, second}
    assert set(EncryptionKeys(FolderFiles(tmp_path), days).private_keys()) == {first, second}

    days.passed = 180.3
    third = ring.newest().id
    assert set(ring.private_keys()) == {second, third}
    assert len(files(tmp_path)) == 2


def test_a_key_of_a_clock_that_was_ahead_is_replaced_and_kept_for_what_is_under_way(tmp_path, days):
    days.passed = 3000
    ahead = EncryptionKeys(FolderFiles(tmp_path), days).newest().id
    days.passed = 0
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    right = ring.newest()
    assert right.made_at.timestamp() == days()
    assert ring.newest().id == right.id
    assert set(ring.private_keys()) == {ahead, right.id}
    days.passed = 91
    third = EncryptionKeys(FolderFiles(tmp_path), days).newest().id
    assert third not in {ahead, right.id}


def test_a_clock_that_is_set_back_a_little_makes_no_new_key(tmp_path, days):
    days.passed = 0.9
    key = EncryptionKeys(FolderFiles(tmp_path), days).newest().id
    days.passed = 0
    assert EncryptionKeys(FolderFiles(tmp_path), days).newest().id == key


def test_after_a_long_sleep_the_old_key_is_still_there_for_what_is_under_way(tmp_path, days):
    first = EncryptionKeys(FolderFiles(tmp_path), days).newest().id
    days.passed = 300
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    assert set(ring.private_keys()) == {first}
    second = ring.newest().id
    assert set(ring.private_keys()) == {first, second}


def test_keys_made_one_after_the_other_are_all_kept_while_graph_may_still_use_them(tmp_path, days):
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    made = {ring.newest().id}
    for passed in (200.0, 200.5, 201.0):
        days.passed = passed
        made.add(ring.rotate().id)
        assert set(ring.private_keys()) == made
    days.passed = 204
    last = ring.rotate().id
    assert last in ring.private_keys()
    assert len(ring.private_keys()) == 2
    assert files(tmp_path) == {f"notification-key-{key}.pem" for key in ring.private_keys()}


def test_a_torn_or_foreign_file_does_not_stop_the_start(tmp_path, days):
    kept = EncryptionKeys(FolderFiles(tmp_path), days).newest().id
    (tmp_path / "notification-key-torn.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA")
    (tmp_path / "notification-key-empty.pem").write_bytes(b"")
    (tmp_path / "notification-key-odd.pem").write_bytes(b"\xff\xfe")
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "notification-key-curve.pem").write_bytes(curve)
    (tmp_path / "notification-key-x.123.part").write_bytes(b"half")
    for number, pem in enumerate(in_pem(make_key(datetime(2026, 1, 1, tzinfo=UTC)).to_pem())):
        (tmp_path / f"notification-key-bent{number}.pem").write_text(pem)
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    assert ring.newest().id == kept
    assert set(ring.private_keys()) == {kept}


def test_a_new_key_that_can_not_be_kept_is_not_used(tmp_path, days, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files_module, "write_private", full)
    ring = EncryptionKeys(FolderFiles(tmp_path), days)
    with pytest.raises(TryAgain, match="No space left"):
        ring.newest()
    assert ring.private_keys() == {}


# Files of our own ---------------------------------------------------------------------------------


def test_a_private_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "folder" / "secret.json"
    write_private(file, b"first")
    assert file.read_text() == "first"
    assert file.stat().st_mode & 0o777 == 0o600

    def torn(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", torn)
    with pytest.raises(OSError, match="No space"):
        write_private(file, b"second, and longer")
    assert file.read_text() == "first"


def test_a_private_file_takes_back_what_others_were_allowed(tmp_path):
    file = tmp_path / "secret.json"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert file.stat().st_mode & 0o777 == 0o600
