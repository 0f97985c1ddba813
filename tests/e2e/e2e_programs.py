"""Programs of ours, started as a user starts them: the service, commands and emulators."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
from nursery import Child, Nursery

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
PATIENCE_S = 30.0

held: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody else is given while these tests run, by another worker or for a connection."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets a server have it besides us
    port.bind(("127.0.0.1", 0))
    held.append(port)
    return int(port.getsockname()[1])


def until(what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fail with what was waited for."""
    deadline = time.monotonic() + patience_s
    while not _holds(condition):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience_s:g} s in vain: {what}")
        time.sleep(0.02)  # between two looks at the condition; nothing depends on its length


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except httpx2.HTTPError:  # it does not listen yet, or is not ready to answer
        return False


nursery = Nursery()


class Program:
    """A `presencebridge` command that goes on running. A `real` one begins as a user's does."""

    is_real = False

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | Child | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONASYNCIODEBUG": ""}
        with self._log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            streams = nothing.fileno(), log.fileno(), log.fileno()
            if self.is_real:
                self.process = subprocess.Popen(
                    [PROGRAM, *self.arguments],
                    stdout=log,
                    stderr=log,
                    stdin=nothing,
                    start_new_session=True,  # so that a signal to the tests is not one to the program
                    env=environment,
                )
            else:
                self.process = nursery.start([*self.arguments], streams, environment)

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail with what the program had to say if it ends before."""
        until(what, lambda: not self.runs or condition())
        assert self.runs, self.log

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process is not None and self.runs:
            self.process.kill()
            self.process.wait()

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8") if self._log.exists() else ""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command to its end; its input is empty."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open() as nothing:
        streams = nothing.fileno(), out.fileno(), err.fileno()
        child = nursery.start([*arguments], streams, {**os.environ, "PYTHONASYNCIODEBUG": "", **environment})
        try:
            status = child.wait(PATIENCE_S)
        except BaseException:
            child.kill()
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess([PROGRAM, *arguments], status, *texts)


class Emulator(Program):
    """An emulator with its control port; started again, it is on the same ports, and has forgotten all."""

    def __init__(self, kind: str, folder: Path, world: dict[str, Any], *, tls: bool = False) -> None:
        port, self._control_port = free_port(), free_port()
        self.kind = kind
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self.world_file = folder / f"{kind}.json"
        self.world_file.write_text(json.dumps(world))
        self.ca_file = folder / f"{kind}-tls" / "ca.pem"
        super().__init__(
            folder / f"{kind}.log",
            *("emulate", kind, "--port", str(port), "--control-port", str(self._control_port)),
            *("--world", str(self.world_file)),
            *(("--tls-dir", str(self.ca_file.parent)) if tls else ()),
        )
        self._http = httpx2.Client(trust_env=False, timeout=10)

    def start(self) -> None:
        super().start()
        self.until(f"{self.kind} listens", lambda: self.ask("GET", "/faults") is not None)

    def close(self) -> None:
        super().close()
        self._http.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control port."""
        content = None if method in ("GET", "DELETE") else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._control_port}{path}"
        answer = self._http.request(method, url, content=content, headers=headers)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None
