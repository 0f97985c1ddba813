"""In step, progress, and how long each hop took."""

import asyncio
from typing import Any

import pytest
from site_kit import BUSY, FREE, Site

from presencebridge.core.events import LegsSeen, Paused, PresenceSeen, Source, StatusSeen
from presencebridge.core.model import LegState, Presence
from presencebridge.errors import TryAgain
from presencebridge.runtime import health
from presencebridge.runtime.links import Link, LinkReport, LinkState

pytestmark = pytest.mark.looptime

TALKING, SILENT = LegsSeen((LegState.CONNECTED,)), LegsSeen(())
UP = LinkReport("graph", LinkState.CONNECTED, "", "", 0.0)


def all_seen(site: Site) -> None:
    for member in site.people:
        site.hub.post(member.key, PresenceSeen(FREE, Source.READ, site.clock.now()))
        site.hub.post(member.key, StatusSeen("Available", site.clock.now()))
        site.hub.post(member.key, SILENT)


def amiss(site: Site, *links: LinkReport, is_known: bool = True) -> list[str]:
    return health.out_of_step(
        is_known=is_known,
        links=links or (UP,),
        people=[(member, site.hub.state(member.key)) for member in site.people],
        owed=site.hub.owed(),
        now=site.clock.now(),
    )


async def test_a_site_is_in_step_once_everybody_was_seen_on_both_sides():
    async with Site("101", "102") as site:
        assert amiss(site, is_known=False) == [
            "it is not known yet who is served",
            "2 people are not seen yet on both sides",
        ]
        all_seen(site)
        await asyncio.sleep(0.1)
        assert amiss(site) == []
        site.hub.post("102", LegsSeen(()))
        down = LinkReport("3cx", LinkState.DOWN, "nobody answers", "", 0.0)
        assert amiss(site, UP, down) == ["3cx is down"]


async def test_a_degraded_link_works():
    async with Site("101") as site:
        all_seen(site)
        await asyncio.sleep(0.1)
        link = Link("3cx", site.clock.now)
        link.connected()
        link.note("own sync", "is on")
        assert amiss(site, link.report) == []


async def test_a_write_that_is_owed_for_a_minute_is_not_in_step_and_a_lucky_try_ends_it():
    async with Site("101", "102") as site:
        all_seen(site)
        site.teams.faults["id-101"] = TryAgain("too many", after_s=1000.0)
        site.hub.post("101", TALKING)
        await asyncio.sleep(59)
        assert amiss(site) == []
        await asyncio.sleep(10)
        assert amiss(site) == ["1 person is waiting for a write to teams, for 69 s"]
        del site.teams.faults["id-101"]
        await asyncio.sleep(1000)
        assert amiss(site) == []


async def test_a_status_that_3cx_takes_and_ignores_is_owed():
    class Ignoring(dict):
        def __setitem__(self, key: str, value: str) -> None:
            """Nothing happens."""

    async with Site("101") as site:
        all_seen(site)
        site.pbx.statuses = Ignoring()
        site.hub.post("101", PresenceSeen(BUSY, Source.READ, site.clock.now()))
        await asyncio.sleep(100)
        assert amiss(site) == ["1 person is waiting for a write to 3cx, for 100 s"]


@pytest.mark.parametrize("why", ["paused", "trouble"])
async def test_somebody_who_is_paused_or_has_a_trouble_of_their_own_makes_nobody_unready(why):
    async with Site("101") as site:
        if why == "paused":
            site.hub.post("101", Paused())
        else:
            site.people["101"].trouble("3cx", "no such extension")
        await asyncio.sleep(0.1)
        assert amiss(site) == []


async def test_what_is_not_wanted_any_more_is_not_owed():
    async with Site("101") as site:
        all_seen(site)
        site.teams.faults["id-101"] = TryAgain("away")
        site.hub.post("101", TALKING)
        await asyncio.sleep(10)
        assert list(site.hub.owed()["teams"]) == ["101"]
        site.hub.post("101", SILENT)
        await asyncio.sleep(2000)  # the lease is over long since
        assert site.hub.owed() == {"teams": {}, "3cx": {}}
        assert site.hub.state("101").teams_write.trouble is None


