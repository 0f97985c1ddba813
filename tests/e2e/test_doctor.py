"""`doctor` as a program, with the service running and without: it disturbs nothing, scripts can go by it."""

import json
import subprocess
from typing import Any

from e2e_programs import until
from e2e_sites import V20_WEBSOCKET, WEB_API, Site, on

STATES = {"fine", "wrong", "warning", "not tried"}


def doctor(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    return site.command("doctor", *arguments)


def findings(site: Site, *arguments: str) -> dict[str, dict[str, Any]]:
    told = json.loads(doctor(site, "--json", *arguments).stdout)
    assert all(one["state"] in STATES and one["what"] for one in told)
    assert all(bool(one["cure"]) == (one["state"] in {"wrong", "warning"}) for one in told)
    return {one["probe"]: one for one in told}


def tokens_asked(site: Site) -> int:
    return sum(one["path"] == "/connect/token" for one in site.ask_pbx("GET", "/requests"))


@on(WEB_API, V20_WEBSOCKET)
def test_a_site_that_runs_is_fine_and_goes_on_running(site):
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    call = site.dial(2)
    site.until_teams(2, "Busy/InACall")
    tokens = tokens_asked(site)
    done = doctor(site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BAD" not in done.stdout
    assert "webhook: " in done.stdout
    assert "subscription default: lives for another" in done.stdout
    assert "last event: last heard of: 3cx" in done.stdout
    assert tokens_asked(site) == tokens
    assert (site.status(1), site.teams(2)) == ("Away", "Busy/InACall")
    assert site.page("/readyz").status_code == 200
    site.hang_up(call)
    site.client(1, "Available/Available")
    site.until_status(1, "Available")


@on(V20_WEBSOCKET)
def test_the_services_token_is_taken_only_when_asked_for_and_it_recovers(site):
    found = findings(site)
    assert found["3CX token"]["state"] == "not tried"
    assert "--take-token" in found["3CX token"]["what"]
    found = findings(site, "--take-token")
    assert found["3CX call control"]["state"] == "fine"
    call = site.dial(1)
    site.until_teams(1, "Busy/InACall")
    site.hang_up(call)


@on(WEB_API, V20_WEBSOCKET)
def test_a_test_that_changes_something_wants_a_pause_first(site):
    words = ("--write-test", "101", "--session-test", "101", "--take-token")
    found = findings(site, *words)
    assert "presencebridge pause 101" in found["write test"]["what"]
    assert "presencebridge pause 101" in found["session test"]["what"]
    assert site.command("pause", "101").returncode == 0
    until("the pause holds", lambda: site.shown("/api/people/101")["person"]["condition"] == "paused")
    found = findings(site, *words)
    assert (found["write test"]["state"], found["session test"]["state"]) == ("fine", "fine")
    assert site.status(1) == "Available"
    assert site.sessions(1) == ["client"]


def test_what_the_running_service_has_to_say_is_said(site):
    site.ask_pbx("POST", "/faults", {"refuse": True})
    until("the service notices", lambda: site.page("/readyz").status_code == 503)
    done = doctor(site)
    assert done.returncode == 1
    found = findings(site)
    assert found["3CX answer"]["state"] == "wrong"
    assert found["service links"]["fault"] == "link-troubled"
    assert "3cx is down" in found["service links"]["what"]


def test_without_a_service_the_handshake_is_still_made(new_site):
    site = new_site()
    found = findings(site)
    assert found["service"]["what"].startswith("does not run")
    assert found["webhook"]["state"] == "fine"
    assert found["service links"]["state"] == "not tried"
    assert doctor(site).returncode == 0


def test_a_fault_is_told_to_people_and_by_the_exit_status(new_site):
    site = new_site()
    (site.folder / "secret").write_text("wrong")
    done = doctor(site)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("begin with app token")
    assert "BAD   app token: Entra refused the sign-in" in done.stdout
    assert "        cure: Entra > App registrations" in done.stdout
    assert "because of app token" in done.stdout


def test_a_config_that_can_not_be_read_is_another_exit_status(new_site):
    site = new_site()
    site.config.write_text(site.config.read_text().replace("[teams]", "[temas]"))
    done = doctor(site, "--json")
    assert done.returncode == 2
    assert "[temas]" in done.stderr
    assert done.stdout == ""
