"""Whom the watchers watch, and what the page tells of who is who, without a network."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from presencebridge.config import load
from presencebridge.errors import Refused
from presencebridge.node.site import Site
from presencebridge.runtime.matching import How, Left, Matching, Reason, Served
from presencebridge.runtime.people import Member

CONFIG = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
delivery = "webhook"
[teams.webhook]
public_url = "https://example.org/hook"
listen = "127.0.0.1:0"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:9"
[[person]]
teams = "user1@example.org"
extension = "101"
[[person]]
teams = "ann@example.org"
extension = "102"
[operator]
listen = "127.0.0.1:0"
[state]
dir = "state"
"""


class Watcher:
    """Notes whom it was told to watch, and how often it was set to work."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.runs = 0

    def watch(self, ids: tuple[str, ...], _url: str) -> None:
        self.told.append(ids)

    async def run(self) -> None:
        self.runs += 1
        await asyncio.Event().wait()


class Pace:
    def __init__(self) -> None:
        self.every_s = 0.0

    def read_all_every(self, seconds: float) -> None:
        self.every_s = seconds


@pytest.fixture
def service(tmp_path: Path) -> Site:
    (tmp_path / "site.toml").write_text(CONFIG)
    (tmp_path / "secret").write_text("x")
    made = Site(load(tmp_path / "site.toml"))
    made._watchers = {"default": Watcher()}  # type: ignore[dict-item]
    made._reader = Pace()  # type: ignore[assignment]
    made.links.named("subscription default").connected()
    return made


def join(service: Site, number: int) -> Member:
    member = Member(str(number), f"u{number}@x", service.people["101"].policy, f"id-{number}", "", {})
    service.people.add(member)
    return member


async def test_a_watcher_is_set_to_work_once_and_not_before_it_is_known_whom_to_watch(service):
    watcher = service._watchers["default"]
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(service._keep_subscriptions())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert watcher.runs == 0
        for _ in range(3):
            service._watch()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert watcher.runs == 1
        keeping.cancel()


def test_watchers_follow_who_comes_and_goes(service):
    watcher = service._watchers["default"]
    ann, ben = join(service, 201), join(service, 202)
    service._watch()
    service.people.remove(ann)
    service._watch()
    assert watcher.told == [("id-201", "id-202"), ("id-202",)]
    assert service._watched.people == {"id-202"}
    assert service.people.find("id-202") is ben


def test_whom_no_watcher_has_room_for_is_polled_and_told(service):
    service._directory = SimpleNamespace(matching=Matching(), looked_at=None, trouble=None, in_full=True)
    for number in range(200, 200 + 650):
        join(service, number)
    service._watch()
    assert service._reader.every_s == 300
    assert service.matching().notes == []
    extra = join(service, 900)
    service._watch()
    assert len(service._watchers["default"].told[-1]) == 650
    assert service._reader.every_s == 5
    (note,) = service.matching().notes
    assert note.what.startswith("1 people more")
    service.people.remove(extra)
    service._watch()
    assert service._reader.every_s == 300


def test_the_report_tells_who_is_who_and_why_not(service):
    served = (
        Served("101", "ann@x", "id-1", "Ann", How.ADDRESS),
        Served("102", "ben@x", None, "", How.BY_HAND),
        Served("103", "carl@x", "id-3", "Carl", How.FURTHER),
    )
    left = (
        Left("102", "", "ben@x", Reason.NAME_UNKNOWN),
        Left("104", "Dora", "d@x", Reason.SHARED, ("105",)),
    )
    service._directory = SimpleNamespace(
        matching=Matching(served, left, ("925",)),
        looked_at=1_000_000.0,
        trouble=Refused("GET users: 403", cure="give it the right"),
        in_full=False,
    )
    told = service.matching()
    assert [(one.extension, one.by) for one in told.matched] == [
        ("101", "address"),
        ("103", "further address"),
    ]
    assert [(one.extension, one.reason, one.double) for one in told.left] == [
        ("102", "name_unknown", False),
        ("104", "shared", True),
    ]
    assert "extension 105" in told.left[1].why
    assert told.left[1].cure
    assert told.looked_at == "1970-01-12T13:46:40Z"
    assert told.trouble is not None
    assert told.trouble.cure == "give it the right"
    assert [note.what.split()[0] for note in told.notes] == ["exclude", "Entra"]
