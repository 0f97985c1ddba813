"""Rows 7, 8, 10 and 13: how long one change takes at a steady pace, and how many requests it takes."""

import json
import time
from pathlib import Path
from typing import Any

from measure import Measure, percentile
from rig import KIT, OTHER_CORE, SERVICE_CORE, Failed, Program, Rig

Times = list[float]
TIMEOUT_S = 2
"""How long the bridge has for an answer; the default is five times that."""


def measure(*, quick: bool) -> list[Measure]:
    people = 65 if quick else 650
    seconds = 2.0 if quick else 60.0
    rates = (50.0,) if quick else (50.0, 500.0)
    bare = {rate: _bare(rate, seconds / 3) for rate in rates}
    return [
        *_notifications(people, rates, seconds, bare),
        *_calls(people, rates, seconds, bare),
        *_beside_deaf(*((40, 1.0, 1) if quick else (200, 20.0, 3))),
    ]


def _bare(rate: float, seconds: float) -> Times:
    """Round trips over loopback, of a request of the same size, to a server on the service's core."""
    log = Path("/dev/null")
    server = Program([str(KIT / "bare.py")], SERVICE_CORE, log)
    sender = Program([str(KIT / "other_side.py"), "1"], OTHER_CORE, log)
    try:
        sender.line()
        url = server.line()["url"]
        _order(sender, "knock", count=round(rate * seconds), size=2900, url=url)
        took: Times = _order(sender, "pace", per_s=rate)["took"]
        return took
    finally:
        sender.end()
        server.end()


def _order(program: Program, what: str, **more: Any) -> dict[str, Any]:
    return program.ask(json.dumps({"do": what} | more))


def _lines(
    row: int, what: str, took: Times, bare: Times, goals: tuple[float, float, str, str]
) -> list[Measure]:
    """Both percentiles, less those of the bare round trip of the same run and pace."""
    found = []
    for share, name, goal, prototype in ((0.5, "p50", *goals[::2]), (0.99, "p99", *goals[1::2])):
        added = (percentile(took, share) - percentile(bare, share)) * 1000
        note = f"{percentile(took, share) * 1000:.2f} less {percentile(bare, share) * 1000:.2f}"
        found.append(Measure(row, f"{what}, {name}", added, goal, unit="ms", prototype=prototype, note=note))
    return found


def _first_after(sent: list[tuple[float, int]], arrivals: list[list[Any]], what: str) -> Times:
    """For each that was sent about somebody, the first request of a kind about them that came after it."""
    by_person: dict[int, list[float]] = {}
    for at, kind, number in arrivals:
        if kind == what:
            by_person.setdefault(number, []).append(at)
    took = []
    for at, number in sent:
        came = next((one for one in by_person.get(number, ()) if one >= at), None)
        if came is None:
            raise Failed(f"nothing came of a change of person {number}: {what}")
        took.append(came - at)
    return took


