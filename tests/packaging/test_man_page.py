"""The man page has every command and option that the program has, and renders without a complaint."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from presencebridge.cli.main import app

SOURCE = Path(__file__).parents[2] / "packaging" / "man.py"


@pytest.fixture(scope="module")
def man() -> Any:
    spec = importlib.util.spec_from_file_location("man", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(man: Any) -> str:
    return str(man.page())


def everything(group: App, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command by a walk of its own, so that one that the generator forgets is missed."""
    for name in group:
        if not name.startswith("-"):
            command = group[name]
            if command.default_command is not None:
                yield (*words, name), command
            yield from everything(command, (*words, name))


def test_every_command_has_its_section_with_every_option_of_its_help(page: str) -> None:
    sections = dict(re.findall(r"^\.SS (.*)\n((?:(?!\.S[SH]).*\n)*)", page, re.MULTILINE))
    found = list(everything(app))
    assert len(found) > 20
    assert len(sections) == len(found)
    for words, command in found:
        section = sections[" ".join(words).replace("-", r"\-")].replace(r"\-", "-")
        for argument in command.assemble_argument_collection(parse_docstring=True):
            shown = [name for name in argument.names if not name.startswith("--no-")]
            assert shown
            for name in shown:
                assert (name if argument.index is None else name.lstrip("-").upper()) in section, (
                    words,
                    name,
                )
            about = " ".join(str(argument.parameter.help or "").split()).replace("`", "")
            assert about in section, (words, argument.name)


def test_it_renders_without_a_complaint(page: str, tmp_path: Path) -> None:
    groff = shutil.which("groff")
    if groff is None:
        if os.environ.get("CI"):
            pytest.fail("groff is missing: apt-get install groff-base")
        pytest.skip("groff is not installed")
    file = tmp_path / "presencebridge.1"
    file.write_text(page)
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-rF0", str(file)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    plain = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
    assert "presencebridge run --config PATH [--dry-run]" in plain
    assert "Parameters" not in plain  # the heading of a docstring that was not understood


def test_what_looks_like_roff_is_shown_as_it_is(man: Any) -> None:
    assert man.escaped(".TH is `no` macro - here \\") == r"\&.TH is no macro \- here \e"
    assert man.escaped("'quoted") == r"\&'quoted"
