"""The real service with recognisable secrets, through work and trouble: none of them is ever told."""

import contextlib
import json
import os
import re
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from e2e_programs import PROGRAM, Emulator, until
from e2e_sites import FREE, V20_WEBSOCKET, Site, Worlds, world_of

_TOKENS = re.compile(r"eyJ[\w-]{10,}|Bearer \S|-----BEGIN")
"""What signed tokens and keys begin with, whoever made them."""


class Safe(NamedTuple):
    """A site, and all that nobody may see."""

    site: Site
    given: dict[str, str]
    """Secrets that the operator gave to the service."""

    def kept(self) -> dict[str, str]:
        """Secrets that the service keeps in its state folder."""
        found = {}
        for file in (self.site.folder / "state").iterdir():
            text = file.read_text("utf-8", "replace")
            if file.name.startswith("notification-key"):
                lines = text.split("CERTIFICATE")[0].splitlines()
                found |= {
                    f"{file.name} {number}": line for number, line in enumerate(lines) if len(line) == 64
                }
            elif file.suffix == ".json":
                for word in ("secret", "client_state"):
                    for number, value in enumerate(re.findall(rf'"{word}": ?"([^"]+)"', text)):
                        found[f"{file.name} {word} {number}"] = value
        return found

    def assert_untold(self, where: str, text: str) -> None:
        for name, value in (self.given | self.kept()).items():
            assert value not in text, f"{name} is told by {where}"
        assert not (found := _TOKENS.search(text)), f"{where} tells {found and found[0]}"


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    given = {
        word: f"{word}-{secrets.token_hex(12)}"
        for word in ("app-secret", "pbx-secret", "bridge-key", "operator")
    }
    world = world_of(3) | {"client_secret": given["app-secret"], "pbx_client_secret": given["pbx-secret"]}
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(Emulator("graph", tmp_path, world, tls=True))
        pbx = stack.enter_context(Emulator("3cx-v20", tmp_path, world, tls=True))
        kind = V20_WEBSOCKET._replace(words=V20_WEBSOCKET.words + '\nstatus_via = ["xapi", "bridge"]')
        site = Site(Worlds(graph, pbx, kind), tmp_path)
        site.worlds.tidy()
        stack.callback(site.close)
        more = f"""
            [pbx.bridge]
            kind = "3cx-status-web-api"
            url = "{pbx.url}"
            ca_file = "{pbx.ca_file}"
            api_key_file = "bridge-key"
            [operator]
            token_file = "operator"
        """
        site.config.write_text(site.config.read_text().replace("[operator]", more))
        for word, file in (("app-secret", "secret"), ("pbx-secret", "key")):
            (tmp_path / file).write_text(given[word])
        for word in ("bridge-key", "operator"):
            (tmp_path / word).touch(0o600)
            (tmp_path / word).write_text(given[word])
        site._http.headers["Authorization"] = f"Bearer {given['operator']}"
        yield Safe(site, given)


def _answers(ask: Callable[..., Any], status: int) -> int:
    return sum(request["status"] == status for request in ask("GET", "/requests"))


