"""Programs that begin at once: children of a process that has imported everything already.

Most of a program's processor time in these tests would be its imports. What is asked for runs in a process of
its own all the same, with its own session, environment, descriptors and signals. What looks at how a program
itself begins (its command line, its memory) starts the real one.

As a program, `python nursery.py DESCRIPTOR` serves one client: each request is the JSON of arguments and
environment, and descriptors for the child's three streams and for its exit status.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST = 1_000_000
_WANTED = ("cli.main", "adapters", "node", "doctor.examination", "support.gathering")


class Child:
    """What was started, with the ways of a `Popen` that are used here."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            told = os.read(self._status, 100)
            os.close(self._status)
            self.returncode = int(told or -signal.SIGKILL)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The client's side. The process comes with the first program, and goes with this one."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None

    def start(
        self, arguments: list[str], streams: tuple[int, int, int], environment: dict[str, str]
    ) -> Child:
        line = self._line = self._line or _begin()
        mine, childs = os.pipe()
        asked = json.dumps({"arguments": arguments, "environment": environment, "folder": str(Path.cwd())})
        socket.send_fds(line, [asked.encode()], [*streams, childs])
        os.close(childs)
        return Child(int(line.recv(100)), mine)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _begin() -> socket.socket:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONASYNCIODEBUG": ""},
        ).returncode = 0  # it ends by itself when the line does: nobody waits for it
    return mine


# The process itself -------------------------------------------------------------------------------


def serve(line: socket.socket) -> None:
    """Until the line ends. Raises `SystemExit` in a child that has done its work."""
    for module in _WANTED:
        importlib.import_module(f"presencebridge.{module}")
    gc.collect()
    gc.freeze()
    statuses: dict[int, tuple[int, int]] = {}
    """By the descriptor that tells of a child's end: who it is, and where its exit status goes."""
    while True:
        for ready in select.select([line, *statuses], [], [])[0]:
            if ready is not line:
                _bury(ready, *statuses.pop(ready))
                continue
            asked, descriptors, _, _ = socket.recv_fds(line, _LONGEST, 4)
            if not asked:
                return
            pid = os.fork()
            if not pid:
                line.close()
                for other, (_, status) in statuses.items():
                    os.close(other)
                    os.close(status)
                _be(json.loads(asked), descriptors)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            statuses[os.pidfd_open(pid)] = (pid, descriptors[3])
            line.send(str(pid).encode())


def _bury(ended: int, pid: int, status: int) -> None:
    _, how = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, str(os.waitstatus_to_exitcode(how)).encode())
    os.close(status)
    os.close(ended)


def _be(asked: dict[str, Any], descriptors: list[int]) -> None:
    """Become the program."""
    os.setsid()
    *streams, status = descriptors
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for descriptor in {*streams, status} - {0, 1, 2}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, buffering=1, encoding="utf-8", closefd=False)
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    sys.argv = ["presencebridge", *asked["arguments"]]
    main: Callable[[], None] = sys.modules["presencebridge.cli.main"].main
    main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
