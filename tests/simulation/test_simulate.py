"""The whole service in virtual time: fixed seeds, exact replays, and kills between any two steps."""

import os
import select
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from presencebridge.cli.main import main
from presencebridge.simulation import campaign, lives, mutants, run, shrink, telling, troubles
from presencebridge.simulation.chronicle import AtRest, House, Violation, Wrote
from presencebridge.simulation.chronicle import Trouble as Told
from presencebridge.simulation.making import plan_of
from presencebridge.simulation.plan import Kind, Plan, Site, Trouble

CALM = (3, 10, 17)
ROUGH = (0, 4, 8, 9, 13)
"""Together: all three kinds of 3CX, both deliveries, all presets, manual_wins on and off. Whole days are what
`make simulate` plays."""


def told(outcome: run.Outcome) -> str:
    return "\n".join((telling.house(outcome.plan), *telling.story(outcome.chronicle, outcome.violations)))


@pytest.mark.parametrize("seed", CALM)
def test_a_calm_morning(seed):
    outcome = run.play(mutants.plan_between(seed, "none", 0, 4))
    assert outcome.is_fair, told(outcome)
    assert sum(isinstance(happening, AtRest) for happening in outcome.chronicle) == 1
    assert sum(isinstance(happening, Wrote) for happening in outcome.chronicle) > 20


@pytest.mark.parametrize("seed", ROUGH)
def test_a_morning_full_of_trouble(seed):
    outcome = run.play(mutants.plan_between(seed, "all", 0, 4))
    assert outcome.is_fair, told(outcome)
    assert any(isinstance(happening, Told) for happening in outcome.chronicle)


def test_a_seed_replays_exactly():
    first, second, other = (run.play(mutants.plan_between(seed, "all", 0, 0.7)) for seed in (4, 4, 7))
    assert any(isinstance(happening, Told) for happening in first.chronicle)
    assert first.chronicle == second.chronicle
    assert (first.counts, first.requests) == (second.counts, second.requests)
    assert first.chronicle != other.chronicle


def test_neighbouring_seeds_go_through_everything_there_is_to_configure():
    plans = [plan_of(seed, 1, "none") for seed in range(36)]
    assert len({(plan.site.kind, plan.site.delivery, plan.house.preset) for plan in plans}) == 18
    assert len({(plan.site.kind, plan.house.manual_wins) for plan in plans}) == 6
    assert len({(plan.site.delivery, plan.house.manual_wins) for plan in plans}) == 4


# One person, a meeting and a call ---------------------------------------------------------------------


def a_morning(kind: Kind, *troubles: Trouble) -> Plan:
    """Busy from minute 2 to 12, on the phone from minute 5 to 15; then nothing."""
    deeds = (
        lives.Shows(30.0, "101", "Available/Available"),
        lives.Shows(120.0, "101", "Busy/InAMeeting"),
        lives.Calls(300.0, "101", 1, (("10000", "Dialing"), ("101", "Ringing"))),
        lives.LegIs(305.0, "101", 1, "Connected"),
        lives.Shows(720.0, "101", "Available/Available"),
        lives.HangsUp(900.0, "101", 1),
    )
    both = tuple(sorted((*deeds, *troubles), key=lambda deed: deed.at))
    site = Site(kind, presence_every_s=20.0, calls_every_s=10.0, statuses_every_s=20.0)
    return Plan(0, ("101",), House(), site, both, (700.0, 1600.0), 1600.0)


@pytest.mark.parametrize("kind", ["3cx-web-api", "3cx-v20"])
@pytest.mark.parametrize("at", [110.0, 290.0, 890.0], ids=["meeting", "call", "end"])
def test_killed_between_any_two_steps_and_started_again(kind, at):
    """From the moment at which a decision is handed to the disk until well after what follows from it."""
    before = run.play(a_morning(kind))
    assert before.is_fair, told(before)
    for steps in range(1, 46, 6):
        killed = Trouble(at, 1.0, "killed", number=steps)
        outcome = run.play(a_morning(kind, killed))
        assert outcome.is_fair, f"{steps} steps\n{told(outcome)}"
        assert outcome.counts["start"] == 2
        rests = [happening for happening in outcome.chronicle if isinstance(happening, AtRest)]
        assert rests[-1].shown == before.chronicle[-1].shown, f"{steps} steps"


def test_what_was_not_committed_is_lost_and_mended():
    """Without the store the claim is forgotten, and the Away of ours stays: this is what the test can see."""
    killed = Trouble(200.0, 1.0, "killed", number=1)
    plan = a_morning("3cx-web-api", killed)
    assert run.play(plan).is_fair
    with mutants.MUTANTS["forgets at restart"].patch():
        outcome = run.play(replace(plan, house=House(manual_wins=True)))
    assert not outcome.is_fair


