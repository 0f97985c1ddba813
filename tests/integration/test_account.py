"""Whether the account of the service may read a file, by the rights of that and of what is above it."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from presencebridge.doctor.account import Account

ME = os.geteuid(), os.getegid()
SOMEBODY = ME[0] + 1


@pytest.fixture
def folder() -> Iterator[Path]:
    """In a place that everybody may go through, which a test's own folder is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("who", "mode", "may"),
    [
        (Account("owner", ME[0], frozenset()), 0o400, True),
        (Account("owner", ME[0], frozenset({ME[1]})), 0o044, False),
        (Account("of the group", SOMEBODY, frozenset({ME[1]})), 0o640, True),
        (Account("of the group", SOMEBODY, frozenset({ME[1]})), 0o604, False),
        (Account("of another", SOMEBODY, frozenset({ME[1] + 1})), 0o640, False),
        (Account("of another", SOMEBODY, frozenset({ME[1] + 1})), 0o644, True),
    ],
)
def test_owner_group_and_mode_decide(who: Account, mode: int, may: bool, folder: Path):
    file = folder / "secret"
    file.touch()
    file.chmod(mode)
    assert who.may_read(file) is may


def test_a_closed_folder_above_it_closes_it(folder: Path):
    who, file = Account("of another", SOMEBODY, frozenset()), folder / "secrets" / "secret"
    file.parent.mkdir(mode=0o755)
    file.touch(mode=0o644)
    assert who.may_read(file)
    file.parent.chmod(0o700)
    assert not who.may_read(file)


def test_a_link_is_as_open_as_what_it_leads_to(folder: Path):
    who = Account("of another", SOMEBODY, frozenset())
    (folder / "closed").touch(0o600)
    (folder / "link").symlink_to(folder / "closed")
    assert not who.may_read(folder / "link")
