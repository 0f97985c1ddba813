"""The loops that read 3CX: calls and statuses, in virtual time."""

import asyncio
import collections
import contextlib
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from site_kit import BUSY, FREE, FakePbx, FakeTeams, LoopClock, Site, passed, people

from presencebridge.core.events import LegsLost, LegsSeen, PbxLost, PresenceSeen, Source, StatusSeen
from presencebridge.core.model import LegState
from presencebridge.core.policy import SEED
from presencebridge.emulators.webapi import WebApiEmulator
from presencebridge.emulators.world import Extension, World
from presencebridge.errors import Malformed, Refused, TryAgain
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime.calls_reader import CallsReader
from presencebridge.runtime.dry_run import DryStatuses, DryTeams
from presencebridge.runtime.links import Link, LinkState
from presencebridge.runtime.people import Member
from presencebridge.runtime.status_reader import StatusReader

pytestmark = pytest.mark.looptime


class Polling:
    """Both readers with all that they hang on."""

    def __init__(
        self,
        *keys: str,
        pbx: Any = None,
        poll_every_s: float = 2.0,
        status_every_s: float = 30.0,
        **policy: object,
    ) -> None:
        self.people, self.pbx, self.clock = people(*keys, **policy), pbx or FakePbx(), LoopClock()
        self.link = Link("3cx", self.clock.now)
        self.calls = CallsReader(self.people, self.pbx, None, self.link, self.clock, poll_every_s)
        self.statuses = StatusReader(self.people, self.pbx, self.link, self.clock, self.calls, status_every_s)
        self.seen: list[tuple[float, str, object]] = []

        def note(member: Member, event: object) -> None:
            self.seen.append((passed(), member.key, event))

        self.calls.on_seen = self.statuses.on_seen = note

    def of(self, kind: type, key: str = "101") -> list[object]:
        return [event for _, seen, event in self.seen if seen == key and type(event) is kind]

    @contextlib.asynccontextmanager
    async def working(self):
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(part.run()) for part in (self.calls, self.statuses)]
            await asyncio.sleep(1)
            yield
            for task in running:
                task.cancel()


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
        assert site.people["101"].troubles["3cx calls"] == "extension 101: unknown state"


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


async def test_while_the_link_is_down_statuses_are_asked_for_to_see_whether_it_is_and_no_more():
    site = Polling(*(str(number) for number in range(100, 110)))
    site.pbx.fault = TryAgain("away")
    async with site.working():
        await asyncio.sleep(20)
        assert len(site.pbx.asked) == len(site.pbx.polls)
        assert site.of(StatusSeen) == []


async def test_calls_that_can_not_be_read_are_no_loss_of_3cx_where_statuses_can():
    site = Polling("101", "102", "103", status_every_s=6.0)
    site.pbx.calls["102"] = (LegState.CONNECTED,)
    site.pbx.faults["101"] = TryAgain("never answered")
    async with site.working():
        await asyncio.sleep(10)
        site.pbx.calls_fault = TryAgain("no answer to /showallcalls", cure="see to it")
        site.seen.clear()
        await asyncio.sleep(60)
        assert [len(site.of(LegsLost, key)) for key in ("101", "102", "103")] == [1, 1, 1]
        assert not any(site.of(PbxLost, key) for key in ("101", "102", "103"))
        assert len(site.of(StatusSeen, "103")) >= 9
        report = site.link.report
        assert (report.state, report.reason, report.cure) == (
            LinkState.DEGRADED,
            "calls can't be read: no answer to /showallcalls",
            "see to it",
        )
        site.pbx.fault = TryAgain("away")
        await asyncio.sleep(8)
        assert site.link.report.state is LinkState.DOWN
        assert len(site.of(PbxLost)) == 1
        site.pbx.fault = None
        await asyncio.sleep(8)
        assert site.link.report.state is LinkState.DEGRADED
        site.seen.clear()
        site.pbx.calls_fault = None
        await asyncio.sleep(3)
        assert site.link.report.state is LinkState.CONNECTED
        assert site.of(LegsSeen, "102") == [LegsSeen((LegState.CONNECTED,))]


