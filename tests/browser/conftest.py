"""A real Chromium, and an office to be shown in it."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from kit.shown_office import ShownOffice
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from presencebridge.serving import Listener
from presencebridge.web.node import One, operator_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE = {"width": 390, "height": 844}


class Window:
    """A page in a browser of its own settings, and what it complained of."""

    def __init__(self, page: Page, complaints: list[str]) -> None:
        self.page = page
        self.complaints = complaints


class Screen:
    """The office, served, and windows that look at it."""

    def __init__(self, office: ShownOffice, url: str, browser: Browser) -> None:
        self.office = office
        self.url = url
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    async def open(self, path: str = "/", *, live: bool = True, **settings: Any) -> Window:
        """A window on a page; from when it is live, unless it can't be."""
        context = await self._browser.new_context(**{"locale": "en-GB", **settings})
        self._contexts.append(context)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(self.url + path)
        if live:
            await page.locator("#live[data-state=live]").wait_for()
        return Window(page, complaints)

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()


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
