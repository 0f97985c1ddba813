"""docs/doctor.md names every finding that there is, each with the cure that is printed."""

import re
from pathlib import Path

import pytest

from presencebridge.cli.main import app
from presencebridge.doctor import faults
from presencebridge.doctor.faults import Fault

ROOT = Path(__file__).parents[2]
ROWS = dict(
    re.findall(
        r"^\| `([a-z0-9-]+)` \| [^|]+ \| (.*) \|$",
        (ROOT / "docs" / "doctor.md").read_text("utf-8"),
        re.MULTILINE,
    )
)


def as_documented(cure: str) -> str:
    return re.sub(r" {2,}", " ", re.sub(r"\{(\w+)\}", lambda word: word[1].upper(), cure))


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.word)
def test_every_finding_is_documented_with_its_cure(fault):
    assert ROWS[fault.word] == as_documented(fault.value)


def test_nothing_is_documented_that_is_never_found():
    assert set(ROWS) == {fault.word for fault in Fault}
    code = "".join(file.read_text("utf-8") for file in Path(faults.__file__).parent.glob("*.py"))
    for fault in Fault:
        assert f"Fault.{fault.name}" in code, fault.name


def test_every_command_in_a_cure_exists():
    for fault in Fault:
        for command in re.findall(r"presencebridge ([a-z]+)", fault.value):
            assert command in set(app), fault.name
