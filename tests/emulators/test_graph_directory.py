"""Who is in the tenant: what an app may see of them, and people who come and go while the emulator runs."""

import pytest
from graph_bench import ANN, BEN, WORLD, Bench, bench, code
from msgspec.structs import replace

from presencebridge.emulators.world import APP_ROLES, User, World, load_world

FULL = "$select=id,mail,otherMails,proxyAddresses,accountEnabled,userType"
CARL = User(
    "carl@example.org",
    mail="carl@example.org",
    other_mails=("carl@home.example.com",),
    proxy_addresses=("SMTP:carl@example.org", "smtp:c.carl@example.org"),
    account_enabled=False,
    user_type="Guest",
)
ROLES = {
    "in full": (*APP_ROLES, "User.Read.All"),
    "basic": APP_ROLES,
    "none": ("Presence.Read.All",),
}


def world(rights: str) -> World:
    return replace(WORLD, users=(ANN, CARL), watchers=(), app_roles=ROLES[rights])


async def listed(b: Bench, query: str = FULL) -> dict[str, dict]:
    answer = await (await b.as_app()).get(f"/users?{query}")
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json()["value"]}


async def test_with_the_right_to_everything_everything_is_seen():
    async with bench(world("in full")) as b:
        rows = await listed(b)
        assert rows[CARL.id] == {
            "id": CARL.id,
            "mail": "carl@example.org",
            "otherMails": ["carl@home.example.com"],
            "proxyAddresses": ["SMTP:carl@example.org", "smtp:c.carl@example.org"],
            "accountEnabled": False,
            "userType": "Guest",
        }
        assert rows[ANN.id]["proxyAddresses"] == ["SMTP:ann@example.org"]
        assert (rows[ANN.id]["accountEnabled"], rows[ANN.id]["userType"]) == (True, "Member")
        assert list(await listed(b, "$filter=accountEnabled eq false&$select=id")) == [CARL.id]


async def test_with_the_right_to_basic_profiles_the_rest_comes_empty_and_can_not_be_filtered_by():
    async with bench(world("basic")) as b:
        nothing = {"otherMails": [], "proxyAddresses": [], "accountEnabled": None, "userType": None}
        assert (await listed(b))[CARL.id] == {"id": CARL.id, "mail": "carl@example.org", **nothing}
        graph = await b.as_app()
        row = (await graph.get(f"/users/{CARL.id}?$select=mail,accountEnabled")).json()
        assert (row["mail"], row["accountEnabled"]) == ("carl@example.org", None)
        for text in ("accountEnabled eq true", "id eq 'x' or userType eq 'Guest'"):
            answer = await graph.get(f"/users?$filter={text}")
            assert code(answer) == (403, "Authorization_RequestDenied")


async def test_without_a_right_to_users_there_is_no_list():
    async with bench(world("none")) as b:
        graph = await b.as_app()
        assert code(await graph.get(f"/users?{FULL}")) == (403, "Authorization_RequestDenied")


async def test_somebody_new_is_there_with_a_presence():
    async with bench() as b:
        body = {"id": "new-1", "mail": "dora@example.org", "otherMails": ["d@x"], "displayName": "Dora"}
        answer = await b.control.put("/users/dora@example.org", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["userPrincipalName"] == "dora@example.org"
        graph = await b.as_app()
        found = (await graph.get("/users?$filter=mail eq 'dora@example.org'")).json()["value"]
        assert [row["id"] for row in found] == ["new-1"]
        ids = {"ids": ["new-1"]}
        shown = (await graph.post("/communications/getPresencesByUserId", ids)).json()["value"]
        assert [one["availability"] for one in shown] == ["Offline"]
        dora = User("dora@example.org", "new-1")
        assert (await b.says(dora, "Busy"))["effective"]["availability"] == "Busy"


async def test_what_is_not_named_stays_as_it_is():
    async with bench() as b:
        await b.says(ANN, "Busy")
        answer = await b.control.put(f"/users/{ANN.id}", json={"userPrincipalName": "anna@example.org"})
        assert answer.json()["mail"] == "ann@example.org"
        graph = await b.as_app()
        assert (await graph.get("/users/anna@example.org")).json()["id"] == ANN.id
        assert (await graph.get("/users/ann@example.org")).status_code == 404
        assert await b.shows(ANN) == "Busy/Busy"


async def test_who_is_deleted_is_gone_from_everywhere():
    async with bench() as b:
        await b.says(BEN, "Available")
        graph = await b.as_app()
        pair = {"sessionId": WORLD.client_id, "availability": "Available", "activity": "Available"}
        assert (await graph.post(f"/users/{BEN.id}/presence/setPresence", pair)).status_code == 200
        assert (await b.control.delete(f"/users/{BEN.user_principal_name}")).status_code == 200
        await b.advance(3600)  # nothing that was to come for them comes
        graph = await b.as_app()
        assert (await graph.get(f"/users/{BEN.id}")).status_code == 404
        assert (await graph.get(f"/users/{BEN.id}/presence")).status_code == 404
        ids = {"ids": [BEN.id, ANN.id]}
        shown = (await graph.post("/communications/getPresencesByUserId", ids)).json()["value"]
        assert [one["id"] for one in shown] == [ANN.id]
        assert (await b.control.delete(f"/users/{BEN.id}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "cure"),
    [
        ("/users/some-id", {}, "needs a userPrincipalName"),
        ("/users/ann@example.org", {"id": "other"}, "can't be changed"),
        ("/users/ann@example.org", {"userPrincipalName": "BEN@example.org"}, "somebody else"),
        ("/users/ann@example.org", {"shoe": 43}, "known fields"),
    ],
)
async def test_what_can_not_be_is_told_with_its_cure(path, body, cure):
    async with bench() as b:
        answer = await b.control.put(path, json=body)
        assert answer.status_code == 400
        assert cure in answer.json()["error"]
        assert len((await (await b.as_app()).get("/users")).json()["value"]) == 3


def test_the_world_file_takes_all_of_it(tmp_path):
    file = tmp_path / "world.json"
    file.write_text(
        """{"users": [{"userPrincipalName": "carl@example.org", "mail": "carl@example.org",
        "otherMails": ["carl@home.example.com"], "accountEnabled": false, "userType": "Guest",
        "proxyAddresses": ["SMTP:carl@example.org", "smtp:c.carl@example.org"]}]}"""
    )
    assert load_world(file).users == (CARL,)
