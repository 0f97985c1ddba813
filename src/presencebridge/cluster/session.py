"""A node's lease. One renewal renews all its sites, so its cost does not grow with their number.

Who may act: a node whose last renewal *left* less than the lease minus a margin ago. Who may end another's
lease: a node that has seen no change of it for the whole lease, by its own clock, from when it saw the last
one; and only by a write that is refused if the other has renewed meanwhile. So between the last act of the
one and the first of the next lies the margin, whatever was delayed; it takes clocks that run at the same
rate, not clocks that agree.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from presencebridge.cluster.engine import Engine, EngineError, Entry, Stale
from presencebridge.cluster.records import ALL_NODES, NodeRecord, node_in, node_key

_log = structlog.get_logger()

MARGIN: Final = 0.25
"""Share of the lease: nothing is begun in it, and whatever is under way is cut off by its end."""
_NOT_SOONER_THAN_S: Final = 0.03
BEATS: Final = 8
"""Renewals in the time of a lease."""


class Clock:
    """Seconds that have passed, also while the machine was asleep.

    Two clocks are asked and the one that went further is believed: after a machine was frozen, some stand
    still and some jump. A jump of the wall's clock costs at most a beat in which nothing is done.
    """

    def reading(self) -> tuple[float, float]:
        boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime(boot), time.clock_gettime(time.CLOCK_REALTIME)

    def since(self, earlier: tuple[float, float]) -> float:
        return max(now - then for now, then in zip(self.reading(), earlier, strict=True))

    def generation(self) -> int:
        """A number that is larger than at the last start, as well as can be known."""
        return int(self.reading()[1])

    def pace(self) -> float:
        """For measuring others: only what surely has passed, so not the wall's clock."""
        return time.monotonic()


