"""What root writes into the service's state folder can be read by the service."""

import os
import stat
from pathlib import Path

import pytest

from presencebridge.core.model import State
from presencebridge.errors import Misconfigured
from presencebridge.files import write_private
from presencebridge.store.sqlite import SqliteStore

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


async def test_so_does_a_database_that_root_has_used(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with SqliteStore(folder) as store:
        await store.save({"101": State()})
        found = list(folder.iterdir())
        assert len(found) > 1  # with the log of what is to be written
        assert {(file.stat().st_uid, file.stat().st_gid) for file in found} == {(NOBODY, NOBODY)}


def test_a_link_that_the_service_has_laid_gives_it_no_file_of_roots(tmp_path: Path) -> None:
    secret = tmp_path / "of-root"
    secret.write_text("hush")
    secret.chmod(0o600)
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    (folder / f"watcher.{os.getpid()}.part").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        write_private(folder / "watcher.json", b"x")
    (folder / "presencebridge.sqlite").symlink_to(secret)
    with pytest.raises(Misconfigured, match="is a link, and links are not followed"):
        SqliteStore(folder)
    assert secret.read_text() == "hush"
    assert secret.stat().st_uid == 0
