"""The examples of docs/emulator-3cx-v20.md are run, and its lists are complete."""

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path

import msgspec
import pytest

from presencebridge.emulators.v20 import RunningV20
from presencebridge.emulators.v20.faults import Faults
from presencebridge.emulators.world import World

PAGE = (Path(__file__).parents[2] / "docs" / "emulator-3cx-v20.md").read_text(encoding="utf-8")
WORLD = msgspec.convert(json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]), World)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl's")
async def test_the_examples_answer_as_they_are_shown() -> None:
    shown = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
    commands = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    async with RunningV20(WORLD) as running:
        assert running.control_url is not None
        ours = {"http://127.0.0.1:5001": running.url, "http://127.0.0.1:5002": running.control_url}
        script = "out=$(mktemp)\n"
        for command in commands:
            local = command
            for there, here in ours.items():
                local = local.replace(there, here)
            # In one shell, for the variable; and a line's end after what has none.
            script += f"printf '$ %s\\n' {shlex.quote(command)}\n{{ {local}\n}} >$out\n"
            script += "if [ -s $out ]; then sed -e '$a\\' $out; fi\n"
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", script + "rm $out", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    told = output.decode()
    for there, here in ours.items():
        told = told.replace(here, there)
    assert len(commands) > 15
    assert told == shown


@pytest.mark.parametrize("name", Faults.__struct_fields__)
def test_every_switch_is_explained(name: str) -> None:
    switches = PAGE.partition("Switches and faults:")[2].partition("## ")[0]
    assert f"`{name}`" in "".join(re.findall(r"^\| (.*?) \|", switches, re.MULTILINE))


async def test_every_route_of_the_control_port_is_explained() -> None:
    async with RunningV20(WORLD, control_port=None) as running:
        routes = running.emulator.control.routes
    for route in routes:
        path = getattr(route, "path", "").replace("{number}", "{n}").replace("{call:int}", "{id}")
        for method in getattr(route, "methods", set()) - {"HEAD"}:
            assert f"`{method} {path}`" in PAGE
