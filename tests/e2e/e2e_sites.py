"""A site as a user has it: both worlds around it, its config, what people do, and what can be seen."""

import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from e2e_programs import PATIENCE_S, Emulator, Program, free_port, run, until

TENANT = "11111111-2222-3333-4444-555555555555"
APP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
FREE = "Available/Available"
BUSY = "Busy/InACall"


class PbxKind(NamedTuple):
    """One of the ways in which a PBX tells of its calls."""

    name: str
    emulator: str
    """What it is called in the config, and by `emulate`."""
    calls_asked: str | None
    """What the path of each look at the calls holds; None where they are told of by themselves."""
    words: str = ""
    """More of [pbx]."""

    @property
    def is_v20(self) -> bool:
        return self.emulator == "3cx-v20"


_KEY = 'client_id = "bridge"\nclient_secret_file = "key"'
WEB_API = PbxKind("web-api", "3cx-web-api", "/showallcalls")
V20_WEBSOCKET = PbxKind("v20-websocket", "3cx-v20", None, _KEY)
V20_ACTIVE_CALLS = PbxKind(
    "v20-active-calls", "3cx-v20", "/ActiveCalls", _KEY + '\ncalls_via = "active-calls"'
)
V20 = (V20_WEBSOCKET, V20_ACTIVE_CALLS)


def on(*kinds: PbxKind) -> pytest.MarkDecorator:
    """Run a test, or all of a file, on each of these."""
    return pytest.mark.parametrize("pbx_kind", kinds, ids=[kind.name for kind in kinds])


on_every_pbx = on(WEB_API, *V20)


class Worlds:
    """What is around a site, with three people: 101 and 102 are served, 103 is in no config."""

    def __init__(self, graph: Emulator, pbx: Emulator, kind: PbxKind) -> None:
        self.graph = graph
        self.pbx = pbx
        self.kind = kind

    def tidy(self) -> None:
        """As on the first morning: everybody is signed in and free, and nobody is on the phone."""
        graph, pbx = self.graph, self.pbx
        graph.ask("DELETE", "/faults")
        pbx.ask("DELETE", "/faults")
        for call in {leg["call"] for one in pbx.ask("GET", "/extensions") for leg in one["legs"]}:
            pbx.ask("DELETE", f"/calls/{call}")
        graph.ask("POST", "/clock", {"advance_s": 4 * 3600})  # whatever sessions were left end
        for number in (1, 2, 3):
            user = f"/users/user{number}@example.org"
            graph.ask("PUT", f"{user}/client", _pair(FREE))
            graph.ask("PUT", f"{user}/preferred", None)
            pbx.ask("PUT", f"/extensions/{100 + number}", {"status": "Available"})
        graph.ask("DELETE", "/requests")
        pbx.ask("DELETE", "/requests")


def world_of(count: int) -> dict[str, Any]:
    """The world file with people 1, 2, ..., who have the extensions 101, 102, ..."""
    names = {1: "Ann", 2: "Bob", 3: "Cyn"}
    people = [(number, names.get(number, f"Person{number}")) for number in range(1, count + 1)]
    users = [
        {
            "id": f"00000000-0000-0000-0000-{100 + number:012}",
            "userPrincipalName": f"user{number}@example.org",
            "mail": f"{name.lower()}@example.org",
            "displayName": name,
        }
        for number, name in people
    ]
    extensions = [
        {
            "number": f"{100 + number}",
            "name": name,
            "email": f"{name.lower()}@example.org",
            "status": "Available",
        }
        for number, name in people
    ]
    return {
        "tenant_id": TENANT,
        "client_id": APP,
        "client_secret": "s3cret",
        "users": users,
        "watchers": [
            {"username": "watcher@example.org", "id": "00000000-0000-0000-0001-000000000001"},
            {"username": "second@example.org", "id": "00000000-0000-0000-0001-000000000002"},
        ],
        "extensions": extensions,
        "pbx_client_id": "bridge",
        "pbx_client_secret": "k3y",
        "monitored": None if count > 3 else ["101", "102"],
    }


