"""Notifications on their way in: taken quickly, told in order, none of them twice, keys looked for."""

import asyncio
import contextlib

import pytest
from notice_kit import (
    ANN,
    APP,
    BEN,
    CLIENT_STATE,
    LOGIN,
    NOW,
    SUBSCRIPTION,
    TENANT,
    body,
    item,
    lifecycle,
    presence,
    rsa_key,
    sealed,
    token,
)

from presencebridge.errors import TryAgain
from presencebridge.graph import receiver
from presencebridge.graph.notices import Reject
from presencebridge.graph.receiver import NoticeReceiver, Watched

pytestmark = pytest.mark.looptime


class Keys:
    def private_keys(self) -> dict:
        return {"ours": rsa_key("ours")}


class Signing:
    """The sign-in's keys; `found` are there after a refresh."""

    def __init__(self) -> None:
        self.known: dict = {"k1": rsa_key("entra").public_key()}
        self.found: dict = {}
        self.refreshed = 0
        self.away = False

    async def keys(self) -> dict:
        if self.away:
            raise TryAgain("away")
        return self.known

    async def refresh(self) -> bool:
        self.refreshed += 1
        if self.away:
            raise TryAgain("away")
        self.known = self.known | self.found
        return bool(self.found)


class Desk:
    """A receiver and what it tells."""

    def __init__(self) -> None:
        self.watched = Watched()
        self.watched.client_states[SUBSCRIPTION] = CLIENT_STATE
        self.watched.people = frozenset({ANN, BEN})
        self.signing = Signing()
        self.receiver = NoticeReceiver(
            (APP, TENANT, (LOGIN,)), self.watched, Keys(), self.signing, None, lambda: NOW
        )
        self.told: list[tuple] = []
        self.receiver.on_presence = lambda user, shown: self.told.append((user, str(shown)))
        self.receiver.on_lifecycle = lambda subscription, event: self.told.append((subscription, event))
        self.receiver.on_reject = lambda why: self.told.append((why,))

    async def work(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.receiver.run()


def change(user: str = ANN, activity: str = "InACall", seed: int = 1) -> dict:
    return item(sealed(presence(user, "Busy", activity), data_key=bytes([seed]) * 32), user)


async def test_what_is_taken_in_is_told_in_its_order():
    desk = Desk()
    for number in range(20):
        assert desk.receiver.offer(body(change(activity=f"A{number}", seed=number)))
    await desk.work()
    assert desk.told == [(ANN, f"Busy/A{number}") for number in range(20)]


async def test_an_item_is_told_once_however_often_it_comes():
    desk = Desk()
    raw = body(change())
    for _ in range(6):
        desk.receiver.offer(raw)
    await desk.work()
    assert desk.told == [(ANN, "Busy/InACall")] + [(Reject.REPLAYED,)] * 5
    desk.receiver.offer(body(change(), tokens=[token()]))
    await desk.work()
    assert desk.told[-1] == (Reject.REPLAYED,)


async def test_what_is_not_believed_is_told_by_its_reason_and_does_no_harm():
    desk = Desk()
    for raw in (
        b"",
        b'{"value":"\xff"}',
        b'{"x":' + b"[" * 100_000,
        body(change(), tokens=None),
        body(change(BEN)),
    ):
        desk.receiver.offer(raw)
    await desk.work()
    assert desk.told == [(Reject.SHAPE,)] * 3 + [(Reject.UNSIGNED,), (BEN, "Busy/InACall")]


async def test_lifecycle_events_are_told():
    desk = Desk()
    desk.receiver.offer(body(lifecycle(), lifecycle("missed"), tokens=None))
    await desk.work()
    assert desk.told == [(SUBSCRIPTION, "reauthorizationRequired"), (SUBSCRIPTION, "missed")]


async def test_an_unknown_key_is_looked_for_and_the_notification_tried_again():
    desk = Desk()
    desk.signing.found = {"k2": rsa_key("entra").public_key()}
    desk.receiver.offer(body(change(), tokens=[token(kid="k2")]))
    await desk.work()
    assert desk.told == [(ANN, "Busy/InACall")]


async def test_a_key_that_is_nowhere_is_not_looked_for_in_a_circle():
    desk = Desk()
    desk.receiver.offer(body(change(), tokens=[token(kid="k2")]))
    await desk.work()
    assert desk.told == [(Reject.KEY,)]
    assert desk.signing.refreshed == 1


async def test_a_sign_in_that_is_away_costs_the_notification_and_nothing_else():
    desk = Desk()
    desk.signing.away, desk.signing.found, desk.signing.known = True, desk.signing.known, {}
    desk.receiver.offer(body(change()))
    await desk.work()
    assert desk.told == [(Reject.KEY,)]
    desk.signing.away = False
    desk.receiver.offer(body(change()))
    await desk.work()
    assert desk.told[-1] == (ANN, "Busy/InACall")


async def test_a_sign_in_that_hangs_does_not_hold_up_who_is_known():
    desk = Desk()

    async def hang() -> dict:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    desk.signing.keys = hang
    desk.receiver.offer(body(change()))
    await desk.work()
    assert desk.told == [(ANN, "Busy/InACall")]


async def test_what_nobody_thought_of_costs_one_body_and_one_line(monkeypatch):
    desk = Desk()
    real = receiver.understand

    def stumble(raw: bytes, *rest: object) -> object:
        if raw == b"odd":
            raise ZeroDivisionError
        return real(raw, *rest)

    monkeypatch.setattr(receiver, "understand", stumble)
    lines = []
    monkeypatch.setattr(receiver._log, "exception", lambda *line, **_: lines.append(line))
    for raw in (b"odd", b"odd", body(change())):
        desk.receiver.offer(raw)
    await desk.work()
    assert desk.told == [(Reject.SHAPE,), (Reject.SHAPE,), (ANN, "Busy/InACall")]
    assert len(lines) == 1


async def test_who_comes_when_too_many_wait_is_sent_away_by_number_and_by_size():
    desk = Desk()
    assert sum(desk.receiver.offer(b"x") for _ in range(3000)) == 2000
    await desk.work()
    large = b"x" * 4_000_000
    assert sum(desk.receiver.offer(large) for _ in range(100)) == 16
    await desk.work()
    assert desk.receiver.offer(large)
