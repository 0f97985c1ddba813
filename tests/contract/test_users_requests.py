"""What we ask of Graph's list of users, against Microsoft's page of it and against the emulator.

Microsoft's description at hand has no users, so the page's own words stand here:
https://learn.microsoft.com/graph/api/user-list and https://learn.microsoft.com/graph/api/resources/user
"""

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from presencebridge.emulators.graph import GraphEmulator
from presencebridge.emulators.world import APP_ROLES, User, World
from presencebridge.errors import Refused
from presencebridge.graph import calls
from presencebridge.graph.client import GraphClient
from presencebridge.graph.teams import GraphTeams

OPTIONS = {"$count", "$expand", "$filter", "$orderby", "$search", "$select", "$top"}
PROPERTIES = {
    *("id", "userPrincipalName", "mail", "displayName"),
    *("otherMails", "proxyAddresses", "accountEnabled", "userType"),
}
SINGLE_ONLY = {"aboutMe", "birthday", "hireDate", "interests", "mySite", "mailboxSettings"}

CARL = User("carl@example.org", proxy_addresses=("smtp:c@example.org",), account_enabled=False)
PEOPLE = (*(User(f"u{n}@example.org", mail=f"Mail{n}@example.org") for n in range(1500)), CARL)


@pytest.mark.parametrize(
    "call", [calls.list_users(), calls.list_users(further=True), calls.find_users(["ann@example.org"])]
)
def test_a_request_is_one_that_the_page_describes(call):
    parts = urlsplit(call.path)
    query = parse_qs(parts.query, strict_parsing=True)
    assert (call.method, parts.path, call.body) == ("GET", "/v1.0/users", None)
    assert set(query) <= OPTIONS
    assert set(query["$select"][0].split(",")) <= PROPERTIES - SINGLE_ONLY
    assert int(query.get("$top", ["1"])[0]) <= 999
    assert call.needs.endswith("User.Read.All")


class Tokens:
    def __init__(self, emulator: GraphEmulator) -> None:
        self._emulator = emulator

    async def token(self, *, renewed: bool = False) -> str:
        return self._emulator.tokens.for_application()


def against_the_emulator(*roles: str) -> tuple[GraphTeams, GraphEmulator]:
    emulator = GraphEmulator(World(users=PEOPLE, app_roles=roles))
    http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(emulator.app), base_url="https://graph.microsoft.com"
    )
    return GraphTeams(GraphClient(http, Tokens(emulator)), "app"), emulator


async def test_everybody_comes_in_full_with_the_right_to():
    teams, emulator = against_the_emulator("User.Read.All")
    everybody = await teams.everybody()
    assert {one.id for one in everybody.users} == {one.id for one in PEOPLE}
    assert everybody.in_full
    carl = next(one for one in everybody.users if one.id == CARL.id)
    assert (carl.further, carl.enabled, carl.guest) == (("c@example.org",), False, False)
    assert len(emulator.log.since(0)) == 2


async def test_with_the_right_to_basic_profiles_everybody_comes_and_that_it_is_not_in_full_is_noticed():
    teams, _ = against_the_emulator(*APP_ROLES)
    everybody = await teams.everybody()
    assert len(everybody.users) == len(PEOPLE)
    assert not everybody.in_full
    assert everybody.users[0].mail == "Mail0@example.org"


async def test_without_a_right_to_users_it_is_refused():
    teams, _ = against_the_emulator("Presence.Read.All")
    with pytest.raises(Refused) as raised:
        await teams.everybody()
    assert raised.value.status == 403


async def test_many_people_are_found_by_name():
    teams, emulator = against_the_emulator(*APP_ROLES)
    found = await teams.find([*(f"u{n}@example.org" for n in range(1200)), "mail1300@EXAMPLE.ORG", "no@x"])
    assert len(found) == 1201
    (one,) = found["mail1300@EXAMPLE.ORG"]
    assert one.user_principal_name == "u1300@example.org"
    assert len(emulator.log.since(0)) == 2
