"""Ending tasks for certain.

On Python 3.11 `asyncio.wait_for` swallows a cancellation that comes at the same moment as what it waited for,
and libraries use it. So a task is told until it has ended.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_S: Final = 0.2


async def ended(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel them; return when all have ended."""
    left = {task for task in tasks if task is not asyncio.current_task()}
    while left := {task for task in left if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
