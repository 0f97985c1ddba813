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
from presencebridge.graph import notices, receiver
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
        self.receiver.on_superseded = lambda count: self.told.append(("superseded", count))
        self.receiver.on_reject = lambda why: self.told.append((why,))

    async def work(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.receiver.run()


def change(user: str = ANN, activity: str = "InACall", seed: int = 1) -> dict:
    return item(sealed(presence(user, "Busy", activity), data_key=bytes([seed]) * 32), user)


async def test_what_is_taken_in_is_told_in_its_order():
    desk = Desk()
    users = [f"00000000-0000-4000-8000-{number:012x}" for number in range(50)]
    desk.watched.people = frozenset(users)
    for number, user in enumerate(users):
        assert desk.receiver.offer(body(change(user, seed=number)))
    await desk.work()
    assert desk.told == [(user, "Busy/InACall") for user in users]


async def test_of_several_items_that_wait_for_one_person_only_the_newest_is_opened(monkeypatch):
    desk = Desk()
    opened = []
    real = notices.decrypt
    monkeypatch.setattr(notices, "decrypt", lambda content, key: opened.append(content) or real(content, key))
    for number in range(5):
        desk.receiver.offer(
            body(change(activity=f"A{number}", seed=number), change(BEN, f"B{number}", 9 + number))
        )
    await desk.work()
    assert desk.told == [("superseded", 4), (ANN, "Busy/A4"), ("superseded", 4), (BEN, "Busy/B4")]
    assert len(opened) == 2
    desk.receiver.offer(body(change(activity="A5", seed=5)))
    await desk.work()
    assert desk.told[-1] == (ANN, "Busy/A5")


async def test_how_long_a_person_waited_to_be_understood_is_told_once_for_all_their_items():
    desk, now, waited = Desk(), [NOW], []
    desk.receiver._now = lambda: now[0]
    desk.receiver.offer(body(change(BEN, seed=9)))
    await desk.work()  # the sender's token is known from here on
    desk.receiver.on_opened = waited.append
    desk.receiver.offer(body(change(activity="A0", seed=0)))
    now[0] += 0.25
    desk.receiver.offer(body(change(activity="A1", seed=1), change(BEN, seed=2)))
    now[0] += 0.5
    await desk.work()
    assert waited == [0.75, 0.5]


async def test_a_forged_item_takes_nobodys_place():
    desk = Desk()
    forged = change(activity="A2", seed=2)
    forged["encryptedContent"]["dataKey"] = forged["encryptedContent"]["data"]
    desk.receiver.offer(body(change(activity="A0", seed=0)))
    desk.receiver.offer(body(change(activity="A1", seed=1), forged))
    await desk.work()
    assert desk.told == [(Reject.DATA_KEY,), ("superseded", 1), (ANN, "Busy/A1")]


async def test_two_workers_never_work_on_the_same_person():
    desk = Desk()
    at_work, gates = [], []

    async def slowly(work, groups, trust):
        users = [group[0].resource_data.id for group in groups]
        assert not set(users) & set(at_work)
        at_work.extend(users)
        gates.append(asyncio.Event())
        await gates[-1].wait()
        for user in users:
            at_work.remove(user)
        return work(groups, trust)

    async def at_once(work, *rest):
        return await slowly(work, *rest) if isinstance(rest[0], list) else work(*rest)

    desk.receiver._do = at_once
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desk.receiver.run())
        for number in range(3):
            desk.receiver.offer(body(change(activity=f"A{number}", seed=number)))
            await asyncio.sleep(0.01)
        desk.receiver.offer(body(change(BEN, "B0", 9)))
        await asyncio.sleep(0.01)
        assert sorted(at_work) == [ANN, BEN], "one is not held up by the other"
        while len(desk.told) < 4:
            for gate in gates:
                gate.set()
            await asyncio.sleep(0.01)
        running.cancel()
    assert [told for told in desk.told if told[0] == ANN] == [(ANN, "Busy/A0"), (ANN, "Busy/A2")]


async def test_an_item_is_told_once_however_often_it_comes():
    desk = Desk()
    raw = body(change())
    for _ in range(6):
        desk.receiver.offer(raw)
    await desk.work()
    assert desk.told == [(Reject.REPLAYED,)] * 5 + [(ANN, "Busy/InACall")]
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
    real = receiver.sort_out

    def stumble(raw: bytes, *rest: object) -> object:
        if raw == b"odd":
            raise ZeroDivisionError
        return real(raw, *rest)

    monkeypatch.setattr(receiver, "sort_out", stumble)
    lines = []
    monkeypatch.setattr(receiver._log, "exception", lambda *line, **_: lines.append(line))
    for raw in (b"odd", b"odd", body(change())):
        desk.receiver.offer(raw)
    await desk.work()
    assert desk.told == [(Reject.SHAPE,), (Reject.SHAPE,), (ANN, "Busy/InACall")]
    assert len(lines) == 1


async def test_what_nobody_thought_of_in_an_item_costs_that_item(monkeypatch):
    desk = Desk()
    real = receiver.open_newest

    def stumble(items, trust):
        if items[0].resource_data.id == BEN:
            raise ZeroDivisionError
        return real(items, trust)

    monkeypatch.setattr(receiver, "open_newest", stumble)
    monkeypatch.setattr(receiver._log, "exception", lambda *_line, **_more: None)
    desk.receiver.offer(body(change(BEN, seed=1), change(seed=2)))
    await desk.work()
    assert sorted(desk.told) == [(ANN, "Busy/InACall"), (Reject.CONTENT,)]


async def test_who_comes_when_too_many_wait_is_sent_away_by_number_and_by_size(monkeypatch):
    desk = Desk()
    monkeypatch.setattr(receiver, "_MOST_WAITING", 20)
    bodies = [body(change(seed=number)) for number in range(30)]
    assert [desk.receiver.offer(raw) for raw in bodies] == [True] * 20 + [False] * 10
    await desk.work()
    assert desk.receiver.offer(bodies[-1])
    await desk.work()
    monkeypatch.undo()
    desk.receiver.most_bytes_waiting = 9_000
    more = [body(change(seed=number)) for number in range(100, 130)]
    taken = [desk.receiver.offer(raw) for raw in more]
    assert 5 < taken.index(False) < 29
    await desk.work()
    assert desk.receiver.offer(more[-1])
    assert desk.receiver.offer(b"x" * 8_000), "what does not wait takes no room"


async def test_unproven_senders_take_room_too(monkeypatch):
    desk = Desk()
    monkeypatch.setattr(receiver, "_MOST_WAITING", 5)
    mine = [body(change(seed=number), tokens=[token(kid=f"unknown-{number}")]) for number in range(9)]
    assert [desk.receiver.offer(raw) for raw in mine] == [True] * 5 + [False] * 4
    await desk.work()
    assert desk.told == [(Reject.KEY,)] * 5
    assert desk.receiver.offer(mine[-1])
