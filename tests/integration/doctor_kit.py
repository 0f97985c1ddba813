"""A whole site on real sockets in one process, sound to begin with, to be broken in one place."""

import asyncio
import contextlib
import datetime as dt
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from presencebridge.adapters import Outside
from presencebridge.config import load
from presencebridge.doctor.account import Account
from presencebridge.doctor.examination import examine
from presencebridge.doctor.findings import Finding, State
from presencebridge.doctor.site import Site, Wishes
from presencebridge.emulators.graph import RunningGraph
from presencebridge.emulators.v20 import RunningV20
from presencebridge.emulators.webapi import RunningWebApi
from presencebridge.emulators.world import APP_ROLES, Extension, User, Watcher, World
from presencebridge.runtime.clock import SteadyClock

TENANT = "11111111-2222-3333-4444-555555555555"
APP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
PEOPLE = {"101": "ann", "102": "bob", "103": "cyn"}

Sections = dict[str, Any]


def self_signed(
    folder: Path,
    *,
    days: float = 400,
    since_days: float = -1,
    names: tuple[str, ...] = ("localhost",),
    stem: str = "app",
) -> str:
    """A certificate of its own with its key, in STEM.pem; returns the certificate alone."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, stem)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=since_days))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    (folder / f"{stem}.pem").touch(0o600)
    (folder / f"{stem}.pem").write_text(pem + certificate)
    return certificate


class ShiftedClock(SteadyClock):
    """The clock of a machine that goes wrong."""

    def __init__(self, by_s: float) -> None:
        super().__init__()
        self._by_s = by_s

    def wall(self) -> float:
        return super().wall() + self._by_s


class TestOutside(Outside):
    __test__ = False

    def __init__(self) -> None:
        self.clock_ahead_s = 0.0
        self.certificates_end_in_days: float | None = None
        """None: as the servers have them."""

    async def certificate_end(self, url: str, ca_file: Path | None) -> float | None:
        if self.certificates_end_in_days is None:
            return await super().certificate_end(url, ca_file)
        return self.clock().wall() + self.certificates_end_in_days * 86_400

    def clock(self) -> SteadyClock:
        return ShiftedClock(self.clock_ahead_s)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Bench:
    """The site: both sides, its folder, and its config as sections that a test may change."""

    def __init__(self, folder: Path, kind: str, stack: contextlib.AsyncExitStack) -> None:
        self.folder, self.kind = folder, kind
        self.stack = stack
        self.outside = TestOutside()
        self.account: Account | None = None
        self.roles: tuple[str, ...] = APP_ROLES
        self.monitored: tuple[str, ...] | None = None
        self.users = tuple(
            User(f"{name}@example.org", mail=f"{name}@example.org") for name in PEOPLE.values()
        )
        self.extensions = tuple(
            Extension(number, name.title(), f"{name}@example.org") for number, name in PEOPLE.items()
        )
        self.certificates: tuple[str, ...] = ()
        self.sections: Sections = {}
        self.written: Path = folder / "site.toml"

    # The two sides

    async def start(self) -> None:
        world = World(
            tenant_id=TENANT,
            client_id=APP,
            client_secret="s3cret",
            client_certificates=self.certificates,
            app_roles=self.roles,
            users=self.users,
            watchers=(Watcher("watcher@example.org"), Watcher("second@example.org")),
            extensions=self.extensions,
            pbx_client_id="bridge",
            pbx_client_secret="k3y",
            monitored=self.monitored,
        )
        tls = self.folder / "tls"
        self.graph = await self.stack.enter_async_context(RunningGraph(world, tls_dir=tls))
        if self.kind == "3cx-v20":
            self.pbx: Any = await self.stack.enter_async_context(RunningV20(world, tls_dir=tls))
        else:
            self.pbx = await self.stack.enter_async_context(RunningWebApi(world, out=lambda _line: None))
        self.http = await self.stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=10))
        for user in self.users:
            await self.play_graph("PUT", f"/users/{user.user_principal_name}/client", _FREE)
        for name, text in (("secret", "s3cret"), ("key", "k3y")):
            (self.folder / name).touch(0o600)
            (self.folder / name).write_text(text)
        self.sections = self._sound()
        self.write()

    def _sound(self) -> Sections:
        ca = str(self.folder / "tls" / "ca.pem")
        pbx: Sections = {"kind": self.kind, "url": self.pbx.url, "timeout_s": 1.0}
        if self.kind == "3cx-v20":
            pbx |= {"client_id": "bridge", "client_secret_file": "key", "ca_file": ca}
        return {
            "teams": {
                "tenant_id": TENANT,
                "client_id": APP,
                "client_secret_file": "secret",
                "graph_url": self.graph.url,
                "login_url": self.graph.url,
                "ca_file": ca,
            },
            "pbx": pbx,
            "people": {"match": "list"},
            "person": [
                {"teams": f"{name}@example.org", "extension": number} for number, name in PEOPLE.items()
            ],
            "operator": {"listen": f"127.0.0.1:{free_port()}"},
            "state": {"dir": "state"},
        }

    async def play_graph(self, method: str, path: str, body: Any = None) -> Any:
        return await self._play(self.graph.control_url, method, path, body)

    async def play_pbx(self, method: str, path: str, body: Any = None) -> Any:
        return await self._play(self.pbx.control_url, method, path, body)

    async def _play(self, url: str | None, method: str, path: str, body: Any) -> Any:
        answer = await self.http.request(method, f"{url}{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    # The config

    def change(self, section: str, **words: Any) -> None:
        """Words of a section; None takes one out."""
        self.sections.setdefault(section, {})
        found = self.sections[section]
        for word, value in words.items():
            if value is None:
                found.pop(word, None)
            else:
                found[word] = value
        self.write()

    def write(self) -> None:
        lines = []
        for name, section in self.sections.items():
            for one in section if isinstance(section, list) else [section]:
                lines.append(f"[[{name}]]" if isinstance(section, list) else f"[{name}]")
                lines += [f"{word} = {_toml(value)}" for word, value in one.items()]
        self.written.write_text("\n".join(lines) + "\n")

    def with_webhook(self, **words: Any) -> None:
        hook = {"public_url": f"http://127.0.0.1:{(port := free_port())}/hook", "listen": f"127.0.0.1:{port}"}
        self.sections["teams"]["delivery"] = "webhook"
        self.sections["teams.webhook"] = hook | words
        self.write()

    async def sign_in(self) -> None:
        """The watcher, with a code, as somebody at a browser does it."""
        config = load(self.written)
        tokens = self.outside.watcher_tokens(config, "default")
        loop = asyncio.get_running_loop()
        approvals: list[Any] = []

        def show(text: str) -> None:
            code = text.partition("enter the code ")[2].split()[0]
            body = {"username": "watcher@example.org"}
            path = f"/sign-ins/{code}/approve"
            approvals.append(asyncio.run_coroutine_threadsafe(self.play_graph("POST", path, body), loop))

        await tokens.sign_in(show)
        approvals[0].result()

    # The doctor

    async def examine(self, **wishes: Any) -> list[Finding]:
        site = Site(load(self.written), self.written, self.outside, Wishes(**wishes), self.account)
        return [one async for one in examine(site)]


_FREE = {"availability": "Available", "activity": "Available"}


def _toml(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, bool) else str(value).lower()


def first_bad(findings: list[Finding]) -> Finding | None:
    """The first that is wrong; or that is worth a warning, if nothing is wrong."""
    for state in (State.WRONG, State.WARNING):
        for one in findings:
            if one.state is state:
                return one
    return None


def of(findings: list[Finding], probe: str) -> Finding:
    return next(one for one in findings if one.probe == probe)


@contextlib.asynccontextmanager
async def bench(folder: Path, kind: str, *prepare: Callable[[Bench], None]) -> AsyncIterator[Bench]:
    """A running site; `prepare` changes what its world is like before it starts."""
    async with contextlib.AsyncExitStack() as stack:
        made = Bench(folder, kind, stack)
        for change in prepare:
            change(made)
        await made.start()
        yield made
