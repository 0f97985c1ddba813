"""The benchmarks run. How fast anything is, is no matter of a test."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def measured(name: str, *arguments: str, path: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), "--quick", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"COLUMNS": "200", "PATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_polling_is_measured_and_says_what() -> None:
    told = measured("poll.py", "--people", "1300")
    assert "1,300 people" in told
    assert "2 (2)" in told, "two requests are the least for 1,300 people"
    assert "inf" not in told, "every change came to 3CX"


def test_a_start_is_measured_and_takes_no_more_requests_than_it_must() -> None:
    told = measured("start.py")
    assert "30 people" in told
    assert "pages of 3CX users" in told
    assert "1 (1)" in told


def test_what_the_page_costs_is_measured_and_every_change_comes_to_the_screen() -> None:
    told = measured("page.py", "--people", "200", path=os.environ["PATH"])
    assert "bytes a change and reader" in told
    assert "until it is on the screen" in told or "no chromium" in told
    assert "not on the screen" not in told
