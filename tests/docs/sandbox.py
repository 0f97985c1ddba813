"""Where the shell blocks of the documents are run: a folder, ports of its own, and bash.

What a reader does in several terminals is done in one shell: a program that goes on running is put into the
background and waited for. What a command is to show stands behind it as `# -> text`: it is repeated until it
shows that. `<!-- stop -->` above a block ends what is running, as Ctrl-C in each terminal would.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from doc_blocks import Block, blocks

PROGRAM: Final = Path(sys.executable).with_name("presencebridge")
PORTS: Final = ("8443", "8444", "5001", "5002", "5003", "8080", "8765", "8889", "8890")
"""The ports that the documents use, each of which stands for a free one."""

PATIENCE_S: Final = 400

PRELUDE: Final = """\
set -eu -o pipefail
trap 'jobs -p | xargs -r kill 2>/dev/null; wait 2>/dev/null' EXIT
login=
stop() { login=; jobs -p | xargs -r kill 2>/dev/null || true; wait 2>/dev/null || true; }
shows() {  # until the command shows the text
    local wanted=$1 shown=''
    for _ in $(seq 200); do
        shown=$(eval "$2" 2>&1 || true)
        case $shown in *"$wanted"*) return 0;; esac
        sleep 0.1  # between two looks
    done
    echo "$2: never showed '$wanted', but: $shown" >&2
    return 1
}
"""


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = [socket.socket() for _ in PORTS]
        for held in self._held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets a server have it besides us
            held.bind(("127.0.0.1", 0))
        self._ports = {
            shown: str(held.getsockname()[1]) for shown, held in zip(PORTS, self._held, strict=True)
        }

    def close(self) -> None:
        for held in self._held:
            held.close()

    def local(self, text: str) -> str:
        """The text as it holds here: with these ports and this folder."""
        for shown, ours in self._ports.items():
            text = re.sub(rf"(127\.0\.0\.1:|localhost:|port ){shown}\b", rf"\g<1>{ours}", text)
        text = text.replace("/etc/presencebridge/", f"{self.folder}/")
        return re.sub(r"--config (F|FILE)\b", "--config site.toml", text)

    def run(self, script: str) -> None:
        """Run a script of bash, with all that it starts. Fails with what it printed."""
        shell = subprocess.Popen(
            ["bash", "-c", PRELUDE + script],
            cwd=self.folder,
            env={
                "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = shell.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, _ = shell.communicate()
            printed += f"\nafter {PATIENCE_S} s it was not done"
        if shell.returncode:
            logs = [f"\n{log.name}: {log.read_text()[-1500:]}" for log in self.folder.rglob("*.log")]
            pytest.fail(f"{''.join(logs)}\n{printed[-2500:]}", pytrace=False)

    def script(self, page: Path) -> str:
        """What a page has its reader do, from its first block to its last."""
        return "".join(map(self._part, blocks(page)))

    def _part(self, block: Block) -> str:
        if block.language != "sh" or block.marked("not run"):
            return ""
        stop = "stop\n" if block.mark == "stop" else ""
        joined = re.sub(r"\\\n\s*", " ", self.local(block.text))
        return f"{stop}echo '{block.where}' >&2\n" + "".join(map(_line, joined.splitlines()))


def _line(line: str) -> str:
    command, arrow, wanted = line.partition("# -> ")
    if arrow:
        return f"shows {shlex.quote(wanted.strip())} {shlex.quote(command.strip())}\n"
    command = re.sub(r"\s#.*$", "", line).rstrip()
    words = command.split()
    if words[:2] == ["presencebridge", "emulate"]:
        return f"{command} >{words[2]}.log 2>&1 &\nshows '://' 'cat {words[2]}.log'\n"
    if words[:2] == ["presencebridge", "run"]:
        signed_in = "${login:+wait $login}\nlogin=\n"
        return f"{signed_in}{command} >run.log 2>&1 &\nshows 'the page is at' 'cat run.log'\n"
    if words[:2] == ["presencebridge", "login"]:
        return f"{command} >login.log 2>&1 &\nlogin=$!\nshows 'code' 'cat login.log'\n"
    if words[:2] == ["presencebridge", "watch"]:
        return f"{command} >watch.log 2>&1 &\nshows 'watching' 'cat watch.log'\n"
    return f"{line}\n"
