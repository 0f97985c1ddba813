"""A whole site as a user has it: emulators and service as programs, played by the control ports."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
PATIENCE_S = 30.0
TENANT = "11111111-2222-3333-4444-555555555555"
APP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
FREE = "Available/Available"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail with what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while not _holds(condition):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S:g} s in vain: {what}")
        time.sleep(0.02)  # between two looks at the condition; nothing depends on its length


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except httpx2.TransportError:
        return False


class Program:
    """A `presencebridge` command that goes on running."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *self.arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that a signal to the tests is not one to the program
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONASYNCIODEBUG": ""},
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8") if self._log.exists() else ""


class Worlds:
    """Both emulators, with three people each: 101 and 102 are served, 103 is in no config."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("graph", "graph_control", "pbx", "pbx_control")}
        (folder / "world.json").write_text(json.dumps(_world()))
        world = str(folder / "world.json")
        self.graph = Program(
            folder / "graph.log",
            *("emulate", "graph", "--port", str(self.ports["graph"]), "--world", world),
            *("--control-port", str(self.ports["graph_control"]), "--tls-dir", str(folder / "tls")),
        )
        self.pbx = Program(
            folder / "pbx.log",
            *("emulate", "3cx-web-api", "--port", str(self.ports["pbx"]), "--world", world),
            *("--control-port", str(self.ports["pbx_control"])),
        )
        self._http = httpx2.Client(trust_env=False, timeout=10)

    def start(self) -> None:
        self.graph.start()
        self.pbx.start()
        until("the emulators listen", lambda: self.ask_graph("GET", "/requests") is not None)
        until("the emulators listen", lambda: self.ask_pbx("GET", "/extensions") is not None)

    def close(self) -> None:
        self.graph.close()
        self.pbx.close()
        self._http.close()

    def tidy(self) -> None:
        """As on the first morning: everybody is signed in and free, and nobody is on the phone."""
        self.ask_graph("DELETE", "/faults")
        self.ask_pbx("DELETE", "/faults")
        calls = {leg["call"] for one in self.ask_pbx("GET", "/extensions") for leg in one["legs"]}
        for call in calls:
            self.ask_pbx("DELETE", f"/calls/{call}")
        self.ask_graph("POST", "/clock", {"advance_s": 4 * 3600})  # whatever sessions were left end
        for number in (1, 2, 3):
            user = f"/users/user{number}@example.org"
            self.ask_graph("PUT", f"{user}/client", _pair(FREE))
            self.ask_graph("PUT", f"{user}/preferred", None)
            self.ask_pbx("PUT", f"/extensions/10{number}", {"status": "Available"})
        self.ask_graph("DELETE", "/requests")
        self.ask_pbx("DELETE", "/requests")

    def ask_graph(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(f"http://127.0.0.1:{self.ports['graph_control']}", method, path, body)

    def ask_pbx(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(f"http://127.0.0.1:{self.ports['pbx_control']}", method, path, body)

    def _ask(self, base: str, method: str, path: str, body: Any) -> Any:
        content = None if method in ("GET", "DELETE") else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        answer = self._http.request(method, base + path, content=content, headers=headers)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None


def _world() -> dict[str, Any]:
    people = [(1, "Ann", "ann"), (2, "Bob", "bob"), (3, "Cyn", "cyn")]
    users = [
        {
            "id": f"00000000-0000-0000-0000-00000000010{number}",
            "userPrincipalName": f"user{number}@example.org",
            "mail": f"{mail}@example.org",
            "displayName": name,
        }
        for number, name, mail in people
    ]
    extensions = [
        {"number": f"10{number}", "name": name, "email": f"{mail}@example.org", "status": "Available"}
        for number, name, mail in people
    ]
    return {
        "tenant_id": TENANT,
        "client_id": APP,
        "client_secret": "s3cret",
        "users": users,
        "watchers": [
            {"username": "watcher@example.org", "id": "00000000-0000-0000-0000-000000000999"},
            {"username": "second@example.org", "id": "00000000-0000-0000-0000-000000000998"},
        ],
        "extensions": extensions,
    }


def _pair(shows: str | None) -> dict[str, str] | None:
    if shows is None:
        return None
    availability, activity = shows.split("/")
    return {"availability": availability, "activity": activity}


class Site:
    """The service with a config of its own, in the worlds."""

    def __init__(self, worlds: Worlds, folder: Path, *, extra: str = "", hook_port: int = 0) -> None:
        self.worlds = worlds
        self.folder = folder
        self.ports = {name: free_port() for name in ("hook", "page")}
        self.ask_graph, self.ask_pbx = worlds.ask_graph, worlds.ask_pbx
        folder.mkdir(exist_ok=True)
        self.config = folder / "site.toml"
        (folder / "secret").touch(0o600)
        (folder / "secret").write_text("s3cret")
        graph = f"https://127.0.0.1:{worlds.ports['graph']}"
        self.config.write_text(
            f"""
            [teams]
            tenant_id = "{TENANT}"
            client_id = "{APP}"
            client_secret_file = "secret"
            delivery = "webhook"
            reconcile_every_s = 6
            graph_url = "{graph}"
            login_url = "{graph}"
            ca_file = "{worlds.folder}/tls/ca.pem"
            {extra}
            [teams.webhook]
            public_url = "http://127.0.0.1:{hook_port or self.ports["hook"]}/presence-hook"
            listen = "127.0.0.1:{self.ports["hook"]}"
            [pbx]
            kind = "3cx-web-api"
            url = "http://127.0.0.1:{worlds.ports["pbx"]}"
            poll_every_s = 0.3
            status_every_s = 1
            timeout_s = 1
            [[person]]
            teams = "user1@example.org"
            extension = "101"
            [[person]]
            teams = "bob@example.org"
            extension = "102"
            [operator]
            listen = "127.0.0.1:{self.ports["page"]}"
            [state]
            dir = "state"
            """
        )
        self.service = Program(folder / "run.log", "run", "--config", str(self.config))
        self.calls_asked, self.status_asked = "/showallcalls", "/showstatus/{}"
        self._http = httpx2.Client(trust_env=False, timeout=10)

    # Programs

    def sign_in(self, watcher: str = "default", account: str = "watcher@example.org") -> None:
        log = self.folder / f"login-{watcher}-{time.monotonic_ns()}.log"
        login = Program(log, "login", "--config", str(self.config), "--watcher", watcher)
        login.start()
        assert login.process is not None
        try:
            until("login shows a code", lambda: "enter the code" in login.log)
            code = login.log.partition("enter the code ")[2].split()[0]
            self.ask_graph("POST", f"/sign-ins/{code}/approve", {"username": account})
            assert login.process.wait(PATIENCE_S) == 0, login.log
        finally:
            login.close()
        assert f"signed in as {account}" in login.log

    def start_service(self) -> None:
        self.service.start()
        self.until_ready()

    def until_ready(self) -> None:
        until("the service is ready", lambda: self.page("/readyz").status_code == 200)

    def close(self) -> None:
        self.service.close()
        self._http.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [PROGRAM, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    # What people do

    def client(self, number: int, shows: str | None) -> None:
        self.ask_graph("PUT", f"/users/user{number}@example.org/client", _pair(shows))

    def set_by_hand(self, number: int, status: str) -> None:
        self.ask_pbx("PUT", f"/extensions/10{number}", {"status": status})

    def dial(self, number: int, state: str = "Connected") -> str:
        legs = [
            {"dn": f"10{number}", "state": state, "party": "0301234567"},
            {"dn": "10000", "state": state, "party": f"10{number}"},
        ]
        return str(self.ask_pbx("POST", "/calls", {"legs": legs})["id"])

    def leg(self, call: str, number: int, state: str) -> None:
        self.ask_pbx("PUT", f"/calls/{call}/legs/10{number}", {"state": state})

    def hang_up(self, call: str) -> None:
        self.ask_pbx("DELETE", f"/calls/{call}")

    # What can be seen

    def teams(self, number: int) -> str:
        shown = self.ask_graph("GET", f"/users/user{number}@example.org")["effective"]
        return f"{shown['availability']}/{shown['activity']}"

    def sessions(self, number: int) -> list[str]:
        found = self.ask_graph("GET", f"/users/user{number}@example.org")["sessions"]
        return [one["session_id"] for one in found]

    def status(self, number: int) -> str:
        return str(self.ask_pbx("GET", f"/extensions/10{number}")["status"])

    def until_teams(self, number: int, shows: str) -> None:
        until(f"Teams of {number} shows {shows}", lambda: self.teams(number) == shows)

    def until_status(self, number: int, status: str) -> None:
        until(f"3CX of {number} shows {status}", lambda: self.status(number) == status)

    def until_at_rest(self) -> None:
        """Until the service has looked at everything twice more, and so has had every occasion to act."""
        for _ in range(2):
            begun = self._looks()
            self.page("/api/refresh", json={})
            until(
                "the service looks at everything",
                lambda: all(now > old for old, now in zip(begun, self._looks(), strict=True)),  # noqa: B023
            )

    def _looks(self) -> tuple[int, int, int]:
        pbx = [urllib.parse.unquote(request["path"]) for request in self.ask_pbx("GET", "/requests")]
        graph = [request["path"] for request in self.ask_graph("GET", "/requests")]
        statuses = [sum(self.status_asked.format(number) in path for path in pbx) for number in (101, 102)]
        return (
            sum(self.calls_asked in path for path in pbx),
            min(statuses),
            sum("getPresencesByUserId" in path for path in graph),
        )

    def holding(self, number: int) -> str:
        return str(self.page(f"/api/people/10{number}").json()["person"]["holding"])

    def page(self, path: str, json: Any = None) -> httpx2.Response:
        """The operator's listener; a `json` is posted."""
        method = "GET" if json is None else "POST"
        return self._http.request(method, f"http://127.0.0.1:{self.ports['page']}{path}", json=json)


@pytest.fixture(scope="session")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worlds, Path]]:
    """Emulators for all tests, and what the watcher's sign-in left on the disk."""
    folder = tmp_path_factory.mktemp("worlds")
    worlds = Worlds(folder)
    try:
        worlds.start()
        site = Site(worlds, folder)
        site.sign_in()
        site.close()
        yield worlds, folder / "state"
    finally:
        worlds.close()


@pytest.fixture
def new_site(signed_in: tuple[Worlds, Path], tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Sites in tidy worlds, whose watcher is signed in, and whose service does not run yet."""
    worlds, kept = signed_in
    worlds.tidy()
    with contextlib.ExitStack() as stack:

        def make(**words: Any) -> Site:
            site = Site(worlds, tmp_path, **words)
            stack.callback(site.close)
            shutil.copytree(kept, tmp_path / "state")
            return site

        yield make


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A site that is up and running."""
    made = new_site()
    made.start_service()
    return made
