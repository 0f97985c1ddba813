"""An emulator's clock: the real one, plus whatever a test has advanced it by.

Lifetimes (presence sessions, subscriptions, tokens, retries) are counted by `now()`. What is
*written on the wire* (JWT times, expiry dates, Date headers) is in `base()` time, which nobody
advances, so that a client on the real clock always reads the true time that is left.
"""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """Time as the emulator lives it. Without a base it is the wall clock, plus the offset."""

    def __init__(self, base: Callable[[], float] | None = None) -> None:
        self._base = base or time.time  # noqa: TID251 - this is the emulators' Clock port itself
        self._offset = 0.0
        self._moved = asyncio.Event()

    @classmethod
    def of_loop(cls, start: float = 1_800_000_000.0) -> "Clock":
        """A clock that follows the running event loop: what a virtual loop (looptime) wants."""
        return cls(lambda: start + asyncio.get_running_loop().time())

    def base(self) -> float:
        """Epoch seconds as they are outside, never advanced."""
        return self._base()

    def now(self) -> float:
        """Epoch seconds as the emulator counts them."""
        return self._base() + self._offset

    def shown(self, moment: float) -> float:
        """A moment of `now()` time as a client on the base clock should read it."""
        return moment - self._offset

    def meant(self, moment: float) -> float:
        """A moment that a client wrote in base time, in `now()` time."""
        return moment + self._offset

    def advance(self, seconds: float) -> None:
        """Moves `now()` ahead and wakes whoever waits. Raises `ValueError` on a step back."""
        if not seconds >= 0:
            raise ValueError("the clock can't go back: advance it by 0 or more seconds")
        self._offset += seconds
        self.nudge()

    def nudge(self) -> None:
        """Wakes whoever waits, to look again at what is due."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, until: float | None) -> None:
        """Returns at that moment, or earlier at a nudge or an advance. None: only then."""
        if until is None:
            await self._moved.wait()
            return
        if (left := until - self.now()) <= 0:
            return
        try:
            # Not under a millisecond: a rounding rest must not become a busy loop.
            async with asyncio.timeout(max(left, 0.001)):
                await self._moved.wait()
        except TimeoutError:
            pass

    async def sleep_until(self, moment: float) -> None:
        """Returns once `now()` has reached that moment, by waiting or by an advance."""
        while self.now() < moment:
            await self.wait(moment)
