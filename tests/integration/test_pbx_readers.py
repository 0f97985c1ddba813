"""The loops that look: presence from Graph, calls and statuses from 3CX, in virtual time."""

import asyncio
import collections
import contextlib
from itertools import pairwise

import pytest
from site_kit import BUSY, FREE, FakePbx, FakeTeams, LoopClock, passed, people

from presencebridge.core.events import LegsSeen, PbxLost, PresenceSeen, Source, StatusSeen
from presencebridge.core.model import LegState
from presencebridge.errors import Malformed, Refused, TryAgain
from presencebridge.runtime.dry_run import DryPbx, DryTeams
from presencebridge.runtime.links import Link, LinkState
from presencebridge.runtime.pbx_poller import PbxPoller
from presencebridge.runtime.people import Member
from presencebridge.runtime.presence_reader import PresenceReader

pytestmark = pytest.mark.looptime


async def work(loops: object, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await loops.run()


# Presence -----------------------------------------------------------------------------------------


class Reading:
    """A presence reader with all that it hangs on."""

    def __init__(self, *keys: str, every_s: float = 300.0, group: int = 650, **policy: object) -> None:
        self.people, self.teams, self.clock = people(*keys, **policy), FakeTeams(), LoopClock()
        self.link = Link("graph", self.clock.now)
        self.reader = PresenceReader(self.people, self.teams, self.link, self.clock, group, every_s)
        self.seen: list[tuple[float, str, PresenceSeen]] = []
        self.silent: list[list[str]] = []
        self.reader.on_seen = lambda member, event: self.seen.append((passed(), member.key, event))
        self.reader.on_silence = self.silent.append

    def __getitem__(self, key: str) -> Member:
        return self.people[key]

    async def work(self, seconds: float) -> None:
        await work(self.reader, seconds)

    @contextlib.asynccontextmanager
    async def working(self):
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.reader.run())
            await asyncio.sleep(1)
            yield
            running.cancel()


async def test_everybody_is_read_at_once_and_then_at_intervals():
    site = Reading("101", "102", every_s=5.0)
    await site.work(21)
    assert [users for _, users in site.teams.reads] == [["id-101", "id-102"]] * 5
    assert [round(when) for when, _ in site.teams.reads] == [0, 5, 10, 15, 20]
    assert site.seen[0][2] == PresenceSeen(FREE, Source.READ, 1_000_000.0, None)
    assert site.link.report.state is LinkState.CONNECTED


async def test_many_people_are_read_in_groups():
    site = Reading(*(str(number) for number in range(100, 125)), group=10)
    await site.work(10)
    assert [len(users) for _, users in site.teams.reads] == [10, 10, 5]
    assert len({key for _, key, _ in site.seen}) == 25


async def test_who_is_excluded_or_not_found_yet_is_not_read():
    site = Reading("101", excluded=True)
    site.reader.want(site["101"], 0.0)
    await site.work(10)
    assert site.teams.reads == []


async def test_questions_that_come_together_are_asked_together():
    site = Reading("101", "102", "103")
    async with site.working():
        for key in ("101", "102", "103", "101"):
            site.reader.want(site[key], site.clock.now())
            await asyncio.sleep(0.03)
        await asyncio.sleep(1)
    assert [sorted(users) for _, users in site.teams.reads[1:]] == [["id-101", "id-102", "id-103"]]
    assert site.teams.reads[1][0] == pytest.approx(1.2, abs=0.05)


async def test_a_question_for_later_is_asked_then_and_the_latest_counts():
    site = Reading("101")
    async with site.working():
        for later in (4.0, 6.0, 2.0):
            site.reader.want(site["101"], site.clock.now() + later)
        await asyncio.sleep(10)
    assert [when for when, _ in site.teams.reads] == [0, pytest.approx(7.0, abs=0.3)]
    assert site.seen[-1][2].asked_at >= 1_000_007.0


async def test_a_question_that_comes_while_a_read_is_under_way_is_asked_again():
    site = Reading("101")
    site.teams.read_takes = 2.0
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(site.reader.run())
        await asyncio.sleep(1)
        site.reader.want(site["101"], site.clock.now())
        await asyncio.sleep(9)
        running.cancel()
    assert len(site.teams.reads) == 2
    assert site.seen[-1][2].asked_at > 1_000_001.0


async def test_a_read_that_fails_is_repeated_until_it_works():
    site = Reading("101")
    site.teams.fault = TryAgain("busy")
    async with site.working():
        await asyncio.sleep(100)
        assert site.link.report.state is LinkState.DOWN
        assert site.seen == []
        gaps = [round(later - earlier) for (earlier, _), (later, _) in pairwise(site.teams.reads)]
        assert gaps[:5] == [1, 2, 4, 8, 16]
        assert max(gaps) <= 30
        site.teams.fault = None
        await asyncio.sleep(31)
        assert [key for _, key, _ in site.seen] == ["101"]
        assert site.link.report.state is LinkState.CONNECTED


