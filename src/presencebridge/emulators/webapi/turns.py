"""The bridge's only thread: requests are worked on one at a time, in the order in which they came.

It runs on timers of the event loop, not in a task, and not in the tasks of those who ask: what is
waiting is done also when its client has given up, as with the real bridge, which reads a request from
its queue and acts on it before it could notice that nobody listens any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from presencebridge.emulators.webapi.steps import Blocked, Request, Step

Work = Callable[[], Step]
Outcome = asyncio.Future[Step]


class Turns:
    """`work` decides on a request at its turn; `delay` is how long each turn takes beforehand."""

    def __init__(
        self, work: Callable[[Request], Step], say: Callable[[str], None], delay: Callable[[], float]
    ) -> None:
        self._work = work
        self._say = say
        self._delay = delay
        self._queue: deque[tuple[Request, Outcome]] = deque()
        self._busy = False

    def take(self, request: Request) -> Outcome:
        """Queues a request; what becomes of it is the future's result."""
        outcome: Outcome = asyncio.get_running_loop().create_future()
        self._queue.append((request, outcome))
        if not self._busy:
            self._next()
        return outcome

    def _next(self) -> None:
        self._busy = bool(self._queue)
        if self._busy:
            request, outcome = self._queue.popleft()
            self._later(self._delay(), partial(self._go_on, partial(self._work, request), outcome))

    def _go_on(self, work: Work, outcome: Outcome) -> None:
        try:
            step = work()
            for line in step.lines:
                self._say(line)
        except Exception as error:  # noqa: BLE001 - a fault of ours is told to the one who asked
            _settle(outcome, error)
        else:
            if isinstance(step, Blocked):
                self._later(step.seconds, partial(self._go_on, step.then, outcome))
                return
            _settle(outcome, step)
        asyncio.get_running_loop().call_soon(self._next)

    @staticmethod
    def _later(seconds: float, act: Callable[[], None]) -> None:
        if seconds > 0:
            asyncio.get_running_loop().call_later(seconds, act)
        else:
            act()


def _settle(outcome: Outcome, result: Step | Exception) -> None:
    if outcome.done():
        return  # the client is gone
    if isinstance(result, Exception):
        outcome.set_exception(result)
    else:
        outcome.set_result(result)
