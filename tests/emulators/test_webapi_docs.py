"""The examples of docs/emulator-3cx-web-api.md are run, and its lists are complete."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from presencebridge.emulators.webapi import RunningWebApi
from presencebridge.emulators.webapi.dialects import NAMES
from presencebridge.emulators.webapi.faults import Faults
from presencebridge.emulators.world import Extension, World

PAGE = (Path(__file__).parents[2] / "docs" / "emulator-3cx-web-api.md").read_text(encoding="utf-8")
WORLD = World(extensions=(Extension("100", "Ann"), Extension("101", "Bob", status="Away")))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl's")
async def test_the_examples_answer_as_they_are_shown() -> None:
    shown = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
    commands = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    async with RunningWebApi(WORLD) as running:
        told = ""
        for command in commands:
            local = command.replace("http://127.0.0.1:8889", running.url)
            local = local.replace("http://127.0.0.1:8890", running.control_url)
            process = await asyncio.create_subprocess_shell(local, stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            told += f"$ {command}\n" + (output.decode().rstrip("\n") + "\n" if output else "")
    assert len(commands) > 10
    assert told == shown


@pytest.mark.parametrize("name", [*Faults.__struct_fields__, *NAMES])
def test_every_fault_and_dialect_is_explained(name: str) -> None:
    assert f"| `{name}` |" in PAGE


async def test_every_route_of_the_control_port_is_explained() -> None:
    async with RunningWebApi(WORLD, control_port=None) as running:
        routes = running.emulator.control.routes
    for route in routes:
        path = getattr(route, "path", "").replace("{number}", "{n}").replace("{call:int}", "{id}")
        for method in getattr(route, "methods", set()) - {"HEAD"}:
            assert f"`{method} {path}`" in PAGE
