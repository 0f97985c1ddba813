"""Rows 14 and 15, in this process: a forged notification beyond its receipt, and a step of the core."""

import datetime as dt
import statistics
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

from measure import Measure
from notices import APP, BUSY, TENANT, Sealer, SignIn, body, user_id

from presencebridge.core.events import (
    LegsSeen,
    PresenceSeen,
    PresenceWritten,
    Source,
    Started,
    StatusSeen,
    StatusWritten,
)
from presencebridge.core.machine import step
from presencebridge.core.model import LegState, Presence, State
from presencebridge.core.policy import SEED
from presencebridge.graph import notices
from presencebridge.graph.keys import make_key
from presencebridge.graph.receiver import NoticeReceiver, Watched
from presencebridge.graph.signing_keys import parse_keys


def measure(*, quick: bool) -> list[Measure]:
    return [*_forged(20 if quick else 400), *_step(2_000 if quick else 40_000)]


class _Keys:
    def __init__(self, keys: dict[str, Any]) -> None:
        self._keys = keys
        self.known = keys

    def private_keys(self) -> dict[str, Any]:
        return self._keys


def _forged(rounds: int) -> list[Measure]:
    """In turn with the RSA operation itself, so that both have the same weather."""
    made, sign_in = make_key(dt.datetime.now(dt.UTC)), SignIn()
    token, sealer = sign_in.token(), Sealer("ours", "secret", made.certificate, made.id)
    watched = Watched()
    watched.client_states["ours"], watched.people = "secret", frozenset({user_id(1)})
    signing: Any = _Keys(parse_keys(sign_in.keys()))
    keys: Any = _Keys({made.id: made.key})
    trust = (APP, TENANT, ("https://login.microsoftonline.com",))
    receiver = NoticeReceiver(trust, watched, keys, signing, None, time.time)
    forged = body([sealer.item(1, BUSY, client_state="a guess")], token)
    known = receiver._trust()
    known.good_tokens[token] = time.time() + 3600  # type: ignore[index]
    content = notices._decode(body([sealer.item(1, BUSY)], token)).value[0].encrypted_content
    assert content is not None  # noqa: S101

    def repeated() -> None:
        if not notices.are_known((token,), known, time.time()):
            raise AssertionError

    rsa = _cpu_s(lambda: notices.decrypt(content, made.key), 1)
    shares: dict[str, list[float]] = {"client state": [], "token": []}
    for _ in range(rounds):
        rsa = _cpu_s(lambda: notices.decrypt(content, made.key), 5)
        shares["client state"].append(_cpu_s(lambda: receiver.offer(forged), 50) / rsa * 100)
        shares["token"].append(_cpu_s(repeated, 100) / rsa * 100)
    lines = (
        ("client state", "forged POST beyond its receipt, wrong client state / an RSA operation", 3.0, "1.5"),
        ("token", "… the check of a token that comes again / an RSA operation", 1.0, "0.5"),
    )
    return [
        Measure(
            14,
            what,
            statistics.median(shares[name]),
            goal,
            unit="%",
            prototype=prototype,
            spread=_ends(shares[name]),
        )
        for name, what, goal, prototype in lines
    ]


def _cpu_s(work: Callable[[], object], times: int) -> float:
    begun = time.thread_time_ns()
    for _ in range(times):
        work()
    return (time.thread_time_ns() - begun) / times / 1e9


def _ends(values: list[float]) -> list[float]:
    return [min(values), max(values)]


def _step(count: int) -> list[Measure]:
    """A person's day, round and round: meetings notified and read, a call, what became of the writes."""
    busy, free = Presence("Busy", "InAMeeting"), Presence("Available", "Available")
    story = [
        lambda now: PresenceSeen(busy, Source.NOTIFICATION, now),
        lambda _now: StatusWritten("Available", "Away", wrote=True),
        lambda now: PresenceSeen(busy, Source.READ, now),
        lambda now: StatusSeen("Away", now),
        lambda _now: LegsSeen((LegState.CONNECTED,)),
        lambda _now: PresenceWritten(cleared=False),
        lambda _now: LegsSeen(()),
        lambda _now: PresenceWritten(cleared=True),
        lambda now: PresenceSeen(free, Source.NOTIFICATION, now),
        lambda _now: StatusWritten("Away", "Available", wrote=True),
        lambda now: PresenceSeen(free, Source.READ, now),
        lambda now: StatusSeen("Available", now),
    ]
    now, state = 1_000.0, State()
    for first in (
        Started(),
        StatusSeen("Available", now),
        LegsSeen(()),
        PresenceSeen(free, Source.READ, now),
    ):
        state, _ = step(state, first, now, SEED)
    took, said = [], 0
    for make, _ in zip(cycle(story), range(count), strict=False):
        now += 10.0
        event = make(now)
        begun = time.perf_counter_ns()
        state, commands = step(state, event, now, SEED)
        took.append((time.perf_counter_ns() - begun) / 1000)
        said += len(commands)
    if said < count / 3:
        raise AssertionError("the story is none: nothing was decided")
    spread = [sorted(took)[int(len(took) * share)] for share in (0.1, 0.9)]
    what = "a step of the core"
    return [Measure(15, what, statistics.median(took), 10.0, unit="µs", spread=spread)]
