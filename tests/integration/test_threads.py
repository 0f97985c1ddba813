"""What can't be cut short holds up no stop."""

import asyncio
import contextlib
import threading
import time

import pytest

from presencebridge.threads import LooseThreads


def test_a_stop_does_not_wait_for_a_name_server_that_says_nothing() -> None:
    answered, begun = threading.Event(), threading.Event()

    def look_up() -> None:
        begun.set()
        answered.wait(60)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LooseThreads())
        hanging = loop.run_in_executor(None, look_up)
        await asyncio.to_thread(begun.wait)
        hanging.cancel()

    ended = threading.Thread(target=asyncio.run, args=(main(),))
    ended.start()
    ended.join(30)
    try:
        assert not ended.is_alive()
    finally:
        answered.set()


async def test_results_and_errors_come_back() -> None:
    def fail() -> None:
        raise OSError("no such name")

    loop, threads = asyncio.get_running_loop(), LooseThreads()
    assert await loop.run_in_executor(threads, time.monotonic) > 0
    with pytest.raises(OSError, match="no such name"):
        await loop.run_in_executor(threads, fail)
    with contextlib.suppress(asyncio.CancelledError):
        waiting = loop.run_in_executor(threads, time.monotonic)
        waiting.cancel()
        await waiting
