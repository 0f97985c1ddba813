"""People who come and go by what both lists of users say, in virtual time."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Self

import pytest
from msgspec.structs import replace
from site_kit import BUSY, FREE, LoopClock, NotingStore, Site, passed

from presencebridge.core.events import LegsSeen, Paused, PbxLost, PresenceSeen, Source, StatusSeen
from presencebridge.core.model import LegState, Presence, State, StatusClaim
from presencebridge.core.policy import SEED, Policy
from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.graph.teams import Everybody
from presencebridge.graph.wire import User
from presencebridge.pbx.answers import PbxUser
from presencebridge.runtime.directory import ListedPeople, MatchedPeople, Rules
from presencebridge.runtime.links import Link, LinkState
from presencebridge.runtime.matching import Named, Reason
from presencebridge.runtime.people import People

pytestmark = pytest.mark.looptime

EVERY_S = 600.0
SURE_S = 2.0
TALKING = LegsSeen((LegState.CONNECTED,))
GUID = "00000000-0000-4000-8000-0000000000a1"


class Lists:
    """Both lists of users: `phones` by extension, `accounts` by object id."""

    def __init__(self, *names: str) -> None:
        self.phones: dict[str, PbxUser] = {}
        self.accounts: dict[str, User] = {}
        self.fault: LinkError | None = None
        self.teams_fault: LinkError | None = None
        self.in_full = True
        self.looks: list[float] = []
        for number, name in enumerate(names, 101):
            self.put(str(number), name)

    def put(self, number: str, name: str) -> None:
        self.phones[number] = PbxUser(number, name.title(), f"{name}@example.org")
        self.accounts[f"id-{name}"] = User(f"ID-{name}", f"{name}@example.org", display_name=name.title())

    async def users(self) -> Sequence[PbxUser]:
        self.looks.append(passed())
        if self.fault:
            raise self.fault
        return list(self.phones.values())

    async def everybody(self) -> Everybody:
        if self.teams_fault:
            raise self.teams_fault
        return Everybody(tuple(self.accounts.values()), self.in_full)

    async def find(self, names: Sequence[str]) -> dict[str, tuple[User, ...]]:
        by_id = {name: (User(name),) for name in names if "@" not in name}
        if len(by_id) == len(names):
            return by_id
        self.looks.append(passed())
        if self.teams_fault:
            raise self.teams_fault
        found = {
            name: tuple(
                user
                for user in self.accounts.values()
                if name.casefold() in {user.user_principal_name.casefold(), (user.mail or "").casefold()}
            )
            for name in names
        }
        return by_id | {name: users for name, users in found.items() if users}


class Office(Site):
    """A site whose people are found by mail address."""

    def __init__(
        self,
        lists: Lists,
        *,
        named: Sequence[Named] = (),
        exclude: Sequence[str] = (),
        store: NotingStore | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        super().__init__(*(one.extension for one in named), known=False, store=store)
        self.lists = lists
        self.link = Link("people", LoopClock().now)
        self.policies: dict[str, Policy] = {}
        self.rules = Rules(named, exclude, self.policies, SEED, every_s)
        self.directory = MatchedPeople(
            self.people, self.hub, lists, lists, self.rules, self.link, LoopClock()
        )
        self.changes = 0
        self.joined: list[str] = []
        self.directory.on_changed = self._changed
        self.directory.on_joined = lambda member: self.joined.append(member.key)

    def _changed(self) -> None:
        self.changes += 1

    async def __aenter__(self) -> Self:
        await self.hub.load(all_are_known=False)
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self._run())
        await asyncio.sleep(0.1)
        return self

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub.run())
            tasks.create_task(self.directory.run())

    async def look(self) -> None:
        """As often as it takes to be sure."""
        self.directory.look()
        await asyncio.sleep(SURE_S + 1.5)

    def served(self) -> dict[str, str | None]:
        return {member.key: member.user for member in self.people}

    async def in_a_call(self, key: str) -> None:
        self.hub.post(key, PresenceSeen(FREE, Source.READ, self.clock.now()))
        self.hub.post(key, StatusSeen("Available", self.clock.now()))
        self.hub.post(key, TALKING)
        await asyncio.sleep(0.1)

    async def in_a_meeting(self, key: str) -> None:
        self.hub.post(key, LegsSeen(()))
        self.hub.post(key, StatusSeen("Available", self.clock.now()))
        self.hub.post(key, PresenceSeen(BUSY, Source.READ, self.clock.now()))
        await asyncio.sleep(0.1)


# Who is served ------------------------------------------------------------------------------------


async def test_whoever_is_on_both_sides_is_served():
    async with Office(Lists("ann", "ben")) as office:
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        assert [member.name for member in office.people] == ["Ann", "Ben"]
        assert (office.joined, office.changes) == (["101", "102"], 1)
        assert office.link.report.state is LinkState.CONNECTED
        await office.in_a_call("101")
        assert "done set id-ann Busy/InACall" in office.log


async def test_somebody_new_is_served_without_a_restart():
    lists = Lists("ann")
    async with Office(lists) as office:
        lists.put("102", "ben")
        await asyncio.sleep(EVERY_S + 1)
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        assert (office.joined, office.changes) == (["101", "102"], 2)
        await office.in_a_call("102")
        assert "done set id-ben Busy/InACall" in office.log


async def test_both_lists_are_read_at_intervals_and_at_once_when_asked_to():
    lists = Lists("ann")
    async with Office(lists, every_s=100) as office:
        await asyncio.sleep(150)
        office.directory.look()
        await asyncio.sleep(10)
        assert lists.looks == pytest.approx([0, 100, 150], abs=0.5)
        assert office.changes == 1


async def test_orders_to_look_make_no_storm():
    lists = Lists("ann")
    async with Office(lists) as office:
        for _ in range(100):
            office.directory.look()
            await asyncio.sleep(0.05)
        assert len(lists.looks) <= 7


async def test_a_new_name_is_taken_over_and_nobody_leaves():
    lists = Lists("ann")
    async with Office(lists) as office:
        await office.in_a_call("101")
        office.log.clear()
        lists.accounts["id-ann"] = User("ID-ann", "anna@example.org", "ann@example.org", "Anna")
        await office.look()
        (member,) = office.people
        assert (member.teams, member.name, member.user) == ("anna@example.org", "Anna", "id-ann")
        assert office.hub.state("101").teams_claim is not None
        assert office.log == []
        assert office.changes == 1


# Who goes -----------------------------------------------------------------------------------------


async def test_who_has_gone_from_entra_gets_our_session_cleared_and_is_forgotten():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_call("101")
        assert office.store.states["101"].teams_claim is not None
        office.log.clear()
        del lists.accounts["id-ann"]
        await office.look()
        assert "done clear id-ann" in office.log
        assert office.served() == {"102": "id-ben"}
        assert "101" not in office.store.states
        assert office.people.of_user("id-ann") is None
        assert office.journal.of("101") == ()
        assert office.changes == 2
        await asyncio.sleep(EVERY_S)  # no timer of theirs goes off
        assert not [line for line in office.log if "set id-ann" in line]


async def test_who_has_gone_gets_their_status_back():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        assert office.pbx.statuses["101"] == "Away"
        lists.phones["101"] = replace(lists.phones["101"], email="")
        await office.look()
        assert office.pbx.statuses["101"] == "Available"
        assert office.served() == {"102": "id-ben"}


async def test_a_status_that_somebody_set_by_hand_is_not_given_back():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        office.pbx.statuses["101"] = "Out of office"
        del lists.phones["101"]
        await office.look()
        assert office.pbx.statuses["101"] == "Out of office"
        assert "101" not in office.people


async def test_somebody_whose_side_is_gone_goes_all_the_same():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        await office.in_a_call("102")
        office.pbx.faults["101"] = office.teams.faults["id-ben"] = TryAgain("gone")
        lists.phones["101"] = replace(lists.phones["101"], enabled=False)
        lists.put("103", "carl")
        del lists.accounts["id-ben"]
        await office.look()
        await asyncio.sleep(30)
        assert office.served() == {"103": "id-carl"}
        assert set(office.store.states) == {"101"}  # is owed their status


async def test_a_status_that_can_not_be_given_back_is_given_back_by_a_later_look():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        office.pbx.faults["101"] = TryAgain("gone")
        del lists.accounts["id-ann"]
        await office.look()
        await asyncio.sleep(30)
        assert office.served() == {"102": "id-ben"}
        assert office.pbx.statuses["101"] == "Away"
        office.pbx.faults.clear()
        await asyncio.sleep(EVERY_S + 1)
        assert office.pbx.statuses["101"] == "Available"
        assert "101" not in office.store.states


async def test_who_comes_back_before_their_status_was_given_back_gets_it_by_the_rules():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        office.pbx.faults["101"] = TryAgain("gone")
        ann = lists.phones.pop("101")
        await office.look()
        await asyncio.sleep(30)
        lists.phones["101"] = ann
        office.pbx.faults.clear()
        await office.look()
        office.hub.post("101", StatusSeen("Away", office.clock.now()))
        office.hub.post("101", PresenceSeen(FREE, Source.READ, office.clock.now()))
        await asyncio.sleep(1)
        assert office.hub.state("101").status_claim is None
        assert office.pbx.statuses["101"] == "Available"


async def test_our_session_is_cleared_even_while_3cx_is_away():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_call("101")
        office.hub.post("101", PbxLost())
        await asyncio.sleep(0.1)
        office.log.clear()
        del lists.accounts["id-ann"]
        await office.look()
        assert office.log[:2] == ["clear id-ann", "done clear id-ann"]
        assert "101" not in office.people


async def test_who_is_paused_goes_without_a_write():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_call("101")
        office.hub.post("101", Paused())
        await asyncio.sleep(0.1)
        office.log.clear()
        del lists.accounts["id-ann"]
        await office.look()
        assert office.served() == {"102": "id-ben"}
        assert [line for line in office.log if "ann" in line] == []


async def test_who_is_missing_for_a_while_is_still_paused_when_they_come_back():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        office.hub.post("101", Paused())
        await asyncio.sleep(1)
        office.log.clear()
        ann = lists.phones.pop("101")
        await office.look()
        assert "101" not in office.people
        await asyncio.sleep(5 * EVERY_S)
        lists.phones["101"] = ann
        await office.look()
        assert office.hub.state("101").paused
        assert not [line for line in office.log if "status" in line]


async def test_a_pause_is_not_that_of_whoever_gets_the_extension_next():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        office.hub.post("101", Paused())
        await asyncio.sleep(1)
        del lists.phones["101"]
        await office.look()
        lists.put("101", "carl")
        await office.look()
        assert office.served()["101"] == "id-carl"
        assert not office.hub.state("101").paused


async def test_who_left_paused_gets_a_status_back_when_their_time_is_over_and_is_forgotten():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_meeting("101")
        office.hub.post("101", Paused(office.clock.now() + 2 * EVERY_S))
        await asyncio.sleep(1)
        del lists.phones["101"]
        await office.look()
        assert office.pbx.statuses["101"] == "Away"
        await asyncio.sleep(3 * EVERY_S)
        assert office.pbx.statuses["101"] == "Available"
        assert "101" not in office.store.states


async def test_who_left_paused_is_forgotten_by_the_next_start():
    lists, store = Lists("ann", "ben"), NotingStore([])
    async with Office(lists, store=store) as office:
        office.hub.post("101", Paused())
        await asyncio.sleep(1)
        del lists.phones["101"]
        await office.look()
        assert store.states["101"].paused
    async with Office(lists, store=store) as office:
        await office.look()
        assert "101" not in store.states


async def test_who_is_missing_only_once_stays():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        ann = lists.phones.pop("101")
        office.directory.look()
        await asyncio.sleep(1.5)
        assert len(lists.looks) == 2
        lists.phones["101"] = ann
        await asyncio.sleep(3)
        assert len(lists.looks) == 3
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        assert (office.joined, office.changes) == (["101", "102"], 1)
        del lists.phones["101"]  # to be missed once more begins anew
        office.directory.look()
        await asyncio.sleep(1.5)
        assert "101" in office.people


async def test_an_extension_that_somebody_else_gets_begins_anew():
    lists = Lists("ann")
    async with Office(lists) as office:
        await office.in_a_call("101")
        lists.put("101", "ben")
        office.log.clear()
        await office.look()
        assert office.served() == {"101": "id-ben"}
        assert "done clear id-ann" in office.log
        assert office.hub.state("101").teams_claim is None
        assert office.joined == ["101", "101"]
        await office.in_a_call("101")
        assert "done set id-ben Busy/InACall" in office.log


async def test_somebody_who_moves_to_another_extension_is_never_served_with_both():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        seen = []
        office.directory.on_joined = lambda member: seen.append((member.key, office.served()))
        lists.put("101", "ben")
        lists.put("102", "ann")
        await office.look()
        assert office.served() == {"101": "id-ben", "102": "id-ann"}
        for _, served in seen:
            assert len(set(served.values())) == len(served)


async def test_somebody_who_gets_a_new_extension_comes_when_the_old_one_has_gone():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        await office.in_a_call("101")
        del lists.phones["101"]
        lists.put("103", "ann")
        office.directory.look()
        await asyncio.sleep(1.5)
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        await asyncio.sleep(2)
        assert office.served() == {"102": "id-ben", "103": "id-ann"}
        assert "done clear id-ann" in office.log


async def test_somebody_whose_state_can_not_be_saved_goes_with_what_waits_for_them():
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        office.store.full = True
        await office.in_a_call("101")
        lists.put("101", "carl")
        await office.look()
        await asyncio.sleep(25)
        assert office.served() == {"101": "id-carl", "102": "id-ben"}
        office.log.clear()
        office.store.full = False
        await asyncio.sleep(5)
        assert office.log == []  # what was seen of the one before is nothing to the next
        await office.in_a_call("101")
        assert "done set id-carl Busy/InACall" in office.log


async def test_whose_rules_change_is_served_by_them_in_place():
    lists = Lists("ann")
    async with Office(lists) as office:
        office.policies["101"] = replace(SEED, threecx_to_teams=False)
        await office.look()
        assert office.people["101"].policy == office.policies["101"]
        assert office.joined == ["101"]


async def test_who_is_to_be_left_alone_from_now_on_begins_anew():
    lists = Lists("ann")
    async with Office(lists) as office:
        office.policies["101"] = replace(SEED, excluded=True)
        await office.look()
        await office.look()
        assert office.people["101"].policy.excluded
        assert office.joined == ["101", "101"]


async def test_what_a_write_for_the_one_before_came_to_is_nothing_to_the_next():
    lists = Lists("ann")
    async with Office(lists) as office:
        office.teams.slow["id-ann"] = 60.0
        await office.in_a_call("101")
        lists.put("101", "ben")
        await office.look()
        await asyncio.sleep(25)
        assert office.served() == {"101": "id-ben"}
        before = office.hub.state("101")
        await asyncio.sleep(60)
        assert office.hub.state("101") == before


# Lists that can't be believed ---------------------------------------------------------------------


@pytest.mark.parametrize("side", ["fault", "teams_fault"])
async def test_a_list_that_can_not_be_read_removes_nobody_and_is_tried_again(side):
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        setattr(lists, side, TryAgain("it is away"))
        await asyncio.sleep(EVERY_S + 300)
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        assert office.link.report.state is LinkState.DEGRADED
        assert "it is away" in office.link.report.reason
        assert str(office.directory.trouble) == "it is away"
        assert office.directory.matching.matched == 2
        setattr(lists, side, None)
        del lists.accounts["id-ann"]
        await asyncio.sleep(70)
        assert office.served() == {"102": "id-ben"}
        assert office.directory.trouble is None


@pytest.mark.parametrize("side", ["phones", "accounts"])
async def test_an_empty_list_is_not_believed(side):
    lists = Lists("ann", "ben")
    async with Office(lists) as office:
        setattr(lists, side, {})
        await asyncio.sleep(EVERY_S + 300)
        assert office.served() == {"101": "id-ann", "102": "id-ben"}
        assert "not believed" in office.link.report.reason
        assert office.link.report.cure


async def test_at_the_start_it_goes_on_looking_and_says_why():
    lists = Lists("ann")
    lists.teams_fault = Refused("GET users: 403", status=403, cure="give the app the permission")
    async with Office(lists) as office:
        assert office.served() == {}
        assert office.link.report.state is LinkState.REFUSED
        assert office.link.report.cure == "give the app the permission"
        assert office.changes == 0
        lists.teams_fault = None
        await asyncio.sleep(3)
        assert office.served() == {"101": "id-ann"}
        assert office.link.report.state is LinkState.CONNECTED


async def test_what_graph_asks_us_to_wait_is_waited():
    lists = Lists("ann")
    lists.teams_fault = TryAgain("429", after_s=120.0)
    async with Office(lists) as office:
        lists.teams_fault = None
        await asyncio.sleep(110)
        assert len(lists.looks) == 1
        await asyncio.sleep(15)
        assert office.served() == {"101": "id-ann"}


async def test_nobody_matched_is_told():
    lists = Lists("ann")
    lists.phones["101"] = replace(lists.phones["101"], email="")
    async with Office(lists) as office:
        assert office.link.report.state is LinkState.DEGRADED
        assert "none of 1" in office.link.report.reason
        assert office.directory.matching.left[0].why is Reason.NO_ADDRESS


# By hand ------------------------------------------------------------------------------------------


async def test_who_is_named_by_hand_is_there_from_the_start_and_found_later():
    lists = Lists("ann", "ben")
    lists.fault = TryAgain("3CX is away")
    named = [Named("900", "ben@example.org"), Named("901", "typo@example.org")]
    async with Office(lists, named=named, exclude=["101"]) as office:
        assert office.served() == {"900": None, "901": None}
        lists.fault = None
        await asyncio.sleep(3)
        assert office.served() == {"900": "id-ben", "901": None}
        assert "typo@example.org" in office.people["901"].troubles["teams"]
        assert office.people["900"].troubles == {}
        told = {one.extension: one.why for one in office.directory.matching.left}
        assert told == {"101": Reason.EXCLUDED, "102": Reason.TAKEN, "901": Reason.NAME_UNKNOWN}
        lists.put("777", "typo")
        del lists.phones["777"]
        await office.look()
        assert office.people["901"].user == "id-typo"
        assert office.people["901"].troubles == {}


async def test_somebody_named_by_hand_who_is_missing_once_is_not_in_trouble():
    lists = Lists("ann", "ben")
    async with Office(lists, named=[Named("900", "ben@example.org")]) as office:
        ben = lists.accounts.pop("id-ben")
        office.directory.look()
        await asyncio.sleep(1.5)
        lists.accounts["id-ben"] = ben
        await asyncio.sleep(3)
        assert len(lists.looks) == 3
        assert (office.people["900"].user, office.people["900"].troubles) == ("id-ben", {})
        del lists.accounts["id-ben"]
        await office.look()
        assert office.people["900"].user is None
        assert "nobody" in office.people["900"].troubles["teams"]


# The store ----------------------------------------------------------------------------------------


def held(value: str = "Away") -> State:
    claim = StatusClaim(value, "Available", Presence("Busy", "Busy"), 1.0, confirmed=True, ours=(value,))
    return State(status_claim=claim)


async def test_claims_of_the_last_run_are_there_for_whoever_is_found_again():
    store = NotingStore([])
    store.states = {"101": held()}
    async with Office(Lists("ann"), store=store) as office:
        assert office.hub.state("101").status_claim == held().status_claim


async def test_who_is_not_found_again_gets_a_status_back_and_is_forgotten():
    store = NotingStore([])
    store.states = {"109": held(), "108": State()}
    office = Office(Lists("ann"), store=store)
    office.pbx.statuses["109"] = "Away"
    async with office:
        assert set(store.states) >= {"108", "109"}  # not before it is sure
        await asyncio.sleep(4)
        assert office.pbx.statuses["109"] == "Available"
        assert {"108", "109"}.isdisjoint(store.states)


@pytest.mark.parametrize("word", ["102", "ben@example.org", "id-ben"])
@pytest.mark.parametrize("by_hand", [False, True])
async def test_who_is_excluded_since_the_last_run_gets_a_status_back_and_no_other_write(word, by_hand):
    store = NotingStore([])
    store.states = {"102": held()}
    named = [Named("102", "ben@example.org")] if by_hand else []
    office = Office(Lists("ann", "ben"), named=named, exclude=[word], store=store)
    office.pbx.statuses["102"] = "Away"
    for member in office.people:
        member.policy = office.policies[member.key] = replace(SEED, excluded=True)
    async with office:
        office.hub.post("102", LegsSeen(()))
        await asyncio.sleep(3 * EVERY_S)
        assert office.pbx.statuses["102"] == "Available"
        assert office.log.count("status 102 Available") == 1
        assert store.states.get("102", State()).status_claim is None


async def test_an_extension_that_is_excluded_and_gone_gets_a_status_back():
    store = NotingStore([])
    store.states = {"109": held()}
    office = Office(Lists("ann"), exclude=["109"], store=store)
    office.pbx.statuses["109"] = "Away"
    async with office:
        await asyncio.sleep(30)
        assert office.pbx.statuses["109"] == "Available"


async def test_claims_are_kept_while_nobody_can_be_found():
    store = NotingStore([])
    store.states = {"101": held()}
    lists = Lists("ann")
    lists.fault = TryAgain("3CX is away")
    async with Office(lists, store=store):
        await asyncio.sleep(1000)
        assert store.states == {"101": held()}


# By list ------------------------------------------------------------------------------------------


def rules_of(people: People) -> Rules:
    """What a config with these people says."""
    named = [Named(one.key, one.teams, one.policy.excluded) for one in people]
    return Rules(named, (), {one.key: one.policy for one in people}, SEED, EVERY_S)


class Listed(Site):
    def __init__(self, lists: Lists, *keys: str, store: NotingStore | None = None) -> None:
        super().__init__(*keys, known=False, store=store)
        for member, name in zip(self.people, ("ann", "ben", "carl"), strict=False):
            member.teams = f"{name}@example.org"
        self.link = Link("graph", LoopClock().now)
        self.rules = rules_of(self.people)
        self.directory = ListedPeople(self.people, self.hub, lists, self.rules, self.link, LoopClock())
        self.changes: list[float] = []
        self.joined: list[str] = []
        self.directory.on_changed = lambda: self.changes.append(passed())
        self.directory.on_joined = lambda member: self.joined.append(member.key)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._looking = self._tasks.create_task(self.directory.run())
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._looking.cancel()
        await super().__aexit__(*exc)

    async def in_a_meeting(self, key: str) -> None:
        self.hub.post(key, LegsSeen(()))
        self.hub.post(key, StatusSeen("Available", self.clock.now()))
        self.hub.post(key, PresenceSeen(BUSY, Source.READ, self.clock.now()))
        await asyncio.sleep(1)


async def test_who_is_listed_is_found_by_name_and_looked_for_until_found():
    lists = Lists("ann")
    async with Listed(lists, "101", "102") as site:
        assert (site.people["101"].user, site.people["102"].user) == ("id-ann", None)
        assert "nobody" in site.people["102"].troubles["teams"]
        assert [one.why for one in site.directory.matching.left] == [Reason.NAME_UNKNOWN]
        assert site.directory.matching.matched == 1
        lists.put("x", "ben")
        await asyncio.sleep(EVERY_S + 1)
        assert site.people["102"].user == "id-ben"
        assert site.people["102"].troubles == {}
        assert site.joined == ["101", "102"]
        await asyncio.sleep(3 * EVERY_S)
        assert len(site.changes) == 2


async def test_who_is_taken_out_of_the_config_goes_and_gets_back_what_is_held():
    async with Listed(Lists("ann", "ben"), "101", "102") as site:
        before = site.people["101"]
        for event in (
            PresenceSeen(FREE, Source.READ, site.clock.now()),
            StatusSeen("Available", site.clock.now()),
            TALKING,
        ):
            site.hub.post("102", event)
        await asyncio.sleep(1)
        assert "done set id-ben Busy/InACall" in site.log
        site.directory.change(dataclasses.replace(site.rules, named=site.rules.named[:1]))
        await asyncio.sleep(30)
        assert "102" not in site.people
        assert site.log.count("done clear id-ben") == 1
        assert site.people["101"] is before
        site.directory.change(site.rules)
        await asyncio.sleep(30)
        assert site.people["102"].user == "id-ben"


async def test_who_is_taken_out_while_3cx_is_away_is_owed_their_status():
    async with Listed(Lists("ann", "ben"), "101", "102") as site:
        await site.in_a_meeting("102")
        assert site.pbx.statuses["102"] == "Away"
        site.hub.post("102", PbxLost())
        await asyncio.sleep(1)
        site.directory.change(dataclasses.replace(site.rules, named=site.rules.named[:1]))
        await asyncio.sleep(5)
        assert "102" not in site.people
        assert site.store.states["102"].status_claim is not None
        site.pbx.faults["102"] = TryAgain("it is away")
        await site.hub.part_with_strangers()
        assert site.store.states["102"].status_claim is not None
        site.pbx.faults.clear()
        await site.hub.part_with_strangers()
        assert site.pbx.statuses["102"] == "Available"
        assert "102" not in site.store.states


@contextlib.asynccontextmanager
async def excluded_while_3cx_is_away(how):
    """102, who was in a meeting and has our `Away`, is excluded by a reload or between two runs."""
    lists = Lists("ann", "ben")
    async with Listed(lists, "101", "102") as site:
        await site.in_a_meeting("102")
        assert site.pbx.statuses["102"] == "Away"
        site.hub.post("102", PbxLost())
        await asyncio.sleep(1)
        if how == "reload":
            without = [Named(one.extension, one.teams, one.extension == "102") for one in site.rules.named]
            policies = {**site.rules.policies, "102": replace(SEED, excluded=True)}
            site.directory.change(dataclasses.replace(site.rules, named=without, policies=policies))
            await asyncio.sleep(5)
            yield site
            return
    later = Listed(lists, "101", "102", store=site.store)
    later.pbx.statuses["102"] = "Away"
    later.people["102"].policy = replace(SEED, excluded=True)
    later.directory.change(rules_of(later.people))
    async with later:
        yield later


by_whatever_way = pytest.mark.parametrize("how", ["reload", "restart"])


@by_whatever_way
async def test_who_is_excluded_while_3cx_is_away_gets_a_status_back_and_no_other_write(how):
    async with excluded_while_3cx_is_away(how) as site:
        assert site.people["102"].policy.excluded
        assert site.hub.needs_status(site.people["102"])
        site.log.clear()
        site.hub.post("102", LegsSeen(()))
        await asyncio.sleep(1)
        assert site.pbx.statuses["102"] == "Available"
        assert not site.hub.needs_status(site.people["102"])
        await site.in_a_meeting("102")
        site.hub.post("102", TALKING)
        await asyncio.sleep(100)
        assert [line for line in site.log if not line.startswith("saved")] == ["status 102 Available"]


@by_whatever_way
async def test_who_is_excluded_keeps_what_was_set_by_hand_meanwhile(how):
    async with excluded_while_3cx_is_away(how) as site:
        site.pbx.statuses["102"] = "Custom 1"
        site.hub.post("102", LegsSeen(()))
        await asyncio.sleep(100)
        assert site.pbx.statuses["102"] == "Custom 1"
        assert not site.hub.needs_status(site.people["102"])


@by_whatever_way
async def test_who_is_excluded_and_served_again_while_3cx_is_away_is_not_left_with_our_status(how):
    async with excluded_while_3cx_is_away(how) as site:
        again = [Named(one.key, one.teams) for one in site.people]
        policies = dict.fromkeys(("101", "102"), SEED)
        site.directory.change(Rules(again, (), policies, SEED, EVERY_S))
        await asyncio.sleep(15)
        assert not site.people["102"].policy.excluded
        assert site.pbx.statuses["102"] == "Away"
        for event in (
            LegsSeen(()),
            StatusSeen("Away", site.clock.now()),
            PresenceSeen(FREE, Source.READ, site.clock.now()),
        ):
            site.hub.post("102", event)
        await asyncio.sleep(1)
        assert site.pbx.statuses["102"] == "Available"


async def test_an_account_that_was_made_anew_is_followed_from_then_on():
    lists = Lists("ann")
    async with Listed(lists, "101") as site:
        for event in (
            PresenceSeen(FREE, Source.READ, site.clock.now()),
            StatusSeen("Available", site.clock.now()),
            TALKING,
        ):
            site.hub.post("101", event)
        await asyncio.sleep(1)
        lists.accounts["id-ann"] = User("ID-ANN2", "ann@example.org", display_name="Ann the second")
        await asyncio.sleep(EVERY_S + SURE_S + 1)
        assert (site.people["101"].user, site.people["101"].name) == ("id-ann2", "Ann the second")
        assert site.people.of_user("id-ann") is None
        assert site.log.count("done clear id-ann") == 1
        assert len(site.changes) == 2
        await asyncio.sleep(3 * EVERY_S)
        assert len(site.changes) == 2


async def test_names_that_change_hands_are_followed():
    lists = Lists("ann", "ben")
    async with Listed(lists, "101", "102") as site:
        ann, ben = lists.accounts["id-ann"], lists.accounts["id-ben"]
        lists.accounts = {"1": replace(ann, id="ID-BEN"), "2": replace(ben, id="ID-ANN")}
        await asyncio.sleep(EVERY_S + SURE_S + 1)
        assert {one.key: one.user for one in site.people} == {"101": "id-ben", "102": "id-ann"}


async def test_nobody_goes_by_one_look_or_because_their_name_is_not_found():
    lists = Lists("ann")
    async with Listed(lists, "101") as site:
        ann = lists.accounts["id-ann"]
        lists.accounts["id-ann"] = replace(ann, id="ID-OTHER")
        site.directory.look()
        await asyncio.sleep(1)
        lists.accounts["id-ann"] = ann
        await asyncio.sleep(5)
        assert len(lists.looks) == 3
        lists.accounts.clear()
        await asyncio.sleep(3 * EVERY_S)
        assert site.people["101"].user == "id-ann"
        assert (site.joined, len(site.changes)) == (["101"], 1)


async def test_that_names_can_not_be_looked_up_any_more_is_told_and_stops_nobody():
    lists = Lists("ann")
    async with Listed(lists, "101") as site:
        site.link.connected()
        lists.teams_fault = TryAgain("it is away")
        await asyncio.sleep(2 * EVERY_S)
        assert site.link.report.state is LinkState.CONNECTED
        lists.teams_fault = Refused("GET users: 403", status=403, cure="give the app the permission")
        await asyncio.sleep(EVERY_S)
        assert site.link.report.state is LinkState.DEGRADED
        assert site.link.report.cure == "give the app the permission"
        assert site.people["101"].user == "id-ann"
        lists.teams_fault = None
        await asyncio.sleep(EVERY_S)
        assert site.link.report.state is LinkState.CONNECTED


async def test_another_spelling_of_a_name_is_the_same_person_and_they_stay_paused():
    async with Listed(Lists("ann"), "101") as site:
        before = site.people["101"]
        site.hub.post("101", Paused())
        await asyncio.sleep(1)
        named = [replace(one, teams="Ann@Example.ORG") for one in site.rules.named]
        site.directory.change(dataclasses.replace(site.rules, named=named))
        await asyncio.sleep(5)
        assert site.people["101"] is before
        assert before.teams == "Ann@Example.ORG"
        assert site.hub.state("101").paused


async def test_one_teams_user_belongs_to_one_extension_whatever_the_names():
    lists = Lists("ann")
    ann = User("ID-1", "ann@example.org", "ben@example.org", "Ann")
    lists.accounts = {"id-1": ann}
    async with Listed(lists, "101", "102") as site:
        assert (site.people["101"].user, site.people["102"].user) == ("id-1", None)
        assert "with extension 101" in site.people["102"].troubles["teams"]


async def test_a_mail_address_of_two_accounts_is_nobodys():
    lists = Lists("ann", "ben")
    lists.accounts["id-ann"] = User("id-ann", "ann-old@example.org", "ann@example.org")
    lists.accounts["id-new"] = User("id-new", "ann-new@example.org", "ann@example.org")
    async with Listed(lists, "101", "102") as site:
        assert (site.people["101"].user, site.people["102"].user) == (None, "id-ben")
        assert [one.why for one in site.directory.matching.left] == [Reason.SEVERAL]
        trouble = site.people["101"].troubles["teams"]
        assert "ann-old@example.org" in trouble
        assert "ann-new@example.org" in trouble
        lists.accounts["id-ann"] = User("id-ann", "ann-old@example.org")
        await asyncio.sleep(EVERY_S + 1)
        assert site.people["101"].user == "id-new"
        assert site.people["101"].troubles == {}


async def test_who_is_given_by_object_id_is_served_where_nobody_may_be_looked_up():
    lists = Lists("ann", "ben")
    lists.teams_fault = Refused("GET users: 403", status=403, cure="give the app the permission")
    async with Listed(lists, "101", "102") as site:
        site.people["102"].teams = GUID
        site.directory.change(rules_of(site.people))
        await asyncio.sleep(EVERY_S)
        assert (site.people["101"].user, site.people["102"].user) == (None, GUID)
        assert (site.joined, len(site.changes)) == (["102"], 1)
        assert site.directory.matching.matched == 1
        site.link.connected()  # as the reader of presences says
        report = site.link.report
        assert (report.state, report.cure) == (LinkState.DEGRADED, "give the app the permission")
        assert "403" in report.reason
        lists.teams_fault = None
        await asyncio.sleep(EVERY_S)
        assert site.people["101"].user == "id-ann"
        assert site.link.report.state is LinkState.CONNECTED


async def test_a_lookup_that_fails_is_told_on_the_link_to_graph_and_repeated():
    lists = Lists("ann")
    lists.teams_fault = TryAgain("it is away")
    async with Listed(lists, "101") as site:
        assert site.link.report.state is LinkState.DOWN
        lists.teams_fault = None
        await asyncio.sleep(3)
        assert site.people["101"].user == "id-ann"
        assert lists.looks == pytest.approx([0, 2], abs=0.5)
