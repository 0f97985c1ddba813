"""The emulator's page: its examples run, and it names every control call and every fault."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest
from graph_bench import APP, WORLD, bench

from presencebridge.emulators.graph import RunningGraph
from presencebridge.emulators.graph.faults import Faults, NotificationFaults

PAGE = (Path(__file__).resolve().parents[2] / "docs/emulator-graph.md").read_text()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl isn't here")
async def test_the_examples_run():
    script = "set -eo pipefail\n" + "\n".join(re.findall(r"(?<!-->\n)```sh\n(.*?)```", PAGE, re.DOTALL))
    async with RunningGraph(WORLD) as running:
        env = {
            "PATH": os.environ["PATH"],
            "GRAPH": running.url,
            "CONTROL": running.control_url,
            "TENANT": WORLD.tenant_id,
            "CLIENT": APP,
            "SECRET": WORLD.client_secret,
        }
        shell = await asyncio.create_subprocess_exec("bash", "-c", script, env=env)
        assert await asyncio.wait_for(shell.wait(), 60) == 0


async def test_the_page_names_every_control_call():
    async with bench() as b:
        for route in b.emulator.control.routes:
            path = route.path.replace("{key}", "{id or upn}")
            assert path in PAGE, path


def test_the_page_names_every_fault():
    for name in (*Faults.__struct_fields__, *NotificationFaults.__struct_fields__):
        assert name in PAGE, name
