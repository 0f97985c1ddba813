"""The benchmark of polling runs. How fast it is, is no matter of a test."""

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "poll.py"


def test_it_measures_and_says_what() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick", "--people", "1300"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1,300 people" in done.stdout
    assert "2 (2)" in done.stdout, "two requests are the least for 1,300 people"
    assert "inf" not in done.stdout, "every change came to 3CX"