def _notifications(
    people: int, rates: tuple[float, ...], seconds: float, bare: dict[float, Times]
) -> list[Measure]:
    found = []
    goals = {50.0: (1.2, 4.0, "1.2", "2.5"), 500.0: (0.7, 3.0, "0.64", "0.7")}
    asked: dict[str, float] = {}
    changes = 0
    with Rig(people) as rig:
        for rate in (50.0, *rates):  # the first one warms what is to be warm
            is_warm = changes > 0
            count = round(rate * (seconds if is_warm else 2.0)) // (2 * people) * 2 * people or 2 * people
            items = [[number % people, 1 - number // people % 2] for number in range(count)]
            rig.order("make", items=items, per=1, url=rig.hook)
            rig.until_idle()
            rig.order("arrivals")
            paced = rig.order("pace", per_s=rate)
            rig.until_idle()
            told = rig.order("arrivals")
            if set(paced["statuses"]) != {"202"}:
                raise Failed(f"not every notification was taken in: {paced['statuses']}")
            changes += count
            if not is_warm:
                continue
            for kind in ("read status", "write status"):
                asked[kind] = asked.get(kind, 0) + told["counts"].get(kind, 0) / count / len(rates)
            sent = [(at, item[0]) for at, item in zip(paced["sent"], items, strict=True)]
            first = _first_after(sent, told["arrivals"], "read status")
            what = f"notification to 3CX, {rate:g}/s"
            found += _lines(7, what, first, bare[rate], goals[rate])
            write = _first_after(sent, told["arrivals"], "write status")
            found += _lines(
                7, f"… the write itself, after the read before it, {rate:g}/s", write, bare[rate], _UNASKED
            )
            answered = [took * 1000 for took in paced["took"]]
            note = f"p99 {percentile(answered, 0.99):.2f}"
            found.append(
                Measure(
                    7, f"… 202 answered, {rate:g}/s, p50", percentile(answered, 0.5), unit="ms", note=note
                )
            )
    return found + [
        Measure(13, f"requests to 3CX for a change in Teams: {kind}", asked[kind], goal)
        for kind, goal in (("write status", 1.0), ("read status", 2.0))
    ]


_UNASKED: tuple[Any, Any, str, str] = (None, None, "", "")


def _calls(people: int, rates: tuple[float, ...], seconds: float, bare: dict[float, Times]) -> list[Measure]:
    found = []
    asked: dict[str, float] = {}
    with Rig(people, NO_BUDGET="1") as rig:
        for turn, rate in enumerate((50.0, *rates)):
            count = round(rate * (seconds if turn else 2.0)) // (2 * people) * 2 * people or 2 * people
            events = [[number % people, 1 - number // people % 2] for number in range(count)]
            rig.until_idle()
            rig.order("arrivals")
            paced = rig.order("calls", events=events, per_s=rate)
            rig.until_idle()
            told = rig.order("arrivals")
            if not turn:
                continue
            begun = [(at, one) for at, (one, comes) in zip(paced["sent"], events, strict=True) if comes]
            took = _first_after(begun, told["arrivals"], "setPresence")
            goals = (1.0, 4.0, "", "")
            found += _lines(8, f"leg on the websocket to setPresence, {rate:g}/s", took, bare[rate], goals)
            for kind in ("setPresence", "clearPresence", "read participants"):
                asked[kind] = asked.get(kind, 0) + told["counts"].get(kind, 0) / (count / 2) / len(rates)
    return found + [
        Measure(13, f"requests for a call: {kind}", asked[kind], 1.0)
        for kind in ("setPresence", "clearPresence", "read participants")
    ]


def _beside_deaf(people: int, seconds: float, rounds: int) -> list[Measure]:
    """The bridge of V16 and V18, and a hundredth of the people for whom it never answers."""
    deaf = max(1, people // 100)
    others: dict[bool, Times] = {False: [], True: []}
    pbx = f"timeout_s = {TIMEOUT_S}\nstatus_every_s = {5 if people < 100 else 10}"
    with Rig(people, kind="3cx-web-api", pbx=pbx, rest_s=0.01) as rig:
        for turn in range(2 * rounds + 1):
            is_deaf = turn % 2 == 0 and turn > 0
            rig.order("deaf", extensions=[str(100_000 + number) for number in range(deaf)] if is_deaf else [])
            if is_deaf:
                _until_noticed(rig, deaf)
            count = round(50 * seconds) // (2 * people) * 2 * people or 2 * people
            items = [[number % people, 1 - number // people % 2] for number in range(count)]
            rig.order("make", items=items, per=1, url=rig.hook)
            rig.order("arrivals")
            paced = rig.order("pace", per_s=50.0)
            rig.until_idle()
            told = rig.order("arrivals")
            if turn:
                sent = [
                    (at, item[0]) for at, item in zip(paced["sent"], items, strict=True) if item[0] >= deaf
                ]
                others[is_deaf] += _first_after(sent, told["arrivals"], "write status")
    before, beside = (percentile(others[kind], 0.99) * 1000 for kind in (False, True))
    what = f"{deaf} of {people} people never answered: p99 of the others / without them"
    note = f"{beside:.2f} ms, {before:.2f} without"
    return [Measure(10, what, beside / before, 1.25, note=note)]


def _until_noticed(rig: Rig, deaf: int) -> None:
    """Everybody's status is asked for in turn, so the bridge's silence is known before the measurement."""
    rig.until(lambda: rig.order("ready")["counts"].get("unanswered", 0) >= deaf)
    time.sleep(TIMEOUT_S + 0.5)
