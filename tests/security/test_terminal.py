"""What others write, names and errors, steers no terminal and passes for no line of ours."""

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from rich.console import Console

from presencebridge import log
from presencebridge.cli import doctor, main, operator, pbx, teams
from presencebridge.cli.log_lines import in_words
from presencebridge.cli.watching import Board
from presencebridge.core.commands import ChangeStatus
from presencebridge.core.events import PresenceSeen, Source
from presencebridge.core.model import Because, Presence
from presencebridge.doctor import examination, findings
from presencebridge.doctor.findings import Finding, State
from presencebridge.errors import BridgeError, Refused
from presencebridge.printable import all_printable, printable
from presencebridge.runtime.journal import Decision

ODD = "Eve\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202e\u2066\ud800\r\nready\u2028x\x7f"
SHOWN = r"Eve\x1b]0;PWNED\x07\x1b[2J\x9b31m\u202e\u2066\ud800\r\nready\u2028x\x7f"
AT = "2026-11-27T09:00:00Z"
LINK = {"name": "graph", "state": "down", "since": AT, "reason": ODD, "cure": ODD}
NOTE = {"what": ODD, "cure": ODD}
PERSON = {"extension": "101", "name": ODD, "teams_name": ODD, "teams": ODD, "status": ODD, "legs": [ODD]}
PERSON |= {"holding": ODD, "condition": "trouble", "trouble": [ODD], "in_call": False}
STORY = {"at": AT, "person": "101", "seen": ODD, "did": [ODD]}
OVERVIEW = {"ready": False, "dry_run": True, "links": [LINK], "out_of_step": [ODD], "expiring": [NOTE]}
OVERVIEW |= {"people": [PERSON]}
LEFT = {"extension": "102", "name": ODD, "address": ODD, "double": False, "why": ODD, "cure": ODD}
MATCHED = {"extension": "101", "name": ODD, "teams_name": ODD, "by": "address"}
MATCHING = {"looked_at": AT, "trouble": NOTE, "notes": [NOTE], "matched": [MATCHED], "left": [LEFT]}
CLUSTER = {"trouble": ODD, "nodes": [{"name": ODD, "is_this": True, "sites": 1}], "elsewhere": {ODD: ODD}}
SITES = {"trouble": ODD, "sites": [{"name": ODD, "in_step": True, "text": ODD}], "cluster": CLUSTER}
ANSWERS = {
    "/api/people": OVERVIEW,
    "/api/sites": SITES,
    "/api/matching": MATCHING,
    "/api/people/101": {"person": PERSON, "why": [STORY], "dry_run": True},
}


def steers(text: str) -> list[str]:
    """What is left that a terminal does not just show."""
    return sorted({char for char in text.replace("\n", "") if not char.isprintable()})


