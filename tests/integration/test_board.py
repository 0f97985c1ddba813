"""The board's versions, the day's memory, and the plots: what changed, what is kept, and what is drawn."""

import itertools

import pytest
from kit.shown_office import CALL, FREE, MEETING, ShownOffice

from presencebridge.core.model import LegState, State
from presencebridge.runtime.day import MOST_CHANGES, Day, Lane
from presencebridge.runtime.plots import SLOT_S, SLOTS, Hop, Plots
from presencebridge.web import picture
from presencebridge.web.board import Board
from presencebridge.web.drawing import Drawing, tags

HOUR = 3600.0


def board_of(office: ShownOffice) -> Board:
    written = Drawing()
    return Board(lambda: office, written.row)


async def test_who_asks_from_a_version_on_gets_what_changed_since_and_nothing_else():
    office = ShownOffice(60)
    board = board_of(office)
    assert len((await board.since(0)).rows) == 60
    version = board.version
    assert (await board.since(version)).rows == []
    changed = {office.live(office.people[key]) for key in ("105", "110", "120")}
    news = await board.since(version)
    assert {row.key for row in news.rows} == changed
    assert (await board.since(news.version)).rows == []


async def test_a_change_that_does_not_show_is_none():
    office = ShownOffice(9)
    board = board_of(office)
    version = (await board.since(0)).version
    office.journal.add(office.journal.of("101")[-1])
    assert (await board.since(version)).version == version


async def test_who_goes_and_who_has_the_extension_next_are_two():
    office = ShownOffice(9)
    board = board_of(office)
    version = (await board.since(0)).version
    member = office.people["105"]
    office.people.remove(member)
    office.journal.changed()
    news = await board.since(version)
    assert (news.gone, news.rows, board.count()["all"]) == (["105"], [], 8)
    office.people.add(member)
    office.journal.changed()
    later = await board.since(version)
    assert ([row.key for row in later.rows], later.gone) == (["105"], [])


async def test_the_numbers_are_those_of_the_rows():
    office = ShownOffice(60)
    board = board_of(office)
    for _ in range(100):
        office.live()
        rows = await board.rows()
    told = {tag: number for tag, number in board.count().items() if number}
    assert told == {
        tag: len(list(found))
        for tag, found in itertools.groupby(sorted(tag for row in rows for tag in tags(row.view)))
    }


async def test_a_row_is_written_once_however_many_ask():
    office = ShownOffice(9)
    written: list[str] = []
    board = Board(lambda: office, lambda view, _language: written.append(view.extension) or "<tr>")
    for _ in range(3):
        await board.html(await board.rows(), "en")
    assert len(written) == 9
    await board.html(await board.rows(), "de")
    assert len(written) == 18


@pytest.mark.parametrize("language", ["en", "de"])
async def test_a_row_is_a_line_of_less_than_a_kilobyte(language):
    office = ShownOffice(1000)
    rows = await board_of(office).html(await board_of(office).rows(), language)
    lines = rows.replace("</tr>", "</tr>\n").split("\n")
    assert len(lines) == 1001
    assert max(len(line.encode()) for line in lines) < 1000


# The day ------------------------------------------------------------------------------------------


def test_the_day_tells_what_was_shown_from_when_until_when():
    day = Day(8)
    day.note("101", State(shown=FREE, status="Available", legs=()), 1000.0)
    day.note(
        "101", State(shown=CALL, status="Available", legs=(LegState.RINGING, LegState.CONNECTED)), 1600.0
    )
    day.note("101", State(shown=CALL, status="Available", legs=()), 1700.0)
    day.note("101", State(shown=CALL, status=None, legs=None), 1800.0)
    told = [(one.lane.name, one.value, one.begin, one.end) for one in day.of("101", 2000.0)]
    assert told == [
        ("TEAMS", "Available/Available", 1000.0, 1600.0),
        ("TEAMS", "Busy/InACall", 1600.0, None),
        ("STATUS", "Available", 1000.0, 1800.0),
        ("CALLS", "Connected", 1600.0, 1700.0),
    ]


def test_nothing_older_than_the_hours_is_kept_and_what_lasts_begins_with_them():
    day = Day(2)
    day.note("101", State(shown=MEETING), 0.0)
    day.note("101", State(shown=FREE), 1000.0)
    day.note("102", State(shown=FREE), 3 * HOUR)
    kept = day._changes["101"]
    assert list(kept) == [(HOUR, Lane.TEAMS, "Available/Available")], "the change of another swept it"
    assert [(one.value, one.begin) for one in day.of("101", 4 * HOUR)] == [("Available/Available", 2 * HOUR)]


def test_however_much_somebody_flips_their_memory_is_bounded_and_who_leaves_is_forgotten():
    day = Day(24)
    for number in range(10 * MOST_CHANGES):
        day.note(
            "101", State(shown=(FREE, CALL)[number % 2], legs=((), (LegState.CONNECTED,))[number % 2]), number
        )
    assert len(day._changes["101"]) == MOST_CHANGES
    day.forget("101")
    assert day.of("101", 1e6) == []


def test_a_picture_of_the_day_fills_its_width_and_no_more():
    office = ShownOffice(60)
    assert office.day is not None
    for key in office.keys():  # noqa: SIM118 - it is no dict
        seen = picture.day(office.day.of(key, office.now()), office.now(), office.day.hours)
        for bar in (bar for lane in seen.lanes for bar in lane.bars):
            assert 0 <= bar.x <= 100
            assert bar.x + bar.width <= 100 + 0.2 + 1e-6
        assert all(0 <= tick.x <= 100 for tick in seen.ticks)


@pytest.mark.parametrize(("hours", "ticks"), [(0.1, 6), (1, 6), (8, 8), (24, 24)])
def test_a_picture_has_some_ticks_whatever_its_width(hours, ticks):
    found = picture.day([], 1_800_000_123.0, hours).ticks
    assert len(found) == ticks
    assert all(tick.at % 60 == 0 and 0 < tick.x < 100 for tick in found)


# The plots ----------------------------------------------------------------------------------------


def test_a_plot_forgets_after_a_quarter_of_an_hour():
    now = 0.0
    plots = Plots(lambda: now)
    plots.took(Hop.TEAMS_READ, 0.2)
    plots.took(Hop.TEAMS_READ, 0.4)
    now = SLOT_S * 3
    plots.took(Hop.TEAMS_READ, 0.1)
    spark = picture.spark(plots.of(Hop.TEAMS_READ))
    assert spark is not None
    assert (spark.count, round(spark.mean_s, 3), spark.worst_s) == (3, 0.233, 0.4)
    assert spark.path.count("M") == 2, "there is a gap between"
    now = SLOT_S * SLOTS
    assert [slot is None for slot in plots.of(Hop.TEAMS_READ)].count(False) == 1
    now = SLOT_S * (SLOTS + 3)
    assert picture.spark(plots.of(Hop.TEAMS_READ)) is None


def test_what_fails_is_not_timed():
    plots = Plots(lambda: 0.0)
    with pytest.raises(ValueError, match="no"), plots.timed(Hop.PBX_WRITE):
        raise ValueError("no")
    assert picture.spark(plots.of(Hop.PBX_WRITE)) is None


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0004, "0.4 ms"), (0.012, "12 ms"), (1.25, "1.2 s"), (61, "61.0 s")]
)
def test_times_are_said_to_two_digits(seconds, said):
    assert picture.duration(seconds, "en") == said
    assert picture.duration(seconds, "de") == said.replace(".", ",")
