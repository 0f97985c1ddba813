"""Statuses on V20: by the XAPI against the emulator, and by another way where that is ignored."""

import httpx2
import pytest
from msgspec.structs import replace
from v20_kit import WORLD, office

from presencebridge.emulators.world import Extension
from presencebridge.errors import Gone, Malformed, TryAgain
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.status_ways import StatusWays
from presencebridge.pbx.status_web_api_client import StatusWebApiClient
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_statuses import V20Statuses

pytestmark = pytest.mark.looptime

SECRETS = {"AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN"}


def statuses(site) -> V20Statuses:
    return V20Statuses(site.client, site.clock.now)


async def test_everybody_is_read_in_pages_of_a_hundred():
    many = tuple(Extension(str(number), status="Away") for number in range(1000, 1250))
    async with office(world=replace(WORLD, extensions=many), running=False) as site:
        found = await statuses(site).all_statuses()
        assert found == {extension.number: "Away" for extension in many}
        assert len(await site.asked("/Users")) == 3
        requests = await site.play("GET", "/requests")
        assert not any(secret in str(requests) for secret in SECRETS)
        assert len(await site.client.users()) == 250


class Endless(V20Client):
    """Fills its pages as it likes, and has more of them than anybody should read."""

    def __init__(self, users: int, name: str, pages: int) -> None:
        super().__init__(httpx2.AsyncClient(), "", str, 5, float)
        row = f'{{"Id":1,"Number":"101","CurrentProfileName":"{name}","DisplayName":"{name}"}}'
        self.page = ('{"value":[' + ",".join([row] * users) + "]}").encode()
        self.pages_there_are = pages
        self.asked: list[str] = []

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        self.asked.append(path)
        return self.page if len(self.asked) <= self.pages_there_are else b'{"value":[]}'


@pytest.mark.parametrize(
    ("users", "name", "pages"), [(100, "x", 2001), (90_000, "x", 3), (100, "x" * 60_000, 6)]
)
@pytest.mark.parametrize("list_of", ["users", "statuses"])
async def test_a_list_of_users_is_bounded_over_all_its_pages(users, name, pages, list_of):
    client = Endless(users, name, pages + 1)
    with pytest.raises(Malformed, match="list of users is longer than 200000 people or 64 MB") as raised:
        await (client.users() if list_of == "users" else V20Statuses(client, float).all_statuses())
    assert "[pbx] url" in raised.value.cure
    assert len(client.asked) == pages
    assert len(set(client.asked)) == pages


async def test_a_change_costs_a_read_a_write_and_a_read():
    async with office(running=False) as site:
        change = await statuses(site).change_status("101", ("Available",), "Away")
        assert change == StatusChange("Available", "Away", wrote=True)
        assert [one.split()[0] for one in await site.asked("/Users")] == ["GET", "PATCH", "GET"]
        change = await statuses(site).change_status("101", ("Available",), "Away")
        assert change == StatusChange("Away", "Away", wrote=False)


async def test_a_change_that_is_ignored_is_looked_for_twice():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"patch_profile": "ignored"})
        change = await statuses(site).change_status("101", ("Available",), "Away")
        assert change == StatusChange("Available", "Available", wrote=True)
        assert [one.split()[0] for one in await site.asked("/Users")] == ["GET", "PATCH", "GET", "GET"]


async def test_an_extension_that_is_not_there():
    async with office(running=False) as site:
        with pytest.raises(Gone, match="extension 999"):
            await statuses(site).status("999")


async def test_a_status_that_the_operator_has_renamed_is_known_and_so_is_a_persons_own_name():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"profile_names": "shown"})
        await site.play("PUT", "/profile-names", {"Custom 1": "Mittag"})
        await site.play("PUT", "/extensions/101", {"status": "Custom 1"})
        await site.play(
            "PUT", "/extensions/102", {"status": "Custom 2", "custom_names": {"Custom 2": "Werkstatt"}}
        )
        read = statuses(site)
        assert await read.all_statuses() == {"103": "Available"}
        assert await read.status("101") == "Custom 1"
        assert await read.status("102") == "Custom 2"
        await site.play("DELETE", "/requests")
        assert await read.all_statuses() == {"101": "Custom 1", "102": "Custom 2", "103": "Available"}
        assert len(await site.asked()) == 1, "names that were learned are kept"


