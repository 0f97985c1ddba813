"""The demo, as a user starts it."""

import re
import subprocess

import pytest
from e2e_programs import PROGRAM


@pytest.mark.parametrize("pbx", ["3cx-web-api", "3cx-v20"])
def test_the_demo_plays_and_ends_with_everybody_right(pbx: str) -> None:
    said = subprocess.run(
        [PROGRAM, "demo", "--people", "9", "--speed", "2", "--for", "12", "--pbx", pbx],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert re.search(r"the page: http://127\.0\.0\.1:\d+/", said.stdout)
    assert "all 9 ended as they should" in said.stdout
    assert "Teams became busy (rule 1)" in said.stdout
    assert "in a call on 3CX (rule 3)" in said.stdout
    assert "the last call is over (rule 4)" in said.stdout


def test_help_and_version_are_quick_to_find() -> None:
    said = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    for command in ("run", "check", "login", "status", "why", "teams", "pbx", "emulate", "demo"):
        assert f" {command} " in said
