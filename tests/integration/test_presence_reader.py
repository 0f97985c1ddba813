"""The loop that reads presence from Graph, in virtual time."""

import asyncio
import collections
import contextlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from site_kit import BUSY, FREE, IN_A_CALL, FakeTeams, LoopClock, Site, passed, people

from presencebridge.core.events import PresenceSeen, Source
from presencebridge.errors import Gone, LinkError, Refused, TryAgain
from presencebridge.graph.wire import PresenceBody
from presencebridge.runtime.links import Link, LinkState
from presencebridge.runtime.people import Member
from presencebridge.runtime.presence_reader import PresenceReader

pytestmark = pytest.mark.looptime


class Graph(FakeTeams):
    """Looks when it is asked and answers later, refuses who is odd, and never answers about who hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs: set[str] = set()
        self.odd: set[str] = set()
        self.refusal: LinkError = Refused("400 BadRequest", status=400)
        self.takes: collections.deque[float] = collections.deque()
        self.under_way = 0

    async def presences(self, users: Sequence[str]) -> list[PresenceBody]:
        seen = dict(self.shows)
        if self.odd.intersection(users):
            self.reads.append((passed(), list(users)))
            raise self.refusal
        self.under_way += 1
        try:
            if self.takes:
                self.read_takes = self.takes.popleft()
            await super().presences(users)
            if self.hangs.intersection(users):
                await asyncio.sleep(20)
                raise TryAgain("Graph did not answer within 20 s")
        finally:
            self.under_way -= 1
        pairs = [(user, seen.get(user, FREE)) for user in users if user not in self.unknown]
        return [PresenceBody(user, shown.availability, shown.activity) for user, shown in pairs]

    def about(self, user: str) -> list[float]:
        return [when for when, users in self.reads if user in users]


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(1000, 1000 + count)]


class Reading:
    """A presence reader with all that it hangs on."""

    def __init__(self, *keys: str, every_s: float = 300.0, group: int = 650, **policy: object) -> None:
        self.people, self.teams, self.clock = people(*keys, **policy), Graph(), LoopClock()
        self.link = Link("graph", self.clock.now)
        self.reader = PresenceReader(self.people, self.teams, self.link, self.clock, group, every_s)
        self.seen: list[tuple[float, str, PresenceSeen]] = []
        self.silent: list[list[str]] = []
        self.reader.on_seen = lambda member, event: self.seen.append((passed(), member.key, event))
        self.reader.on_silence = self.silent.append

    def __getitem__(self, key: str) -> Member:
        return self.people[key]

    async def work(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.reader.run()

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
    assert [len(users) for _, users in site.teams.reads] == [9, 8, 8]
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


async def test_a_question_is_asked_until_it_is_answered():
    site = Reading("101", "102", every_s=300.0)
    async with site.working():
        site.teams.fault = TryAgain("busy")
        site.reader.want(site["101"], site.clock.now())
        await asyncio.sleep(10)
        site.teams.fault = None
        site.seen.clear()
        await asyncio.sleep(20)
        assert [key for _, key, _ in site.seen] == ["101"]


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


# Many people --------------------------------------------------------------------------------------


async def test_after_the_first_round_requests_are_spread_evenly_over_the_interval():
    site = Reading(*numbers(30), group=10, every_s=30.0)
    await site.work(205)
    times = [when for when, _ in site.teams.reads]
    assert times[2] < 0.2
    late = [when for when in times if when > 65]
    gaps = [later - earlier for earlier, later in pairwise(late)]
    assert gaps == pytest.approx([10.0] * 13, abs=0.2)


async def test_where_the_limit_does_not_allow_the_interval_it_is_stretched_and_told():
    site = Reading(*numbers(240), group=1, every_s=5.0)
    await site.work(100)
    times = [when for when, _ in site.teams.reads]
    assert max(sum(start <= when < start + 30 for when in times) for start in times[::50]) <= 750
    mine = site.teams.about("id-1100")
    assert max(later - earlier for earlier, later in pairwise(mine)) == pytest.approx(10.0, abs=0.5)
    assert site.link.report.state is LinkState.DEGRADED
    assert "every 10 s instead of every 5 s" in site.link.report.reason
    assert "poll_every_s to 10" in site.link.report.cure


async def test_who_is_awaited_does_not_wait_for_the_round_of_the_others():
    site = Reading(*numbers(240), group=1, every_s=5.0)
    async with site.working():
        await asyncio.sleep(30.03)
        before, asked_at = len(site.teams.about("id-1100")), passed()
        site.reader.want(site["1100"], site.clock.now())
        await asyncio.sleep(0.4)
        assert len(site.teams.about("id-1100")) == before + 1
        assert site.teams.about("id-1100")[-1] - asked_at < 0.4


async def test_who_is_awaited_goes_along_with_a_group_that_has_room():
    site = Reading(*numbers(15), group=10, every_s=10.0)
    async with site.working():
        await asyncio.sleep(63.9)  # the turn of the second group is at 65
        site.reader.want(site["1000"], site.clock.now())
        await asyncio.sleep(2)
    with_room = [users for when, users in site.teams.reads if when > 63]
    assert [len(users) for users in with_room] == [8]
    assert "id-1000" in with_room[0]


async def test_no_request_asks_about_more_people_than_graph_takes():
    site = Reading(*numbers(25), group=10, every_s=10.0)
    async with site.working():
        await asyncio.sleep(63.9)
        begun = passed()
        for key in numbers(25):
            site.reader.want(site[key], site.clock.now())
        await asyncio.sleep(3)
        asked = [users for when, users in site.teams.reads if when > begun]
        assert max(map(len, asked)) <= 10
        assert {user for users in asked for user in users} == {f"id-{key}" for key in numbers(25)}
        assert len(asked) <= 4


async def test_what_did_not_change_is_told_once_a_minute_and_a_change_at_once():
    site = Reading("101", every_s=5.0)
    async with site.working():
        await asyncio.sleep(598)
        assert len(site.seen) == pytest.approx(10, abs=1)
        site.teams.shows["id-101"] = BUSY
        site.seen.clear()
        await asyncio.sleep(5.5)
        assert [event.presence for _, _, event in site.seen] == [BUSY]
        site.seen.clear()
        site.reader.want(site["101"], site.clock.now())
        await asyncio.sleep(0.5)
        assert [event.presence for _, _, event in site.seen] == [BUSY], "somebody waits for it"
        site.reader.want_all()
        await asyncio.sleep(0.5)
        assert len(site.seen) == 2


async def test_who_comes_is_read_at_once_and_who_has_gone_is_not():
    site = Reading(*numbers(25), group=10, every_s=60.0)
    async with site.working():
        await asyncio.sleep(70)
        newcomer = Member("2000", "new@example.org", site["1000"].policy)
        site.people.add(newcomer)
        site.people.identify(newcomer, "id-2000", "New")
        gone = site["1001"]
        site.people.remove(gone)
        await asyncio.sleep(6)
        assert site.teams.about("id-2000")
        now = passed()
        await asyncio.sleep(200)
        assert max(site.teams.about("id-1001")) < now
        assert len([when for when in site.teams.about("id-2000") if when > now]) >= 3


async def test_a_thousand_who_are_found_together_are_read_in_as_few_requests_as_there_can_be():
    site = Reading()
    async with site.working():
        for key in numbers(1000):
            member = Member(key, f"u{key}@example.org", people("1")["1"].policy)
            site.people.add(member)
            site.people.identify(member, f"id-{key}", key)
            site.reader.want(member, site.clock.now())
        await asyncio.sleep(2)
        assert [len(users) for _, users in site.teams.reads] == [500, 500]
        assert len({key for _, key, _ in site.seen}) == 1000
        await asyncio.sleep(60)
        assert len(site.teams.reads) == 2


# Trouble ------------------------------------------------------------------------------------------


async def test_a_request_without_an_answer_delays_its_group_only():
    site = Reading(*numbers(30), group=10, every_s=10.0)
    async with site.working():
        await asyncio.sleep(60)
        site.teams.hangs = {"id-1000"}
        site.seen.clear()
        site.teams.shows |= dict.fromkeys(("id-1000", "id-1015"), BUSY)
        await asyncio.sleep(100)
        assert {key for _, key, _ in site.seen} >= {"1015", "1029"}
        assert "1001" not in {key for _, key, _ in site.seen}
        gaps = [later - earlier for earlier, later in pairwise(site.teams.about("id-1015"))]
        assert max(gaps) <= 10.5
        assert site.link.report.state is LinkState.CONNECTED
        site.teams.hangs.clear()
        await asyncio.sleep(31)
        assert {"1000", "1001"} <= {key for _, key, _ in site.seen}


async def test_a_group_that_failed_alone_is_asked_again_soon_and_less_often_each_time():
    site = Reading(*numbers(30), group=10, every_s=300.0)
    async with site.working():
        await asyncio.sleep(590)
        site.teams.hangs = {"id-1000"}
        site.reader.probe_every_s = 5.0  # the others are answered meanwhile
        await asyncio.sleep(120)
        tries = [
            when for when, users in site.teams.reads if when > 595 and len(users) == 10 and "id-1000" in users
        ]
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert gaps[:3] == pytest.approx([21.0, 22.0, 24.0], abs=0.5)


async def test_when_nothing_is_answered_requests_do_not_pile_up_and_the_first_answer_brings_everybody():
    site = Reading(*numbers(160), group=10, every_s=5.0)
    async with site.working():
        await asyncio.sleep(30)
        site.teams.hangs = {f"id-{key}" for key in numbers(160)}
        most = 0
        for _ in range(120):
            await asyncio.sleep(1)
            most = max(most, site.teams.under_way)
        assert most <= 64
        assert site.teams.under_way <= 6, "one look an interval"
        assert site.link.report.state is LinkState.DOWN
        site.teams.hangs.clear()
        site.teams.shows |= {f"id-{key}": BUSY for key in numbers(160)}
        site.seen.clear()
        await asyncio.sleep(7)
        assert {key for _, key, event in site.seen if event.presence == BUSY} == set(numbers(160))
        assert site.link.report.state is LinkState.CONNECTED


@pytest.mark.parametrize(
    "refusal",
    [Refused("400 BadRequest", status=400), Gone("404 NotFound", status=404), Gone("410 Gone", status=410)],
    ids=["400", "404", "410"],
)
async def test_whom_graph_refuses_is_found_and_left_out_for_a_while(refusal):
    site = Reading(*numbers(40), group=20, every_s=10.0)
    site.teams.odd, site.teams.refusal = {"id-1007"}, refusal
    async with site.working():
        await asyncio.sleep(4)
        assert {key for _, key, _ in site.seen} == set(numbers(40)) - {"1007"}
        first = len(site.teams.about("id-1007"))
        assert str(refusal) in site["1007"].troubles["teams"]
        assert site.link.report.state is LinkState.CONNECTED
        await asyncio.sleep(4000)
        assert len(site.teams.about("id-1007")) <= 14 * first, "longer each time, and then every ten minutes"
        assert max(later - earlier for earlier, later in pairwise(site.teams.about("id-1008"))) < 20
        assert site.link.report.state is LinkState.CONNECTED
        site.teams.odd.clear()
        await asyncio.sleep(620)
        assert "1007" in {key for _, key, _ in site.seen}
        assert site["1007"].troubles == {}


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (Refused("400 BadRequest", status=400), LinkState.REFUSED),
        (Gone("404 NotFound", status=404), LinkState.DOWN),
    ],
    ids=["400", "404"],
)
async def test_a_graph_that_refuses_everybody_is_not_asked_for_each_of_them(refusal, state):
    site = Reading(*numbers(600))
    site.teams.refusal = refusal
    site.teams.odd = {f"id-{key}" for key in numbers(600)}
    async with site.working():
        await asyncio.sleep(5)
        assert len(site.teams.reads) < 100
        assert site.link.report.state is state
        await asyncio.sleep(600)
        assert len(site.teams.reads) < 700, "about one in a second"


@pytest.mark.parametrize("apart", [1, 30])
async def test_many_who_are_refused_at_the_start_are_all_found_within_seconds(apart):
    site = Reading(*numbers(600), every_s=20.0)
    site.teams.odd, site.teams.refusal = (
        {f"id-{1000 + apart * n}" for n in range(20)},
        Gone("404", status=404),
    )
    async with site.working():
        await asyncio.sleep(20)
        assert len({key for _, key, _ in site.seen}) == 580
        for _ in range(3600):
            await asyncio.sleep(1)
            assert site.link.report.state is LinkState.CONNECTED


async def test_somebody_alone_who_is_refused_is_no_trouble_of_the_link():
    site = Reading("101", "102", "103")
    async with site.working():
        await asyncio.sleep(10)
        site.teams.odd, site.teams.refusal = {"id-102"}, Gone("404", status=404)
        for _ in range(100):
            site.reader.want(site["102"], site.clock.now())
            site.reader.want(site["101"], site.clock.now())
            await asyncio.sleep(7)
            assert site.link.report.state is LinkState.CONNECTED
        assert len(site.teams.about("id-101")) > 90


async def test_who_is_refused_once_is_asked_again_soon():
    site = Reading(*numbers(40), every_s=10.0)
    site.teams.odd, site.teams.refusal = {"id-1007"}, Gone("404 NotFound", status=404)
    async with site.working():
        await asyncio.sleep(4)
        site.teams.odd.clear()
        await asyncio.sleep(12)
        assert "1007" in {key for _, key, _ in site.seen}


@pytest.mark.parametrize("people", [1, 2, 3, 20])
async def test_a_graph_that_refuses_everybody_for_a_while_leaves_nobody_out_when_it_is_back(people):
    site = Reading(*numbers(people), every_s=20.0)
    site.reader.probe_every_s = 15.0
    site.teams.odd, site.teams.refusal = {f"id-{key}" for key in numbers(people)}, Gone("404", status=404)
    async with site.working():
        await asyncio.sleep(300)
        assert site.link.report.state is LinkState.DOWN
        assert len(site.teams.reads) < 1000
        site.teams.odd.clear()
        await asyncio.sleep(45)
        assert site.link.report.state is LinkState.CONNECTED
        assert {key for _, key, _ in site.seen} == set(numbers(people))
        assert not any(member.troubles for member in site.people)


# Order --------------------------------------------------------------------------------------------


async def test_an_answer_that_a_later_one_has_overtaken_is_not_believed_but_asked_again():
    site = Reading("101")
    async with site.working():
        site.teams.takes.extend([10.0, 0.5, 0.0])
        site.teams.shows["id-101"] = BUSY
        site.reader.want(site["101"], site.clock.now())
        await asyncio.sleep(1)
        site.teams.shows["id-101"] = FREE
        site.reader.want(site["101"], site.clock.now())
        await asyncio.sleep(2)
        site.seen.clear()
        await asyncio.sleep(10)
        assert [event.presence for _, _, event in site.seen] == [FREE]
        assert len(site.teams.reads) == 4


async def test_a_poll_that_left_before_a_notification_came_is_no_sign_of_silence():
    site = Reading("101", every_s=30.0)
    async with site.working():
        await asyncio.sleep(27)
        site.teams.takes.extend([5.0, 0.0])
        await asyncio.sleep(4)
        assert site.teams.under_way == 1
        site.teams.shows["id-101"] = BUSY
        site.reader.notified(site["101"], BUSY)
        await asyncio.sleep(200)
        assert [event.presence for _, _, event in site.seen[1:3]] == [FREE, BUSY]
        assert site.silent == []


async def test_a_poll_that_left_before_a_notification_came_does_not_undo_it():
    async with Site("101") as site:
        graph, link = Graph(), Link("graph", site.clock.now)
        reader = PresenceReader(site.people, graph, link, site.clock, 650, 30.0)
        reader.on_seen = site.hub.seen
        reader.on_silence = lambda users: pytest.fail(f"{users} were notified")
        site.hub.on_read_wanted = reader.want
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reader.run())
            await asyncio.sleep(29)
            graph.takes.extend([5.0, 10.0, 0.1])  # so the old answer comes before the one that confirms
            await asyncio.sleep(2)
            assert graph.under_way == 1, "a poll is under way"
            graph.shows["id-101"] = IN_A_CALL
            member = site.people["101"]
            reader.notified(member, IN_A_CALL)
            site.hub.post("101", PresenceSeen(IN_A_CALL, Source.NOTIFICATION, site.clock.now()))
            shown = []
            for _ in range(100):
                await asyncio.sleep(0.1)
                shown.append(site.hub.state("101").spell is not None)
            assert all(shown), "Teams asked for Away from the notification on"
            assert site.hub.state("101").shown == IN_A_CALL
            await asyncio.sleep(200)
            running.cancel()


# Silence ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every_s", [60.0, 300.0])
async def test_a_silent_subscription_is_found_within_two_reconciles(every_s):
    site = Reading(*numbers(30), group=10, every_s=every_s)
    async with site.working():
        await asyncio.sleep(3 * every_s)
        site.teams.shows["id-1012"] = BUSY
        changed_at = passed()
        while not site.silent:
            await asyncio.sleep(1)
        assert passed() - changed_at <= max(2 * every_s, every_s + 92)