def is_harmless(text: str) -> bool:
    return "PWNED" in text and not steers(text) and not re.search(r"^ready", text, re.MULTILINE)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The running service, as the commands find it."""
    asked = SimpleNamespace(is_folder=False, site="")
    client = SimpleNamespace(base_url="http://service")
    monkeypatch.setattr(operator, "_service", lambda *_: contextlib.nullcontext(client))
    monkeypatch.setattr(operator, "_ask", lambda _service, _method, path: ANSWERS[path])
    monkeypatch.setattr(operator, "running", lambda *_: asked)
    return asked


def test_a_text_is_shown_as_it_is_but_for_what_steers():
    assert printable(ODD) == SHOWN
    assert printable("Jörg Müller\xa0\u200d 李 🙂") == "Jörg Müller\xa0\u200d 李 🙂"
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert all_printable({"a": [ODD, 1, None, {"b": ODD}]}) == {"a": [SHOWN, 1, None, {"b": SHOWN}]}


@pytest.mark.parametrize("command", ["status", "people", "why", "status of sites"])
def test_commands_show_what_others_wrote_and_obey_none_of_it(
    command: str, service: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    service.is_folder = command == "status of sites"
    if command == "why":
        operator.why("101", config=tmp_path)
    else:
        {"people": operator.people}.get(command, operator.status)(config=tmp_path)
    assert is_harmless(capsys.readouterr().out)


@pytest.mark.parametrize("command", [operator.status, operator.people])
@pytest.mark.usefixtures("service")
def test_for_programs_it_is_what_the_service_said(
    command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command(config=tmp_path, as_json=True)
    told = capsys.readouterr().out
    assert steers(told.replace("\x7f", "")) == []
    assert json.loads(told) in (OVERVIEW, MATCHING)


@pytest.mark.usefixtures("service")
def test_watch_in_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(operator, "_events", lambda *_: [("decision", STORY)])
    with pytest.raises(BridgeError):
        operator.watch(config=tmp_path, lines=True)
    assert is_harmless(capsys.readouterr().out)


def test_watch_on_the_whole_terminal():
    board = Board("x")
    board.hear("site", {"name": ODD, "dry_run": False, "links": [LINK]})
    board.hear("people", [PERSON])
    board.hear("decision", STORY)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=2000, height=40).print(board)
    assert out.getvalue().count("PWNED") > 8
    assert is_harmless(out.getvalue())


@pytest.mark.parametrize("error", [Refused(ODD, cure=ODD), BridgeError(ODD), OSError(5, ODD)])
def test_an_error_that_ends_a_command(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit):
        main.main([])
    told = capsys.readouterr().err
    assert not steers(told)
    assert "PWNED" in told
    assert type(error) is BridgeError or is_harmless(told), "only texts of ours have several lines"


async def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    async def examine(_site: object) -> Any:
        yield Finding("entra", State.WRONG, ODD, ODD, "X")

    monkeypatch.setattr(examination, "examine", examine)
    found = await doctor._examined(SimpleNamespace(), quiet=False)  # type: ignore[arg-type]
    told = capsys.readouterr().out
    assert "PWNED" in told
    assert not steers(told)
    assert steers(json.dumps(findings.as_json(found)).replace("\x7f", "")) == []


async def test_what_is_asked_of_either_side_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    async def status(_extension: str) -> str:
        return ODD

    async def presences(_users: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(availability=ODD, activity=ODD)]

    async def user(*_: object) -> str:
        return "x"

    def both(_config: object) -> Any:
        side = SimpleNamespace(statuses=SimpleNamespace(status=status), presences=presences)
        return contextlib.nullcontext(side)

    monkeypatch.setattr(pbx, "_side", both)
    monkeypatch.setattr(teams, "_as_app", both)
    monkeypatch.setattr(teams, "_user", user)
    monkeypatch.setattr(teams, "config_of", lambda _config: None)
    await pbx.get("101", config=tmp_path)
    await teams.get("101", config=tmp_path)
    told = capsys.readouterr().out
    assert told.count("PWNED") == 3
    assert is_harmless(told)


# The log --------------------------------------------------------------------------------------------


@pytest.fixture
def set_back() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("presencebridge")
    before = root.handlers, root.level, own.level
    yield
    log._recent.lines.clear()
    root.handlers, root.level, own.level = before
    structlog.reset_defaults()


def lines_of_all_kinds() -> None:
    logger = structlog.get_logger("presencebridge.x")
    logger.warning("person in trouble", person="101", side="teams", reason=ODD)
    logger.warning("link", link="graph", state="down", reason=ODD, cure=ODD)
    logger.warning("something else", how=ODD.partition("\r")[0], whom=[ODD], site=ODD)
    odd = ODD.replace("\ud800", "")  # with it the line could not even be written
    decided = Decision(
        PresenceSeen(Presence(odd, odd), Source.READ, 1.0), ChangeStatus(Because.TEAMS_BUSY, (odd,), "Away")
    )
    logger.warning("decision", person="101", decided=decided)
    logging.getLogger("msal").warning("It says %s", ODD.partition("\r")[0])


@pytest.mark.usefixtures("set_back")
@pytest.mark.parametrize("words", [in_words, None])
def test_the_log_on_a_terminal(words: Any, capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True, in_words=words)
    lines_of_all_kinds()
    told = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().err)  # the colours are ours
    assert told.count("PWNED") >= 7
    assert not steers(told)


@pytest.mark.usefixtures("set_back")
def test_a_line_of_the_log_is_ended_by_nobody_else(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True, in_words=in_words)
    structlog.get_logger("presencebridge.x").warning(
        "link", link="graph", state="down", reason="no\n09:00:00 3CX is connected"
    )
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("set_back")
def test_the_log_elsewhere(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=False, in_words=in_words)
    lines_of_all_kinds()
    told = capsys.readouterr().err
    assert steers(told.replace("\x7f", "")) == []
    assert [json.loads(line) for line in told.splitlines()][1]["reason"] == ODD


@pytest.mark.usefixtures("set_back")
def test_a_traceback_on_a_terminal_quotes_no_variable_and_steers_nothing(capsys: pytest.CaptureFixture[str]):
    log.set_up(terminal=True, in_words=in_words)

    def fails(_token: str) -> None:
        raise BridgeError(ODD)

    try:
        fails("s3cret-{}".format("t0ken"))
    except BridgeError:
        structlog.get_logger("presencebridge.x").exception("site ended", reason="x", again_in_s=1)
    told = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().err)
    assert "PWNED" in told
    assert "Traceback" in told
    assert not steers(told)
    assert "s3cret-t0ken" not in told
