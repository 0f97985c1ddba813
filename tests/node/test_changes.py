"""What it takes to go from one config to another, and what is never needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from presencebridge.config import Loaded, load_site, not_shared
from presencebridge.config.changes import Change, change
from presencebridge.errors import Misconfigured

TEXT = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
poll_every_s = 5
delivery = "webhook"
[teams.webhook]
public_url = "https://example.org/hook"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:9"
poll_every_s = 2
[people]
match = "list"
[policy]
preset = "seed"
[state]
dir = "state"
[[person]]
teams = "user1@example.org"
extension = "101"
"""


@pytest.fixture
def old(tmp_path: Path) -> Loaded:
    return loaded(tmp_path)


def loaded(folder: Path, *changes: tuple[str, str], key: str = "x", name: str = "site") -> Loaded:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "secret").write_text(key)
    (folder / f"{name}.toml").write_text(text)
    return load_site(folder / f"{name}.toml")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("poll_every_s = 5", "poll_every_s = 9", Change.IN_PLACE),
        ("poll_every_s = 2", "poll_every_s = 3\nstatus_every_s = 9", Change.IN_PLACE),
        ('"seed"', '"mirror"', Change.IN_PLACE),
        ('"101"', '"102"', Change.IN_PLACE),
        ('match = "list"', 'match = "list"\nexclude = ["101"]\nlook_every_s = 60', Change.IN_PLACE),
        ("[pbx]", 'listen = "127.0.0.1:9999"\n[pbx]', Change.IN_PLACE),
        ("org/hook", "org/other", Change.NEW_LIFE),
        ("[pbx]", "[operator]\nday_hours = 8\n[pbx]", Change.NEW_LIFE),
        ("[pbx]", "[operator]\nlog_decisions = true\n[pbx]", Change.IN_PLACE),
        (":9", ":10", Change.NEW_LIFE),
        ("11111111", "21111111", Change.NEW_LIFE),
        ('dir = "state"', 'dir = "elsewhere"', Change.NEW_LIFE),
        ("poll_every_s = 2", "timeout_s = 3", Change.NEW_LIFE),
    ],
)
def test_what_a_change_takes(old, tmp_path, before, after, expected):
    assert change(old, loaded(tmp_path, (before, after))) is expected


def test_nothing_changes_if_nothing_has_changed_and_a_new_key_is_a_new_life(old, tmp_path):
    assert change(old, loaded(tmp_path)) is Change.NOTHING
    assert change(old, loaded(tmp_path, key="new")) is Change.NEW_LIFE


def test_a_state_folder_belongs_to_one_site(tmp_path):
    one = loaded(tmp_path)
    found = not_shared({"bonn": one, "berlin": one})
    assert found["bonn"] is one
    assert isinstance(found["berlin"], Misconfigured)
    assert "bonn" in str(found["berlin"])


def test_without_a_cluster_nothing_of_it_is_imported():
    code = (
        "import sys, presencebridge.cli.main, presencebridge.node\n"
        "ours = 'presencebridge.cluster'\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'nats' or name.startswith(ours)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
