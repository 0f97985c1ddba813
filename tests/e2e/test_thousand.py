"""A thousand people on V20: all of them are in step soon, and 3CX is asked for no more than it takes."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from e2e_programs import Emulator, until
from e2e_sites import BUSY, FREE, V20_WEBSOCKET, Site, Worlds, person, world_of

PEOPLE = 1000
A_PAGE = 100
STATUS_EVERY_S = 5
SECRETS = ("AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN")


BY_MAIL = '[people]\nmatch = "email"\n'
BY_LIST = "".join(person(f"user{number}@example.org", f"{100 + number}") for number in range(1, PEOPLE + 1))


@pytest.fixture
def large(tmp_path: Path, people: str) -> Iterator[Site]:
    """A site of a thousand people that polls Teams; its service does not run yet."""
    world = world_of(PEOPLE)
    with (
        Emulator("graph", tmp_path, world, tls=True) as graph,
        Emulator("3cx-v20", tmp_path, world, tls=True) as pbx,
    ):
        site = Site(Worlds(graph, pbx, V20_WEBSOCKET), tmp_path / "site", people=people)
        text = site.config.read_text().replace('delivery = "webhook"', 'delivery = "poll"\npoll_every_s = 1')
        text = text.replace("status_every_s = 1", f"status_every_s = {STATUS_EVERY_S}")
        site.config.write_text(text)
        for number in range(1, PEOPLE + 1):
            site.client(number, FREE)
        try:
            yield site
        finally:
            site.close()


@pytest.mark.parametrize("people", [BY_MAIL, BY_LIST], ids=["by mail", "by list"])
def test_a_thousand_people_are_in_step_and_nobody_is_asked_for_more_than_it_takes(large, people: str) -> None:
    large.start_service()
    until("everybody is in step", lambda: conditions(large) == {"in step": PEOPLE}, patience_s=60)

    in_meetings, on_the_phone = range(1, 11), range(501, 511)
    for number in in_meetings:
        large.client(number, "Busy/InAMeeting")
    calls = [large.dial(number) for number in on_the_phone]
    for number in in_meetings:
        large.until_status(number, "Away")
        large.client(number, FREE)
    for number, call in zip(on_the_phone, calls, strict=True):
        large.until_teams(number, BUSY)
        large.hang_up(call)
    for number in in_meetings:
        large.until_status(number, "Available")
    for number in on_the_phone:
        large.until_teams(number, FREE)
    until("everybody is in step", lambda: conditions(large) == {"in step": PEOPLE})

    requests = large.ask_pbx("GET", "/requests")
    lasted_s = requests[-1]["time"] - requests[0]["time"]
    pages_a_look = math.ceil((PEOPLE + 1) / A_PAGE)  # whether a full page is the last one, the next one tells
    asked = counted(requests, asked_of_3cx)
    assert asked.pop("token") == 1
    assert asked.pop("socket") == 1
    assert asked.pop("directory", 0) <= (pages_a_look if people == BY_MAIL else 0)
    assert asked.pop("statuses") <= pages_a_look * (1 + lasted_s / STATUS_EVERY_S)
    # At the start, when people have come, when Entra has told who they are, and when the socket stands.
    assert asked.pop("all calls") <= 4 + lasted_s / 30
    assert asked.pop("calls of one") <= 2 * len(calls)
    writes = 2 * len(in_meetings)
    assert asked.pop("write") == writes
    assert asked.pop("status of one") <= 2 * writes  # before and after
    assert sum(asked.values()) <= 3, asked
    asked = counted(large.ask_graph("GET", "/requests"), asked_of_graph)
    assert asked["sign-in"] <= 3
    assert asked["directory"] == 2, "999 people are a page"
    assert asked["write"] == 2 * len(calls)
    read_for_itself = len(calls) + len(in_meetings)  # what follows from our own writes, and from doubts
    assert asked["presences"] <= 2 * (1 + lasted_s) + 2 * read_for_itself
    for path in users_asked(requests):
        selected = re.search(r"[?&]\$select=([^&]*)", path)
        assert selected, path
        assert not set(selected[1].split(",")) & set(SECRETS), path
        assert "$expand" not in path


def conditions(site: Site) -> dict[str, int]:
    """How many people are in step, waiting, in trouble ..."""
    found: dict[str, int] = {}
    for one in site.shown("/api/people")["people"]:
        found[one["condition"]] = found.get(one["condition"], 0) + 1
    return found


def counted(requests: list[dict[str, Any]], kind_of: Callable[[str, str], str]) -> dict[str, int]:
    """How often each kind of thing was asked for."""
    found: dict[str, int] = {}
    for one in requests:
        kind = kind_of(one["method"], unquote(one["path"]))
        found[kind] = found.get(kind, 0) + 1
    return found


def asked_of_3cx(method: str, path: str) -> str:
    match method, path.partition("?")[0]:
        case "POST", "/connect/token":
            return "token"
        case "WEBSOCKET", _:
            return "socket"
        case "GET", "/callcontrol":
            return "all calls"
        case "GET", part if part.startswith("/callcontrol/"):
            return "calls of one"
        case "PATCH", part if part.startswith("/xapi/v1/Users("):
            return "write"
        case "GET", "/xapi/v1/Users" if "Number eq" in path:
            return "status of one"
        case "GET", "/xapi/v1/Users" if "CurrentProfileName" in path:
            return "statuses"
        case "GET", "/xapi/v1/Users":
            return "directory"
    return f"{method} {path}"


def asked_of_graph(method: str, path: str) -> str:
    match method, path.partition("?")[0]:
        case "GET", "/v1.0/users":
            return "directory"
        case "POST", "/v1.0/communications/getPresencesByUserId":
            return "presences"
        case "POST", part if part.startswith("/v1.0/users/"):
            return "write"
    return "sign-in"


def users_asked(requests: list[dict[str, Any]]) -> list[str]:
    """Every look at users, plain; a look at what belongs to one of them is not one at them."""
    paths = [unquote(one["path"]) for one in requests if one["method"] == "GET"]
    return [path for path in paths if re.fullmatch(r"/xapi/v1/(My)?Users?(\([^/]*\))?(\?.*)?", path)]
