"""Who is looked up in Entra, and who watches them, without a network."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from presencebridge import app
from presencebridge.app import Service
from presencebridge.config import load
from presencebridge.graph.wire import User

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


class Directory:
    def __init__(self, found: dict[str, User]) -> None:
        self.found = found
        self.asked = asyncio.Event()
        self.times = 0

    async def find(self, _names: object) -> dict[str, User]:
        self.times += 1
        if self.times == 4:
            self.asked.set()
        return self.found


class Watcher:
    runs = 0

    def watch(self, *_: object) -> None:
        """Whom, does not matter."""

    async def run(self) -> None:
        self.runs += 1
        await asyncio.Event().wait()


async def looked_up(folder: Path, found: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> tuple:
    monkeypatch.setattr(app, "_LOOK_UP_AGAIN_S", 0.01)
    (folder / "site.toml").write_text(CONFIG)
    (folder / "secret").write_text("x")
    service, watcher, directory = Service(load(folder / "site.toml")), Watcher(), Directory(found)
    service._watchers["default"] = watcher  # type: ignore[assignment]
    service._reader = SimpleNamespace(want_all=lambda: None)  # type: ignore[assignment]
    task = asyncio.create_task(service._identify(directory))  # type: ignore[arg-type]
    await directory.asked.wait()
    task.cancel()
    await asyncio.wait([task])
    return service, watcher


async def test_a_watcher_is_set_to_work_once_though_nobody_is_found(tmp_path, monkeypatch):
    _, watcher = await looked_up(tmp_path, {}, monkeypatch)
    assert watcher.runs == 1


async def test_one_teams_user_belongs_to_one_extension_whatever_the_names(tmp_path, monkeypatch):
    ann = User("ID-1", "user1@example.org", "ann@example.org", "Ann")
    found = {"user1@example.org": ann, "ann@example.org": ann}
    service, _ = await looked_up(tmp_path, found, monkeypatch)
    assert service.people["101"].user == "id-1"
    assert service.people["102"].user is None
    assert "belongs to 101" in service.people["102"].troubles["teams"]
