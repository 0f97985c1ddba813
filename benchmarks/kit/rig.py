"""The service on its core, everything outside of it on the other, and the two hands that play them."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx2
from notices import APP, TENANT, user_id

KIT = Path(__file__).parent
PATIENCE_S = 240.0
FIRST_EXTENSION = 100_000
V20_KEY = 'client_id = "bench"\nclient_secret_file = "secret"'
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installation has its bytecode: to compile at each start takes as long again, and memory that stays."""
CORES = sorted(os.sched_getaffinity(0))
SERVICE_CORE, OTHER_CORE = CORES[:1], CORES[-1:]


class Failed(Exception):
    """Something did not do what it should: the measurement is worth nothing."""


class Program:
    """A program that answers a line with a line of JSON."""

    def __init__(self, arguments: list[str], cores: list[int], log: Path, **environment: str) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            text=True,
            bufsize=1,
            env=ENVIRONMENT | environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no threads here
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> dict[str, Any]:
        """The next line of JSON; other lines are passed over."""
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise Failed(f"{self._process.args} ended:\n{self._log.read_text()[-4000:]}")

    def say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(line + "\n")

    def ask(self, line: str) -> dict[str, Any]:
        self.say(line)
        return self.line()

    def end(self) -> None:
        self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=PATIENCE_S)


class Rig:
    """A site of so many people, by object id, with watchers enough, on a 3CX V20 unless told otherwise."""

    def __init__(  # noqa: PLR0913 - keywords, each with a default that will do
        self,
        people: int,
        *,
        cores: list[int] = SERVICE_CORE,
        direction: str = "both",
        delivery: str = "webhook",
        kind: str = "3cx-v20",
        pbx: str = "",
        by_mail: bool = False,
        rest_s: float = 0.006,
        **environment: str,
    ) -> None:
        self.people = people
        self._cores = cores
        self._direction = direction
        self._delivery = delivery
        self._kind = kind
        self._pbx = pbx
        self._by_mail = by_mail
        self._rest_s = rest_s
        self._environment = environment

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        try:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            self.folder = folder
            self.outside = Program(
                [str(KIT / "other_side.py"), str(self.people)], OTHER_CORE, folder / "other.log"
            )
            self._stack.callback(self.outside.end)
            url = self.outside.line()["url"]
            self.page_port, self.hook_port = free_port(), free_port()
            self.hook = f"http://127.0.0.1:{self.hook_port}/hook"
            (folder / "site.toml").write_text(self._config(url))
            (folder / "secret").touch(0o600)
            (folder / "secret").write_text("s3cret")
            self.started_at = time.monotonic()
            self.service = Program(
                [str(KIT / "service.py"), str(folder / "site.toml")],
                self._cores,
                folder / "service.log",
                **self._environment,
            )
            self._stack.callback(self.service.end)
            self._until_ready()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _config(self, url: str) -> str:
        watchers = ", ".join(f'"w{number}"' for number in range(-(-self.people // 650)))
        people = '[people]\nmatch = "email"\n'
        if not self._by_mail:
            people = "".join(
                f'[[person]]\nteams = "{user_id(number)}"\nextension = "{FIRST_EXTENSION + number}"\n'
                for number in range(self.people)
            )
        hook = (
            f'[teams.webhook]\npublic_url = "{self.hook}"\nlisten = "127.0.0.1:{self.hook_port}"\n'
            f"watchers = [{watchers}]\n"
        )
        return f"""
            [teams]
            tenant_id = "{TENANT}"
            client_id = "{APP}"
            client_secret_file = "secret"
            delivery = "{self._delivery}"
            graph_url = "{url}"
            login_url = "{url}"
            {hook if self._delivery == "webhook" else ""}
            [pbx]
            kind = "{self._kind}"
            url = "{url}"
            {V20_KEY if self._kind == "3cx-v20" else ""}
            {self._pbx}
            [policy]
            direction = "{self._direction}"
            [operator]
            listen = "127.0.0.1:{self.page_port}"
            [state]
            dir = "{self.folder}/state"
            {people}
            """

    def _until_ready(self) -> None:
        """The page says so, and everybody is watched."""
        deadline = time.monotonic() + PATIENCE_S
        with httpx2.Client(trust_env=False, timeout=PATIENCE_S) as http:
            while time.monotonic() < deadline:
                self.gauges()  # raises where the service has ended
                asked_at = time.monotonic()
                try:
                    if http.get(f"http://127.0.0.1:{self.page_port}/readyz").status_code == 200:
                        break
                except httpx2.TransportError:
                    pass
                # The answer is worked out from everybody's state: not so often that this is all it does.
                time.sleep(max(0.02, 5 * (time.monotonic() - asked_at)))
            else:
                raise Failed(f"not ready:\n{(self.folder / 'service.log').read_text()[-4000:]}")
        self.ready_at = time.monotonic()
        if self._delivery == "webhook":
            self.until(lambda: self.order("ready")["watched"] == self.people)
        if self._kind == "3cx-v20":
            self.until(lambda: self.order("ready")["sockets"] > 0)
        self.until_idle()

    def order(self, what: str, **more: Any) -> dict[str, Any]:
        """Let the outside do something."""
        return self.outside.ask(json.dumps({"do": what} | more))

    def gauges(self, question: str = "") -> dict[str, Any]:
        return self.service.ask(question)

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > deadline:
                raise Failed("what was waited for has not come")
            time.sleep(0.05)

    def until_idle(self) -> dict[str, Any]:
        """The gauges as they were when the service came to rest: for longer than it gathers questions.

        At rest is who uses less than `rest_s` of the CPU in a tenth of a second.
        """
        rested, since = self.gauges(), time.monotonic()
        deadline = since + PATIENCE_S
        while time.monotonic() < since + 0.4:
            time.sleep(0.1)
            now = self.gauges()
            if now["cpu_s"] - rested["cpu_s"] > self._rest_s:
                rested, since = now, time.monotonic()
            if time.monotonic() > deadline:
                raise Failed("the service does not come to rest")
        return rested


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