def test_no_secret_is_told_in_work_and_in_trouble(safe: Safe) -> None:
    site = safe.site
    site.sign_in()
    site.service.is_real = True  # what it looks like from outside is looked at
    site.start_service()
    assert httpx2.get(f"http://127.0.0.1:{site.ports['page']}/api/people").status_code == 401

    told: dict[str, str] = {}

    def gather(when: str) -> None:
        for path in ("/", "/rows", "/api/people", "/api/people/101", "/api/matching", "/metrics", "/readyz"):
            answer = site.page(path)
            told[f"{path} {when}"] = answer.text + str(answer.headers)
        for command in (
            ["status"],
            ["people"],
            ["why", "101"],
            ["check"],
            ["teams", "subscriptions", "list"],
            ["teams", "get", "user1@example.org"],
            ["pbx", "get", "101"],
        ):
            done = site.command(*command)
            told[f"{' '.join(command)} {when}"] = done.stdout + done.stderr

    # work
    call = site.dial(1)
    site.until_teams(1, "Busy/InACall")
    site.hang_up(call)
    site.until_teams(1, FREE)
    site.client(2, "Busy/InAMeeting")
    site.until_status(2, "Away")
    gather("at work")
    assert site.command("why", "101").returncode == 0
    config = site.config.read_text()
    site.config.write_text(config.replace('token_file = "operator"', ""))
    unknown = site.command("why", "101")
    assert (unknown.returncode, "token is needed" in unknown.stderr) == (1, True)
    site.config.write_text(config)

    # trouble, of every kind that comes with a text from outside
    site.ask_pbx("POST", "/faults", {"patch_profile": "ignored"})  # so that the bridge is asked
    site.client(1, "Busy/InAMeeting")
    until("3CX ignores a change", lambda: site.trouble(101) != "")
    gather("with a change ignored")
    hook = f"http://127.0.0.1:{site.ports['hook']}/presence-hook"
    state = site.ask_graph("GET", "/subscriptions")[0]["clientState"]
    for body in (b"{", json.dumps({"value": [{"subscriptionId": "x", "clientState": state}]}).encode()):
        httpx2.post(hook, content=body)
    wrong = {"Authorization": f"Bearer {safe.given['operator'][:-1]}"}
    assert httpx2.get(f"http://127.0.0.1:{site.ports['page']}/", headers=wrong).status_code == 401
    for refusal in (500, 401):
        for worlds in (site.ask_graph, site.ask_pbx):
            worlds("POST", "/faults", {"status": refusal})
        for worlds in (site.ask_graph, site.ask_pbx):
            until(f"{refusal} is met", lambda: _answers(worlds, refusal) > 0)  # noqa: B023
        gather(f"with {refusal}")
    for worlds in (site.ask_graph, site.ask_pbx):
        worlds("DELETE", "/faults")
    site.ask_graph("POST", "/sign-ins/revoke", {"username": "watcher@example.org"})
    gather("with the sign-in revoked")
    (site.folder / "secret").write_text("wrong-" + safe.given["app-secret"])
    safe.given["a wrong secret"] = "wrong-" + safe.given["app-secret"]
    gather("with a wrong secret")
    assert "refused" in told["teams get user1@example.org with a wrong secret"]

    # what other accounts of the machine see
    process = site.service.process
    assert process is not None
    proc = Path(f"/proc/{process.pid}")
    told["its command line"] = proc.joinpath("cmdline").read_text()
    assert not "".join(file.read_text() for file in proc.glob("task/*/children")), "it starts no programs"
    limits = proc.joinpath("limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (site.folder / "state").iterdir()}
    assert {"presencebridge.sqlite", "watcher-default.json", "subscription-default.json"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE((site.folder / "state").stat().st_mode) == 0o700

    assert site.service.end() == 0
    told["its log"] = site.service.log
    told["--help"] = subprocess.run(
        [PROGRAM, "run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for file in site.folder.glob("login-*.log"):
        told["login"] = file.read_text()
    assert len(safe.kept()) >= 4
    for where, text in told.items():
        safe.assert_untold(where, text)


@pytest.mark.parametrize("garbled", ["head", "other key"])
def test_a_certificate_that_can_not_be_read_is_not_quoted(garbled: str, safe: Safe) -> None:
    site = safe.site
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a"]
    for name in ("app", "other"):
        into = ["-keyout", f"{name}.pem", "-out", f"{name}.crt"]
        subprocess.run([*make, *into], cwd=site.folder, check=True, capture_output=True)
    key = (site.folder / "app.pem").read_text()
    pem = key + (site.folder / "app.crt").read_text()
    lines = [line for line in key.splitlines() if len(line) == 64]
    broken = {
        "head": pem.replace("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----", 1),
        "other key": key + (site.folder / "other.crt").read_text(),
    }[garbled]
    (site.folder / "app.pem").write_text(broken)
    site.config.write_text(
        site.config.read_text().replace('client_secret_file = "secret"', 'certificate_file = "app.pem"', 1)
    )
    for command in ("check", "run", "status"):
        done = site.command(command)
        assert done.returncode != 0
        told = done.stdout + done.stderr
        assert not any(line[:20] in told for line in lines), told
        assert "Traceback" not in told


def test_the_memory_of_the_service_is_nobody_elses() -> None:
    program = """
import ctypes, os, resource
from presencebridge.cli.service import keep_memory_private
keep_memory_private()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), os.umask(0))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    dumpable = "0" if os.uname().sysname == "Linux" else "-1"
    assert done.stdout.split(") ")[0] == "(0, 0"
    assert done.stdout.split(") ")[1].split() == [dumpable, str(0o077)]
