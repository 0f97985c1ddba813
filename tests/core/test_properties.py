"""What must always hold, whatever people do and whatever goes wrong."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace
from playbook import SESSION_CLEARED, SESSION_SET
from world import PBX, RECONCILE_S, TEAMS, World

from presencebridge.core.commands import ChangeStatus, Note, ReadPresence
from presencebridge.core.events import (
    LegsSeen,
    Paused,
    PbxLost,
    PresenceSeen,
    PresenceWriteFailed,
    Recognized,
    Resumed,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TimerFired,
)
from presencebridge.core.machine import next_wake, step
from presencebridge.core.model import STATUSES, Because, LegState, Presence, State
from presencebridge.core.policy import CALLS_ONLY, IN_A_CALL, MIRROR, SEED, Policy

TIMES = int(os.environ.get("HYPOTHESIS_TIMES", "1"))
"""How many times as many examples as usual are tried."""

MANUAL_WINS = replace(SEED, manual_wins=True)
FREE, MEETING, CALL, AWAY = "Available/Available", "Busy/InAMeeting", "Busy/InACall", "Away/Away"
PAIRS = (FREE, MEETING, CALL, AWAY, "DoNotDisturb/DoNotDisturb", "BeRightBack/BeRightBack", "Offline/OffWork")
BUSY = {"Busy", "BusyIdle", "DoNotDisturb", "BeRightBack"}
LEGS = (LegState.DIALING, LegState.RINGING, LegState.CONNECTED, LegState.HOLD, LegState.HELD, None)


class FairPerson:
    """The seed's rules as a colleague would explain them who sees everything at once: the oracle."""

    def __init__(self, world: World) -> None:
        self.manual_wins = world.policy.manual_wins
        self.status, self.ours, self.overruled = "Available", False, False
        self.last: str | None = None
        self.hidden = False
        self.look(world)

    def look(self, world: World) -> None:
        if world.in_call() and world.shown() == IN_A_CALL:
            self.hidden = True  # our own session: nobody can tell what the person does behind it
            return
        now, before, self.last = world.shown().availability, self.last, world.shown().availability
        was_hidden, self.hidden = self.hidden, False
        if now in BUSY:
            if before not in BUSY:
                self.overruled = False
            if self.status == "Available" and not self.overruled:
                self.status, self.ours = "Away", True
            self.overruled = True  # answered; from here on it is the person's
        elif now == "Available":
            changed = before not in {None, "Available"} and not was_hidden and not self.manual_wins
            if self.ours or (changed and self.status == "Away"):
                self.status, self.ours = "Available", False

    def by_hand(self, status: str) -> None:
        if status != self.status:
            self.status, self.ours = status, False


def check_at_rest(world: World) -> None:
    """What holds of any person whom nothing has happened to for a while, faults or not."""
    policy = world.policy
    asked = len(world.asked)
    world.run(2 * RECONCILE_S + 10)
    flips = [one for one in world.asked[asked:] if not isinstance(one, Note | ReadPresence)]
    renewals = [one for one in flips if one.because.value == "lease_renewed"]
    assert flips == renewals, "it flips"
    assert len(renewals) <= 6
    if policy.excluded or world.state.paused:
        return
    # Teams -> 3CX. Our own status is there while the person is seen to be busy, and gone while free.
    wanted = policy.target(world.shown())
    hidden = world.session is not None and world.shown() == world.session
    assert hidden or wanted in {"no change", world.status} or world.ever_by_hand
    free = wanted == "Available"
    assert not (free and not world.by_hand and not world.murky and world.status != "Available")
    assert (world.state.status_claim is not None) <= (world.status != "Available")
    # 3CX -> Teams
    if not policy.pair_for:
        assert (world.session is not None) == world.in_call()
        assert (world.state.teams_claim is not None) == world.in_call()
    if world.session is None:
        assert world.shown() == world.without_us()


# Every short day ----------------------------------------------------------------------------------

ACTS = {
    "meeting": lambda w, _: w.set_client(MEETING),
    "free": lambda w, _: w.set_client(FREE),
    "idle": lambda w, _: w.set_client(AWAY),
    "presents": lambda w, _: w.set_client("DoNotDisturb/Presenting"),
    "first call": lambda w, _: w.set_leg("a", None if "a" in w.legs else LegState.CONNECTED),
    "second call": lambda w, _: w.set_leg("b", None if "b" in w.legs else LegState.HOLD),
    "away by hand": lambda w, f: (w.set_by_hand("Away"), f.by_hand("Away")),
    "back by hand": lambda w, f: (w.set_by_hand("Available"), f.by_hand("Available")),
}


