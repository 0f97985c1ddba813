"""The page in a real Chromium: what people see, and how they get about in it."""

import re
from importlib import resources

import pytest
from kit.shown_office import ShownOffice
from playwright.async_api import expect
from screens import PHONE

from presencebridge.metrics import DoorMetrics
from presencebridge.runtime.links import LinkReport, LinkState
from presencebridge.web import views

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all


def with_everything(people: int = 60) -> ShownOffice:
    """An office in which everything that the page can show is to be seen."""
    office = ShownOffice(people)
    office.is_dry_run = True
    office.left = [
        views.LeftView("240", "Lager", "", "no_address", False, "it has no mail address", "give it one"),
        views.LeftView("241", "", "x@example.org", "double", True, "two have this address", ""),
    ]
    office.ends = [views.Note("the app's certificate ends in 12 days", "presencebridge init makes another")]
    reason, cure = "silent for 90 s", "it is replaced by itself"
    office.links[3] = LinkReport("subscription default", LinkState.DEGRADED, reason, cure, 0.0)
    return office


VIEWS = ("/", "/?show=trouble&order=trouble", "/people/103", "/people/104", "/people/nobody")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
async def test_axe_finds_nothing(show, scheme, locale):
    screen = await show(with_everything(12))
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    # The page's policy keeps axe out, as it does any other script: this browser sets it aside.
    settings = {"color_scheme": scheme, "locale": locale, "bypass_csp": True, "reduced_motion": "reduce"}
    size = {"width": 1280, "height": 800} if locale == "en-GB" else PHONE
    page = (await screen.open(live=False, viewport=size, **settings)).page
    for path in VIEWS:
        await page.goto(screen.url + path)
        if await page.locator("details").count():
            await page.locator("summary").click()
        await page.evaluate(axe)
        found = await page.evaluate("axe.run({resultTypes: ['violations']})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], path
        assert len(found["passes"]) > 15


async def test_a_change_moves_into_the_row_and_nothing_else_is_touched(show):
    screen = await show(60)
    page = (window := await screen.open()).page
    await page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver((changes) => changes.forEach((change) => {
                const row = (change.target.closest ? change.target : change.target.parentNode).closest("tr");
                if (row) window.touched.add(row.id);
            })).observe(document.getElementById("rows"),
                        {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    office = screen.office
    who = next(key for key, state in office.states.items() if state.status_claim and not state.paused)
    await expect(page.locator(f"#p-{who} td").nth(4)).to_contain_text("3CX: Away")
    held = int(await page.locator("[data-count=held]").inner_text())
    office.live(office.people[who])
    await expect(page.locator(f"#p-{who} td").nth(4)).to_be_empty()
    await expect(page.locator("[data-count=held]")).to_have_text(str(held - 1))
    assert await page.evaluate("[...window.touched]") == [f"p-{who}"]
    assert window.complaints == []


async def test_who_comes_stands_in_their_place_and_who_goes_is_gone(show):
    screen = await show(9)
    page = (await screen.open()).page
    member = screen.office.people["105"]
    screen.office.people.remove(member)
    screen.office.journal.changed()
    await expect(page.locator("#p-105")).to_have_count(0)
    await expect(page.locator("[data-count=all]")).to_have_text("8")
    screen.office.people.add(member)
    screen.office.journal.changed()
    await expect(page.locator("#rows tr")).to_have_count(9)
    shown = await page.locator("#rows tr td:nth-child(2)").all_inner_texts()
    assert shown == [str(number) for number in range(101, 110)]


async def test_search_choice_and_order_are_in_the_address_and_the_server_says_the_same(show):
    screen = await show(60)
    page = (await screen.open()).page
    await page.get_by_role("button", name="on the phone").click()
    await page.get_by_role("searchbox").fill("er")
    await page.get_by_label("Order").select_option("name")
    shown = await page.locator("#rows tr:visible th").all_inner_texts()
    assert shown == sorted(shown, key=str.casefold)
    assert 0 < len(shown) < 12, "some of those on the phone"
    await expect(page.locator("#found")).to_have_text(f"{len(shown)} of 60 people")
    still = (await screen.open(page.url.removeprefix(screen.url), java_script_enabled=False, live=False)).page
    assert await still.locator("#rows tr:visible th").all_inner_texts() == shown
    assert await still.get_by_role("searchbox").input_value() == "er"


async def test_trouble_first_stays_first_when_it_comes_and_goes(show):
    screen = await show(60)
    page = (await screen.open("/?order=trouble")).page
    conditions = page.locator("#rows td:last-child")
    await expect(conditions.first).to_contain_text("trouble")
    await expect(conditions.nth(2)).not_to_contain_text("trouble")
    screen.office.people["150"].trouble("teams", "nobody in Entra is called that")
    screen.office.journal.changed()
    await expect(page.locator("#rows tr").nth(2)).to_have_attribute("id", "p-150")
    await expect(conditions.nth(2)).to_contain_text("nobody in Entra is called that")


async def test_the_whole_page_can_be_walked_by_keyboard(show):
    screen = await show(60)
    page = (await screen.open()).page
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("/")
    await page.keyboard.type("an")
    await expect(page.get_by_role("searchbox")).to_have_value("an")
    await page.keyboard.press("ArrowDown")
    first = await page.evaluate("document.activeElement.closest('tr').id")
    await page.keyboard.press("ArrowDown")
    second = await page.evaluate("document.activeElement.closest('tr').id")
    assert first != second
    hidden_between = await page.evaluate(
        "([a, b]) => document.getElementById(a).nextElementSibling.id !== b", [first, second]
    )
    assert hidden_between, "or it is not shown that those who are hidden are passed over"
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('tr').id") == second, "one stop for the list"
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(rf"/people/{second.removeprefix('p-')}$"))
    await page.go_back()
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("searchbox")).to_have_value("")


async def test_whoever_stands_on_a_row_stands_there_still_when_it_changes_and_moves(show):
    screen = await show(60)
    page = (await screen.open("/?order=trouble")).page
    await page.locator("#p-140 a").focus()
    screen.office.people["140"].trouble("teams", "gone")
    screen.office.journal.changed()
    await expect(page.locator("#rows tr").nth(1)).to_have_attribute("id", "p-140")
    assert await page.evaluate("document.activeElement.closest('tr').id") == "p-140"


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
async def test_a_phone_has_no_need_to_scroll_sideways(show, locale):
    screen = await show(with_everything())
    for path in VIEWS:
        page = (await screen.open(path, live=False, viewport=PHONE, locale=locale)).page
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


async def test_it_is_whole_without_javascript(show):
    screen = await show(with_everything(12))
    page = (await screen.open(java_script_enabled=False, live=False)).page
    assert await page.locator("#rows tr").count() == 12
    assert await page.locator("#links > li").count() == 5
    assert await page.locator("#links path").count() == 7
    await expect(page.get_by_text("Without JavaScript")).to_be_visible()
    await expect(page.get_by_text("Dry run")).to_be_visible()
    await expect(page.get_by_role("button", name="Read again now")).to_be_hidden()
    await page.get_by_role("searchbox").fill("102")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#rows tr:visible")).to_have_count(1)
    await page.get_by_role("link", name="Bernd").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Bernd")
    assert await page.locator("#why > li").count() > 0
    assert await page.locator(".day rect").count() > 3


async def test_its_policy_is_never_broken_and_nothing_comes_from_elsewhere(show):
    screen = await show(with_everything(12))
    for path in VIEWS:
        window = await screen.open(path, live=False)
        asked = await window.page.evaluate(
            "performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        assert all(name.startswith(screen.url) for name in asked)
        expected = [one for one in window.complaints if "404" in one]
        assert window.complaints == expected, path
        refused = await window.page.evaluate(
            """() => new Promise((done) => {
                document.addEventListener("securitypolicyviolation", (told) => done(told.effectiveDirective));
                document.body.setAttribute("onclick", "alert(1)");
                document.body.click();
            })"""
        )
        assert refused == "script-src-attr", "or nobody knows that a breach would be seen"


async def test_it_speaks_as_the_browser_asks_until_told_otherwise(show):
    screen = await show(5)
    page = (await screen.open(locale="de-AT")).page
    assert await page.locator("html").get_attribute("lang") == "de"
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.get_by_role("button", name="am Telefon")).to_be_visible()
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("button", name="on the phone")).to_be_visible()
    await page.goto(screen.url + "/people/101")
    await expect(page.get_by_role("heading", name="Now")).to_be_visible()