@pytest.mark.parametrize(
    ("kind", "person"),
    [
        ("teams answer lost", None),
        ("teams answer silent", None),
        ("3cx answer lost", None),
        ("3cx answer silent", None),
        ("teams 429", None),
        ("3cx person", "101"),
        ("pbx restarted", None),
        ("disk full", None),
        ("clock wrong", None),
        ("slept", None),
    ],
)
def test_trouble_in_the_midst_of_it(kind, person):
    outcome = run.play(a_morning("3cx-v20", Trouble(115.0, 200.0, kind, person, number=20.0)))
    assert outcome.is_fair, told(outcome)
    assert outcome.counts[f"trouble: {kind}"] == 1
    last = outcome.chronicle[-1]
    assert isinstance(last, AtRest)
    assert (last.shown["101"].status, last.shown["101"].our_session) == ("Available", None)


@pytest.mark.parametrize("kind", ["3cx-web-api", "3cx-v20"])
def test_a_service_that_begins_anew_in_its_process_holds_what_it_held(kind):
    before = run.play(a_morning(kind))
    anew = run.play(a_morning(kind, Trouble(500.0, 0.0, "reloaded")))
    assert anew.is_fair, told(anew)
    assert anew.counts["start"] == 1
    changes = [
        [
            (happening.side, happening.before, happening.after)
            for happening in outcome.chronicle
            if isinstance(happening, Wrote) and happening.before != happening.after
        ]
        for outcome in (before, anew)
    ]
    assert changes[0] == changes[1], "nothing flickers"
    troubles = [happening for happening in anew.chronicle if isinstance(happening, Told)]
    assert 0 < troubles[0].until - troubles[0].at < 30, "it did begin anew"


def test_who_is_taken_out_of_the_config_gets_all_back_and_is_served_again_once_they_are_in_it():
    """102's lines are deleted, 101 is excluded in theirs; both are in a meeting and on the phone."""
    morning = a_morning("3cx-v20")
    deeds = []
    for person, call in (("101", 1), ("102", 2)):
        for deed in morning.deeds:
            if isinstance(deed, lives.Calls):
                deeds.append(
                    replace(deed, person=person, call=call, legs=(("10000", "Ringing"), (person, "Dialing")))
                )
            elif isinstance(deed, lives.LegIs | lives.HangsUp):
                deeds.append(replace(deed, person=person, call=call))
            else:
                deeds.append(replace(deed, person=person))
        deeds += [lives.IsTakenOut(400.0, person), lives.IsPutBack(600.0, person)]
    deeds.sort(key=lambda deed: deed.at)
    outcome = run.play(replace(morning, people=("101", "102"), deeds=tuple(deeds)))
    assert outcome.is_fair, told(outcome)
    for person in ("101", "102"):
        wrote = [
            (happening.at, happening.after)
            for happening in outcome.chronicle
            if isinstance(happening, Wrote)
            and happening.person == person
            and happening.before != happening.after
        ]
        let_go = [after for at, after in wrote if 400 <= at < 430]
        assert sorted(let_go, key=str) == ["Available", None]
        assert not [after for at, after in wrote if 430 <= at < 600]
        assert "Busy/InACall" in [after for at, after in wrote if 600 <= at < 640]


@pytest.mark.parametrize("kind", ["3cx-web-api", "3cx-v20"])
def test_what_is_chosen_in_the_menu_is_followed_and_a_call_does_not_hide_it(kind):
    plan = a_morning(kind)
    calls = tuple(deed for deed in plan.deeds if not isinstance(deed, lives.Shows) or deed.at < 100)
    menu = (lives.Chooses(400.0, "101", "DoNotDisturb/DoNotDisturb"), lives.Chooses(600.0, "101", None))
    deeds = sorted((*calls, *menu), key=lambda deed: deed.at)
    outcome = run.play(replace(plan, deeds=tuple(deeds)))
    assert outcome.is_fair, told(outcome)
    on_3cx = [
        (happening.before, happening.after)
        for happening in outcome.chronicle
        if isinstance(happening, Wrote) and happening.side == "3cx"
    ]
    assert on_3cx == [("Available", "Away"), ("Away", "Available")]


def test_what_is_drawn_seldom_is_drawn_too():
    plans = [plan_of(seed, 2, "all") for seed in range(40)]
    drawn = {deed.kind for plan in plans for deed in plan.deeds if isinstance(deed, Trouble)}
    assert drawn == troubles.KINDS.keys()
    for kind in (lives.Chooses, lives.IsTakenOut, lives.IsPaused):
        assert {plan.site.match for plan in plans if any(isinstance(deed, kind) for deed in plan.deeds)} >= {
            "list"
        }


@pytest.mark.parametrize(
    ("kind", "hours"),
    [
        ("watcher signed out", 8),
        ("teams 403", 20),
        ("bridge unconnected", 12),
    ],
)
def test_trouble_that_lasts_for_days(kind, hours):
    """What doubles with each failure is no number any more after a thousand of them."""
    last = 900.0 + hours * 3600.0
    site = Site("3cx-v20", "webhook", presence_every_s=300.0, calls_every_s=120.0, statuses_every_s=600.0)
    deeds = (
        lives.Shows(30.0, "101", "Available/Available"),
        lives.Shows(120.0, "101", "Busy/InAMeeting"),
        Trouble(180.0, hours * 3600.0, kind),
        lives.Shows(240.0, "101", "Available/Available"),
        lives.Calls(300.0, "101", 1, (("10000", "Ringing"), ("101", "Dialing"))),
        lives.HangsUp(last, "101", 1),
    )
    outcome = run.play(Plan(0, ("101",), House(), site, deeds, (last + 1800.0,), last + 1800.0))
    assert outcome.is_fair, told(outcome)
    assert outcome.counts["start"] == 1
    at_rest = outcome.chronicle[-1]
    assert isinstance(at_rest, AtRest)
    assert (at_rest.shown["101"].status, at_rest.shown["101"].our_session) == ("Available", None)


