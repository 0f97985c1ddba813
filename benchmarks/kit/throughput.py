"""Rows 1-5 and 9: notifications at full backlog, beside the RSA operation that none can do without."""

import re
import subprocess
from typing import Any

from measure import Measure, median_of
from rig import CORES, SERVICE_CORE, Failed, Rig

ITEMS_A_SECOND = "… items a second, {} a request"
ONE_A_REQUEST = ITEMS_A_SECOND.format(1)
TIMES_CHANGED = 5
STRANGERS = 0.2


def openssl_rate(seconds: int) -> float:
    """RSA-2048 private operations a second on the service's core."""
    speed = ["openssl", "speed", "-seconds", str(seconds), "rsa2048"]
    core = ",".join(map(str, SERVICE_CORE))
    told = subprocess.run(["taskset", "-c", core, *speed], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", told, re.MULTILINE)
    if found is None:
        raise Failed(f"openssl speed says something else:\n{told}")
    return float(found[1])


class Burst:
    """All of a round's requests at once, and what they cost until the service has come to rest."""

    def __init__(self, rig: Rig, items: list[list[int]], per: int, connections: int = 8) -> None:
        rig.order("make", items=items, per=per, url=rig.hook)
        before = rig.until_idle()
        rig.order("arrivals")
        sent = rig.order("burst", connections=connections)
        after = rig.until_idle()
        if set(sent["statuses"]) != {"202"}:
            raise Failed(f"not every notification was taken in: {sent['statuses']}")
        self.arrivals: list[list[Any]] = rig.order("arrivals")["arrivals"]
        self.began: float = sent["began"]
        self.slowest_answer_s = max(sent["took"])
        self.sender_cpu_s: float = sent["cpu"]
        self.decided = after["decided"] - before["decided"]
        self.decrypted = after["decrypted"] - before["decrypted"]
        self.rsa_s = after["rsa_s"] - before["rsa_s"]
        self.cpu_s = after["cpu_s"] - before["cpu_s"]
        self.took_s = after["decided_at"] - self.began
        """From the first request until the last item is decided and saved."""

    @property
    def rsa_share(self) -> float:
        return self.rsa_s / self.cpu_s


class People:
    """Everybody changes, to and fro."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._shows = 0

    def change(self) -> list[list[int]]:
        self._shows = 1 - self._shows
        return [[number, self._shows] for number in range(self.count)]

    def change_often(self) -> list[list[int]]:
        """Each person several times, one after another, and strangers in between."""
        rounds = []
        for _ in range(TIMES_CHANGED):
            rounds += self.change()
        strangers = int(len(rounds) * STRANGERS / (1 - STRANGERS))
        every = len(rounds) // strangers
        for number in range(strangers):
            rounds.insert(number * (every + 1), [self.count + number, 1])
        return rounds


def measure(*, quick: bool) -> list[Measure]:
    people, rounds, seconds = (130, 1, 1) if quick else (2600, 7, 2)
    one, one_rates = _saved(SERVICE_CORE, people, rounds, seconds)
    two, _ = _saved(CORES, people, rounds, 0)
    found = []
    for row, per, least, prototype in ((1, 20, 0.80, "0.80"), (2, 1, 0.65, "0.65")):
        shares = [burst.rsa_share for burst in one[per]]
        what = f"RSA share, {per} {'items' if per > 1 else 'item'} a request, one core"
        found.append(median_of(row, what, shares, goal=least, most=False, prototype=prototype))
        rest = [(burst.cpu_s - burst.rsa_s) / people * 1e6 for burst in one[per]]
        found.append(median_of(row, "… CPU beside RSA, an item", rest, unit="µs"))
    for per, least, prototype in ((20, 0.75, "0.73-0.80"), (1, 0.63, "0.63")):
        ratios = [people / burst.took_s / rate for burst, rate in zip(one[per], one_rates[per], strict=True)]
        what = f"items a second / openssl, {per} a request"
        found.append(median_of(3, what, ratios, goal=least, most=False, prototype=prototype))
        speeds = [people / burst.took_s for burst in one[per]]
        found.append(median_of(3, ITEMS_A_SECOND.format(per), speeds, unit="/s"))
    found.append(median_of(3, "… openssl speed rsa2048", [*one_rates[20], *one_rates[1]], unit="/s"))
    cost = [burst.sender_cpu_s / people * 1e6 for burst in one[1]]
    found.append(median_of(3, "… what sending costs the other core, 1 a request", cost, unit="µs"))
    for per, least, prototype in ((20, 1.75, "1.76"), (1, 1.5, "1.5")):
        ratios = [few.took_s / many.took_s for few, many in zip(one[per], two[per], strict=True)]
        what = f"two cores / one core, {per} a request"
        found.append(median_of(4, what, ratios, goal=least, most=False, prototype=prototype))
    found += _past_the_limit(people // TIMES_CHANGED, rounds, seconds)
    return found + _with_writes(130 if quick else 650, 1 if quick else 9)


def _saved(
    cores: list[int], people: int, rounds: int, seconds: int
) -> tuple[dict[int, list[Burst]], dict[int, list[float]]]:
    """Bursts in which every item is decided and saved, and none asks for a write to the other side."""
    bursts: dict[int, list[Burst]] = {20: [], 1: []}
    rates: dict[int, list[float]] = {20: [], 1: []}
    with Rig(people, cores=cores, direction="3cx-to-teams") as rig:
        everybody = People(people)
        Burst(rig, everybody.change(), 20)  # warms what is to be warm
        for _ in range(rounds):
            for per, found in bursts.items():
                if seconds:
                    rates[per].append(openssl_rate(seconds))
                burst = Burst(rig, everybody.change(), per)
                if burst.decided != people or burst.decrypted != people:
                    raise Failed(f"{burst.decided} of {people} decided, {burst.decrypted} decrypted")
                found.append(burst)
    return bursts, rates


def _past_the_limit(people: int, rounds: int, seconds: int) -> list[Measure]:
    ratios, opened = [], []
    with Rig(people, direction="3cx-to-teams") as rig:
        everybody = People(people)
        Burst(rig, everybody.change(), 20)
        for _ in range(rounds):
            rate = openssl_rate(seconds)
            items = everybody.change_often()
            burst = Burst(rig, items, 20)
            ratios.append(len(items) / burst.took_s / rate)
            opened.append(burst.decrypted / len(items))
    what = "items a second / openssl, 5 changes each and a fifth strangers"
    return [
        median_of(5, what, ratios, goal=2.5, most=False),
        median_of(5, "… share of the items that had to be decrypted", opened),
    ]


def _with_writes(people: int, rounds: int) -> list[Measure]:
    """Everybody changes at once, and 3CX is read, written and read back for each of them."""
    slowest, lasts, shares = [], [], []
    requests = -(-people // 20)
    with Rig(people, cores=CORES) as rig:
        everybody = People(people)
        Burst(rig, everybody.change(), 20, requests)
        for _ in range(rounds):
            burst = Burst(rig, everybody.change(), 20, requests)
            writes = [at for at, what, _ in burst.arrivals if what == "write status"]
            if len(writes) != people:
                raise Failed(f"{len(writes)} writes for {people} people")
            slowest.append(burst.slowest_answer_s * 1000)
            lasts.append((max(writes) - burst.began) / burst.rsa_s)
            shares.append(burst.rsa_share)
    what = f"burst of {people} items in {requests} requests: "
    return [
        median_of(9, what + "slowest 202", slowest, goal=30.0, unit="ms", prototype="8-29"),
        median_of(9, what + "last write / RSA alone", lasts, goal=1.3, prototype="1.35"),
        median_of(9, "… RSA share where each item leads to three requests to 3CX", shares),
    ]