@pytest.mark.parametrize("policy", [SEED, MANUAL_WINS], ids=["seed", "manual wins"])
def test_every_sequence_of_acts_ends_where_a_fair_person_would_have_put_both_sides(policy):
    """All sequences of five acts; each is checked after each of its acts, with at most one write a side."""

    def explore(world: World, fair: FairPerson, acts: tuple[str, ...]) -> int:
        if len(acts) == 5:
            return 1
        days = 0
        for name, act in ACTS.items():
            after, expected = world.fork(), FairPerson.__new__(FairPerson)
            expected.__dict__.update(fair.__dict__)
            before = after.writes(PBX), after.writes(TEAMS)
            act(after, expected)
            after.run(10)
            expected.look(after)
            story = " / ".join((*acts, name))
            assert after.status == expected.status, story
            assert (after.session is not None) == after.in_call(), story
            assert after.session is not None or after.shown() == after.without_us(), story
            assert (after.state.status_claim is not None) == expected.ours, story
            assert after.writes(PBX) - before[0] <= 1, story
            assert after.writes(TEAMS) - before[1] <= 1, story
            days += explore(after, expected, (*acts, name))
        return days

    world = World(policy)
    world.run(10)
    assert explore(world, FairPerson(world), ()) == len(ACTS) ** 5


# Days with faults ---------------------------------------------------------------------------------

write_faults = st.sampled_from(["before", "after"])
delays = st.sampled_from([0.05, 0.5, 3.0, 30.0])


class Day(RuleBasedStateMachine):
    """Anything may happen in any order; in the end all faults are over, and then it must be right."""

    policies = (
        SEED,
        MANUAL_WINS,
        CALLS_ONLY,
        MIRROR,
        replace(SEED, min_call_s=7),
        replace(SEED, excluded=True),
    )

    @initialize(policy=st.sampled_from(policies), client=st.sampled_from(PAIRS))
    def begin(self, policy: Policy, client: str) -> None:
        self.world = World(policy, client)
        self.world.probing = True

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.3, 1.5, 5.0, 60.0, 200.0, 400.0]))
    def time_goes_by(self, seconds):
        self.world.run(seconds)

    # people

    @rule(pair=st.sampled_from(PAIRS))
    def teams_client_shows(self, pair):
        self.world.set_client(pair)

    @rule()
    def signs_out(self):
        self.world.set_client(None)

    @rule(pair=st.sampled_from([FREE, "Busy/Busy", "DoNotDisturb/DoNotDisturb", "Offline/OffWork", None]))
    def chooses_a_presence(self, pair):
        self.world.set_preferred(pair)

    @rule(status=st.sampled_from(STATUSES))
    def sets_the_status_by_hand(self, status):
        self.world.set_by_hand(status)

    @rule(name=st.sampled_from("abc"), leg=st.sampled_from(LEGS))
    def a_leg_changes(self, name, leg):
        self.world.set_leg(name, leg)

    @precondition(lambda self: self.world.legs)
    @rule()
    def transfers_all_calls(self):
        for name in list(self.world.legs):
            self.world.set_leg(name, None)

    # faults

    @rule(fault=st.sampled_from(["before", "after", "ignored"]), times=st.integers(1, 4))
    def status_writes_go_wrong(self, fault, times):
        self.world.faults.status_write += [fault] * times

    @rule(fault=write_faults, times=st.integers(1, 4))
    def presence_writes_go_wrong(self, fault, times):
        self.world.faults.presence_write += [fault] * times

    @rule(slow=st.lists(delays, min_size=1, max_size=4))
    def reads_are_slow(self, slow):
        self.world.faults.read_delay_s += slow

    @rule(comes=st.lists(st.sampled_from([0.2, 2.0, 40.0, 400.0]), max_size=3))
    def a_notification_is_lost_doubled_or_late(self, comes):
        self.world.faults.notices.append(comes)

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0]))
    def graph_lags(self, seconds):
        self.world.lag_s = seconds

    @rule()
    def the_link_to_3cx_goes_or_comes(self):
        if self.world.pbx_up:
            self.world.lose_link()
        else:
            self.world.link_back()

    @rule()
    def graph_goes_or_comes(self):
        self.world.graph_up = not self.world.graph_up

    @rule(point=st.sampled_from(["before save", "before send", "after send"]))
    def the_process_will_be_killed(self, point):
        self.world.faults.crash = point

    @rule()
    def the_process_is_killed_or_started(self):
        if self.world.alive:
            self.world.crash()
        else:
            self.world.start()

    @rule(seconds=st.sampled_from([None, 30.0, 1000.0]))
    def is_paused(self, seconds):
        self.world.pause(seconds)

    @rule()
    def is_resumed(self):
        self.world.resume()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.come_to_rest()
        check_at_rest(world)
        if world.state.paused:
            world.resume()
            world.run(30)
            check_at_rest(world)
        if world.policy.manual_wins:
            for one in world.wrote:
                freed = (
                    one.side == PBX
                    and isinstance(one.command, ChangeStatus)
                    and one.command.because is not Because.TEAMS_BUSY
                )
                assert not (freed and one.by_hand_before), "a status set by hand was changed"
        assert world.policy.excluded <= (world.wrote == [])


