"""Rows 11 and 12: memory by the number of people, and how long a start takes."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from emulated import Site
from measure import Measure, median_of
from rig import ENVIRONMENT, KIT, SERVICE_CORE, Program, Rig

LIBRARIES = (
    "cryptography.x509, cryptography.hazmat.primitives.asymmetric.rsa, cyclopts, httptools, httpx2, jinja2, "
    "jwt, msal, msgspec, prometheus_client, sse_starlette, starlette.applications, structlog, uvicorn, "
    "uvloop, websockets.asyncio.client"
)
"""What the service stands on; rich is for the terminal."""


def memory(*, quick: bool) -> list[Measure]:
    """Everybody is matched by mail, is read, and has changed once, which is saved."""
    found = []
    for people, most, prototype in ((650, 65.0, "47"), (10_000, 72.0, "52"), (100_000, 130.0, "98")):
        count = 65 if quick else people
        # Of many people somebody is always read: at rest is who uses less than half of the core.
        rest_s = 0.006 if count <= 10_000 else 0.05
        with Rig(count, direction="3cx-to-teams", delivery="poll", by_mail=True, rest_s=rest_s) as rig:
            rig.gauges("forget")
            rig.order("show", pair=1)
            rig.until(lambda: rig.gauges()["saved"] >= count)  # noqa: B023 - called at once
            rig.until_idle()
            gauges = rig.gauges("memory")
            what = f"resident memory with {count:,} people"
            found.append(Measure(11, what, gauges["rss_mb"], most, unit="MB", prototype=prototype))
            pause = gauges["longest_pause_s"] * 1000
            if quick or people == 100_000:
                forced = rig.gauges("collect")["longest_pause_s"] * 1000
                what = f"longest pause of the collector with {count:,} people"
                note = f"{forced:.1f} where a whole collection is forced"
                found.append(Measure(11, what, pause, 15.0, unit="ms", prototype="10", note=note))
                break
    return found


def start(*, quick: bool) -> list[Measure]:
    """650 people, both emulators with TLS on this machine; beside importing the libraries."""
    people, rounds = (20, 1) if quick else (650, 7)
    ratios, readies, asked, imports = [], [], [], []
    for _ in range(rounds):
        imports.append(_import_s())
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            site = Site(Path(folder), people)
            site.write()
            with site.emulating():
                _start(site, readies, asked)
        ratios.append((readies[-1] - asked[-1]) / imports[-1])
    ready, waited, imported = (statistics.median(rounds) * 1000 for rounds in (readies, asked, imports))
    note = f"ready after {ready:.0f} ms, of which requests {waited:.0f}; imports {imported:.0f}"
    what = f"start to ready with {people} people, less the requests' own time / importing the libraries"
    return [median_of(12, what, ratios, goal=1.5, prototype="1.3", note=note)]


def _import_s() -> float:
    begun = time.monotonic()
    core = ",".join(map(str, SERVICE_CORE))
    command = ["taskset", "-c", core, sys.executable, "-c", f"import {LIBRARIES}"]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return time.monotonic() - begun


def _start(site: Site, readies: list[float], asked: list[float]) -> None:
    """Start the service, wait until it says that it is ready, and end it."""
    log, config = site.folder / "run.log", str(site.folder / "site.toml")
    begun = time.monotonic()
    service = Program([str(KIT / "service.py"), config], SERVICE_CORE, log, SIGN_IN="1")
    try:
        with httpx2.Client(trust_env=False, timeout=60) as http:
            while not _is_ready(http, f"http://127.0.0.1:{site.ports['page']}/readyz"):
                if time.monotonic() > begun + 60:
                    raise SystemExit(f"not ready:\n{log.read_text()[-3000:]}")
                time.sleep(0.01)
        readies.append(time.monotonic() - begun)
        asked.append(service.ask(json.dumps({}))["asked_s"])
    finally:
        service.end()


def _is_ready(http: httpx2.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx2.TransportError:
        return False
