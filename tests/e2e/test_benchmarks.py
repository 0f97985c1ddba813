"""The benchmarks run. How fast anything is, is no matter of a test."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def measured(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), "--quick", *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={"COLUMNS": "200", "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("parts", "rows"),
    [
        ("throughput,script", {1, 2, 3, 4, 5, 6, 9}),
        ("latency", {7, 8, 10, 13}),
        ("memory,start", {11, 12}),
        ("inside,page", {14, 15}),
    ],
)
def test_each_figure_of_the_performance_page_is_measured(parts: str, rows: set[int]) -> None:
    measured("bench.py", "--only", parts)
    kept = BENCHMARKS / "results" / f"quick-{parts.replace(',', '-')}.json"
    found = json.loads(kept.read_bytes())["measures"]
    assert {one["row"] for one in found} == rows
    without = [one["note"] for one in found if one["value"] is None]
    assert not without or (not os.environ.get("CI") and "not installed" in without[0])


def test_polling_is_measured_and_says_what() -> None:
    told = measured("poll.py", "--people", "1300")
    assert "1,300 people" in told
    assert re.search(r"requests for it \(least possible\)\W+\d+ \(2\)", told), (
        "two are the least for 1,300 people"
    )
    assert "inf" not in told, "every change came to 3CX"


def test_a_start_is_measured_and_takes_no_more_requests_than_it_must() -> None:
    told = measured("start.py")
    assert "30 people" in told
    assert "pages of 3CX users" in told
    assert "1 (1)" in told


def test_what_the_page_costs_is_measured_and_every_change_comes_to_the_screen() -> None:
    told = measured("page.py", "--people", "200")
    assert "bytes a change and reader" in told
    assert "until it is on the screen" in told or "no chromium" in told
    assert "not on the screen" not in told
