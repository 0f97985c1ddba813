"""Windows of a browser, and the page that they look at."""

from typing import Any

from kit.shown_office import ShownOffice
from playwright.async_api import Browser, BrowserContext, Page

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
