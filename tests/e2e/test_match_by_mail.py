"""`match = "email"`: who is on both sides is served, and people come and go while the service runs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from e2e_programs import until
from e2e_sites import BUSY, FREE, V20_WEBSOCKET, Site, on, world_of

pytestmark = on(V20_WEBSOCKET)

DORA = "dora@example.org"
BY_MAIL = '[people]\nmatch = "email"\nexclude = ["103"]\n'


@pytest.fixture
def by_mail(new_site: Callable[..., Site]) -> Iterator[Site]:
    """A site without any [[person]]. Both worlds are left as they were found."""
    site = new_site(people=BY_MAIL)
    yield site
    world = world_of(3)
    for user in world["users"]:
        site.ask_graph("PUT", f"/users/{user['id']}", user)
    site.ask_graph("PUT", f"/users/{DORA}", {})
    site.ask_graph("DELETE", f"/users/{DORA}")
    site.ask_pbx("PUT", "/extensions", world["extensions"])
    site.ask_pbx("PUT", "/monitored", world["monitored"])


def served(site: Site) -> dict[str, str]:
    return {one["extension"]: one["name"] for one in site.shown("/api/people")["people"]}


def until_served(site: Site, wanted: dict[str, str]) -> None:
    def look() -> bool:
        site.page("/api/refresh", json={})
        return served(site) == wanted

    until(f"{wanted} are served", look)


def watched(site: Site) -> list[str]:
    return [user for one in site.ask_graph("GET", "/subscriptions") for user in one["watched"]]


def _id_of(site: Site, user: str) -> str:
    return str(site.ask_graph("PUT", f"/users/{user}", {})["id"])


def report(site: Site) -> dict[str, Any]:
    said = site.command("people", "--json")
    return json.loads(said.stdout)


def test_who_is_on_both_sides_is_served_and_the_report_tells_of_the_others(by_mail) -> None:
    by_mail.start_service()
    until_served(by_mail, {"101": "Ann", "102": "Bob"})
    call = by_mail.dial(1)
    by_mail.until_teams(1, BUSY)
    by_mail.hang_up(call)
    by_mail.until_teams(1, FREE)
    by_mail.client(2, "Busy/InAMeeting")
    by_mail.until_status(2, "Away")

    said = by_mail.command("people")
    assert said.returncode == 0
    assert "2 matched, 1 not (0 double)" in said.stdout
    assert "103 Cyn: is left alone" in said.stdout
    found = report(by_mail)
    assert [(one["extension"], one["by"]) for one in found["matched"]] == [
        ("101", "address"),
        ("102", "address"),
    ]
    (note,) = found["notes"]
    assert "User.Read.All" in note["cure"]
    page = by_mail.page("/").text
    assert "2 matched, 1 not" in page
    assert "people by mail address, 0 by hand" in by_mail.command("check").stdout


def test_people_come_and_go_and_what_we_hold_is_given_back(by_mail) -> None:
    by_mail.start_service()
    until_served(by_mail, {"101": "Ann", "102": "Bob"})
    by_mail.dial(1)
    by_mail.until_teams(1, BUSY)
    by_mail.client(2, "Busy/InAMeeting")
    by_mail.until_status(2, "Away")

    for number in (1, 2):
        by_mail.ask_graph("PUT", f"/users/user{number}@example.org", {"mail": None})
    by_mail.ask_graph("PUT", f"/users/{DORA}", {"mail": "DORA@example.org", "displayName": "Dora"})
    extensions = [
        {"number": f"{n}", "email": f"{name}@example.org"} for n, name in ((101, "ann"), (102, "bob"))
    ]
    dora = {"number": "110", "name": "Dora", "email": "dora@example.org"}
    by_mail.ask_pbx("PUT", "/extensions", [*extensions, dora])
    by_mail.ask_pbx("PUT", "/monitored", ["101", "102", "110"])
    until_served(by_mail, {"110": "Dora"})
    by_mail.until_teams(1, FREE)  # though the call goes on
    by_mail.until_status(2, "Available")  # though the meeting goes on

    by_mail.ask_graph("PUT", f"/users/{DORA}/client", {"availability": "Busy", "activity": "Busy"})
    until("Dora is served", lambda: by_mail.status(10) == "Away")
    until("the subscription is for Dora alone", lambda: watched(by_mail) == [_id_of(by_mail, DORA)])
    left = {one["extension"]: one["reason"] for one in report(by_mail)["left"]}
    assert left == {"101": "unknown", "102": "unknown"}

    for number, name in ((1, "ann"), (2, "bob")):
        by_mail.ask_graph("PUT", f"/users/user{number}@example.org", {"mail": f"{name}@example.org"})
    until_served(by_mail, {"101": "Ann", "102": "Bob", "110": "Dora"})
    by_mail.until_teams(1, BUSY)  # the call has gone on all the time
    by_mail.until_status(2, "Away")


def test_while_a_list_can_not_be_read_everybody_stays_and_the_page_says_so(by_mail) -> None:
    refused = {"status": {"code": 403, "path": "/v1.0/users?"}}
    by_mail.ask_graph("POST", "/faults", refused)
    by_mail.service.start()
    until("the page says why", lambda: "User.Read.All" in by_mail.page("/readyz").text or _cure(by_mail))
    assert "Still looking" in by_mail.page("/").text
    assert by_mail.command("people").returncode == 1
    assert served(by_mail) == {}
    by_mail.ask_graph("DELETE", "/faults")
    until_served(by_mail, {"101": "Ann", "102": "Bob"})
    by_mail.until_ready()

    by_mail.ask_graph("POST", "/faults", refused)
    by_mail.page("/api/refresh", json={})
    until("the page says so", lambda: by_mail.command("people").returncode == 1)
    assert served(by_mail) == {"101": "Ann", "102": "Bob"}
    assert by_mail.page("/readyz").status_code == 200
    call = by_mail.dial(1)
    by_mail.until_teams(1, BUSY)
    by_mail.hang_up(call)


def _cure(site: Site) -> bool:
    links = site.shown("/api/people")["links"]
    return any("User.Read.All" in link["cure"] for link in links if link["name"] == "people")