async def test_calls_that_can_not_be_read_at_the_start_do_not_keep_statuses_from_being_read():
    site = Polling("101", "102")
    site.pbx.calls_fault = TryAgain("no answer to /showallcalls")
    site.pbx.faults["101"] = TryAgain("never answered")
    async with site.working():
        await asyncio.sleep(5)
        assert site.of(StatusSeen, "102")
        assert site.link.report.state is LinkState.DEGRADED


async def test_while_calls_can_not_be_read_teams_is_followed_all_the_same():
    site = Site("101")
    link = Link("3cx", site.clock.now)
    calls = CallsReader(site.people, site.pbx, None, link, site.clock, 2.0)
    statuses = StatusReader(site.people, site.pbx, link, site.clock, calls, 30.0)
    calls.on_seen = statuses.on_seen = site.hub.seen
    async with site, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(part.run()) for part in (calls, statuses)]
        site.pbx.calls["101"] = (LegState.CONNECTED,)
        site.hub.post("101", PresenceSeen(FREE, Source.READ, site.clock.now()))
        await asyncio.sleep(60)
        assert "done set id-101 Busy/InACall" in site.log
        site.pbx.calls_fault = TryAgain("no answer to /showallcalls")
        await asyncio.sleep(10)
        site.log.clear()
        site.hub.post("101", PresenceSeen(BUSY, Source.READ, site.clock.now()))
        await asyncio.sleep(600)
        assert [line for line in site.log if not line.startswith("saved")] == ["status 101 Away"]
        assert site.hub.state("101").teams_claim is None, "the lease has ended"
        for task in running:
            task.cancel()


async def test_a_status_that_is_never_answered_rests_longer_each_time_and_holds_up_nobody():
    site = Polling("101", "102", "103", status_every_s=6.0)
    site.pbx.slow["101"] = 5.0
    site.pbx.faults["101"] = TryAgain("never answered", cure="check that it exists")
    async with site.working():
        await asyncio.sleep(600)
        asked = [when for when, key in site.pbx.asked if key == "101" and when > 5]
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert gaps[0] >= 5
        assert all(later >= min(1.5 * earlier, 120) for earlier, later in pairwise(gaps[1:]))
        assert max(gaps) < 140, "two minutes, and what it takes until it is given up"
        assert len(site.of(StatusSeen, "102")) > 90
        assert site.people["101"].troubles["3cx"] == "never answered (check that it exists)"
        del site.pbx.faults["101"], site.pbx.slow["101"]
        await asyncio.sleep(130)
        assert site.of(StatusSeen)
        assert site.people["101"].troubles == {}


async def test_what_3cx_tells_of_everybody_together_is_not_asked_for_one_by_one():
    site = Polling("101", "102", "103", status_every_s=10.0)
    site.pbx.together = {"101": "Away", "102": "Available", "999": "Away"}
    async with site.working():
        await asyncio.sleep(98)
        assert len(site.pbx.looks) == 10
        assert site.of(StatusSeen)[0].status == "Away"
        assert len(site.of(StatusSeen)) == len(site.of(StatusSeen, "102")) == 10
        assert {key for _, key in site.pbx.asked} == {"103"}, "who is left out is asked for"


async def test_statuses_that_can_not_be_read_at_all_are_told_on_the_link():
    site = Polling("101")
    site.pbx.together = {"101": "Away"}
    site.pbx.look_fault = Refused("403", cure="check the role")
    async with site.working():
        assert site.link.report.state is LinkState.DEGRADED
        assert (site.link.report.reason, site.link.report.cure) == (
            "statuses can't be read: 403",
            "check the role",
        )
        assert site.pbx.asked == []
        site.pbx.look_fault = None
        await asyncio.sleep(3)
        assert site.link.report.state is LinkState.CONNECTED
        assert site.of(StatusSeen)


