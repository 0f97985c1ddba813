"""The operator's listener: orders that can't be, and names that are no markup."""

import httpx2
import msgspec
import pytest
from kit.shown_office import ShownOffice

from presencebridge.web import views
from presencebridge.web.node import One, operator_app


class Site(ShownOffice):
    def __init__(self) -> None:
        super().__init__(0)
        self.told = told()

    def matching(self) -> views.MatchingView:
        return self.told

    def _order(self, name: str, *what: object) -> bool:
        super()._order(name, *what)
        return True


def told(*left: views.LeftView, match: str = "email", looked_at: str | None = "2026-11-23T09:00:00Z"):
    return views.MatchingView(match, looked_at, None, [], [], list(left))


def left_out(number: int, *, double: bool = False) -> views.LeftView:
    what = "double: it is shared" if double else "has no <b>address</b>"
    return views.LeftView(str(number), f"Name {number}", "", "no_address", double, what, "mend it")


async def page_of(view: views.MatchingView) -> str:
    site = Site()
    site.told = view
    app = httpx2.ASGITransport(app=operator_app(One(site), ["localhost"]))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
        assert (await client.get("/api/matching")).json() == msgspec.to_builtins(view)
        return (await client.get("/")).text


async def test_the_page_tells_who_is_not_matched_doubles_first_and_no_more_than_can_be_read():
    text = await page_of(told(*(left_out(number) for number in range(100, 400)), left_out(900, double=True)))
    assert "0 matched, 301 not (1 double)" in text
    assert text.index("Name 900") < text.index("Name 100")
    assert "101 more: presencebridge people" in text
    assert "Name 399" not in text
    assert "has no &lt;b&gt;address" in text
    assert "mend it" in text


async def test_the_page_says_that_it_is_still_looking_and_why():
    view = msgspec.structs.replace(
        told(looked_at=None), trouble=views.Note("Graph can't be reached", "check the firewall")
    )
    text = await page_of(view)
    assert "Still looking" in text
    assert "Graph can&#39;t be reached" in text
    assert "check the firewall" in text


async def test_people_of_a_list_who_are_all_known_are_no_news():
    assert "Who is who" not in await page_of(told(match="list"))
    assert "Who is who" in await page_of(told(left_out(101), match="list"))


@pytest.mark.parametrize("seconds", [0, -1, 1e12, 1e300, 10**30, "60"])
async def test_a_pause_that_no_calendar_has_is_refused(seconds):
    site = Site()
    app = httpx2.ASGITransport(app=operator_app(One(site), ["localhost"]))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
        answer = await client.post("/api/people/101/pause", json={"seconds": seconds})
        assert (answer.status_code, site.orders) == (400, [])
        assert (await client.post("/api/people/101/pause", json={"seconds": 60})).status_code == 204


async def test_a_name_with_a_slash_is_a_name():
    site = Site()
    app = httpx2.ASGITransport(app=operator_app(One(site), ["localhost"]))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
        answer = await client.post("/api/people/Ann%20%3Cb%3Ex%3C%2Fb%3E/pause", json={})
    assert answer.status_code == 204
    assert site.orders == [(None, "pause", None)]
