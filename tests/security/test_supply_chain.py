"""The audit fails on a known hole, and not where nobody can be asked about holes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
HOLE = {"name": "starlette", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
SOUND = {"name": "anyio", "version": "4.0", "vulns": []}
UNKNOWN = {"name": "h11", "skip_reason": "could not be audited"}


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        ({"dependencies": [SOUND, HOLE]}, 1, "starlette 1.0: PYSEC-1, mended in 1.1"),
        ({"dependencies": [SOUND, UNKNOWN]}, 0, "0 known holes"),
        ({"dependencies": [UNKNOWN]}, 0, "nothing is known of it"),
        (None, 0, "nothing is known of it"),
    ],
)
def test_the_audit_tells_holes_from_silence(said, status, told, tmp_path: Path) -> None:
    stub = tmp_path / "pip-audit"
    answer = "" if said is None else json.dumps(said)
    stub.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit 1\n")
    stub.chmod(0o755)
    command = [sys.executable, str(AUDIT), str(stub), "requirements.lock"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, told in done.stdout + done.stderr) == (status, True), done