@pytest.mark.parametrize("over_at", [900.0, 906.0, 912.0])
def test_a_mute_websocket_is_one_until_a_call_tells_so(over_at):
    """The first call that ends after it is found by the next read of all calls, wherever that falls."""
    plan = a_morning("3cx-v20", Trouble(310.0, 0.0, "websocket mute"))
    late = (replace(deed, at=over_at) if isinstance(deed, lives.HangsUp) else deed for deed in plan.deeds)
    outcome = run.play(replace(plan, deeds=tuple(late)))
    assert outcome.is_fair, told(outcome)


# What is wrong is found, made short and told ----------------------------------------------------------


def test_what_is_wrong_is_made_short_and_told():
    with mutants.MUTANTS["second leg clears"].patch():
        outcome = run.play(mutants.MUTANTS["second leg clears"].plan())
        assert not outcome.is_fair
        shortest = shrink.shrunk(outcome, within_s=60)
        assert len(shortest.plan.deeds) <= 6 < len(outcome.plan.deeds)
        again = run.play(msgspec.json.decode(msgspec.json.encode(shortest.plan), type=Plan))
        assert again.violations == shortest.violations
    lines = told(shortest).splitlines()
    assert "seed" in lines[0]
    assert any("WRONG (property 4)" in line for line in lines)
    assert run.play(shortest.plan).is_fair, "the story alone is fair"


# Many seeds, and the command --------------------------------------------------------------------------


def test_a_seed_replays_exactly_in_another_process():
    first, second = (next(iter(campaign.verdicts(range(14, 15), 1, "some", 1, 0))) for _ in range(2))
    assert first == second
    assert len(first.digest) == 16


def test_the_command_tells_and_its_last_line_is_the_summary(monkeypatch, capsys):
    def played(seeds, days, faults, jobs, shrink_s, nodes):
        assert (list(seeds), days, faults, jobs, nodes) == ([3, 4, 5], 2, "some", 1, 3)
        counts = {"write 3cx": 2, "write teams": 3, "decision": 7, "trouble: killed": 1}
        for seed in seeds:
            wrong = (Violation(4, 12.0, "101", "it is wrong"),) if seed == 4 and shrink_s else ()
            yield campaign.Verdict(seed, wrong, counts, 10.5 + seed, 86_400.0, 50, "d", ("the story",))

    monkeypatch.setattr(campaign, "verdicts", played)
    arguments = ["simulate", "--seeds", "3..5", "--days", "2", "--faults", "some", "--jobs", "1"]
    arguments += ["--nodes", "3", "--shrink"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "5"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert ended.value.code == 1
    assert any("seed 4 is wrong" in line for line in lines)
    assert lines[-1].startswith("3 seeds, 1 wrong (4): 3.0 days")
    assert lines[-1].endswith("21 decisions, 15 writes, 150 requests, worst time to rest 15.5 s")

    with pytest.raises(SystemExit) as ended:
        main([*arguments, "0"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith("3 seeds, none wrong")


def test_a_long_run_into_a_file_says_how_far_it_is(monkeypatch, capsys):
    def played(seeds, *_):
        for seed in seeds:
            yield campaign.Verdict(seed, (), {}, 10.5, 86_400.0, 50, "d", ())

    monkeypatch.setattr(campaign, "verdicts", played)
    with pytest.raises(SystemExit):
        main(["simulate", "--seeds", "1..45"])
    told = capsys.readouterr()
    said = told.err.strip().splitlines()
    assert [line.partition(", none")[0] for line in said] == [
        f"so far, of 45: {count} seeds" for count in (10, 20, 30, 40)
    ]
    assert told.out.strip().splitlines()[-1].startswith("45 seeds, none wrong")


POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from presencebridge.simulation import campaign
with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=campaign._begin) as pool:
    pool.submit(os.write, 1, b"playing\\n")
    pool.submit(time.sleep, 3600)
"""


def test_who_is_killed_leaves_nobody_playing():
    with subprocess.Popen([sys.executable, "-c", POOL], stdout=subprocess.PIPE) as simulate:
        assert simulate.stdout.readline() == b"playing\n"
        playing = [pid for pid in _children(simulate.pid) if "spawn_main" in _command(pid)]
        assert playing
        ends = [os.pidfd_open(pid) for pid in playing]
        simulate.kill()
    for end in ends:
        select.select([end], [], [])  # pytest's own limit ends it
        os.close(end)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
