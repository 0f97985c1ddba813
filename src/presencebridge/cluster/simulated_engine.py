"""The engine of a simulation: it keeps what a real one promises, and is as bad as one may be in all else.

Writes have one order, and what was acknowledged stays. But every way there and back takes its time, an answer
may be lost after the write was carried out, reads may be old, nudges get lost or come twice, and a node may
be cut off. All of it follows from the dice, in virtual time.
"""

import asyncio
import bisect
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import Context
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from presencebridge.cluster.engine import EngineError, Entry, Fence, Message, Stale

_T = TypeVar("_T")

_WITHIN_S: Final = 3.0
_QUICK_S: Final = (0.0003, 0.003)


class World:
    """What all nodes see, and what is wrong with it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.sequence = 0
        self.values: dict[str, Entry] = {}
        self.refused: list[tuple[str, Fence]] = []
        """Writes with a fence that did not hold: who tried."""
        self.on_written: Callable[[str, Fence, Mapping[str, bytes]], None] = lambda _who, _fence, _what: None
        self.on_put: Callable[[str, str, bytes], None] = lambda _who, _key, _value: None
        """Called with what is written without a fence: records of nodes and owners."""
        self.context = Context()
        """Of what goes on here, and not in a node."""
        self._history: list[tuple[float, int, dict[str, Entry]]] = []
        self._messages: dict[str, list[Message]] = {}
        self._ids: set[str] = set()
        self._listeners: dict[str, list[tuple[SimulatedEngine, Callable[[int], None]]]] = {}
        self.is_down = False
        """No leader: nobody is answered."""
        self.answers_lost = 0.0
        """Share of the writes that are carried out and not acknowledged."""
        self.slow_s = 0.0
        """How much later requests may arrive: after more than 3 s their sender has given up."""
        self.stale_s = 0.0
        """How old a reading may be."""
        self.nudges_lost = 0.0
        self.messages_doubled = 0.0
        """Share of the messages that are kept twice: their second copy came too late to be known again."""

    def takes_s(self) -> float:
        """One way, there or back; mostly quick, also while it is slow."""
        slow = self.slow_s * self.dice.random() if self.dice.random() < 0.5 else 0.0
        return self.dice.uniform(*_QUICK_S) + slow

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def reading(self) -> dict[str, Entry]:
        """The values, or what they were a while ago."""
        if self.stale_s and self.dice.random() < 0.5:
            since = self.now() - self.dice.uniform(0, self.stale_s)
            place = bisect.bisect_right([at for at, _, _ in self._history], since)
            if place:
                return self._history[place - 1][2]
        return self.values

    def put(self, changes: Mapping[str, bytes]) -> int:
        self.sequence += 1
        values = dict(self.values)
        for key, value in changes.items():
            values[key] = Entry(key, value, self.sequence)
        self.values = values
        self._history.append((self.now(), self.sequence, values))
        del self._history[:-200]
        return self.sequence

    def revision(self, key: str) -> int:
        return self.values[key].revision if key in self.values else 0

    def holds(self, fence: Fence) -> bool:
        return self.revision(fence.key) == fence.revision

    def keep(self, subject: str, body: bytes, message_id: str) -> int:
        if message_id not in self._ids:
            self._ids.add(message_id)
            self.sequence += 1
            self._messages.setdefault(subject, []).append(Message(self.sequence, body))
            if self.messages_doubled and self.dice.random() < self.messages_doubled:
                self.sequence += 1
                self._messages[subject].append(Message(self.sequence, body))
        return self.sequence

    def messages(self, subject: str, after: int, most: int) -> list[Message]:
        return [one for one in self._messages.get(subject, []) if one.sequence > after][:most]

    def nudge(self, subject: str, number: int) -> None:
        for engine, on_nudge in self._listeners.get(subject, []):
            for _ in range(2 if self.dice.random() < 0.1 else 1):
                if not engine.is_cut_off and self.dice.random() >= self.nudges_lost:
                    delay = self.dice.uniform(*_QUICK_S) + self.dice.random() * self.slow_s
                    loop = asyncio.get_running_loop()
                    loop.call_later(delay, on_nudge, number, context=self.context)

    @contextlib.asynccontextmanager
    async def listening(
        self, subject: str, engine: "SimulatedEngine", on_nudge: Callable[[int], None]
    ) -> AsyncIterator[None]:
        listeners = self._listeners.setdefault(subject, [])
        listeners.append((engine, on_nudge))
        try:
            yield
        finally:
            listeners.remove((engine, on_nudge))


class SimulatedEngine:
    """One node's way to it. `alive` False: the node is dead, and hears and sends nothing any more."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name
        self.is_cut_off = False
        self.alive = True
        self.is_over = False
        """Once dead, what there is left of the node is to end."""
        self.thaws_at = 0.0
        """Until then the node is frozen: what it waits for does not come."""

    async def get(self, key: str) -> Entry | None:
        found = await self._read(lambda: self._world.reading().get(key))
        return found if found and found.value else None

    async def put(self, key: str, value: bytes, expected: int) -> int:
        def carry_out() -> int:
            if self._world.revision(key) != expected:
                raise Stale(f"{key} has changed meanwhile")
            self._world.on_put(self._name, key, value)
            return self._world.put({key: value})

        return await self._written(carry_out)

    async def write(self, fence: Fence, changes: Mapping[str, bytes]) -> None:
        def carry_out() -> int:
            if not self._world.holds(fence):
                self._world.refused.append((self._name, fence))
                raise Stale("the site has another owner")
            self._world.on_written(self._name, fence, changes)
            return self._world.put(changes)

        await self._written(carry_out)

    async def under(self, prefix: str, at_least: int = 0) -> dict[str, Entry]:
        pattern = prefix + "*" if prefix.endswith(".") else prefix
        while True:
            read = await self._read(self._world.reading)
            found = {key: entry for key, entry in read.items() if fnmatchcase(key, pattern)}
            if max((entry.revision for entry in found.values()), default=0) >= at_least:
                return {key: entry for key, entry in found.items() if entry.value}
            await asyncio.sleep(0.02)

    async def publish(self, subject: str, body: bytes, message_id: str) -> int:
        return await self._written(lambda: self._world.keep(subject, body, message_id))

    async def messages(self, subject: str, after: int, most: int) -> Sequence[Message]:
        return await self._read(lambda: self._world.messages(subject, after, most))

    async def nudge(self, subject: str, number: int = 0) -> None:
        if not self.is_cut_off and self.alive:
            self._world.nudge(subject, number)

    def listening(
        self, subject: str, on_nudge: Callable[[int], None]
    ) -> contextlib.AbstractAsyncContextManager[None]:
        return self._world.listening(subject, self, on_nudge)

    # The way there and back

    async def _written(self, carry_out: Callable[[], int]) -> int:
        """A write that has left arrives, also if its sender gives up or dies meanwhile."""
        world = self._world
        late = world.takes_s() + (world.slow_s * 6 if world.dice.random() < 0.1 else 0)

        def lost() -> bool:
            return world.dice.random() < world.answers_lost or self.is_cut_off

        return await self._asked(carry_out, late, lost)

    async def _read(self, look: Callable[[], _T]) -> _T:
        """It shows what was so when the question arrived, however late the answer is heard."""
        return await self._asked(look, self._world.takes_s(), lambda: self.is_cut_off)

    async def _asked(self, carry_out: Callable[[], _T], late_s: float, is_lost: Callable[[], bool]) -> _T:
        world, loop = self._world, asyncio.get_running_loop()
        await self._dead_or_cut_off()
        answer: asyncio.Future[_T] = loop.create_future()

        def arrives() -> None:
            if world.is_down:
                return
            tell: Callable[[], None]
            try:
                tell = functools.partial(_settle, answer, carry_out())
            except Stale as error:
                tell = functools.partial(_fail, answer, error)
            if not is_lost():
                loop.call_later(world.takes_s(), tell)

        # What has left is no business of the node's any more: it arrives also while that is stopped.
        loop.call_later(late_s, arrives, context=world.context)
        try:
            async with asyncio.timeout(_WITHIN_S):
                result = await answer
        except TimeoutError as error:
            raise EngineError("no answer") from error
        await self._frozen_or_dead()
        return result

    async def _frozen_or_dead(self) -> None:
        while self.alive and self.thaws_at > self._world.now():
            await asyncio.sleep(self.thaws_at - self._world.now())
        if not self.alive:
            if self.is_over:
                raise EngineError("it is over")
            await asyncio.get_running_loop().create_future()

    async def _dead_or_cut_off(self) -> None:
        await self._frozen_or_dead()
        if self.is_cut_off:
            await asyncio.sleep(_WITHIN_S)
            raise EngineError("no answer")


def _settle(answer: "asyncio.Future[_T]", result: _T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[_T]", error: OSError) -> None:
    if not answer.done():
        answer.set_exception(error)
