"""What a notification costs beside its RSA operation, on uvloop's loop and on asyncio's own.

    python benchmarks/loops.py [ROUNDS]

The service on one core, everybody changes; CPU time of the whole process, from the first request until rest.
The rounds of both alternate; told is the median, and the spread.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "kit"))

from rig import Rig
from throughput import Burst, People

PEOPLE = 1300
LOOPS = {"uvloop": {}, "asyncio": {"PLAIN_LOOP": "yes"}}


def rest_us(per: int, environment: dict[str, str]) -> list[float]:
    with Rig(PEOPLE, direction="3cx-to-teams", **environment) as rig:
        everybody = People(PEOPLE)
        Burst(rig, everybody.change(), per)  # warms what is to be warm
        bursts = [Burst(rig, everybody.change(), per) for _ in range(2)]
    return [(burst.cpu_s - burst.rsa_s) / PEOPLE * 1e6 for burst in bursts]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for per in (20, 1):
        found: dict[str, list[float]] = {name: [] for name in LOOPS}
        for _ in range(rounds):
            for name, environment in LOOPS.items():
                found[name] += rest_us(per, environment)
        for name, costs in found.items():
            least, most = min(costs), max(costs)
            print(f"{per:2} a request, {name:8}{statistics.median(costs):5.0f} µs ({least:.0f} - {most:.0f})")


if __name__ == "__main__":
    main()
