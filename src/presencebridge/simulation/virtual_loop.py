"""An event loop without a clock of its own: when nothing is ready, its time jumps to the next timer.

It has no sockets and no threads, so the order of everything follows from what was asked for. looptime does
the like for tests, as a plugin of pytest on top of the real loop; this one runs without pytest, counts its
steps, and something can be done between any two of them.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor, Future
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

_numbers: Final[Iterator[int]] = itertools.count()


class NothingLeft(RuntimeError):
    """Nobody waits for a time, and nobody is ready: the loop would stand still for ever."""


class _Selector:
    """Waits by moving the time on."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise NothingLeft("everybody waits for somebody else")
        self._loop.passes(timeout)
        return []


class _Task(asyncio.Task[Any]):
    """A task whose place in a set follows from the order of its making, and not from its address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._number = next(_numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


_process: Final[ContextVar["Process"]] = ContextVar("process")


class Process:
    """Whatever was begun in one of its contexts, and in the tasks that come of it.

    It can be stopped as by SIGSTOP, between any two steps of any of them, and go on later. Time goes on.
    """

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._held: list[asyncio.Handle] = []
        self.is_stopped = False

    def context(self) -> Context:
        context = Context()
        context.run(_process.set, self)
        return context

    def stop(self) -> None:
        self.is_stopped = True

    def go_on(self) -> None:
        """With all that came meanwhile, in the order in which it came."""
        self.is_stopped = False
        held, self._held = self._held, []
        self._loop.do_soon(held)

    def hold(self, handle: asyncio.Handle) -> None:
        self._held.append(handle)


def _is_held(handle: Any) -> bool:
    """Whether it is to run in a process that is stopped; then it waits there."""
    process = handle._context.get(_process)  # noqa: SLF001 - its own class asks
    if process is None or not process.is_stopped:
        return False
    process.hold(handle)
    return True


class _Handle(asyncio.Handle):
    def _run(self) -> None:
        if not _is_held(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self) -> None:
        if not _is_held(self):
            super()._run()


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is the virtual time in seconds, from 0; `steps` is how often the loop has gone round."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._selector = _Selector(self)
        self._at_step: dict[int, list[Callable[[], None]]] = {}
        self.steps = 0
        self.set_debug(False)
        self.set_task_factory(_task)

    def time(self) -> float:
        return self._time

    def passes(self, seconds: float) -> None:
        """One round is over, and so much time has passed with it."""
        self._time += seconds
        self.steps += 1
        for act in self._at_step.pop(self.steps, ()):
            act()

    def after_steps(self, count: int, act: Callable[[], None]) -> None:
        """Do something when the loop has gone round `count` more times: between two steps of every task."""
        self._at_step.setdefault(self.steps + max(1, count), []).append(act)

    def jump(self, seconds: float) -> None:
        """So much time passes at once, as for a machine that was asleep."""
        self._time += seconds

    def do_soon(self, handles: list[asyncio.Handle]) -> None:
        """Whatever of it was not cancelled meanwhile."""
        self._ready.extend(handles)

    def _call_soon(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001 - as the loop's own does
        return timer

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """There are no threads."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], T], *args: *_Ts
    ) -> asyncio.Future[T]:
        """What would go to a thread is done at once."""
        return super().run_in_executor(executor or InlineWorkers(), func, *args)

    def _process_events(self, event_list: list[Any]) -> None:
        pass


def _task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **kwargs: Any,
) -> asyncio.Task[Any]:
    return _Task(work, loop=loop, **kwargs)


class InlineWorkers(Executor):
    """Does at once what it is given."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
            done.set_exception(error)
        return done


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end on a virtual loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
