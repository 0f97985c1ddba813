"""`init` as a person and as a script runs it; its config carries the whole way, to a service at work."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import e2e_programs
import pytest
from e2e_programs import PATIENCE_S, PROGRAM, Emulator, Program, free_port
from e2e_sites import APP, TENANT, world_of

BASE = ("--tenant", TENANT, "--client-id", APP)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return e2e_programs.run(*arguments, LC_ALL="", LC_MESSAGES="", LANG="C", **environment)


class Terminal:
    """A command with a person before it."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._side, other = pty.openpty()
        self.shown = ""
        self._read = 0
        self._process = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "", "LC_MESSAGES": "", "LANG": "C", "TERM": "dumb", **environment},
        )
        os.close(other)

    def until(self, text: str) -> str:
        """What was shown up to the text, since the last one."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown[self._read :]:
            assert time.monotonic() < deadline, (text, self.shown)
            if not self._more():
                pytest.fail(f"it ended before {text!r}: {self.shown}")
        begin, self._read = self._read, self.shown.index(text, self._read) + len(text)
        return self.shown[begin : self._read]

    def says(self, question: str, answer: str) -> None:
        """The person reads the question, and then answers at the prompt."""
        self.until(question)
        self.until("> ")
        os.write(self._side, answer.encode() + b"\n")

    def end(self) -> int:
        while self._more():
            pass
        os.close(self._side)
        return self._process.wait(PATIENCE_S)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._side], [], [], PATIENCE_S)
        try:
            got = os.read(self._side, 65536) if ready else b""
        except OSError:  # the command has ended
            got = b""
        self.shown += got.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(got)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Emulator]]:
    folder = tmp_path_factory.mktemp("worlds")
    world: dict[str, Any] = {**world_of(2), "monitored": None}
    world["app_roles"] = ["Presence.Read.All", "Presence.ReadWrite.All", "User.Read.All"]
    with (
        Emulator("graph", folder, world, tls=True) as graph,
        Emulator("3cx-v20", folder, world, tls=True) as pbx,
    ):
        for number in (1, 2):
            free = {"availability": "Available", "activity": "Available"}
            graph.ask("PUT", f"/users/user{number}@example.org/client", free)
        yield graph, pbx


def of(worlds: tuple[Emulator, Emulator], folder: Path) -> list[str]:
    """The options that lead to the emulators."""
    graph, pbx = worlds
    where = ["--graph-url", graph.url, "--login-url", graph.url, "--ca-file", str(graph.ca_file)]
    where += ["--pbx-ca-file", str(pbx.ca_file)]
    return [*where, "--listen", f"127.0.0.1:{free_port()}", "--state-dir", str(folder / "state")]


def goes_to_work(worlds: tuple[Emulator, Emulator], config: Path) -> None:
    """check -> upload -> doctor -> run, as `init` says."""
    assert run("check", "--config", str(config)).returncode == 0
    certificate = config.with_name("app.crt").read_text()
    worlds[0].ask("PUT", "/certificates", {"certificate": certificate})
    doctor = run("doctor", "--config", str(config))
    assert doctor.returncode == 0, doctor.stdout
    assert "BAD" not in doctor.stdout
    assert "WARN" not in doctor.stdout
    service = Program(config.parent / "run.log", "run", "--config", str(config))
    service.start()
    try:
        status = ("status", "--config", str(config))
        service.until("the service is ready", lambda: run(*status).returncode == 0)
    finally:
        assert service.end() == 0


def test_a_script_sets_up_a_site_that_goes_to_work(worlds, tmp_path):
    graph, pbx = worlds
    config = tmp_path / "site.toml"
    (tmp_path / "pbx-key").touch(0o600)
    (tmp_path / "pbx-key").write_text("k3y")
    options = ["--kind", "3cx-v20", "--pbx-url", pbx.url, "--pbx-client-id", "bridge"]
    people = ["--person", "user1@example.org=101", "--person", "bob@example.org=102"]
    made = run("init", "--yes", "--output", str(config), *BASE, *options, *people, *of(worlds, tmp_path))
    assert made.returncode == 0, made.stderr
    assert f"{graph.url}/{TENANT}/adminconsent?client_id={APP}" in made.stdout
    goes_to_work(worlds, config)

    before = config.read_text()
    again = run("init", "--yes", "--output", str(config))
    assert again.returncode == 0, again.stderr
    assert config.read_text() == before
    assert not (tmp_path / "site.toml.new").exists()


def test_a_person_sets_up_a_site_that_goes_to_work(worlds, tmp_path):
    """Wrong answers are explained and asked for again."""
    _, pbx = worlds
    config = tmp_path / "site.toml"
    person = Terminal("init", "--output", str(config), *of(worlds, tmp_path))
    person.says("Directory (tenant) ID", TENANT)
    person.says("Application (client) ID", APP)
    person.says("Kind of 3CX", "3cx-v21")
    person.says("please 3cx-v20", "")
    person.says("Address of the PBX", "pbx")
    person.says("that is no address", pbx.url + "/admin")
    person.says("that is no address", pbx.url)
    person.says("Client ID of the API client", "bridge")
    person.says("Key of that API client", "k3y")
    person.says("Who takes part", "everybody")
    person.says("please email or list", "")
    person.says("Recommended: yes", "maybe")
    person.says("please yes or no", "")
    assert person.end() == 0
    assert "k3y" not in person.shown
    assert (tmp_path / "pbx-key").read_text() == "k3y"
    assert 'match = "email"' in config.read_text()
    assert "manual_wins = true" in config.read_text()
    assert "Traceback" not in person.shown
    goes_to_work(worlds, config)


def test_a_person_who_comes_again_finds_the_answers_and_adds_to_them(tmp_path):
    config = tmp_path / "site.toml"
    options = [
        "--kind",
        "3cx-web-api",
        "--pbx-url",
        "http://127.0.0.1:8889",
        "--person",
        "ann@example.org=101",
    ]
    assert run("init", "--yes", "--output", str(config), *BASE, *options).returncode == 0
    key = (tmp_path / "app.pem").read_bytes()
    config.write_text(config.read_text().replace("[pbx]", "[pbx]\npoll_every_s = 3  # by hand"))
    before = config.read_text()

    person = Terminal("init", "--output", str(config), LANG="de_DE.UTF-8")
    person.until("bleibt")
    person.says(f"[{TENANT}]", "")
    person.says(f"[{APP}]", "")
    person.says("[3cx-web-api]", "")
    person.says("[http://127.0.0.1:8889]", "")
    person.says("ann@example.org 101\n", "ann 102")
    person.says("bitte Benutzerprinzipalname", "bob@example.org 102")
    os.write(person._side, b"\n")
    person.says("Empfohlen: ja", "nein")
    person.says("an die Stelle", "ja")
    assert person.end() == 0
    assert (tmp_path / "site.toml.old").read_text() == before
    text = config.read_text()
    assert "poll_every_s = 3  # by hand" in text
    assert 'teams = "bob@example.org"' in text
    assert "manual_wins = false" in text
    assert (tmp_path / "app.pem").read_bytes() == key
    assert run("check", "--config", str(config)).returncode == 0


def test_a_script_never_writes_over_a_config(tmp_path):
    config = tmp_path / "site.toml"
    options = [
        "--kind",
        "3cx-web-api",
        "--pbx-url",
        "http://127.0.0.1:8889",
        "--person",
        "ann@example.org=101",
    ]
    assert run("init", "--yes", "--output", str(config), *BASE, *options).returncode == 0
    before = config.read_text()
    more = run(
        "init", "--yes", "--output", str(config), "--person", "bob@example.org=102", "--no-manual-wins"
    )
    assert more.returncode == 0, more.stderr
    assert config.read_text() == before
    (tmp_path / "site.toml.new").replace(config)
    assert "bob@example.org" in config.read_text()
    assert "manual_wins = false" in config.read_text()
    assert run("check", "--config", str(config)).returncode == 0


def test_a_config_that_can_not_be_read_is_left_alone(tmp_path):
    config = tmp_path / "site.toml"
    config.write_text("[teams\n")
    options = [
        "--kind",
        "3cx-web-api",
        "--pbx-url",
        "http://127.0.0.1:8889",
        "--person",
        "ann@example.org=101",
    ]
    made = run("init", "--yes", "--output", str(config), *BASE, *options)
    assert made.returncode == 0, made.stderr
    assert config.read_text() == "[teams\n"
    assert run("check", "--config", str(tmp_path / "site.toml.new")).returncode == 0


def test_a_script_is_told_everything_that_is_missing_at_once(tmp_path):
    made = run("init", "--yes", "--output", str(tmp_path / "site.toml"), "--tenant", "no guid")
    assert made.returncode == 2
    told = re.findall(r"^(--[a-z-]+):", made.stderr, re.MULTILINE)
    assert told == ["--tenant", "--client-id", "--kind", "--pbx-url", "--person"]
    assert list(tmp_path.iterdir()) == []


def test_who_stops_early_leaves_nothing_behind(tmp_path):
    person = Terminal("init", "--output", str(tmp_path / "site.toml"), *BASE, "--pbx-url", "https://pbx:5001")
    person.says("Kind of 3CX", "")
    person.says("Client ID of the API client", "")
    person.says("Key of that API client", "k3y")
    person.until("Who takes part")
    person.until("> ")
    os.write(person._side, b"\x04")
    assert person.end() == 1
    assert list(tmp_path.iterdir()) == []
