"""Both emulators and the service as programs of their own, with TLS, on free ports of loopback."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
PATIENCE_S = 120.0
APP = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def program(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


class Site:
    """Emulators and service, and how they are played. The service polls Teams; 3CX is a V20."""

    def __init__(self, folder: Path, people: int, *, by_mail: bool = False) -> None:
        self.folder = folder
        self.people = people
        self.by_mail = by_mail
        self.service: subprocess.Popen[bytes] | None = None
        names = ("graph", "graph_control", "pbx", "pbx_control", "page")
        self.ports = {name: free_port() for name in names}
        self.http = httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S)

    def write(self) -> None:
        """The world's file and the service's config."""
        names = [(number, f"u{number}@example.org") for number in range(self.people)]
        users = [{"id": user_id(number), "userPrincipalName": name, "mail": name} for number, name in names]
        extensions = [{"number": extension(number), "email": name} for number, name in names]
        world = {"users": users, "extensions": extensions, "client_secret": "s3cret"}
        (self.folder / "world.json").write_text(json.dumps(world))
        (self.folder / "secret").touch(0o600)
        (self.folder / "secret").write_text("s3cret")
        people = '[people]\nmatch = "email"\n'
        if not self.by_mail:
            people = "".join(
                f'[[person]]\nteams = "{name}"\nextension = "{extension(number)}"\n' for number, name in names
            )
        (self.folder / "site.toml").write_text(
            f"""
            [teams]
            tenant_id = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
            client_id = "{APP}"
            client_secret_file = "secret"
            delivery = "poll"
            graph_url = "https://127.0.0.1:{self.ports["graph"]}"
            login_url = "https://127.0.0.1:{self.ports["graph"]}"
            ca_file = "tls/ca.pem"
            [pbx]
            kind = "3cx-v20"
            url = "https://127.0.0.1:{self.ports["pbx"]}"
            ca_file = "tls/ca.pem"
            client_id = "{APP}"
            client_secret_file = "secret"
            [operator]
            listen = "127.0.0.1:{self.ports["page"]}"
            [state]
            dir = "state"
            {people}
            """
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Emulators and service."""
        with self.emulating():
            run = (PROGRAM, "run", "--config", str(self.folder / "site.toml"))
            with program(*run, log=self.folder / "run.log") as self.service:
                yield

    @contextmanager
    def emulating(self) -> Iterator[None]:
        folder, tls = self.folder, str(self.folder / "tls")
        world = str(folder / "world.json")
        with ExitStack() as stack:
            for kind, name in (("graph", "graph"), ("3cx-v20", "pbx")):
                ports = (str(self.ports[name]), str(self.ports[f"{name}_control"]))
                stack.enter_context(
                    program(
                        *(PROGRAM, "emulate", kind, "--port", ports[0], "--control-port", ports[1]),
                        *("--world", world, "--tls-dir", tls),
                        log=folder / f"{name}.log",
                    )
                )
                until_open(self.ports[name])
            yield

    async def control(self, side: str, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.ports[f'{side}_control']}{path}"
        answer = await self.http.request(method, url, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = await self.http.get(f"http://127.0.0.1:{self.ports['page']}/readyz")
                if answer.status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
        raise SystemExit(f"the service did not get ready:\n{(self.folder / 'run.log').read_text()}")


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def extension(number: int) -> str:
    return str(10_000 + number)


def until_open(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")
