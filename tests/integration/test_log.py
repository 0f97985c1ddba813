"""What the log keeps, and what it does not."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from presencebridge import log
from presencebridge.cli.log_lines import _SENTENCES, in_words
from presencebridge.core.commands import ChangeStatus
from presencebridge.core.events import PresenceSeen, Source
from presencebridge.core.model import Because, Presence
from presencebridge.runtime.journal import Decision

SOURCE = Path(log.__file__).parent


@pytest.fixture(autouse=True)
def set_back() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("presencebridge")
    before = root.handlers, root.level, own.level
    yield
    root.handlers, root.level, own.level = before
    structlog.reset_defaults()


def say(**details: str) -> None:
    """A decision as the hub tells it where the config does not ask for decisions."""
    structlog.get_logger("presencebridge.decisions").debug("decision", **details)


def test_decisions_reach_no_disk_by_default(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=False)
    structlog.get_logger("presencebridge.runtime.hub").info("link", link="graph")
    say(person="101")
    told = capsys.readouterr().err
    assert "graph" in told
    assert "101" not in told
    assert not [line for line in log.recent("") if "person" in line], "the support bundle has the journal"


def test_on_a_terminal_decisions_are_seen(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True)
    say(person="101")
    assert "101" in capsys.readouterr().err


def test_the_demo_is_quiet_about_them(capsys: pytest.CaptureFixture[str]):
    log.set_up(level=logging.WARNING, terminal=True)
    say(person="101")
    assert not capsys.readouterr().err


def a_decision() -> None:
    seen = PresenceSeen(Presence("Busy", "InAMeeting"), Source.NOTIFICATION, 1.0)
    decided = Decision(seen, ChangeStatus(Because.TEAMS_BUSY, ("Available",), "Away"))
    decisions = structlog.get_logger("presencebridge.decisions")
    decisions.info("decision", person="101", decided=decided, took_ms=0.5)


def test_on_a_terminal_the_log_speaks_as_why_does(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True, in_words=in_words)
    a_decision()
    told = plain(capsys.readouterr().err)
    assert "101: Teams was notified: Busy/InAMeeting" in told
    assert "- if 3CX shows Available, set it to Away: Teams became busy (rule 1)" in told
    assert "=" not in told


def test_for_programs_the_same_decision_is_in_fields(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=False, in_words=in_words)
    a_decision()
    line = json.loads(capsys.readouterr().err)
    wanted = {
        "event": "decision",
        "person": "101",
        "seen": "PresenceSeen",
        "did": "ChangeStatus",
        "because": "teams_busy",
        "detail": "Available -> Away",
        "took_ms": 0.5,
    }
    assert {word: line[word] for word in wanted} == wanted
    assert log.recent("")[-1]["did"] == "ChangeStatus"


@pytest.mark.parametrize(
    ("event", "words", "sentence"),
    [
        (
            "link",
            {"link": "graph", "state": "down", "reason": "it is dark"},
            "Microsoft Graph is down: it is dark",
        ),
        ("link", {"link": "3cx", "state": "connected", "reason": ""}, "3CX is connected"),
        ("link", {"link": "3cx", "about": "pace", "reason": "well again"}, "3CX: pace: well again"),
        ("person joins", {"person": "101", "how": "address"}, "101 joins, found by address"),
        ("operator", {"person": "101", "order": "Paused"}, "101: an operator has paused them"),
    ],
)
def test_other_lines_are_sentences_too(
    event: str, words: dict[str, str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    log.set_up(terminal=True, in_words=in_words)
    structlog.get_logger("presencebridge.runtime").info(event, cure="a lamp", **words)
    shown = plain(capsys.readouterr().err)
    assert shown.split(" ", 1)[1].splitlines() == [sentence, "         cure: a lamp"]


def test_what_no_sentence_is_made_for_is_told_with_all_its_words(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True, in_words=in_words)
    structlog.get_logger("presencebridge.runtime").warning("something else", how="odd", site="berlin")
    told = plain(capsys.readouterr().err)
    assert "berlin: something else" in told
    assert "how=odd" in told
    assert "warning" in told


def plain(told: str) -> str:
    """Without the colours."""
    return re.sub(r"\x1b\[\d*m", "", told)


def test_each_sentence_is_of_something_that_is_logged():
    source = "".join(file.read_text("utf-8") for file in SOURCE.rglob("*.py") if file.name != "log_lines.py")
    assert [
        event for event in _SENTENCES if f'("{event}"' not in source and f'"{event}",' not in source
    ] == []
