"""Small private files: whole, or as they were."""

import errno
import os
import stat
from pathlib import Path

import pytest

from presencebridge.files import write_private


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "new" / "key", b"content")
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
    assert (tmp_path / "new" / "key").read_bytes() == b"content"


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "key", b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(tmp_path / "key", b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("key", b"old")]
