"""The command line and a folder of sites, as somebody uses it."""

import asyncio
import contextlib
import sys
from pathlib import Path

from folder_kit import Office, offices, running

from presencebridge.demo.stage import free_port

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))


async def said(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_commands_are_about_the_site_that_is_named(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(offices(tmp_path, "berlin", "bonn", people=1))
        text = (tmp_path / "node.toml").read_text()
        (tmp_path / "node.toml").write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{free_port()}", 1))
        node = await stack.enter_async_context(running(tmp_path))
        await node.in_step("berlin", "bonn")
        folder = str(tmp_path)
        code, out = await said("status", "--config", folder)
        assert code == 0
        assert "berlin" in out
        assert "bonn" in out
        code, out = await said("status", "--config", folder, "--site", "berlin")
        assert code == 0
        assert "0 of berlin" in out
        assert "bonn" not in out
        assert (await said("pause", "100", "--config", str(tmp_path / "bonn.toml")))[0] == 0
        assert "paused" in (await said("why", "100", "--config", folder, "--site", "bonn"))[1]
        assert "paused" not in (await said("why", "100", "--config", folder, "--site", "berlin"))[1]
        code, out = await said("why", "100", "--config", folder, "--site", "paris")
        assert code == 1
        assert "no site of that name" in out
        code, out = await said("doctor", "--config", folder)
        assert "== berlin" in out
        assert "== bonn" in out
        assert "runs" in out


async def test_check_tells_of_each_file_of_a_folder(tmp_path):
    async with offices(tmp_path, "berlin", "bonn", people=1) as (berlin, bonn):
        assert (await said("check", "--config", str(tmp_path)))[0] == 0
        both_wrong(berlin, bonn)
        code, out = await said("check", "--config", str(tmp_path))
        assert code == 2
        assert "berlin.toml" in out
        assert "[policy] preset" in out
        assert "can't be the name of a site" in out
        assert "bonn.toml: fine" in out
        assert "no such section" in (await with_node(tmp_path, "[webhok]"))[1]


def both_wrong(berlin: Office, bonn: Office) -> None:
    berlin.write(policy='preset = "sed"')
    bonn.file.with_name("bad name.toml").write_text(bonn.file.read_text())


async def with_node(folder: Path, more: str) -> tuple[int | None, str]:
    (folder / "node.toml").write_text((folder / "node.toml").read_text() + more)
    return await said("check", "--config", str(folder))
