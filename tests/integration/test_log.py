"""What the log keeps, and what it does not."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from presencebridge import log


@pytest.fixture(autouse=True)
def set_back() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("presencebridge")
    before = root.handlers, root.level, own.level
    yield
    root.handlers, root.level, own.level = before
    structlog.reset_defaults()


def say(**details: str) -> None:
    """A decision as the hub tells it where the config does not ask for decisions."""
    structlog.get_logger("presencebridge.runtime.hub").debug("decision", **details)


def test_decisions_reach_no_disk_by_default(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=False)
    structlog.get_logger("presencebridge.runtime.hub").info("link", link="graph")
    say(person="101")
    told = capsys.readouterr().err
    assert "graph" in told
    assert "101" not in told
    assert log.recent("")[-1]["person"] == "101", "for the support bundle they are in memory"


def test_on_a_terminal_decisions_are_seen(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True)
    say(person="101")
    assert "101" in capsys.readouterr().err


def test_the_demo_is_quiet_about_them(capsys: pytest.CaptureFixture[str]):
    log.set_up(level=logging.WARNING, terminal=True)
    say(person="101")
    assert not capsys.readouterr().err
