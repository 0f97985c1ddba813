"""One file: read again at SIGHUP, without a gap, and its site takes the process with it as ever."""

import asyncio
import signal
import sys
from pathlib import Path

import httpx2
import pytest
from folder_kit import Office, offices, until

from presencebridge.errors import Misconfigured
from presencebridge.node import Node, OneFile

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
OWN = '[operator]\nlisten = "127.0.0.1:0"\n[state]\ndir = "own-state"'


async def page_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if "the page is at" in line:
                return line.split()[-1].rstrip("/")
    raise AssertionError("it did not start")


async def people(http: httpx2.AsyncClient) -> list[str]:
    return [one["extension"] for one in (await http.get("/api/people")).json()["people"]]


async def test_sighup_takes_over_what_has_changed_and_refuses_what_can_not_be_used(tmp_path):
    async with offices(tmp_path, "berlin", people=3) as (berlin,):
        berlin.write("100", "101", more=OWN)
        process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "run", "--config", str(berlin.file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await reloaded(process, berlin)
        finally:
            process.terminate()
            assert await process.wait() == 0


async def reloaded(process: asyncio.subprocess.Process, berlin: Office) -> None:
    async with httpx2.AsyncClient(base_url=await page_of(process), trust_env=False) as http:

        async def is_ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await until(is_ready)
        await berlin.shows("100", "Busy/InAMeeting")
        await berlin.becomes("100", "Away")
        began = await http.get("/metrics")
        berlin.write("101", "102", more=OWN)
        process.send_signal(signal.SIGHUP)
        await berlin.becomes("100", "Available")

        async def has_new() -> bool:
            return await people(http) == ["101", "102"]

        await until(has_new)
        berlin.file.write_text("[teams")
        process.send_signal(signal.SIGHUP)

        async def is_told() -> bool:
            links = (await http.get("/api/people")).json()["links"]
            return any(one["name"] == "config" and one["state"] == "degraded" for one in links)

        await until(is_told)
        assert await people(http) == ["101", "102"]
        assert 'presencebridge_site_failures_total{site="berlin"} 0.0' in began.text
        berlin.write("101", more=OWN)
        process.send_signal(signal.SIGHUP)

        async def is_mended() -> bool:
            links = (await http.get("/api/people")).json()["links"]
            return await people(http) == ["101"] and links[-1]["state"] == "connected"

        await until(is_mended)


def test_a_file_that_can_not_be_used_at_the_start_is_refused(tmp_path):
    (tmp_path / "site.toml").write_text("[teams")
    with pytest.raises(Misconfigured):
        Node(OneFile(tmp_path / "site.toml"))


async def test_a_site_that_can_not_begin_takes_the_process_with_it(tmp_path):
    async with offices(tmp_path, "berlin") as (berlin,):
        berlin.write(more=OWN)
        (tmp_path / "own-state").write_text("no folder")
        node = Node(OneFile(berlin.file))
        told = asyncio.Event()
        with pytest.raises(OSError, match="own-state"):
            await node.run(asyncio.Event(), told.set)
        assert not told.is_set()