async def test_graphs_retry_after_is_waited_out():
    site = Reading("101")
    site.teams.fault = TryAgain("busy", after_s=60.0)
    await site.work(130)
    assert [when for when, _ in site.teams.reads] == [0, 60, 120]


async def test_a_right_that_is_missing_is_shown_with_its_cure():
    site = Reading("101")
    site.teams.fault = Refused("403", cure="give the right")
    await site.work(5)
    assert (site.link.report.state, site.link.report.cure) == (LinkState.REFUSED, "give the right")


async def test_who_graph_does_not_know_has_a_trouble_and_the_others_are_read():
    site = Reading("101", "102")
    site.teams.unknown.add("id-101")
    async with site.working():
        assert site["101"].troubles == {"teams": "Graph does not tell this person's presence"}
        assert [key for _, key, _ in site.seen] == ["102"]
        site.teams.unknown.clear()
        site.reader.want_all()
        await asyncio.sleep(1)
        assert site["101"].troubles == {}


async def test_a_change_that_only_a_read_found_is_told_after_a_minute_and_a_half():
    site = Reading("101", "102", every_s=30.0)
    async with site.working():
        site.teams.shows["id-101"] = BUSY
        await asyncio.sleep(100)
        assert site.silent == []
        await asyncio.sleep(55)
        assert site.silent == [["id-101"]]
        await asyncio.sleep(500)
        assert site.silent == [["id-101"]]


@pytest.mark.parametrize("late", [-5.0, 60.0])
async def test_a_notification_a_little_before_or_after_the_read_is_no_silence(late):
    site = Reading("101", every_s=30.0)
    async with site.working():
        if late < 0:
            site.reader.notified(site["101"], BUSY)
        site.teams.shows["id-101"] = BUSY
        await asyncio.sleep(29 + max(late, 0))
        site.reader.notified(site["101"], BUSY)
        await asyncio.sleep(600)
    assert site.silent == []


async def test_the_sign_of_life_goes_on():
    site = Reading("101", every_s=30.0)
    async with site.working():
        await asyncio.sleep(1000)
        assert site.clock.now() - site.reader.beat_at <= 31


# 3CX ----------------------------------------------------------------------------------------------


class Polling:
    """A poller with all that it hangs on."""

    def __init__(
        self, *keys: str, poll_every_s: float = 2.0, status_every_s: float = 30.0, **policy: object
    ) -> None:
        self.people, self.pbx, self.clock = people(*keys, **policy), FakePbx(), LoopClock()
        self.link = Link("3cx", self.clock.now)
        self.poller = PbxPoller(self.people, self.pbx, self.link, self.clock, poll_every_s, status_every_s)
        self.seen: list[tuple[float, str, object]] = []
        self.poller.on_seen = lambda member, event: self.seen.append((passed(), member.key, event))

    def of(self, kind: type, key: str = "101") -> list[object]:
        return [event for _, seen, event in self.seen if seen == key and type(event) is kind]

    @contextlib.asynccontextmanager
    async def working(self):
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.poller.run())
            await asyncio.sleep(1)
            yield
            running.cancel()


async def test_calls_are_asked_for_at_even_intervals_and_told_when_they_change():
    site = Polling("101", "102")
    async with site.working():
        await asyncio.sleep(9.5)
        assert [round(when) for when in site.pbx.polls] == [0, 2, 4, 6, 8, 10]
        assert site.of(LegsSeen) == [LegsSeen(())]
        site.pbx.calls["101"] = (LegState.CONNECTED,)
        await asyncio.sleep(4)
        site.pbx.calls.clear()
        await asyncio.sleep(4)
        assert site.of(LegsSeen) == [LegsSeen(()), LegsSeen((LegState.CONNECTED,)), LegsSeen(())]
        assert site.of(LegsSeen, "102") == [LegsSeen(())]


async def test_a_lost_pbx_is_told_at_once_and_everybody_told_anew_when_it_is_back():
    site = Polling("101", "102")
    site.pbx.calls["101"] = (LegState.HOLD,)
    async with site.working():
        site.pbx.fault = TryAgain("can't be reached")
        await asyncio.sleep(2)
        assert site.link.report.state is LinkState.DOWN
        assert site.of(PbxLost)
        assert site.of(PbxLost, "102")
        site.pbx.fault = None
        site.seen.clear()
        await asyncio.sleep(2)
        assert site.of(LegsSeen) == [LegsSeen((LegState.HOLD,))]
        assert site.of(LegsSeen, "102") == [LegsSeen(())]
        await asyncio.sleep(15)
        assert site.of(StatusSeen)
        assert site.of(StatusSeen, "102")
        assert site.link.report.state is LinkState.CONNECTED


async def test_an_answer_that_is_none_is_a_loss_too():
    site = Polling("101")
    async with site.working():
        assert site.of(PbxLost) == []
        site.pbx.fault = Malformed("not the bridge")
        await asyncio.sleep(30)
        assert len(site.of(PbxLost)) == 1, "a loss is told once"
        assert site.link.report.reason == "not the bridge"