async def test_a_status_that_could_not_be_set_is_no_trouble_once_it_is_not_wanted_any_more():
    async with Site("101") as site:
        all_seen(site)
        site.pbx.faults["101"] = TryAgain("no answer")
        site.hub.post("101", PresenceSeen(BUSY, Source.READ, site.clock.now()))
        await asyncio.sleep(10)
        assert site.hub.state("101").status_write.trouble == "no answer"
        site.hub.post("101", PresenceSeen(FREE, Source.READ, site.clock.now()))
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        await asyncio.sleep(100)
        del site.pbx.faults["101"]
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        await asyncio.sleep(100)
        state = site.hub.state("101")
        assert (state.status_claim, state.status_write.trouble, state.status_write.attempts) == (
            None,
            None,
            0,
        )


async def test_progress_is_not_lost_while_a_write_waits_or_the_disk_is_full_but_while_it_hangs():
    async with Site("101") as site:
        site.teams.faults["id-101"] = TryAgain("too many", after_s=3600.0)
        site.hub.post("101", TALKING)
        await asyncio.sleep(1000)
        assert site.hub.saving_since is None
        site.store.full = True
        site.hub.post("101", SILENT)
        site.hub.post("101", Paused())
        await asyncio.sleep(1000)
        assert site.clock.now() - (site.hub.saving_since or 0.0) < 2
        site.store.takes = 10_000.0
        await asyncio.sleep(200)
        since = site.hub.saving_since
        assert since is not None
        assert health.stuck({"saving": since}, site.clock.now()) == ["saving has not moved for 200 s"]


def test_what_moved_within_two_minutes_is_not_stuck():
    assert health.stuck({"reading calls": 100.0}, 219.0) == []
    assert health.stuck({"reading calls": 100.0}, 221.0) == ["reading calls has not moved for 121 s"]


def sample(site: Site, name: str, **labels: str) -> Any:
    return site.metrics.registry.get_sample_value(f"presencebridge_{name}", labels)


async def test_each_hop_of_a_change_is_measured():
    async with Site("101") as site:
        all_seen(site)
        await asyncio.sleep(0.1)
        site.store.takes, site.teams.slow["id-101"] = 0.2, 1.0
        site.hub.post("101", TALKING)
        await asyncio.sleep(5)
        assert sample(site, "hop_seconds_count", seen="calls", hop="decided") == 1
        assert sample(site, "hop_seconds_sum", seen="calls", hop="decided") == pytest.approx(0, abs=0.01)
        assert sample(site, "hop_seconds_sum", seen="calls", hop="saved") == pytest.approx(0.2, abs=0.01)
        assert sample(site, "write_seconds_sum", side="teams") == pytest.approx(0, abs=1)  # by the real clock
        assert sample(site, "change_seconds_sum", seen="calls", side="teams") == pytest.approx(1.2, abs=0.01)


async def test_a_change_is_counted_once_with_all_its_tries_and_renewals_are_no_changes():
    async with Site("101") as site:
        all_seen(site)
        site.teams.faults["id-101"] = TryAgain("away")
        site.hub.post("101", TALKING)
        await asyncio.sleep(20)
        del site.teams.faults["id-101"]
        await asyncio.sleep(1000)
        assert sample(site, "change_seconds_count", seen="calls", side="teams") == 1
        assert sample(site, "change_seconds_sum", seen="calls", side="teams") == pytest.approx(31, abs=2)
        assert sample(site, "writes_total", side="teams", kind="set", outcome="done") > 3


async def test_a_notification_and_a_read_are_told_apart():
    async with Site("101") as site:
        all_seen(site)
        await asyncio.sleep(0.1)
        site.hub.post("101", PresenceSeen(BUSY, Source.NOTIFICATION, site.clock.now()))
        await asyncio.sleep(10)
        site.hub.post("101", PresenceSeen(Presence("Available", "Available"), Source.READ, site.clock.now()))
        await asyncio.sleep(1)
        assert sample(site, "change_seconds_count", seen="notification", side="3cx") == 1
        assert sample(site, "change_seconds_count", seen="read", side="3cx") == 1