async def test_somebody_is_paused_and_goes_on_by_a_click_and_by_keyboard(show):
    screen = await show(9)
    page = (await screen.open("/people/102")).page
    await page.get_by_role("button", name="Pause for an hour").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await expect(page.locator("#said")).to_have_text("Done.")
    await page.get_by_role("button", name="Resume").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Pause for an hour")).to_be_visible()
    assert await page.evaluate("document.activeElement.hidden") is False
    await page.get_by_role("button", name="Read again now").click()
    await expect(page.locator("#said")).to_have_text("Everything is read again from both sides.")
    assert screen.office.orders == [("102", "pause", 3600), ("102", "resume"), ("refresh",)]


async def test_a_persons_page_tells_what_happens_as_it_happens(show):
    screen = await show(9)
    page = (window := await screen.open("/people/103")).page
    before = await page.locator("#why > li").count()
    bars = await page.locator(".day rect").count()
    screen.office.live(screen.office.people["103"])
    await expect(page.locator("#why > li")).not_to_have_count(before)
    assert await page.locator(".day rect").count() >= bars
    assert window.complaints == []


async def test_the_day_is_off_where_nobody_asked_for_it(show):
    screen = await show(ShownOffice(9, hours=0))
    page = (await screen.open("/people/103")).page
    await expect(page.get_by_text("No history is kept.")).to_be_visible()
    assert await page.locator(".day").count() == 0