TestDay = Day.TestCase
TestDay.settings = settings(
    max_examples=600 * TIMES, stateful_step_count=30, suppress_health_check=list(HealthCheck), deadline=None
)


# Twins --------------------------------------------------------------------------------------------

acts = st.one_of(
    st.tuples(st.just("client"), st.sampled_from(PAIRS)),
    st.tuples(st.just("preferred"), st.sampled_from([FREE, "Busy/Busy", None])),
    st.tuples(st.just("status"), st.sampled_from(STATUSES)),
    st.tuples(st.just("leg"), st.sampled_from([("a", leg) for leg in LEGS] + [("b", leg) for leg in LEGS])),
)
days = st.lists(acts, min_size=1, max_size=10)


def perform(world: World, act: tuple) -> None:
    what, value = act
    if what == "client":
        world.set_client(value)
    elif what == "preferred":
        world.set_preferred(value)
    elif what == "status":
        world.set_by_hand(value)
    else:
        world.set_leg(*value)


@settings(max_examples=150 * TIMES)
@given(days, st.sampled_from([SEED, MANUAL_WINS, MIRROR, CALLS_ONLY]))
def test_without_faults_each_act_causes_at_most_one_write_a_side(day, policy):
    world = World(policy)
    world.run(10)
    assert not world.wrote
    for act in day:
        before = world.writes(PBX), world.writes(TEAMS)
        perform(world, act)
        world.run(10)
        assert world.writes(PBX) - before[0] <= 1
        assert world.writes(TEAMS) - before[1] <= 1
        world.run(200)
    rested = world.writes(PBX), world.writes(TEAMS)
    world.come_to_rest()
    assert (world.writes(PBX), world.writes(TEAMS)) == rested
    check_at_rest(world)


@settings(max_examples=400 * TIMES)
@given(
    days,
    st.data(),
    st.sampled_from([MANUAL_WINS, replace(SEED, frees=()), CALLS_ONLY, replace(MIRROR, manual_wins=True)]),
)
def test_a_crash_at_any_point_leads_to_the_same_end(day, data, policy):
    """Two worlds live the same day; in one of them the process is killed while it answers an act.

    Somebody's own status that was about to be freed is the one thing a crash may leave as it was: at start
    nothing is known of a change. So these policies free only what is ours. And the service is back before
    the lease ends, for a lease that ended shows what a person did behind it.
    """
    crashed, twin = World(policy, tie="client"), World(policy, tie="client")
    killed_at = data.draw(st.integers(0, len(day) - 1))
    point = data.draw(
        st.sampled_from(["before save", "before send", "after send", 0.02, 0.07, 0.12, 1.08, 1.13])
    )
    down_s = data.draw(st.sampled_from([0.01, 1.0, 20.0, 100.0]))
    for number, act in enumerate(day):
        for world in (crashed, twin):
            world.run(20)
            if world is crashed and number == killed_at:
                if isinstance(point, str):
                    world.faults.crash = point
                    perform(world, act)
                    world.run(10)
                    world.faults.crash = None
                else:
                    perform(world, act)
                    world.run(point)
                    world.crash()
                if not world.alive:
                    world.run(down_s)
                    world.start()
            else:
                perform(world, act)
            world.run(20)
    for world in (crashed, twin):
        world.come_to_rest()
        check_at_rest(world)
    assert crashed.end_state() == twin.end_state()


