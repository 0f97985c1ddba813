"""`login` where nobody needs to be signed in: a person is told so and asked, a program gets what it wants."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from presencebridge import adapters
from presencebridge.cli import service

CONFIG = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
delivery = "poll"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:8889"
[[person]]
teams = "user1@example.org"
extension = "101"
[state]
dir = "state"
"""


class Entra:
    """Counts who asks for a code."""

    def __init__(self) -> None:
        self.asked = 0

    async def sign_in(self, show: Callable[[str], None]) -> str:
        self.asked += 1
        show("enter the code ABC")
        return "watcher@example.org"


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "secret").touch(0o600)
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "site.toml").write_text(CONFIG)
    return tmp_path / "site.toml"


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> Entra:
    found = Entra()
    monkeypatch.setattr(adapters, "watcher_tokens", lambda *_: found)
    return found


@pytest.mark.parametrize(
    ("before_it", "asked"),
    [(Keyboard("\n"), 0), (Keyboard("no\n"), 0), (Keyboard(), 0), (Keyboard("yes\n"), 1), (io.StringIO(), 1)],
)
def test_who_polls_need_not_sign_in_and_is_not_left_waiting(
    before_it: io.StringIO,
    asked: int,
    config: Path,
    entra: Entra,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("sys.stdin", before_it)
    service.login(config=config)
    assert entra.asked == asked
    assert "the service needs nobody signed in" in capsys.readouterr().out


def test_with_the_webhook_nothing_is_asked(config: Path, entra: Entra, monkeypatch: pytest.MonkeyPatch):
    hook = '[teams.webhook]\npublic_url = "https://pbx.example.com/hook"\n'
    config.write_text(config.read_text().replace('"poll"\n', f'"webhook"\n{hook}'))
    monkeypatch.setattr("sys.stdin", Keyboard("no\n"))
    service.login(config=config)
    assert entra.asked == 1