async def test_a_page_that_was_cut_off_says_so_and_goes_on_where_it_was(show):
    screen = await show(9)
    page = (await screen.open()).page
    await page.context.set_offline(True)
    screen.office.people["104"].trouble("teams", "gone meanwhile")
    await page.evaluate("document.dispatchEvent(new Event('x'))")
    await page.context.set_offline(False)
    screen.office.journal.changed()
    await expect(page.locator("#p-104")).to_contain_text("gone meanwhile")


async def test_the_token_is_asked_for_and_taken_as_a_password(show):
    token = "0123456789abcdef-a-token"
    screen = await show(9, token)
    credentials = {"username": "whoever", "password": token}
    page = (await screen.open("/people/102", http_credentials=credentials)).page
    await page.get_by_role("button", name="Pause for an hour").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()


class Two:
    """A node of several sites."""

    alone, trouble = None, ""

    def __init__(self) -> None:
        self._sites = {name: ShownOffice(number, name=name) for name, number in (("nord", 9), ("süd", 60))}

    def sites(self) -> dict[str, ShownOffice]:
        return self._sites

    def cluster(self) -> None:
        return None

    def doors(self) -> dict[str, DoorMetrics]:
        return {}

    def stuck(self) -> list[str]:
        return []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_several_sites_are_a_list_that_leads_to_each(show, scheme):
    node = Two()
    screen = await show(node)
    settings = {"color_scheme": scheme, "bypass_csp": True, "reduced_motion": "reduce"}
    page = (await screen.open(viewport=PHONE, **settings)).page
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    await page.evaluate(axe)
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    paused = page.get_by_role("row", name="nord").locator("td").nth(5)
    before = int(await paused.inner_text())
    await page.get_by_role("link", name="süd").focus()
    node.sites()["nord"].pause("104", None)
    await expect(paused).to_have_text(str(before + 1))
    await expect(page.get_by_role("link", name="süd")).to_be_focused()
    await page.get_by_role("link", name="süd").click()
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#rows tr")).to_have_count(60)
    await page.locator("#p-102 a").click()
    await page.get_by_role("button", name="Pause for an hour").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await page.get_by_role("link", name="Everybody").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("süd")
