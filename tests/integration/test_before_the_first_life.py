"""The listener is there a moment before the site that it shows."""

from collections.abc import Mapping

import httpx2

from presencebridge.metrics import DoorMetrics
from presencebridge.web.node import Site, operator_app


class Begins:
    """A node whose one site does not run yet."""

    alone, trouble = "site", ""

    def sites(self) -> Mapping[str, Site]:
        return {}

    def cluster(self) -> None:
        return None

    def doors(self) -> dict[str, DoorMetrics]:
        return {}

    def stuck(self) -> list[str]:
        return []


async def test_who_asks_for_a_site_before_it_runs_is_told_to_come_again():
    transport = httpx2.ASGITransport(operator_app(Begins(), ["localhost"]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for path in ("/", "/readyz", "/api/people"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), path
        assert (await http.get("/livez")).status_code == 200