async def test_a_pbx_that_was_never_there_can_not_be_lost():
    site = Polling("101")
    site.pbx.fault = Malformed("not the bridge")
    async with site.working():
        await asyncio.sleep(30)
        assert site.of(PbxLost) == []
        assert site.of(LegsSeen) == []
        assert site.link.report.reason == "not the bridge"


async def test_an_extension_that_can_not_be_read_is_told_nothing_and_the_others_go_on():
    site = Polling("101", "102")
    site.pbx.unreadable["101"] = "extension 101: unknown state"
    async with site.working():
        assert site.of(LegsSeen) == []
        assert site.of(LegsSeen, "102") == [LegsSeen(())]
        assert site.people["101"].troubles["3cx"] == "extension 101: unknown state"


async def test_at_the_start_everybodys_status_is_read_quickly_and_then_evenly():
    keys = [str(number) for number in range(100, 110)]
    site = Polling(*keys, status_every_s=30.0)
    async with site.working():
        assert [key for _, key in site.pbx.asked][:10] == keys
        assert site.pbx.asked[9][0] < 1
        await asyncio.sleep(90)
        asked = collections.Counter(key for _, key in site.pbx.asked)
        assert set(asked.values()) <= {3, 4, 5}
        late = [when for when, _ in site.pbx.asked if when > 10]
        assert all(later - earlier == pytest.approx(3.0, abs=0.1) for earlier, later in pairwise(late))


async def test_nobodys_status_is_asked_for_while_the_link_is_down():
    site = Polling("101")
    site.pbx.fault = TryAgain("away")
    async with site.working():
        await asyncio.sleep(20)
        assert site.pbx.asked == []


async def test_a_status_that_is_never_answered_rests_longer_each_time_and_holds_up_nobody():
    site = Polling("101", "102", "103", status_every_s=6.0)
    site.pbx.slow["101"] = 5.0
    site.pbx.faults["101"] = TryAgain("never answered", cure="check that it exists")
    async with site.working():
        await asyncio.sleep(600)
        asked = [when for when, key in site.pbx.asked if key == "101" and when > 5]
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert gaps[0] >= 30
        assert all(later >= 1.5 * earlier for earlier, later in pairwise(gaps))
        assert len(site.of(StatusSeen, "102")) > 90
        assert site.people["101"].troubles["3cx"] == "never answered (check that it exists)"
        del site.pbx.faults["101"], site.pbx.slow["101"]
        await asyncio.sleep(600)
        assert site.of(StatusSeen)
        assert site.people["101"].troubles == {}


async def test_who_is_excluded_is_not_asked_about():
    site = Polling("101", excluded=True)
    async with site.working():
        await asyncio.sleep(60)
        assert site.pbx.asked == []


# Dry runs -----------------------------------------------------------------------------------------


async def test_a_dry_run_reads_teams_and_writes_nothing():
    teams = FakeTeams()
    dry = DryTeams(teams)
    await dry.set_presence("id-101", BUSY, 300)
    await dry.clear_presence("id-101")
    assert teams.log == []
    assert len(await dry.presences(["id-101"])) == 1


async def test_a_dry_run_shows_what_it_would_have_written_until_somebody_changes_it():
    pbx = FakePbx()
    dry = DryPbx(pbx)
    change = await dry.change_status("101", ("Available",), "Away")
    assert (change.before, change.after, change.wrote) == ("Available", "Away", True)
    assert pbx.log == []
    assert await dry.status("101") == "Away"
    back = await dry.change_status("101", ("Away",), "Available")
    assert (back.before, back.after, back.wrote) == ("Away", "Available", True)
    refused = await dry.change_status("101", ("Away",), "Available")
    assert refused.wrote is False
    await dry.change_status("101", ("Available",), "Away")
    pbx.statuses["101"] = "Custom 1"
    assert await dry.status("101") == "Custom 1"
    pbx.statuses["101"] = "Available"
    assert await dry.status("101") == "Available"
    assert (await dry.legs()).by_extension == {}


async def test_if_nobody_was_read_for_a_while_one_person_is_so_that_a_graph_that_has_gone_is_noticed():
    site = Reading("101", "102", every_s=300.0)
    site.reader.probe_every_s = 15.0
    async with site.working():
        await asyncio.sleep(50)
        assert [users for _, users in site.teams.reads[1:]] == [["id-101"], ["id-102"], ["id-101"]]
        assert [when for when, _ in site.teams.reads[1:]] == pytest.approx([15, 30, 45], abs=1)
        site.teams.fault = TryAgain("gone")
        await asyncio.sleep(20)
        assert site.link.report.state is LinkState.DOWN
        site.teams.fault = None
        await asyncio.sleep(60)
        assert site.link.report.state is LinkState.CONNECTED


async def test_everybody_is_read_more_often_from_the_moment_that_it_is_asked_for():
    site = Reading("101", every_s=300.0)
    async with site.working():
        await asyncio.sleep(20)
        assert len(site.teams.reads) == 1
        site.reader.read_all_every(5.0)
        await asyncio.sleep(11)
        assert len(site.teams.reads) == 4
        site.reader.read_all_every(300.0)
        await asyncio.sleep(100)
        assert len(site.teams.reads) == 4