@settings(max_examples=500 * TIMES)
@given(days, st.data(), st.sampled_from([SEED, MANUAL_WINS, MIRROR, CALLS_ONLY]))
def test_lost_doubled_late_and_reordered_notifications_and_slow_reads_change_nothing_but_the_delay(
    day, data, policy
):
    """Each act is seen before the next, by a notification or by a read.

    A notification is acted on at once where that can be taken back, so a false one costs 3CX two writes at
    the most: there and back. Teams is never written for it.
    """
    disturbed, twin = World(policy, tie="client"), World(policy, tie="client")
    disturbed.lag_s = data.draw(st.sampled_from([0.0, 1.5, 3.5]))
    disturbed.numbered = data.draw(st.booleans())
    delivered = 0
    for act in day:
        comes = st.lists(st.sampled_from([0.2, 3.0, 50.0, 290.0, 900.0]), max_size=4)
        notices = data.draw(comes)
        delivered += len(notices)
        disturbed.faults.notices = [notices]
        disturbed.faults.read_delay_s = data.draw(st.lists(delays, max_size=4))
        for world in (disturbed, twin):
            perform(world, act)
            world.run(RECONCILE_S + 40)
            world.faults.notices = []
    for world in (disturbed, twin):
        world.come_to_rest()
        check_at_rest(world)
    assert disturbed.end_state() == twin.end_state()
    assert disturbed.writes(TEAMS) == twin.writes(TEAMS)
    assert disturbed.writes(PBX) <= twin.writes(PBX) + 2 * delivered


@given(days, st.sampled_from([5.0, 100.0, 250.0]))
def test_without_a_restart_nothing_on_teams_outlives_its_lease(day, after_s):
    world = World(SEED)
    for act in day:
        perform(world, act)
        world.run(after_s)
    world.crash()
    world.run(SEED.lease_s + 1)
    assert world.session is None
    assert world.shown() == world.without_us()


# Any event in any state ---------------------------------------------------------------------------

pairs = st.sampled_from([*PAIRS, "PresenceUnknown/PresenceUnknown", "Busy/InACall + OOF", "New/New"])
presences = pairs.map(lambda pair: Presence(*pair.split("/")))
seconds = st.sampled_from([-500.0, -1.0, 0.0, 1.0, 100.0])
sequences = st.sampled_from([None, "1", "2", "3"])
statuses = st.sampled_from([*STATUSES, "Something else"])
legs = st.lists(st.sampled_from(list(LegState)), max_size=3).map(tuple)
waits = st.sampled_from([None, 0.0, 5.0])
events = st.one_of(
    st.sampled_from([Started(), PbxLost(), TimerFired(), Resumed(), Paused(), SESSION_SET, SESSION_CLEARED]),
    st.builds(Recognized, st.sampled_from(["id-1", "id-2"])),
    st.builds(PresenceSeen, presences, st.sampled_from(list(Source)), seconds, sequences),
    st.builds(StatusSeen, statuses, seconds),
    st.builds(LegsSeen, legs),
    st.builds(PresenceWriteFailed, st.just("no"), waits),
    st.builds(StatusWriteFailed, st.just("no"), waits),
    st.builds(StatusWritten, statuses, statuses, st.booleans()),
    st.builds(Paused, seconds),
)


@settings(max_examples=400 * TIMES)
@given(
    st.lists(st.tuples(events, st.sampled_from([0.0, 1.0, 200.0])), max_size=40),
    st.sampled_from(Day.policies),
)
def test_no_event_in_any_state_raises_or_makes_it_spin(happenings, policy):
    state, now = State(), 1000.0
    for event, later in happenings:
        now += later
        seen = replace(event, asked_at=now + event.asked_at) if hasattr(event, "asked_at") else event
        state, commands = step(state, seen, now, policy)
        wake = next_wake(state, now, policy)
        assert wake is None or wake > now
        assert step(state, TimerFired(), now, policy)[0] == state, "a step leaves nothing undone"
        writes = [one for one in commands if not isinstance(one, Note | ReadPresence)]
        assert not (writes and (policy.excluded or state.paused))
        assert len(writes) <= 2