class Way:
    """A way to set a status that works, is ignored, or fails."""

    def __init__(self, does: str) -> None:
        self.does, self.asked = does, 0

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        self.asked += 1
        if self.does == "fails":
            raise TryAgain("the bridge is away")
        if self.does == "nothing to do":
            return StatusChange("Custom 1", "Custom 1", wrote=False)
        return StatusChange("Available", wanted if self.does == "works" else "Available", wrote=True)


def ways(xapi: Way, bridge: Way) -> tuple[StatusWays, list[bool]]:
    both, told = StatusWays(None, {"xapi": xapi, "bridge": bridge}), []
    both.on_change = told.append
    return both, told


async def test_where_the_first_way_is_ignored_the_second_is_taken_and_kept():
    xapi, bridge = Way("ignored"), Way("works")
    both, told = ways(xapi, bridge)
    for _ in range(3):
        change = await both.change_status("101", ("Available",), "Away")
        assert change == StatusChange("Available", "Away", wrote=True)
    assert (xapi.asked, bridge.asked) == (1, 3)
    assert told == [True, True, True]
    bridge.does, xapi.does = "fails", "works"
    assert (await both.change_status("101", ("Available",), "Away")).after == "Away"
    assert told == [True] * 4


async def test_a_bridge_on_the_same_pbx_does_what_the_xapi_ignores():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"patch_profile": "ignored"})
        user = site.emulator.pbx.users[1]

        def bridge(request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("/profile/away"):
                user["CurrentProfileName"] = "Away"
            return httpx2.Response(200, json={"message": user["CurrentProfileName"], "status": "OK"})

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(bridge), base_url="http://pbx:8889")
        xapi = statuses(site)
        both = StatusWays(xapi, {"xapi": xapi, "bridge": StatusWebApiClient(http, "", 5)})
        change = await both.change_status("101", ("Available",), "Away")
        assert change == StatusChange("Available", "Away", wrote=True)
        assert await both.status("101") == "Away"
        assert (await both.all_statuses())["101"] == "Away"


async def test_where_no_way_works_the_failure_is_told_before_what_was_ignored():
    both, told = ways(Way("ignored"), Way("fails"))
    with pytest.raises(TryAgain):
        await both.change_status("101", ("Available",), "Away")
    assert told == [False]
    both, _ = ways(Way("ignored"), Way("ignored"))
    assert await both.change_status("101", ("Available",), "Away") == StatusChange(
        "Available", "Available", wrote=True
    )


async def test_where_nothing_is_to_be_done_the_other_way_is_not_tried():
    xapi, bridge = Way("nothing to do"), Way("works")
    both, told = ways(xapi, bridge)
    assert not (await both.change_status("101", ("Available",), "Away")).wrote
    assert (bridge.asked, told) == (0, [])


async def test_a_status_without_a_name_is_an_error():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"status_override": {"101": "Away"}})
        assert await statuses(site).status("101") == "Available"
        site.emulator.pbx.users[1]["CurrentProfileName"] = "Gone fishing"
        with pytest.raises(Malformed):
            await statuses(site).status("101")


async def test_the_own_sync_of_3cx_is_seen():
    async with office(running=False) as site:
        assert await site.client.own_sync() == ""
        await site.play("PUT", "/microsoft365", {"SetTeamsPresence": True})
        assert await site.client.own_sync() == "sets presences in Teams"
        await site.play("POST", "/faults", {"forbidden": ["Microsoft365Integration"]})
        assert await site.client.own_sync() == ""
