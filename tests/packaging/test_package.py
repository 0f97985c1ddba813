"""The Debian package on a Debian machine with a systemd of its own: from the installation to the purge."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine_kit import PROJECT, Machine, build, skip_unless_possible

pytestmark = pytest.mark.timeout(900)

TENANT = "11111111-2222-3333-4444-555555555555"
APP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SITE = "/etc/presencebridge/site.toml"
GRAPH, PBX = "http://127.0.0.1:8444", "http://127.0.0.1:5002"
USERS = [
    {"id": f"00000000-0000-0000-0000-00000000010{n}", "userPrincipalName": f"user{n}@example.org"}
    | {"mail": f"user{n}@example.org", "displayName": name}
    for n, name in ((1, "Ann"), (2, "Bob"))
]
WORLD = {
    "tenant_id": TENANT,
    "client_id": APP,
    "users": USERS,
    "watchers": [{"username": "watcher@example.org"}],
    "extensions": [
        {"number": f"10{n}", "name": name, "email": f"user{n}@example.org", "status": "Available"}
        for n, name in ((1, "Ann"), (2, "Bob"))
    ],
    "pbx_client_id": "teamsync",
    "pbx_client_secret": "k3y",
}
EARLIER, VERSION = "0.0.9", re.findall(r'version = "(.*)"', (PROJECT / "pyproject.toml").read_text())[0]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    skip_unless_possible()
    packages = {build(EARLIER): "earlier.deb", build(): "this.deb"}
    (tmp_path / "packages").mkdir()
    for file, name in packages.items():
        (tmp_path / "packages" / name).hardlink_to(file)
    with Machine(tmp_path / "packages", tmp_path / "machine.log") as booted:
        yield booted


def test_the_life_of_the_package(machine: Machine) -> None:
    before = machine.files()
    machine.do("dpkg", "--install", "/packages/earlier.deb")
    nothing_runs_without_a_config(machine)
    start_the_worlds(machine)
    set_up_as_root(machine)
    machine.do("systemctl", "start", "presencebridge")  # returns when it is ready, and not before
    it_is_seen_to_stand(machine)
    secrets_are_roots_alone(machine)
    hold_claims(machine)
    the_config_is_read_anew(machine)
    one_that_hangs_is_replaced(machine)
    upgrade(machine)
    claims_are_still_there_and_are_given_back(machine)
    machine.do("systemctl", "stop", "presencebridge")
    assert machine.unit("ActiveState", "Result") == ["inactive", "success"]
    a_wrong_config_is_told_once(machine)
    a_database_of_a_newer_version_is_left_alone(machine)
    stop_the_worlds(machine)
    removed_and_purged(machine, before)


def nothing_runs_without_a_config(machine: Machine) -> None:
    assert machine.do("presencebridge", "--version") == EARLIER
    assert machine.unit("ActiveState", "UnitFileState") == ["inactive", "enabled"]
    machine.do("test", "-f", "/usr/share/doc/presencebridge/install.md")  # as it is, so that links lead to it
    shown = machine.do("stat", "--format=%a %U %G", "/etc/presencebridge", "/etc/presencebridge/secrets")
    assert shown.splitlines() == ["2750 root presencebridge", "700 root root"]
    shown = machine.do("stat", "--format=%a %U %G", "/var/lib/presencebridge")
    assert shown == "700 presencebridge presencebridge"


def start_the_worlds(machine: Machine) -> None:
    """The two outside systems, as the package brings them."""
    machine.file("/srv/world.json", json.dumps(WORLD))
    for kind, port, control in (("graph", "8443", "8444"), ("3cx-v20", "5001", "5002")):
        words = [
            "--port",
            port,
            "--control-port",
            control,
            "--world",
            "/srv/world.json",
            "--tls-dir",
            "/srv/tls",
        ]
        machine.do("systemd-run", f"--unit=world-{kind}", "/usr/bin/presencebridge", "emulate", kind, *words)
        url = GRAPH if kind == "graph" else PBX
        machine.until(f"{kind} answers", lambda: machine.ask("GET", f"{url}/faults") is not None)  # noqa: B023


def stop_the_worlds(machine: Machine) -> None:
    machine.do("systemctl", "stop", "world-graph", "world-3cx-v20")
    machine.do("rm", "-rf", "/srv/world.json", "/srv/tls")


def set_up_as_root(machine: Machine) -> None:
    """As the docs say: `init` as root, the certificate to Entra, the key of 3CX into its file, `doctor`."""
    machine.do("install", "-m", "644", "/srv/tls/ca.pem", "/etc/presencebridge/ca.pem")
    words = ["--tenant", TENANT, "--client-id", APP, "--kind", "3cx-v20", "--pbx-client-id", "teamsync"]
    words += ["--person", "user1@example.org=101", "--person", "user2@example.org=102"]
    words += ["--pbx-url", "https://127.0.0.1:5001", "--pbx-ca-file", "ca.pem", "--ca-file", "ca.pem"]
    words += ["--graph-url", "https://127.0.0.1:8443", "--login-url", "https://127.0.0.1:8443"]
    machine.do("presencebridge", "init", "--yes", "--output", SITE, *words)
    machine.file("/etc/presencebridge/secrets/pbx-key", "k3y\n", "600")
    certificate = machine.do("cat", "/etc/presencebridge/secrets/app.crt")
    machine.ask("PUT", f"{GRAPH}/certificates", {"certificate": certificate})
    assert "(2 people" in machine.do("presencebridge", "check", "--config", SITE)
    machine.do("presencebridge", "doctor", "--config", SITE)


def it_is_seen_to_stand(machine: Machine) -> None:
    assert machine.unit("ActiveState", "SubState") == ["active", "running"]
    machine.until("systemd knows how it stands", lambda: "in step, 2 people" in machine.unit("StatusText"))
    (pid,) = machine.unit("MainPID")
    assert machine.do("ps", "-o", "user=", "-p", pid) == "presencebridge"


def secrets_are_roots_alone(machine: Machine) -> None:
    """The account can't open them; the service has systemd's copies, which are in memory."""
    for name in ("app.pem", "pbx-key"):
        file = f"/etc/presencebridge/secrets/{name}"
        assert "Permission denied" in machine.fails("runuser", "-u", "presencebridge", "--", "cat", file)
    handed = "/run/credentials/presencebridge.service"
    assert machine.do("cat", f"{handed}/secrets_pbx-key") == "k3y"
    assert machine.do("findmnt", "--noheadings", "--output", "FSTYPE", "--target", handed) in (
        "ramfs",
        "tmpfs",
    )


def person(machine: Machine, extension: int) -> dict[str, Any]:
    return dict(machine.ask("GET", f"http://127.0.0.1:8080/api/people/{extension}")["person"])


def status(machine: Machine, extension: int) -> str:
    return str(machine.ask("GET", f"{PBX}/extensions/{extension}")["status"])


def hold_claims(machine: Machine) -> None:
    """Ann is in a meeting, so 3CX is Away and ours; Bob is paused."""
    machine.ask("DELETE", f"{PBX}/requests")  # doctor has tried whether it may write
    client = {"availability": "Busy", "activity": "InAMeeting"}
    machine.ask("PUT", f"{GRAPH}/users/user1@example.org/client", client)
    machine.until("3CX is Away", lambda: status(machine, 101) == "Away")
    machine.until("it is ours", lambda: "3CX Away (was Available)" in person(machine, 101)["holding"])
    machine.do("presencebridge", "pause", "102", "--config", SITE)


def the_config_is_read_anew(machine: Machine) -> None:
    """`systemctl reload`: the same process goes on, and what is wrong changes nothing."""
    (pid,) = machine.unit("MainPID")
    config = machine.do("cat", SITE)
    site = "http://127.0.0.1:8080/api/people"

    def served() -> int:
        return len(machine.ask("GET", site)["people"])

    for people, add in (
        (2, "\n[pabx]\n"),
        (3, '\n[[person]]\nteams = "user3@example.org"\nextension = "103"\n'),
    ):
        machine.file(SITE, config + add)
        machine.do("systemctl", "reload", "presencebridge")
        machine.until("it is reloaded", lambda: machine.unit("SubState") == ["running"])
        machine.until(f"{people} people are served", lambda: served() == people)  # noqa: B023
        assert machine.unit("MainPID") == [pid]
    machine.file(SITE, config)
    machine.do("systemctl", "reload", "presencebridge")
    machine.until("two people are served", lambda: served() == 2)
    assert "no such section" in machine.do("journalctl", "--unit=presencebridge", "--output=cat")


def one_that_hangs_is_replaced(machine: Machine) -> None:
    """The watchdog, quicker than usual: a process that is stopped feeds it no more."""
    drop_in = "/run/systemd/system/presencebridge.service.d/quick.conf"
    machine.file(drop_in, "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\n")
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "restart", "presencebridge")
    (pid,) = machine.unit("MainPID")
    machine.do("kill", "-STOP", pid)
    machine.until("another one runs", lambda: machine.unit("NRestarts") == ["1"])
    machine.until("it runs", lambda: machine.unit("ActiveState") == ["active"])
    journal = machine.do("journalctl", "--unit=presencebridge", "--no-pager", "--output=cat")
    assert "Watchdog timeout" in journal
    machine.do("rm", "-r", "/run/systemd/system/presencebridge.service.d")
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "restart", "presencebridge")


def upgrade(machine: Machine) -> None:
    (pid,) = machine.unit("MainPID")
    machine.do("dpkg", "--install", "/packages/this.deb")
    assert machine.do("presencebridge", "--version") == VERSION
    assert machine.unit("ActiveState") == ["active"]
    assert machine.unit("MainPID") != [pid]


def claims_are_still_there_and_are_given_back(machine: Machine) -> None:
    machine.until("it is in step", lambda: "in step, 2 people" in machine.unit("StatusText"))
    assert person(machine, 101)["holding"] == "3CX Away (was Available)"
    assert person(machine, 102)["condition"] == "paused"
    assert status(machine, 101) == "Away"
    client = {"availability": "Available", "activity": "Available"}
    machine.ask("PUT", f"{GRAPH}/users/user1@example.org/client", client)
    machine.until("3CX is Available", lambda: status(machine, 101) == "Available")
    writes = [one for one in machine.ask("GET", f"{PBX}/requests") if one["method"] == "PATCH"]
    assert len(writes) == 2  # Away, and back: no restart and no upgrade made one more


def a_wrong_config_is_told_once(machine: Machine) -> None:
    """Nobody but a person can mend it, so the service is not started again and again."""
    machine.do("sed", "--in-place", "s/^kind = /kind = 'pabx' # /", SITE)
    does_not_start(machine)
    machine.do("sed", "--in-place", "s/^kind = 'pabx' # /kind = /", SITE)


def a_database_of_a_newer_version_is_left_alone(machine: Machine) -> None:
    """As after a downgrade."""
    database = "import sqlite3; sqlite3.connect('/var/lib/presencebridge/presencebridge.sqlite')"
    machine.do("python3.11", "-c", f"{database}.execute('PRAGMA user_version = 99')")
    does_not_start(machine)
    assert "is of a newer version" in machine.do("journalctl", "--unit=presencebridge", "--output=cat")


def does_not_start(machine: Machine) -> None:
    machine.fails("systemctl", "start", "presencebridge")
    assert machine.unit("ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "2", "0"]
    machine.do("systemctl", "reset-failed", "presencebridge")


def removed_and_purged(machine: Machine, before: dict[str, str]) -> None:
    machine.do("dpkg", "--remove", "presencebridge")
    assert machine.said("sh", "-c", "command -v presencebridge") == ""
    machine.do("test", "-f", SITE)  # kept until the purge, as Debian does
    machine.do("test", "-f", "/var/lib/presencebridge/presencebridge.sqlite")
    machine.do("dpkg", "--purge", "presencebridge")
    after = machine.files()
    assert {path: (before.get(path), after.get(path)) for path in before.keys() ^ after.keys()} == {}
    assert {path for path in before if before[path] != after[path]} == set()
    assert machine.said("getent", "passwd", "presencebridge") == ""
    assert machine.said("getent", "group", "presencebridge") == ""
    assert machine.said("systemctl", "list-unit-files", "presencebridge*", "--no-legend") == ""
    assert (
        machine.said(
            "sh", "-c", "ls -d /var/lib/dpkg/info/presencebridge* /var/lib/systemd/*/presencebridge*"
        )
        == ""
    )
    assert machine.said("dpkg-query", "--show", "presencebridge") == ""
