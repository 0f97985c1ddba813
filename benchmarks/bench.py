"""Every figure of docs/performance.md, each beside its goal: `make bench`, or

    python benchmarks/bench.py [--quick] [--only throughput,latency] [--report RESULTS.json]

The service is the real one, in a process of its own on one core (two where that is said); everything
outside of it is one process on the other core. `--quick` does everything once and with few people, to see
that it works: its figures mean nothing. `--report` measures nothing; it puts a kept run into
docs/performance.md.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "kit"))

import inside  # noqa: E402 - they stand on each other by their names
import latency  # noqa: E402
import page  # noqa: E402
import report  # noqa: E402
import script  # noqa: E402
import sizes  # noqa: E402
import throughput  # noqa: E402
from measure import Measure  # noqa: E402
from rig import CORES, Failed, Rig  # noqa: E402

DOCS = HERE.parent / "docs"
RESULTS = HERE / "results"


def parts(*, quick: bool) -> dict[str, Callable[[list[Measure]], list[Measure]]]:
    """What can be measured; each is given what was found so far."""
    return {
        "throughput": lambda _found: throughput.measure(quick=quick),
        "script": lambda found: script.measure(_one_core_rate(found), quick=quick),
        "latency": lambda _found: latency.measure(quick=quick),
        "memory": lambda _found: sizes.memory(quick=quick),
        "start": lambda _found: sizes.start(quick=quick),
        "inside": lambda _found: inside.measure(quick=quick),
        "page": lambda _found: page.measure(quick=quick),
    }


def _one_core_rate(found: list[Measure]) -> float:
    rates = [one.value for one in found if one.what == throughput.ONE_A_REQUEST]
    if not rates or rates[0] is None:
        raise Failed("the script is compared with what throughput finds: let both be measured")
    return rates[0]


def run(names: list[str], *, quick: bool, command: str) -> report.Run:
    begun, found = time.monotonic(), list[Measure]()
    machine = report.machine(script.versions())
    with Rig(1):
        pass  # from here on there is bytecode of everything
    for name, measure in parts(quick=quick).items():
        if name not in names:
            continue
        since = time.monotonic()
        found += measure(found)
        print(f"{name}: {time.monotonic() - since:.0f} s", flush=True)
    found.sort(key=lambda one: one.row)
    return report.Run(report.now(), command, time.monotonic() - begun, machine, found)


def main() -> None:
    every = list(parts(quick=True))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="to see that it works; the figures mean nothing")
    parser.add_argument("--only", default=",".join(every), help=f"some of {', '.join(every)}")
    parser.add_argument("--report", type=Path, help="put this run into docs/performance.md")
    given = parser.parse_args()
    if given.report:
        kept = msgspec.json.decode(given.report.read_bytes(), type=report.Run)
        report.keep(kept, DOCS / "performance.md", DOCS / "performance.svg")
        return
    if len(CORES) < 2:
        print("there is only one core: the sender shares it, and two cores are not measured as such")
    command = "make bench QUICK=--quick" if given.quick else "make bench"
    if given.only != ",".join(every):
        command = f"python benchmarks/bench.py --only {given.only}"
    done = run(given.only.split(","), quick=given.quick, command=command)
    RESULTS.mkdir(exist_ok=True)
    name = done.at.replace(" UTC", "").replace(" ", "-").replace(":", "")
    if given.quick:
        name = "-".join(["quick", *(given.only.split(",") if given.only != ",".join(every) else ())])
    file = RESULTS / f"{name}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=1))
    file.with_suffix(".svg").write_text(report.plot(done), "utf-8")
    report.print_table(done)
    print(f"kept in {file} and {file.with_suffix('.svg').name}; into the docs: --report {file}")


if __name__ == "__main__":
    main()
