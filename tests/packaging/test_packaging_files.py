"""What the packaging says agrees with the program, with the documents, and with itself."""

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import presencebridge
from presencebridge.config import load

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "packaging" / "systemd" / "presencebridge.service").read_text("utf-8")
DEBIANS_PYTHON = "3.11.2"
"""Of Debian 12."""
INSTALL = (ROOT / "docs" / "install.md").read_text("utf-8")


def test_there_is_one_version() -> None:
    (project,) = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    changelog = (ROOT / "packaging" / "debian" / "changelog").read_text()
    assert presencebridge.__version__ == project
    assert changelog.startswith(f"presencebridge ({project}-1) ")


def test_every_line_of_the_unit_is_explained() -> None:
    lines = re.findall(r"^(\w+)=", UNIT.partition("\n[Install]")[0], re.MULTILINE)
    about = INSTALL.partition("### The unit, line by line")[2].partition("\n## ")[0]
    left_out = {"Description", "Documentation", "Wants", "After", "ExecStart"}
    assert {line for line in lines if f"`{line}=" not in about} == left_out
    assert {word for word in re.findall(r"`(\w+)=[^`]*`", about) if word not in lines} == set()


def test_the_unit_starts_what_there_is() -> None:
    (start,) = re.findall(r"^ExecStart=(.*)", UNIT, re.MULTILINE)
    assert start == "/usr/bin/presencebridge run --config ${PRESENCEBRIDGE_CONFIG}"
    assert (ROOT / "packaging" / "debian" / "presencebridge.service").resolve().read_text() == UNIT


def test_the_example_is_fine_but_for_the_files_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text((ROOT / "packaging" / "debian" / "site.toml").read_text())
    (tmp_path / "secrets").mkdir()
    for name in ("app.pem", "pbx-key"):
        (tmp_path / "secrets" / name).touch(0o600)
        (tmp_path / "secrets" / name).write_text("x")
    assert len(load(tmp_path / "site.toml").person) == 1


@pytest.mark.parametrize(
    "file",
    [file for file in sorted((ROOT / "packaging").rglob("*")) if file.is_file()],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_nothing_names_a_registry(file: Path) -> None:
    assert not re.search(
        r"index-url|pypi\.|docker\.io|\bghcr\b|--find-links[ =]http", file.read_text("utf-8")
    )


def test_everything_that_is_locked_runs_on_debians_python() -> None:
    """`pip` of a newer Python may choose what the oldest one that we promise can't install."""
    wanted = {dist.name: dist.metadata.get("Requires-Python") or "" for dist in distributions()}
    assert [name for name, versions in wanted.items() if DEBIANS_PYTHON not in SpecifierSet(versions)] == []
