"""What root writes into the service's state folder can be read by the service."""

import os
import stat
from pathlib import Path

import pytest

from presencebridge.files import write_private

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")

NOBODY = 65534


def test_a_sign_in_by_root_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    for text in (b"first", b"and replaced"):
        write_private(folder / "watcher-default.json", text)
        found = (folder / "watcher-default.json").stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, NOBODY, 0o600)
        assert (folder / "watcher-default.json").read_bytes() == text
