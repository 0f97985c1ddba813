"""The operator's listener: orders that can't be, and names that are no markup."""

import httpx2
import pytest

from presencebridge.runtime.journal import Journal
from presencebridge.web.operator import operator_app


class Site:
    journal = Journal()

    def __init__(self) -> None:
        self.paused: list[float | None] = []

    def pause(self, _name: str, seconds: float | None) -> bool:
        self.paused.append(seconds)
        return True


@pytest.mark.parametrize("seconds", [0, -1, 1e12, 1e300, 10**30, "60"])
async def test_a_pause_that_no_calendar_has_is_refused(seconds):
    site = Site()
    app = httpx2.ASGITransport(app=operator_app(site, ["localhost"]))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
        answer = await client.post("/api/people/101/pause", json={"seconds": seconds})
        assert (answer.status_code, site.paused) == (400, [])
        assert (await client.post("/api/people/101/pause", json={"seconds": 60})).status_code == 204


async def test_a_name_with_a_slash_is_a_name():
    site = Site()
    app = httpx2.ASGITransport(app=operator_app(site, ["localhost"]))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=app, base_url="http://localhost") as client:
        answer = await client.post("/api/people/Ann%20%3Cb%3Ex%3C%2Fb%3E/pause", json={})
    assert (answer.status_code, site.paused) == (204, [None])