async def test_after_a_loss_everybodys_status_is_read_anew_at_once():
    site = Polling("101", "102", status_every_s=600.0)
    async with site.working():
        await asyncio.sleep(100)
        assert len(site.of(StatusSeen)) == 1
        site.pbx.fault = TryAgain("away")
        await asyncio.sleep(3)
        site.pbx.fault = None
        await asyncio.sleep(3)
        assert len(site.of(StatusSeen)) == len(site.of(StatusSeen, "102")) == 2


async def test_who_is_excluded_is_not_asked_about():
    site = Polling("101", excluded=True)
    async with site.working():
        await asyncio.sleep(60)
        assert site.pbx.asked == []


async def test_who_is_excluded_and_still_holds_a_status_is_asked_about():
    site = Polling("101", excluded=True)
    site.statuses.needs_status = lambda _member: True
    async with site.working():
        await asyncio.sleep(60)
        assert {key for _, key in site.pbx.asked} == {"101"}


async def test_a_queue_call_that_the_bridge_can_not_print_hides_calls_and_no_status():
    emulator = WebApiEmulator(World(extensions=(Extension("101", "Ann"),)), out=lambda _line: None)
    bridge, control = (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://pbx")
        for app in (emulator.app, emulator.control)
    )
    site = Polling("101", pbx=WebApiClient(bridge, 5.0))
    async with site.working():
        await asyncio.sleep(5)
        legs = [{"dn": "101", "state": "Connected", "party": "0301234"}]
        call = {"legs": legs, "queue": {"number": "80", "name": "Sales"}}
        made = (await control.post("/calls", json=call)).json()
        await asyncio.sleep(60)
        assert site.link.report.state is LinkState.DEGRADED
        assert site.link.report.reason.startswith(
            "calls can't be read: the bridge did not answer /showallcalls"
        )
        assert "queue" in site.link.report.cure
        site.seen.clear()
        await control.put("/extensions/101", json={"status": "Away"})
        await asyncio.sleep(35)
        assert StatusSeen("Away", site.of(StatusSeen)[-1].asked_at) == site.of(StatusSeen)[-1]
        await control.delete(f"/calls/{made['id']}")
        await asyncio.sleep(15)
        assert site.link.report.state is LinkState.CONNECTED
        assert site.of(LegsSeen) == [LegsSeen(())]


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
    dry = DryStatuses(pbx)
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


async def test_who_comes_for_somebody_else_with_the_same_extension_is_told_anew():
    site = Polling("101", poll_every_s=600.0)
    site.pbx.calls["101"] = (LegState.CONNECTED,)
    async with site.working():
        assert len(site.of(LegsSeen)) == 1
        site.people.remove(site.people["101"])
        site.people.add(Member("101", "somebody.else@example.org", SEED))
        site.calls.want()
        await asyncio.sleep(1)
        assert len(site.of(LegsSeen)) == 2


async def test_who_comes_is_asked_for_before_the_others():
    site = Polling("101", "102", "103", status_every_s=600.0)
    async with site.working():
        await asyncio.sleep(10)
        site.pbx.asked.clear()
        site.people.add(Member("104", "new@example.org", SEED))
        site.statuses.want(site.people["104"])
        await asyncio.sleep(0.2)
        assert site.pbx.asked[0][1] == "104"


async def test_a_link_that_comes_back_ends_every_rest():
    site = Polling("101", status_every_s=10.0)
    site.pbx.faults["101"] = TryAgain("away")
    async with site.working():
        await asyncio.sleep(300)
        del site.pbx.faults["101"]
        site.pbx.fault = TryAgain("away")
        await asyncio.sleep(3)
        site.pbx.fault = None
        await asyncio.sleep(3)
        assert site.of(StatusSeen)
