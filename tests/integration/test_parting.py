"""The site goes on trying to give back what it holds for people who are not served any more."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from presencebridge.node.site import Site

pytestmark = pytest.mark.looptime


async def test_it_is_tried_while_3cx_is_there_and_it_is_known_who_is_served():
    tries: list[float] = []
    loop = asyncio.get_running_loop()

    async def part() -> None:
        tries.append(loop.time())

    site: Any = SimpleNamespace(
        _calls=SimpleNamespace(is_up=asyncio.Event()),
        _directory=SimpleNamespace(is_sure=False),
        hub=SimpleNamespace(part_with_strangers=part),
    )
    parting = asyncio.create_task(Site._part_with_strangers(site))
    await asyncio.sleep(1000)
    assert tries == []
    site._calls.is_up.set()
    await asyncio.sleep(100)
    assert tries == []
    site._directory.is_sure = True
    await asyncio.sleep(600)
    assert len(tries) == 10
    site._calls.is_up.clear()
    await asyncio.sleep(1000)
    assert len(tries) == 10
    site._calls.is_up.set()
    await asyncio.sleep(61)
    assert len(tries) > 10
    parting.cancel()
