"""The loop whose time jumps."""

import asyncio

import pytest

from presencebridge.simulation.virtual_loop import InlineWorkers, NothingLeft, Process, VirtualLoop, run


def test_time_passes_without_waiting_and_in_the_order_of_the_timers():
    told = []

    async def later(seconds: float) -> None:
        await asyncio.sleep(seconds)
        told.append((seconds, asyncio.get_running_loop().time()))

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            for seconds in (3600.0, 0.5, 86_400.0):
                tasks.create_task(later(seconds))

    run(story())
    assert told == [(0.5, 0.5), (3600.0, 3600.0), (86_400.0, 86_400.0)]


def test_who_waits_for_nobody_is_told_so():
    async def story() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        run(story())


def test_something_can_be_done_between_any_two_steps():
    async def story() -> list[int]:
        loop = asyncio.get_running_loop()
        steps = []

        async def worker() -> None:
            while True:
                steps.append(loop.steps)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(worker())
            loop.after_steps(5, task.cancel)
        return steps

    assert len(run(story())) == 4, "in the fifth round it is no more"


def test_a_jump_makes_everything_due_at_once():
    async def story() -> float:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.jump, 60.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(55), 50)
        return loop.time()

    assert run(story()) == 60.0


def test_a_process_that_is_stopped_stands_still_between_two_steps_and_goes_on_in_order():
    told: list[tuple[float, str]] = []

    async def works(loop: VirtualLoop, name: str, heard: "asyncio.Future[str]") -> None:
        async def listens() -> None:
            what = await heard
            told.append((loop.time(), what))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listens())
            for _ in range(3):
                await asyncio.sleep(1)
                told.append((loop.time(), name))

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        process, heard = Process(loop), loop.create_future()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(works(loop, "stops", heard), context=process.context())
            tasks.create_task(works(loop, "goes on", asyncio.ensure_future(asyncio.sleep(9, "later"))))
            await asyncio.sleep(1.5)
            process.stop()
            await asyncio.sleep(2)
            heard.set_result("heard")
            await asyncio.sleep(1)
            assert [what for _, what in told] == ["stops", *["goes on"] * 3]
            process.go_on()

    run(story())
    own = [(at, what) for at, what in told if what in {"stops", "heard"}]
    assert [at for at, _ in own] == [1.0, 4.5, 4.5, 5.5]
    assert sorted(what for _, what in own[1:3]) == ["heard", "stops"]


def test_what_is_cancelled_while_its_process_is_stopped_does_not_run():
    async def story() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        process, told = Process(loop), list[str]()
        timer = loop.call_later(1, told.append, "cancelled", context=process.context())
        loop.call_later(1, told.append, "done", context=process.context())
        process.stop()
        await asyncio.sleep(2)
        timer.cancel()
        process.go_on()
        await asyncio.sleep(1)
        return told

    assert run(story()) == ["done"]


def test_sets_of_tasks_are_gone_through_in_the_order_of_their_making():
    async def nothing() -> None:
        await asyncio.sleep(0)

    async def story() -> list[int]:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(nothing()) for _ in range(200)]
        hashes = [hash(task) for task in made]
        assert hashes == sorted(hashes)
        return [number - hashes[0] for number in hashes]

    assert run(story()) == run(story()), "whatever their addresses are"


def test_workers_work_at_once_and_raise_where_they_are_awaited():
    async def story() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(InlineWorkers(), lambda: 1 // 0)
        return await loop.run_in_executor(InlineWorkers(), lambda: 6 * 7)

    assert run(story()) == 42
