"""Where the CPU time of a notification goes: by `py-spy`, which is none of ours (`pip install py-spy`).

    python benchmarks/shares.py [ITEMS A REQUEST] [DIRECTION]

The service on one core, everybody changes, several times; with the direction `both` each change leads to
three requests to 3CX. A sample is taken of whoever has the interpreter's lock, and is left out where that is
RSA, which gives it up and is still named as the last who had it: so these are shares of what is not RSA.
What never has it (the kernel, SQLite) is in no sample. Beside them stands the RSA share of the same bursts
by CPU.
"""

import collections
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kit"))

from rig import Rig
from throughput import Burst, People

PEOPLE, BURSTS = 2600, 5
PARTS = {
    "the rest of the decryption": ("_open_all",),
    "the hub and the core's steps": ("Hub._work_some", "Hub.run"),
    "handing over to the disk": ("SqliteStore", "_finish", "Hub._save"),
    "handing over to the decryption": ("NoticeReceiver._do", "_call_set_state", "NoticeReceiver._take ("),
    "taking what was decrypted": ("NoticeReceiver._open",),
    "taking a notification in": ("NoticeReceiver.offer",),
    "HTTP, to and from the webhook": ("uvicorn", "Webhook.", "Door.", "presencebridge/serving.py"),
    "reading presence to confirm it": ("PresenceReader", "GraphTeams"),
    "asking 3CX": ("_write_status", "StatusWays", "StatusReader", "quick_http"),
}
"""The first that fits a stack, from its innermost frame to its outermost, is where the sample counts."""


def part_of(stack: str) -> str:
    for part, marks in PARTS.items():
        if any(mark in stack for mark in marks):
            return part
    return "else"


def main() -> None:
    spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    per = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    direction = sys.argv[2] if len(sys.argv) > 2 else "3cx-to-teams"
    shares = []
    with tempfile.TemporaryDirectory() as folder, Rig(PEOPLE, direction=direction) as rig:
        found = Path(folder) / "stacks"
        everybody = People(PEOPLE)
        Burst(rig, everybody.change(), per)  # warms what is to be warm
        record = [spy, "record", "--gil", "--rate", "500", "--format", "raw", "--duration", "3600"]
        with subprocess.Popen(
            [*record, "--output", str(found), "--pid", str(rig.service.pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as recording:
            shares = [Burst(rig, everybody.change(), per).rsa_share for _ in range(BURSTS)]
            recording.send_signal(2)
        counts: collections.Counter[str] = collections.Counter()
        for line in found.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            if "answer_questions" not in stack and "TimedKey.decrypt" not in stack:
                counts[part_of(stack)] += int(count)
    print(f"RSA share by CPU time, {per} a request: {statistics.median(shares):.2f}")
    for part, count in counts.most_common():
        print(f"{count / counts.total():6.1%}  {part}")


if __name__ == "__main__":
    main()
