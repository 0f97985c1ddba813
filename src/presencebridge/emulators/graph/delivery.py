"""Delivers notifications: batches, retries, and what becomes of an endpoint that is slow.

learn.microsoft.com/graph/change-notifications-delivery-webhooks: 2xx within 3 s is delivered; otherwise
retried with exponential backoff for up to 4 h, each retry with 10 s. An endpoint with more than 10 % of
its answers over 3 s in 10 minutes is slow (new notifications go 10 minutes later), with more than 15 %
over 10 s they are dropped for 10 minutes.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph.background import Background
from presencebridge.emulators.graph.faults import NotificationFaults, happens
from presencebridge.emulators.graph.outgoing import Outcome, Outgoing

FIRST_LIMIT_S, RETRY_LIMIT_S = 3.0, 10.0
RETRY_FOR_S = 4 * 3600.0
BACKOFF_FIRST_S, BACKOFF_MOST_S = 10.0, 1800.0  # not documented: doubled from the first to the most
WINDOW_S = 600.0
ITEMS_AT_MOST = 100  # not documented
_KEPT = 1000


class Parcel(msgspec.Struct, frozen=True):
    """One item on its way. `audience` is set when the POST must carry a validation token."""

    url: str
    item: dict[str, Any]
    subscription_id: str
    audience: str | None = None
    kind: str = "change"


class Sent(msgspec.Struct):
    """A POST that was made, for the control port."""

    url: str
    body: bytes
    subscription_ids: tuple[str, ...]
    time: float
    statuses: list[int | None]


class Endpoint:
    """How fast a host answers, and what that means for it."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, float]] = deque()
        self._dropped_until = 0.0

    def answered(self, now: float, seconds: float) -> None:
        self._answers.append((now, seconds))

    def state(self, now: float, at_least: int) -> str:
        """`normal`, `slow` or `drop`."""
        if now < self._dropped_until:
            return "drop"
        while self._answers and self._answers[0][0] <= now - WINDOW_S:
            self._answers.popleft()
        total = len(self._answers)
        if total < max(1, at_least):
            return "normal"
        if self._share(RETRY_LIMIT_S) > 0.15:
            self._dropped_until = now + WINDOW_S
            self._answers.clear()  # tested anew after the window
            return "drop"
        return "slow" if self._share(FIRST_LIMIT_S) > 0.10 else "normal"

    def _share(self, limit_s: float) -> float:
        # A request that was given up at its limit took that long at least.
        return sum(seconds >= limit_s for _, seconds in self._answers) / len(self._answers)


class Delivery:
    """One lane for each address and kind: first attempts keep their order, retries go on their own."""

    def __init__(
        self,
        clock: Clock,
        outgoing: Outgoing,
        chance: random.Random,
        faults: Callable[[], NotificationFaults],
        token: Callable[[str], str],
        is_wanted: Callable[[str], bool],
    ) -> None:
        self._clock = clock
        self._outgoing = outgoing
        self._chance = chance
        self._faults = faults
        self._token = token
        self._is_wanted = is_wanted
        self._lanes: dict[tuple[str, str], list[tuple[float, int, Parcel]]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._count = 0
        self._tasks: Background | None = None
        self.sent: deque[Sent] = deque(maxlen=_KEPT)

    def start(self, tasks: Background) -> None:
        self._tasks = tasks

    def stop(self) -> None:
        self._tasks = None

    def send(self, parcel: Parcel) -> None:
        """Takes a parcel. Before the emulator runs, there is nobody to deliver it and it is lost."""
        faults = self._faults()
        now = self._clock.now()
        state = self._endpoint(parcel.url).state(now, faults.slow_after)
        if self._tasks is None or state == "drop" or happens(faults.drop, self._chance):
            return
        due = now + faults.delay_s + faults.batch_s + (WINDOW_S if state == "slow" else 0)
        if happens(faults.reorder, self._chance):
            due += faults.reorder_s
        self._count += 1
        lane = (parcel.kind, parcel.url)
        waiting = self._lanes.get(lane)
        if waiting is None:
            waiting = self._lanes[lane] = []
            self._tasks.spawn(self._work(lane, waiting))
        heapq.heappush(waiting, (due, self._count, parcel))
        self._clock.nudge()

    async def replay(self, count: int) -> int:
        """Posts the last bodies again, byte for byte, oldest first."""
        again = list(self.sent)[-count:] if count > 0 else []
        for sent in again:
            await self._post(sent, FIRST_LIMIT_S)
        return len(again)

    def endpoint_states(self) -> dict[str, str]:
        now, at_least = self._clock.now(), self._faults().slow_after
        return {host: endpoint.state(now, at_least) for host, endpoint in self._endpoints.items()}

    async def _work(self, lane: tuple[str, str], waiting: list[tuple[float, int, Parcel]]) -> None:
        while waiting:
            await self._clock.wait(waiting[0][0])
            await asyncio.sleep(0)  # what happens in the same turn of the loop rides along
            now, ahead = self._clock.now(), self._faults().batch_s
            batch: list[Parcel] = []
            if waiting[0][0] > now:
                continue
            while waiting and waiting[0][0] <= now + ahead and len(batch) < ITEMS_AT_MOST:
                batch.append(heapq.heappop(waiting)[2])
            if batch:
                await self._deliver(batch)
        # No await between the last look at `waiting` and this line: nothing can be lost.
        del self._lanes[lane]

    async def _deliver(self, batch: list[Parcel]) -> None:
        ids = tuple(dict.fromkeys(parcel.subscription_id for parcel in batch))
        sent = Sent(batch[0].url, self._body(batch), ids, self._clock.base(), [])
        self.sent.append(sent)
        begun = self._clock.now()
        outcome = await self._post(sent, FIRST_LIMIT_S)
        if happens(self._faults().duplicate, self._chance):
            await self._post(sent, FIRST_LIMIT_S)
        if not outcome.delivered and self._tasks:
            self._tasks.spawn(self._retry(sent, begun))

    async def _retry(self, sent: Sent, begun: float) -> None:
        pause = BACKOFF_FIRST_S
        while True:
            due = self._clock.now() + pause
            if due > begun + RETRY_FOR_S:
                return
            await self._clock.sleep_until(due)
            if not any(self._is_wanted(subscription_id) for subscription_id in sent.subscription_ids):
                return
            if (await self._post(sent, RETRY_LIMIT_S)).delivered:
                return
            pause = min(2 * pause, BACKOFF_MOST_S)

    async def _post(self, sent: Sent, limit_s: float) -> Outcome:
        outcome = await self._outgoing.post(sent.url, sent.body, limit_s)
        self._endpoint(sent.url).answered(self._clock.now(), outcome.seconds)
        sent.statuses.append(outcome.status)
        return outcome

    def _body(self, batch: list[Parcel]) -> bytes:
        body: dict[str, Any] = {"value": [parcel.item for parcel in batch]}
        audiences = dict.fromkeys(parcel.audience for parcel in batch if parcel.audience)
        if audiences:
            is_null = self._faults().validation_tokens_null
            body["validationTokens"] = None if is_null else [self._token(audience) for audience in audiences]
        return msgspec.json.encode(body)

    def _endpoint(self, url: str) -> Endpoint:
        return self._endpoints.setdefault(urlsplit(url).netloc, Endpoint())
