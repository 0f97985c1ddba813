"""`watch` in a terminal: what was told is shown, trouble first, and never more than there is room for."""

import asyncio
from pathlib import Path

import httpx2
import msgspec
from kit.shown_office import ShownOffice
from rich.console import Console

from presencebridge.cli import operator
from presencebridge.cli.watching import Board
from presencebridge.serving import Listener
from presencebridge.web.node import One, operator_app


def printed(board: Board, height: int = 30) -> list[str]:
    console = Console(width=140, height=height, force_terminal=True, color_system=None, record=True)
    with console.capture() as capture:
        console.print(board)
    return capture.get().rstrip("\n").split("\n")


def board_of(office: ShownOffice) -> Board:
    board = Board("x")
    site = {"name": office.name, "dry_run": True, "links": msgspec.to_builtins(office.link_views())}
    board.hear("site", site)
    board.hear("people", msgspec.to_builtins(office.overview().people))
    return board


def test_trouble_stands_first_and_the_rest_is_counted():
    office = ShownOffice(60)
    lines = printed(board_of(office))
    assert len(lines) <= 30
    assert lines[0].startswith("Kanzlei Nord  60 people, ")
    assert "dry run" in lines[0]
    assert "trouble; 429 too" in lines[4]
    assert any("more" in line for line in lines)


def test_who_changes_comes_to_the_top_and_who_goes_is_gone():
    office = ShownOffice(60)
    board = board_of(office)
    changed = msgspec.structs.replace(office.view("150"), teams="Levitating/OnAir")
    board.hear("people", [msgspec.to_builtins(changed)])
    lines = printed(board)
    calm = next(line for line in lines[4:] if "trouble" not in line)
    assert calm.startswith("150")
    assert "Levitating · OnAir" in calm
    board.hear("gone", ["150"])
    assert not any("Levitating" in line for line in printed(board))


def test_what_happens_is_told_below_and_unknown_news_is_no_matter():
    board = board_of(ShownOffice(3))
    board.hear(
        "decision", {"at": "2026-11-27T09:00:00Z", "person": "101", "seen": "something", "did": ["a deed"]}
    )
    board.hear("news of a later version", {"x": 1})
    assert printed(board)[-1].strip() == "- a deed"


async def test_programs_are_told_everybody_and_then_who_changed(monkeypatch):
    office = ShownOffice(60)
    async with Listener(operator_app(One(office), ["localhost"])) as listener:
        with httpx2.Client(base_url=listener.url, trust_env=False) as client:
            events = operator._events(client, "/api/events?people")
            told: dict[str, list[object]] = {}
            while "site" not in told or len(told["people"]) < 1:
                event, what = await asyncio.to_thread(next, events)
                told.setdefault(event, []).append(what)
            assert [len(told["people"][0]), told["site"][0]["name"]] == [60, office.name]
            who = office.live(office.people["105"])
            changed = await asyncio.to_thread(next, events)
            assert (changed[0], [one["extension"] for one in changed[1]]) == ("people", [who])
            decided = await asyncio.to_thread(next, events)
            assert (decided[0], decided[1]["person"]) == ("decision", who)
            office.journal.close()
            assert await asyncio.to_thread(lambda: list(events)) == []


async def test_everything_is_read_again_by_a_command(monkeypatch, tmp_path: Path, capsys):
    office = ShownOffice(1)
    async with Listener(operator_app(One(office), ["localhost"])) as listener:
        client = httpx2.Client(base_url=listener.url, trust_env=False)
        monkeypatch.setattr(operator, "_service", lambda _config, _site: client)
        await asyncio.to_thread(operator.refresh, config=tmp_path)
    assert office.orders == [("refresh",)]
    assert "read again" in capsys.readouterr().out
