"""One mailbox a person: in order, side by side, saved before sent."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Self

import pytest
from site_kit import BUSY, FREE, NotingStore, Site, passed

from presencebridge.core.events import (
    LegsSeen,
    Paused,
    PbxLost,
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Recognized,
    Resumed,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
)
from presencebridge.core.model import LegState, Presence, State, StatusClaim
from presencebridge.core.policy import SEED
from presencebridge.errors import Gone, Refused, TryAgain
from presencebridge.runtime.people import Member

pytestmark = pytest.mark.looptime

TALKING = LegsSeen((LegState.CONNECTED,))
SILENT = LegsSeen(())


def shown(site: Site, presence: Presence) -> PresenceSeen:
    return PresenceSeen(presence, Source.READ, site.clock.now())


def seen_by(site: Site, key: str) -> list[type]:
    return [type(entry.seen) for entry in site.journal.of(key)]


async def test_a_call_is_saved_and_then_sent():
    async with Site("101") as site:
        site.hub.post("101", TALKING)
        await asyncio.sleep(0.1)
        assert site.log[:3] == ["saved 101", "set id-101 Busy/InACall", "done set id-101 Busy/InACall"]
        site.log.clear()
        site.hub.post("101", SILENT)
        await asyncio.sleep(0.1)
        # Saved before the clearing too, whose answer may never come: nobody may rely on the session any more.
        assert site.log[:3] == ["saved 101", "clear id-101", "done clear id-101"]
        assert site.store.load()["101"].teams_claim is None


async def test_nothing_is_sent_while_the_store_is_still_at_work():
    async with Site("101") as site:
        site.store.takes = 3.0
        site.hub.post("101", TALKING)
        await asyncio.sleep(2.9)
        assert site.log == []
        await asyncio.sleep(0.2)
        assert site.log[:2] == ["saved 101", "set id-101 Busy/InACall"]


async def test_a_store_that_fails_holds_the_command_back_and_tells_until_there_is_room():
    told: list[str] = []
    async with Site("101", "102") as site:
        site.hub.on_unsaved, site.hub.on_saved = told.append, lambda: told.append("saved")
        site.store.full = True
        site.hub.post("101", TALKING)
        await asyncio.sleep(5.5)
        assert set(site.log) == {"unsaved 101"}
        assert told == ["database or disk is full"] * 6
        assert site.hub.state("101").teams_claim is None
        site.store.full = False
        await asyncio.sleep(1.1)
        assert site.log[6:8] == ["saved 101", "set id-101 Busy/InACall"]
        assert told[-1] == "saved"


async def test_what_comes_while_the_store_fails_is_worked_through_in_order_afterwards():
    async with Site("101") as site:
        site.store.full = True
        site.hub.post("101", TALKING)
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        site.hub.post("101", SILENT)
        await asyncio.sleep(3)
        assert site.journal.of("101") == ()
        site.store.full = False
        await asyncio.sleep(3)
        assert seen_by(site, "101")[:3] == [LegsSeen, StatusSeen, LegsSeen]
        assert site.hub.state("101").teams_claim is None


async def test_one_persons_events_are_worked_through_in_the_order_they_came():
    async with Site("101") as site:
        statuses = ["Available", "Away", "Custom 1", "Custom 2", "Out of office"]
        for status in statuses:
            site.hub.post("101", StatusSeen(status, site.clock.now()))
        await asyncio.sleep(1)
        assert [entry.seen.status for entry in site.journal.of("101")] == statuses
        assert site.hub.state("101").status == "Out of office"


async def test_different_people_are_served_side_by_side():
    async with Site("101", "102", "103") as site:
        site.store.takes = 2.0
        for key in ("101", "102", "103"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(2.5)
        assert sorted(site.log[:3]) == ["saved 101", "saved 102", "saved 103"]
        assert {line for line in site.log if line.startswith("done set")} == {
            f"done set id-{key} Busy/InACall" for key in ("101", "102", "103")
        }


async def test_what_is_decided_at_the_same_time_is_saved_together():
    saves: list[list[str]] = []

    class Store(NotingStore):
        async def save(self, states: Mapping[str, State]) -> None:
            saves.append(list(states))
            await super().save(states)

    async with Site("101", "102", "103", store=Store([])) as site:
        for key in ("101", "102"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(0)
        site.hub.post("103", TALKING)
        await asyncio.sleep(0.1)
        assert saves[0] == ["101", "102"]
        assert "103" in saves[1]


async def test_a_crowd_lets_others_at_the_loop_in_between():
    keys = [str(number) for number in range(100, 400)]
    async with Site(*keys) as site:
        decided, looks = 0, []

        def count(_key: str, _state: State, _now: float) -> None:
            nonlocal decided
            decided += 1

        site.hub.on_changed = count
        for key in keys:
            site.hub.post(key, StatusSeen("Away", site.clock.now()))
        while decided < len(keys):
            looks.append(decided)
            await asyncio.sleep(0)
        assert max(after - before for before, after in itertools.pairwise([*looks, decided])) <= 60


async def test_who_goes_while_the_disk_is_full_is_not_saved_any_more_and_gets_no_write():
    async with Site("101", "102") as site:
        site.store.full = True
        for key in ("101", "102"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(0.5)
        leaving = asyncio.create_task(site.hub.leave(site.people["101"], 0.1))
        await asyncio.sleep(0.5)
        site.store.full = False
        await leaving
        await asyncio.sleep(3)
        assert "saved 101" not in site.log
        assert not any("id-101" in line for line in site.log)
        assert "done set id-102 Busy/InACall" in site.log
        assert list(site.store.load()) == ["102"]


async def test_a_fault_of_ours_ends_the_hub_and_is_not_passed_over():
    """Whoever runs it starts it again; in silence the person would be stuck."""

    def faulty(_key: str, _state: State, _now: float) -> None:
        raise ZeroDivisionError

    site = Site("101")
    site.hub.on_changed = faulty
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with site:
            site.hub.post("101", TALKING)
            await asyncio.sleep(1)


async def test_a_slow_write_holds_up_neither_its_person_nor_anybody_else():
    async with Site("101", "102") as site:
        site.teams.slow["id-101"] = 60.0
        site.hub.post("101", TALKING)
        await asyncio.sleep(1)
        site.hub.post("101", StatusSeen("Custom 1", site.clock.now()))
        site.hub.post("102", TALKING)
        await asyncio.sleep(1)
        assert site.hub.state("101").status == "Custom 1"
        assert "done set id-102 Busy/InACall" in site.log


async def test_wishes_that_pile_up_behind_a_slow_write_become_one():
    async with Site("101") as site:
        site.teams.slow["id-101"] = 30.0
        for _ in range(10):
            site.hub.post("101", TALKING)
            await asyncio.sleep(1)
            site.hub.post("101", SILENT)
            await asyncio.sleep(1)
        assert site.log.count("set id-101 Busy/InACall") == 1
        assert "clear id-101" not in site.log
        await asyncio.sleep(60)
        assert [line for line in site.log if not line.startswith(("done", "saved"))] == [
            "set id-101 Busy/InACall",
            "clear id-101",
        ]


async def test_a_status_is_changed_and_read_back():
    async with Site("101") as site:
        site.hub.post("101", SILENT)
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        site.hub.post("101", shown(site, BUSY))
        await asyncio.sleep(0.1)
        assert site.log.index("saved 101") < site.log.index("status 101 Away")
        assert site.hub.state("101").status == "Away"
        site.hub.post("101", shown(site, FREE))
        await asyncio.sleep(0.1)
        assert site.pbx.statuses == {"101": "Available"}


@pytest.mark.parametrize("error", [TryAgain("busy", after_s=7.0), TryAgain("away"), Refused("no right")])
async def test_a_write_that_fails_comes_back_as_an_event_with_its_reason_and_is_tried_again(error):
    async with Site("101") as site:
        site.teams.faults["id-101"] = error
        site.hub.post("101", TALKING)
        await asyncio.sleep(0.1)
        failed = next(
            entry.seen for entry in site.journal.of("101") if type(entry.seen) is PresenceWriteFailed
        )
        assert failed == PresenceWriteFailed(str(error), getattr(error, "after_s", None))
        del site.teams.faults["id-101"]
        await asyncio.sleep(6.8)
        waited_long = getattr(error, "after_s", None) is not None
        assert ("done set id-101 Busy/InACall" in site.log) is not waited_long
        await asyncio.sleep(1)
        assert "done set id-101 Busy/InACall" in site.log


async def test_a_failed_change_of_status_comes_back_as_an_event():
    async with Site("101") as site:
        site.pbx.faults["101"] = TryAgain("never answered")
        site.hub.post("101", SILENT)
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        site.hub.post("101", shown(site, BUSY))
        await asyncio.sleep(0.1)
        assert StatusWriteFailed("never answered") in [entry.seen for entry in site.journal.of("101")]


async def test_who_is_not_found_in_entra_yet_is_not_written_to():
    async with Site("101", known=False) as site:
        next(iter(site.people)).trouble("teams", "Entra has nobody of that name")
        site.hub.post("101", TALKING)
        await asyncio.sleep(0.1)
        assert PresenceWriteFailed("Entra has nobody of that name") in [
            entry.seen for entry in site.journal.of("101")
        ]
        assert not any("set" in line for line in site.log)
        site.people.identify(site.people["101"], "ID-101", "Ann")
        await asyncio.sleep(5)
        assert "done set id-101 Busy/InACall" in site.log


async def test_the_lease_is_renewed_while_the_call_lasts():
    async with Site("101") as site:
        site.hub.post("101", TALKING)
        await asyncio.sleep(1000)
        assert 4 <= site.log.count("done set id-101 Busy/InACall") <= 8
        site.hub.post("101", PbxLost())
        await asyncio.sleep(1)
        site.log.clear()
        await asyncio.sleep(1000)
        assert not any("set" in line for line in site.log)
        assert site.hub.state("101").teams_claim is None


async def test_a_pause_ends_by_itself_at_its_time():
    async with Site("101") as site:
        site.hub.post("101", Paused(site.clock.now() + 60))
        await asyncio.sleep(0.1)
        assert site.store.load()["101"].paused
        site.hub.post("101", TALKING)
        await asyncio.sleep(59)
        assert not any("set" in line for line in site.log)
        await asyncio.sleep(2)
        assert "done set id-101 Busy/InACall" in site.log
        site.hub.post("101", Paused())
        site.hub.post("101", Resumed())
        await asyncio.sleep(0.1)
        assert not site.hub.state("101").paused


@pytest.mark.parametrize("set_s", [86400.0, -86400.0])
async def test_a_pause_lasts_as_long_as_asked_for_if_the_clock_was_set_before_a_restart(set_s):
    """The first start was without a battery for the clock, or with one that went wrong."""
    first = Site("101")
    wall = first.clock.now() + set_s
    first.clock.wall = lambda: first.clock.now() + set_s
    async with first:
        first.hub.post("101", Paused(first.clock.now() + 3600))
        await asyncio.sleep(0.1)
    assert first.store.states["101"].paused_until == pytest.approx(wall + 3600, abs=1)
    again = Site("101", store=first.store)
    begun = passed()
    again.clock.now = again.clock.wall = lambda: wall + passed()
    async with again:
        await asyncio.sleep(3590 - begun)
        assert again.hub.state("101").paused
        await asyncio.sleep(20)
        assert not again.hub.state("101").paused


async def test_a_timer_moves_with_the_state_and_fires_once():
    async with Site("101", min_call_s=10.0) as site:
        site.hub.post("101", TALKING)
        await asyncio.sleep(5)
        site.hub.post("101", SILENT)
        await asyncio.sleep(1)
        site.hub.post("101", TALKING)
        await asyncio.sleep(9.5)
        assert not any("set" in line for line in site.log)
        await asyncio.sleep(1)
        assert site.log.count("set id-101 Busy/InACall") == 1


async def test_reads_that_the_core_wants_are_passed_on():
    async with Site("101") as site:
        site.hub.post("101", PresenceSeen(BUSY, Source.NOTIFICATION, site.clock.now()))
        await asyncio.sleep(0.1)
        assert [key for key, _ in site.reads] == ["101"]
        assert abs(site.reads[0][1] - site.clock.now()) < 1


# Beginning and end --------------------------------------------------------------------------------


async def test_a_start_takes_up_what_was_ours_and_forgets_who_is_gone():
    first = Site("101", "102")
    async with first:
        first.hub.post("101", TALKING)
        first.hub.post("102", Paused())
        await asyncio.sleep(0.1)
    again = Site("101", store=first.store)
    async with again:
        assert list(again.store.load()) == ["101"]
        assert again.hub.state("101").teams_claim is not None
        again.hub.post("101", SILENT)
        await asyncio.sleep(0.1)
        assert "done clear id-101" in again.log


def held(**more: object) -> State:
    """Of the last run: a status of ours."""
    claim = StatusClaim("Away", "Available", BUSY, 0.0, confirmed=True, ours=("Away",))
    return State(status_claim=claim, **more)


class Strangers(Site):
    """Whom the store knows and the config does not, or not yet."""

    def __init__(self, *keys: str, states: dict[str, State]) -> None:
        store = NotingStore([])
        store.states = dict(states)
        super().__init__(*keys, store=store)
        self.pbx.statuses = dict.fromkeys(states, "Away")

    async def __aenter__(self) -> Self:
        await self.hub.load(all_are_known=False)
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self.hub.run())
        await asyncio.sleep(0.01)
        return self

    def join(self, key: str) -> None:
        self.hub.join(Member(key, f"u{key}@example.org", SEED, f"id-{key}", f"Name {key}"))


async def test_who_comes_back_while_a_stranger_is_waited_for_keeps_what_was_theirs():
    async with Strangers("101", states={"109": held(), "102": held(paused=True)}) as site:
        site.pbx.slow["109"] = 10.0
        parting = asyncio.create_task(site.hub.part_with_strangers())
        await asyncio.sleep(1)
        site.join("102")
        await asyncio.sleep(1)
        assert site.hub.state("102").paused
        assert site.hub.state("102").status_claim is not None
        await parting
        assert set(site.store.states) == {"102"}
        assert site.pbx.statuses == {"109": "Available", "102": "Away"}


async def test_who_comes_back_while_their_own_status_is_given_back_is_not_forgotten():
    async with Strangers("101", states={"102": held()}) as site:
        site.pbx.slow["102"] = 10.0
        parting = asyncio.create_task(site.hub.part_with_strangers())
        await asyncio.sleep(1)
        site.join("102")
        await parting
        assert set(site.store.states) == {"102"}


@pytest.mark.parametrize(
    "error", [TryAgain("503", status=503), Refused("403", status=403), Gone("404", status=404)]
)
async def test_what_can_not_be_given_back_to_a_stranger_is_kept_and_tried_again(error):
    async with Strangers("101", states={"109": held(), "108": held()}) as site:
        site.pbx.faults["109"] = error
        await site.hub.part_with_strangers()
        assert set(site.store.states) == {"109"}
        assert site.pbx.statuses == {"109": "Away", "108": "Available"}
        del site.pbx.faults["109"]
        await site.hub.part_with_strangers()
        assert site.store.states == {}
        assert site.pbx.statuses["109"] == "Available"


async def test_a_stranger_whose_change_3cx_ignores_is_kept():
    async with Strangers("101", states={"109": held()}) as site:
        site.pbx.ignores.add("109")
        await site.hub.part_with_strangers()
        assert set(site.store.states) == {"109"}
        site.pbx.ignores.clear()
        await site.hub.part_with_strangers()
        assert site.store.states == {}


async def test_a_stranger_whose_extension_is_gone_is_forgotten():
    async with Strangers("101", states={"109": held()}) as site:
        site.pbx.faults["109"] = Gone("3CX has no extension 109")
        await site.hub.part_with_strangers()
        assert site.store.states == {}


async def test_who_gets_an_extension_while_the_service_is_down_does_not_inherit_what_was_seen_of_another():
    """But for a status of ours, which is there whoever it was for."""
    async with Site("101", "102") as first:
        for key in ("101", "102"):
            first.hub.post(key, SILENT)
            first.hub.post(key, StatusSeen("Available", first.clock.now()))
            first.hub.post(key, shown(first, BUSY))
        await asyncio.sleep(1)
        first.hub.post("101", StatusSeen("Available", first.clock.now()))  # set back by hand
        first.hub.post("101", TALKING)
        first.hub.post("102", Paused())
        await asyncio.sleep(1)
        assert first.hub.state("101").teams_claim is not None
    again = Site("101", "102", store=first.store, known=False)
    again.pbx.statuses["102"] = "Away"
    for member, user in zip(again.people, ("id-ben", "id-carl"), strict=True):
        again.people.identify(member, user, "")
    async with again:
        assert again.hub.state("101").teams_claim is None
        assert not again.hub.state("102").paused
        for key, status in (("101", "Available"), ("102", "Away")):
            again.hub.post(key, SILENT)
            again.hub.post(key, StatusSeen(status, again.clock.now()))
        again.hub.post("101", shown(again, BUSY))
        again.hub.post("102", shown(again, FREE))
        await asyncio.sleep(5)
        assert again.pbx.statuses == {"101": "Away", "102": "Available"}
        assert not any("clear" in line for line in again.log)
        assert {key: state.user for key, state in again.store.load().items()} == {
            "101": "id-ben",
            "102": "id-carl",
        }


async def test_whose_row_was_written_before_it_said_whose_it_is_keeps_it():
    async with Strangers("101", states={"101": held(paused=True)}) as site:
        assert site.hub.state("101").paused
        assert site.hub.state("101").user == "id-101"
        await asyncio.sleep(0.1)
        assert site.store.states["101"].user == "id-101"


async def test_everybody_is_told_of_the_start():
    seen: list[tuple[str, type]] = []
    async with Site("101", "102") as site:
        post = site.hub.post
        site.hub.post = lambda key, event: (seen.append((key, type(event))), post(key, event))  # type: ignore[method-assign]
        site._running.cancel()
        await asyncio.sleep(0.1)
        site._running = site._tasks.create_task(site.hub.run())
        await asyncio.sleep(0.1)
    assert [key for key, event in seen if event is Started] == ["101", "102"]
    assert [key for key, event in seen if event is Recognized] == ["101", "102"]


async def test_a_hub_that_does_not_run_and_a_person_who_is_not_served_drop_events():
    async with Site("101") as site:
        site.hub.post("999", TALKING)
    site.hub.post("101", TALKING)
    await asyncio.sleep(1)
    assert site.log == []


async def test_an_orderly_end_clears_our_sessions_and_says_how_many_are_left():
    async with Site("101", "102", "103", "104") as site:
        for key in ("101", "102", "103"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(0.1)
    site.log.clear()
    site.teams.slow["id-102"] = 60.0
    site.teams.faults["id-103"] = TryAgain("busy")
    begun = passed()
    assert await site.hub.let_go(2.5) == 2
    assert passed() - begun <= 2.6
    assert "done clear id-101" in site.log
    assert not any("104" in line for line in site.log)
    claims = {key: state.teams_claim for key, state in site.store.load().items()}
    assert claims["101"] is None
    for unanswered in ("102", "103"):
        assert claims[unanswered]
        assert claims[unanswered].accepted_at is None, "a next life must not rely on it"


async def test_an_orderly_end_writes_nothing_for_who_is_paused():
    async with Site("101", "102") as site:
        for key in ("101", "102"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(0.1)
        site.hub.post("101", Paused())
        await asyncio.sleep(0.1)
    site.log.clear()
    assert await site.hub.let_go(2.5) == 1
    assert [line for line in site.log if "clear" in line and "done" in line] == ["done clear id-102"]
    claims = {key: state.teams_claim is not None for key, state in site.store.load().items()}
    assert claims == {"101": True, "102": False}


async def test_a_full_disk_at_the_end_hinders_nobody():
    async with Site("101", "102") as site:
        for key in ("101", "102"):
            site.hub.post(key, TALKING)
        await asyncio.sleep(0.1)
    site.store.full = True
    assert await site.hub.let_go(2.5) == 0
    assert {"done clear id-101", "done clear id-102"} <= set(site.log)


async def test_nothing_held_means_nothing_to_let_go():
    async with Site("101") as site:
        pass
    assert await site.hub.let_go(2.5) == 0
    assert site.log == []


async def test_a_mailbox_that_overflows_loses_the_oldest_and_goes_on():
    async with Site("101") as site:
        site.store.takes = 10.0
        site.hub.post("101", Paused())
        await asyncio.sleep(0.1)
        for number in range(1500):
            site.hub.post("101", StatusSeen("Away" if number < 1499 else "Custom 2", site.clock.now()))
        await asyncio.sleep(30)
        assert site.hub.state("101").status == "Custom 2"


async def test_our_own_writes_are_events_of_the_person():
    async with Site("101") as site:
        site.hub.post("101", TALKING)
        await asyncio.sleep(0.1)
        site.hub.post("101", SILENT)
        site.hub.post("101", StatusSeen("Available", site.clock.now()))
        site.hub.post("101", shown(site, BUSY))
        await asyncio.sleep(10)
        events = [entry.seen for entry in site.journal.of("101")]
        assert PresenceWritten(cleared=False) in events
        assert PresenceWritten(cleared=True) in events