_OTHER_END = {
    "Dialing": "Ringing",
    "Ringing": "Dialing",
    "Connected": "Connected",
    "Hold": "Held",
    "Held": "Hold",
}


def _pair(shows: str | None) -> dict[str, str] | None:
    if shows is None:
        return None
    availability, activity = shows.split("/")
    return {"availability": availability, "activity": activity}


def person(teams: str, extension: str) -> str:
    return f'[[person]]\nteams = "{teams}"\nextension = "{extension}"\n'


_TWO = person("user1@example.org", "101") + person("bob@example.org", "102")


class Site:
    """The service with a config of its own, in the worlds."""

    def __init__(
        self, worlds: Worlds, folder: Path, *, extra: str = "", people: str = _TWO, hook_port: int = 0
    ) -> None:
        self.worlds = worlds
        self.folder = folder
        self.ports = {name: free_port() for name in ("hook", "page")}
        self.ask_graph, self.ask_pbx = worlds.graph.ask, worlds.pbx.ask
        folder.mkdir(exist_ok=True)
        self.config = folder / "site.toml"
        for name, text in (("secret", "s3cret"), ("key", "k3y\n")):
            (folder / name).touch(0o600)
            (folder / name).write_text(text)
        graph, pbx = worlds.graph, worlds.pbx
        self.config.write_text(
            f"""
            [teams]
            tenant_id = "{TENANT}"
            client_id = "{APP}"
            client_secret_file = "secret"
            delivery = "webhook"
            reconcile_every_s = 6
            graph_url = "{graph.url}"
            login_url = "{graph.url}"
            ca_file = "{graph.ca_file}"
            {extra}
            [teams.webhook]
            public_url = "http://127.0.0.1:{hook_port or self.ports["hook"]}/presence-hook"
            listen = "127.0.0.1:{self.ports["hook"]}"
            [pbx]
            kind = "{pbx.kind}"
            url = "{pbx.url}"
            {f'ca_file = "{pbx.ca_file}"' if worlds.kind.is_v20 else ""}
            {worlds.kind.words}
            poll_every_s = 0.3
            status_every_s = 1
            timeout_s = 3
            {people}
            [operator]
            listen = "127.0.0.1:{self.ports["page"]}"
            [state]
            dir = "state"
            """
        )
        self.service = Program(folder / "run.log", "run", "--config", str(self.config))
        self._http = httpx2.Client(trust_env=False, timeout=10)

    def add_person(self, number: int, extension: str = "") -> None:
        """Before the service starts: one more [[person]]."""
        with self.config.open("a") as config:
            config.write(person(f"user{number}@example.org", extension or f"{100 + number}"))

    def exclude(self, number: int) -> None:
        """From the next start, or the next reload, on."""
        line = f'extension = "{100 + number}"'
        text = self.config.read_text()
        assert line in text
        self.config.write_text(text.replace(line, f"{line}\nexclude = true"))

    # Programs

    def sign_in(self, watcher: str = "default", account: str = "watcher@example.org") -> None:
        log = self.folder / f"login-{watcher}-{time.monotonic_ns()}.log"
        login = Program(log, "login", "--config", str(self.config), "--watcher", watcher)
        login.start()
        assert login.process is not None
        try:
            login.until("login shows a code", lambda: "enter the code" in login.log)
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
        self.service.until("the service is ready", lambda: self.page("/readyz").status_code == 200)

    def close(self) -> None:
        self.service.close()
        self._http.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run(*arguments, "--config", str(self.config))

    # What people do

    def client(self, number: int, shows: str | None) -> None:
        self.ask_graph("PUT", f"/users/user{number}@example.org/client", _pair(shows))

    def set_by_hand(self, number: int, status: str) -> None:
        self.ask_pbx("PUT", f"/extensions/{100 + number}", {"status": status})

    def dial(self, number: int, state: str = "Connected") -> str:
        """A call with somebody outside; each end of it is what the other one's state makes it."""
        party = "0301234567"
        legs = [
            {"dn": f"{100 + number}", "state": state, "party": party},
            {"dn": "10000", "state": _OTHER_END[state], "party": party},
        ]
        return str(self.ask_pbx("POST", "/calls", {"legs": legs})["id"])

    def leg(self, call: str, number: int, state: str) -> None:
        for dn, shown in (("10000", _OTHER_END[state]), (f"{100 + number}", state)):
            self.ask_pbx("PUT", f"/calls/{call}/legs/{dn}", {"state": shown})

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
        return str(self.ask_pbx("GET", f"/extensions/{100 + number}")["status"])

    def until_teams(self, number: int, shows: str) -> None:
        until(f"Teams of {number} shows {shows}", lambda: self.teams(number) == shows)

    def until_status(self, number: int, status: str) -> None:
        until(f"3CX of {number} shows {status}", lambda: self.status(number) == status)

    def until_taken(self, number: int, status: str) -> None:
        """3CX shows our status, and the service knows it: nobody can see what a hand does before that."""
        self.until_status(number, status)
        ours = f"3CX {status} (was Available)"
        until(f"the service knows that {number} shows {status}", lambda: self.holding(number) == ours)

    def until_at_rest(self) -> None:
        """Until the service has looked at everything twice more, and so has had every occasion to act."""
        for _ in range(2):
            begun = self._looks()
            self.page("/api/refresh", json={})
            until(
                "the service looks at everything",
                lambda: (
                    all(now > old for old, now in zip(begun, self._looks(), strict=True))  # noqa: B023
                    and all(self._knows_calls_of(number) for number in (1, 2))
                ),
            )

    def _looks(self) -> tuple[int, ...]:
        pbx = [urllib.parse.unquote(request["path"]) for request in self.ask_pbx("GET", "/requests")]
        graph = [request["path"] for request in self.ask_graph("GET", "/requests")]
        looks = [sum("getPresencesByUserId" in path for path in graph)]
        looks += [sum(self._shows_status(path, number) for path in pbx) for number in (1, 2)]
        if self.worlds.kind.calls_asked:
            looks.append(sum(self.worlds.kind.calls_asked in path for path in pbx))
        return tuple(looks)

    def _shows_status(self, path: str, number: int) -> bool:
        if not self.worlds.kind.is_v20:
            return f"/showstatus/{100 + number}" in path
        asks = path.startswith("/xapi/v1/Users?") and "CurrentProfileName" in path
        return asks and ("Number eq" not in path or f"Number eq '{100 + number}'" in path)

    def _knows_calls_of(self, number: int) -> bool:
        """Whether the service knows if this person has a call; what it is like, not every PBX tells."""
        legs = self.ask_pbx("GET", f"/extensions/{100 + number}")["legs"]
        known = self.shown(f"/api/people/{100 + number}")["person"]["legs"]
        return known is not None and bool(known) == bool(legs)

    def holding(self, number: int) -> str:
        return str(self.shown(f"/api/people/{100 + number}")["person"]["holding"])

    def trouble(self, extension: int) -> str:
        """What the page says is wrong with a person."""
        return " ".join(self.shown(f"/api/people/{extension}")["person"]["trouble"])

    def page(self, path: str, json: Any = None) -> httpx2.Response:
        """The operator's listener; a `json` is posted."""
        method = "GET" if json is None else "POST"
        return self._http.request(method, f"http://127.0.0.1:{self.ports['page']}{path}", json=json)

    def shown(self, path: str) -> Any:
        """What the page has to say; one that does not run yet says 503, which `until` waits for."""
        return self.page(path).raise_for_status().json()
