"""One listener for all sites: whose notification is whose."""

import json

import httpx2
import pytest

from presencebridge.web.door import Door, mark_of, parts_of

SITES = ("berlin", "bonn")


def item(state: object, number: int = 1) -> dict[str, object]:
    return {"subscriptionId": f"s{number}", "clientState": state, "encryptedContent": {"data": "x" * 30}}


def body(*items: object, **more: object) -> bytes:
    return json.dumps({"value": items, **more}).encode()


def test_each_site_gets_its_own_items_whole_and_all_that_stands_beside_them():
    berlin, bonn = item(mark_of("berlin") + "secret"), item(mark_of("bonn") + "other", 2)
    found = parts_of(body(berlin, bonn, berlin, validationTokens=["t1", "t2"]), SITES)
    assert {site: json.loads(part) for site, part in found.items()} == {
        "berlin": {"value": [berlin, berlin], "validationTokens": ["t1", "t2"]},
        "bonn": {"value": [bonn], "validationTokens": ["t1", "t2"]},
    }


def test_what_is_for_one_site_is_passed_on_as_it_is():
    sent = body(item(mark_of("bonn") + "secret~with~more"))
    assert parts_of(sent, SITES) == {"bonn": sent}


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"[]",
        b"{}",
        b'{"value": 1}',
        b'{"value": [1]}',
        body(item(1)),
        body(item(None)),
        body(item("paris~secret")),
        body(item("bonn")),
        body({}),
        b"\xff",
        b"[" * 100_000,
        b'{"value": ' + b"[" * 100_000,
    ],
)
def test_what_names_nobody_goes_to_the_first_who_tells_of_it(sent):
    assert parts_of(sent, SITES) == {"berlin": sent}


class Sites:
    def __init__(self) -> None:
        self.took: list[tuple[str, bytes]] = []
        self.full: set[str] = set()
        self.large: list[str] = []
        self.door = Door(self.take, self.large.append)
        self.door.open_to({"/berlin": ["berlin"], "/both": SITES})

    def take(self, site: str, sent: bytes) -> bool:
        self.took.append((site, sent))
        return site not in self.full

    async def post(self, path: str, sent: bytes = b"{}") -> int:
        transport = httpx2.ASGITransport(app=self.door)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.post(path, content=sent)).status_code


async def test_a_path_belongs_to_its_sites_and_no_other_path_is_there():
    sites = Sites()
    assert await sites.post("/berlin", b"a") == 202
    assert await sites.post("/bonn", b"a") == 404
    assert await sites.post("/berlin/", b"a") == 404
    assert sites.took == [("berlin", b"a")]
    sites.door.open_to({"/bonn": ["bonn"]})
    assert await sites.post("/berlin", b"a") == 404
    assert await sites.post("/bonn", b"a") == 202


async def test_a_site_that_is_full_asks_to_come_again_and_the_others_do_not():
    sites = Sites()
    sites.full.add("bonn")
    assert await sites.post("/berlin") == 202
    assert await sites.post("/both", body(item(mark_of("bonn") + "x"))) == 503
    assert await sites.post("/both", body(item(mark_of("berlin") + "x"))) == 202
    assert await sites.post("/berlin", b"x" * 5_000_000) == 202
    assert sites.large == ["berlin"]