class Session:
    """This node's lease, and what it knows of the others'."""

    def __init__(self, engine: Engine, record: NodeRecord, clock: Clock | None = None) -> None:
        self._engine = engine
        self._record = record
        self._clock = clock or Clock()
        self._revision = 0
        self._sent = (float("-inf"), float("-inf"))
        self._others: dict[str, _Watched] = {}
        self._writing_since: float | None = None
        """Since when each of our renewals was carried out, by `pace`; None while they are not."""
        self._soon = asyncio.Event()
        self.has_looked = False
        """Whether the others are known, as far as there are any."""
        self.joined = asyncio.Event()
        self.lost = asyncio.Event()
        """Set when somebody has ended it: nothing of this incarnation counts any more."""
        self.waits_for = ""
        """What keeps it from joining, in words."""
        self.on_nodes: Callable[[], None] = lambda: None
        """Called after each look at the others."""

    @property
    def record(self) -> NodeRecord:
        return self._record

    @property
    def may_act(self) -> bool:
        return self.left_s > 0

    @property
    def left_s(self) -> float:
        """How long this node may still begin something, unless it renews."""
        if self.lost.is_set() or not self.joined.is_set():
            return 0.0
        return self._record.lease_s * (1 - MARGIN) - self._clock.since(self._sent)

    def nodes(self) -> dict[str, NodeRecord]:
        """Who is alive as far as we know, ourselves included once we have joined."""
        alive = {name: seen.record for name, seen in self._others.items() if not seen.record.ended}
        if self.joined.is_set() and not self.lost.is_set():
            alive[self._record.name] = self._record
        return alive

    async def is_over(self, name: str, generation: int) -> bool:
        """Whether a lease has certainly ended. Raises `EngineError`."""
        if name == self._record.name:
            return generation < self._record.generation  # or we could not have joined
        seen = self._others.get(name)
        if seen is not None:
            known = seen.record
            return known.generation > generation or (known.generation == generation and known.ended)
        # Never seen: if there is truly nothing, as after somebody deleted it, this makes it an end.
        ended = replace(self._record, name=name, generation=generation, ended=True)
        with contextlib.suppress(Stale):
            await self._engine.put(node_key(name), msgspec.json.encode(ended), 0)
            return True
        return False

    async def run(self) -> None:
        """Join, renew and watch the others, until cancelled or lost."""
        while not self.lost.is_set():
            begun = self._clock.pace()
            try:
                async with asyncio.timeout(self._record.lease_s / 2):
                    await self._beat()
            except (EngineError, TimeoutError):
                self._writing_since = None
            else:
                self._writing_since = self._writing_since or self._clock.pace()
            with contextlib.suppress(EngineError, TimeoutError):
                async with asyncio.timeout(self._record.lease_s / 2):
                    await self._look()
            passed = self._clock.pace() - begun
            await asyncio.sleep(_NOT_SOONER_THAN_S)
            self._soon.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, self._record.lease_s / BEATS - passed)):
                    await self._soon.wait()

    def look_soon(self) -> None:
        """Something has changed among the nodes."""
        self._soon.set()

    async def change(self, *, takes_sites: bool) -> None:
        """Say whether sites may come to us, from now on."""
        self._record = replace(self._record, takes_sites=takes_sites)
        with contextlib.suppress(EngineError):
            await self._beat()

    def has_keys(self, marks: tuple[str, ...]) -> None:
        """It is told with the next renewal."""
        self._record = replace(self._record, keys=marks)

    async def end(self) -> None:
        """Give the lease up: nobody needs to wait for it."""
        if self.joined.is_set() and not self.lost.is_set():
            self._record = replace(self._record, ended=True)
            self.lost.set()
            with contextlib.suppress(EngineError, Stale):
                await self._engine.put(
                    node_key(self._record.name), msgspec.json.encode(self._record), self._revision
                )

    # Renewing

    async def _beat(self) -> None:
        if not self.joined.is_set():
            await self._join()
            return
        self._record = record = replace(self._record, beat=self._record.beat + 1)
        sent = self._clock.reading()
        try:
            revision = await self._engine.put(
                node_key(record.name), msgspec.json.encode(record), self._revision
            )
        except Stale:
            await self._find_out()
        else:
            self._renewed(revision, sent)

    async def _join(self) -> None:
        name = self._record.name
        found = await self._engine.get(node_key(name))
        old = node_in(found.value) if found else None
        if found is not None and old is not None:
            if old.incarnation == self._record.incarnation:
                self._adopt(found, old)  # our own, of which no answer came
                return
            if not old.ended:
                self.waits_for = f"another node called {name} was there a moment ago"
                return  # `_look` ends it when it has been silent for its lease
        before = old.generation if old else 0
        self._record = replace(self._record, generation=max(before + 1, self._clock.generation()))
        sent = self._clock.reading()
        with contextlib.suppress(Stale):
            revision = await self._engine.put(
                node_key(name), msgspec.json.encode(self._record), found.revision if found else 0
            )
            self.waits_for = ""
            self._renewed(revision, sent)

    def _renewed(self, revision: int, sent: tuple[float, float]) -> None:
        self._revision, self._sent = revision, sent
        if not self.joined.is_set():
            _log.info("node joined", node=self._record.name)
            self.joined.set()
            self.on_nodes()

    async def _find_out(self) -> None:
        """A renewal was refused: it was ended, or an earlier one of ours had arrived without an answer."""
        found = await self._engine.get(node_key(self._record.name))
        old = node_in(found.value) if found else None
        if found is None or old is None or found.revision < self._revision:
            return  # an old reading
        if old.incarnation == self._record.incarnation and not old.ended:
            self._adopt(found, old)
        else:
            _log.warning("lease lost", node=self._record.name)
            self.lost.set()
            self.on_nodes()

    def _adopt(self, found: Entry, old: NodeRecord) -> None:
        # When it left is not known, so it renews nothing; the next one does.
        self._revision = found.revision
        self._record = replace(self._record, generation=old.generation)
        self.joined.set()

    # The others

    async def _look(self) -> None:
        found = await self._engine.under(ALL_NODES)
        now = self._clock.pace()
        for entry in found.values():
            record = node_in(entry.value)
            if record is None or record.incarnation == self._record.incarnation:
                continue
            seen = self._others.get(record.name)
            if seen is None or seen.revision < entry.revision:
                self._others[record.name] = _Watched(entry.revision, now, record)
            elif not record.ended and self._is_silent(seen, now):
                await self._end_other(entry, record)
        self.has_looked = True
        self.on_nodes()

    def _is_silent(self, seen: "_Watched", now: float) -> bool:
        """Whether it could have renewed: while the engine takes no writes, nobody is to blame."""
        since = max(seen.since, self._writing_since or now)
        return now - since > max(seen.record.lease_s, self._record.lease_s)

    async def _end_other(self, entry: Entry, record: NodeRecord) -> None:
        ended = replace(record, ended=True)
        try:
            revision = await self._engine.put(entry.key, msgspec.json.encode(ended), entry.revision)
        except Stale:
            self._others.pop(record.name, None)  # it is alive: its time is counted anew
        else:
            _log.warning("node ended for its silence", node=record.name)
            self._others[record.name] = _Watched(revision, self._clock.pace(), ended)


class _Watched(msgspec.Struct, frozen=True):
    revision: int
    since: float
    """When this revision was seen first, by our clock: never before it was sent."""
    record: NodeRecord
