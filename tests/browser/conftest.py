"""A real Chromium, and an office to be shown in it."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from kit.shown_office import ShownOffice
from playwright.async_api import Browser, async_playwright
from screens import Screen

from presencebridge.serving import Listener
from presencebridge.web.node import One, operator_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium")
    async with async_playwright() as playwright:
        # As root Chromium has no sandbox to run in; what it sees here is our own page.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def show(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Shows an office: `await show(60)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def show(what: Any, token: str = "") -> Screen:
            """Show so many people, an office, or a node of several."""
            office = ShownOffice(what) if isinstance(what, int) else what
            node = One(office) if isinstance(office, ShownOffice) else office
            listener = Listener(operator_app(node, ["localhost"], token))
            await stack.enter_async_context(listener)
            screen = Screen(office, listener.url, browser)
            stack.push_async_callback(screen.close)
            for one in node.sites().values():
                stack.callback(one.journal.close)
                one.start()
            return screen

        yield show
        await asyncio.sleep(0)
