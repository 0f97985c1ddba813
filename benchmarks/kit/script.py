"""Row 6: what people have now, the shell script's pipeline for a notification, beside the service."""

import datetime as dt
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from measure import Measure
from notices import AVAILABLE, BUSY, Sealer, body, user_id
from rig import KIT, OTHER_CORE, SERVICE_CORE, Failed, Program

from presencebridge.graph.keys import make_key

PROGRAMS = {
    "jq": "--version",
    "openssl": "version",
    "hexdump": "--version",
    "curl": "--version",
    "bash": "--version",
}
GOAL = 250.0


def versions() -> dict[str, str]:
    """What is there, and of which version."""
    found = {}
    for name, flag in PROGRAMS.items():
        if shutil.which(name):
            told = subprocess.run([name, flag], capture_output=True, text=True, check=False)
            found[name] = (told.stdout or told.stderr).partition("\n")[0].strip()
    return found


def measure(service_per_s: float, *, quick: bool) -> list[Measure]:
    """Beside the service's own speed with one item a request, measured in the same run."""
    missing = PROGRAMS.keys() - versions().keys()
    what = "one item a request / the old script's pipeline"
    if missing:
        note = f"left out: {', '.join(sorted(missing))} not installed"
        return [Measure(6, what, None, GOAL, most=False, prototype="279", note=note)]
    rounds, count = (1, 4) if quick else (5, 40)
    speeds = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        made = make_key(dt.datetime.now(dt.UTC))
        _write_key(made.key, folder / "key.pem")
        sealer = Sealer("subscription", "secret", made.certificate, made.id)
        people = 650
        users = "".join(f"{user_id(number)};{100_000 + number}\n" for number in range(people))
        (folder / "users").write_text(users)
        bridge = Program([str(KIT / "other_side.py"), str(people)], OTHER_CORE, folder / "log")
        try:
            url = bridge.line()["url"]
            for turn in range(rounds):
                pair = AVAILABLE if turn % 2 else BUSY
                lines = [body([sealer.item(number, pair)], "x" * 1400).decode() for number in range(count)]
                speeds.append(count / _run("\n".join(lines) + "\n", folder, url, count))
                told = bridge.ask(json.dumps({"do": "arrivals"}))
                if told["counts"].get("write status") != count:
                    raise Failed(f"the pipeline wrote {told['counts']} times, and not {count}")
        finally:
            bridge.end()
    ratios = [service_per_s / speed for speed in speeds]
    note = f"{statistics.median(speeds):.1f}/s; " + ", ".join(versions().values())
    return [
        Measure(
            6, what, statistics.median(ratios), GOAL, most=False, prototype="279", spread=ratios, note=note
        )
    ]


def _run(lines: str, folder: Path, bridge: str, count: int) -> float:
    core = ",".join(map(str, SERVICE_CORE))
    begun = time.monotonic()
    script = ["bash", str(KIT / "old_script.sh"), str(folder / "key.pem"), str(folder / "users"), bridge]
    told = subprocess.run(
        ["taskset", "-c", core, *script], input=lines, capture_output=True, text=True, check=True
    )
    if told.stdout.strip() != str(count):
        raise Failed(f"the pipeline says {told.stdout!r}: {told.stderr[-500:]}")
    return time.monotonic() - begun


def _write_key(key: rsa.RSAPrivateKey, file: Path) -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    file.touch(0o600)
    file.write_bytes(pem)
