"""Token endpoint, XAPI and Call Control of the V20 emulator, in process."""

from urllib.parse import quote

import httpx2
import jwt
import pytest
from v20_bench import FORM, bench

from presencebridge.emulators.world import World

SECRETS = ("AuthID", "AuthPassword", "AccessPassword", "DeskphonePassword", "VMPIN")

# -- tokens


@pytest.mark.parametrize(
    ("version", "expires_in"), [("20.0.8.1109", 60), ("20.0.9.995", 3600), ("20.1", 3600)]
)
async def test_a_token_tells_its_life_in_the_unit_of_the_version(version: str, expires_in: int):
    async with bench(version=version) as b:
        answer = await b.api.post("/connect/token", data=FORM)
        body = answer.json()
        assert list(body) == ["token_type", "expires_in", "access_token", "refresh_token"]
        assert (body["token_type"], body["expires_in"], body["refresh_token"]) == ("Bearer", expires_in, None)
        assert jwt.get_unverified_header(body["access_token"])["alg"] == "ES256"
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 3600


async def test_the_unit_can_be_switched():
    async with bench() as b:
        await b.play("POST", "/faults", {"expires_in": "minutes", "token_life_s": 600})
        assert (await b.api.post("/connect/token", data=FORM)).json()["expires_in"] == 10
        await b.play("POST", "/faults", {"expires_in": "seconds"})
        assert (await b.api.post("/connect/token", data=FORM)).json()["expires_in"] == 600


async def test_the_form_may_be_multipart_as_in_3cxs_samples():
    async with bench() as b:
        fields = {name: (None, value) for name, value in FORM.items()}
        answer = await b.api.post("/connect/token", files=fields)
        assert answer.status_code == 200
        assert answer.request.headers["content-type"].startswith("multipart/form-data")
        shown = (await b.play("GET", "/requests"))[-1]["body"]
        assert shown == {**FORM, "client_secret": "***"}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "unauthorized"),
        ({"client_id": "other"}, 401, "unauthorized"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_a_wrong_sign_in_is_refused(change: dict, status: int, error: str):
    async with bench() as b:
        answer = await b.api.post("/connect/token", data=FORM | change)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.json()["error_description"]


async def test_only_the_newest_token_of_a_client_holds():
    async with bench() as b:
        old = await b.sign_in()
        await b.sign_in()
        for path in ("/xapi/v1/Users", "/callcontrol"):
            answer = await b.api.get(path, headers={"Authorization": f"Bearer {old}"})
            assert (answer.status_code, answer.content, answer.headers["content-length"]) == (401, b"", "0")
        assert await b.get("/callcontrol")
        await b.play("POST", "/faults", {"old_tokens": "kept"})
        old = await b.sign_in()
        await b.sign_in()
        answer = await b.api.get("/callcontrol", headers={"Authorization": f"Bearer {old}"})
        assert answer.status_code == 200


async def test_a_token_ends_by_the_emulators_clock():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/clock", {"advance_s": 3599})
        assert (await b.api.get("/callcontrol")).status_code == 200
        await b.play("POST", "/clock", {"advance_s": 1})
        assert (await b.api.get("/callcontrol")).status_code == 401
        await b.play("POST", "/faults", {"unauthorized_body": True})
        assert (await b.api.get("/callcontrol")).json()["error"]["message"]
        await b.sign_in()
        assert await b.play("DELETE", "/tokens") == {"revoked": 1}
        assert (await b.api.get("/callcontrol")).status_code == 401


async def test_the_client_of_the_world_is_used_where_the_pbx_has_none_of_its_own():
    async with bench(World(client_id="c", client_secret="x")) as b:
        form = FORM | {"client_id": "c", "client_secret": "x"}
        assert (await b.api.post("/connect/token", data=form)).status_code == 200


async def test_before_v20_there_is_nothing():
    async with bench(version="18.0.9.20") as b:
        assert (await b.api.post("/connect/token", data=FORM)).status_code == 404
        assert (await b.api.get("/xapi/v1/Users")).status_code == 404


async def test_the_build_can_be_changed():
    async with bench() as b:
        await b.play("PUT", "/version", {"version": "20.0.8.1109"})
        assert (await b.api.post("/connect/token", data=FORM)).json()["expires_in"] == 60
        await b.sign_in()
        assert (await b.api.get("/xapi/v1/Defs")).headers["x-3cx-version"] == "20.0.8.1109"


# -- users


async def test_a_plain_list_of_users_has_everything_secrets_too():
    async with bench() as b:
        await b.sign_in()
        answer = await b.api.get("/xapi/v1/Users")
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.headers["x-3cx-version"] == "20.0.9.995"
        body = answer.json()
        assert body["@odata.context"] == "https://pbx.example.com/xapi/v1/$metadata#Users"
        ann = body["value"][0]
        assert all(ann[name] for name in SECRETS)
        assert "ForwardingProfiles" not in ann
        assert (ann["Number"], ann["FirstName"], ann["LastName"]) == ("101", "Ann", "Miller")
        assert (ann["CurrentProfileName"], ann["QueueStatus"]) == ("Available", "LoggedIn")


async def test_select_orderby_count_top_and_skip():
    async with bench() as b:
        await b.sign_in()
        body = await b.get(
            "/xapi/v1/Users",
            **{"$select": "Number,EmailAddress", "$orderby": "Number desc", "$top": 2, "$skip": 1},
            **{"$count": "true"},
        )
        assert body["@odata.context"].endswith("#Users(Number,EmailAddress)")
        assert body["@odata.count"] == 3
        assert body["value"] == [
            {"Number": "102", "EmailAddress": "Ben@Example.org"},
            {"Number": "101", "EmailAddress": "ann@example.org"},
        ]


async def test_more_than_100_is_refused_in_aspnets_words():
    async with bench() as b:
        await b.sign_in()
        assert await b.get("/xapi/v1/Users", **{"$top": 100})
        answer = await b.api.get("/xapi/v1/Users", params={"$top": 500})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == (
            "The query specified in the URI is not valid. The limit of '100' for Top query has been "
            "exceeded. The value from the incoming request is '500'."
        )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Number eq '102'", "102"),
        ("tolower(EmailAddress) eq 'ben@example.org'", "102"),
        ("contains(LastName,'O''Neil')", "102"),
        ("startswith(FirstName,'C') or Number eq '101'", "101 103"),
        ("not (Number eq '101') and Enabled eq true", "102 103"),
        ("Id gt 1 and Id le 2", "102"),
        ("Number in ('101','103')", "101 103"),
        ("CurrentProfileName ne 'Away'", "101 103"),
        ("QueueStatus eq Pbx.QueueStatusType'LoggedIn'", "101 102 103"),
        ("ContactImage eq null", ""),
        ("Groups/any(g: g/Name eq 'DEFAULT')", "101 102 103"),
        ("Groups/all(g: g/Rights/RoleName eq 'x')", ""),
        ("ForwardingProfiles/any()", "101 102 103"),
        ("length(Number) eq 3 and endswith(Number,'1')", "101"),
        ("Number eq 'and' or Number eq '101'", "101"),
    ],
)
async def test_filters(text: str, numbers: str):
    async with bench() as b:
        await b.sign_in()
        body = await b.get("/xapi/v1/Users", **{"$filter": text})
        assert " ".join(user["Number"] for user in body["value"]) == numbers


@pytest.mark.parametrize(
    "params",
    [
        {"$filter": "Nummer eq '1'"},
        {"$filter": "Number eq"},
        {"$filter": "Number eq '1' extra"},
        {"$filter": "(Number eq '1'"},
        {"$filter": "soundex(Number) eq '1'"},
        {"$filter": "contains(Number)"},
        {"$filter": "contains(Id,'1')"},
        {"$filter": "Number eq §"},
        {"$top": "-1"},
        {"$skip": "x"},
        {"$select": "Nummer"},
        {"$orderby": "Nummer"},
        {"$orderby": "Number up"},
        {"$expand": "Nothing"},
        {"$expand": "Groups("},
        {"$expand": "Groups($expand=Nothing)"},
        {"$expand": "Groups)x("},
        {"$expand": "Groups($filter=Name eq 'x)"},
        {"$apply": "x"},
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(params: dict):
    async with bench() as b:
        await b.sign_in()
        answer = await b.api.get("/xapi/v1/Users", params=params)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("The query specified in the URI is not valid.")


async def test_search_and_an_other_default_page_size():
    async with bench() as b:
        await b.sign_in()
        body = await b.get("/xapi/v1/Users", **{"$search": '"miller"', "$select": "Number"})
        assert body["value"] == [{"Number": "101"}]
        await b.play("POST", "/faults", {"default_page_size": 2})
        assert len((await b.get("/xapi/v1/Users"))["value"]) == 2
        assert len((await b.get("/xapi/v1/Users", **{"$top": 3}))["value"]) == 3


async def test_expanding_the_forwarding_profiles():
    async with bench() as b:
        await b.sign_in()
        query = {"$select": "Number", "$expand": "ForwardingProfiles($select=Id,Name),Groups"}
        body = await b.get("/xapi/v1/Users(2)", **query)
        assert [each["Name"] for each in body["ForwardingProfiles"]] == [
            "Available",
            "Away",
            "Out of office",
            "Custom 1",
            "Custom 2",
        ]
        assert set(body["ForwardingProfiles"][0]) == {"Id", "Name"}
        assert body["Groups"][0]["Name"] == "DEFAULT"
        own = await b.get("/xapi/v1/Users(2)/ForwardingProfiles", **{"$filter": "Name eq 'Away'"})
        assert own["value"][0]["AvailableRoute"] is None
        assert own["value"][0]["AwayRoute"]
        groups = await b.get("/xapi/v1/Users(2)/Groups", **{"$expand": "Rights"})
        assert groups["value"][0]["Rights"] == {"RoleName": "users"}


@pytest.mark.parametrize(("version", "new", "old"), [("20.0.7.1057", 404, 200), ("20.0.8.1109", 200, 404)])
async def test_one_user_by_number_differs_by_version(version: str, new: int, old: int):
    async with bench(version=version) as b:
        await b.sign_in()
        # As a generated client encodes it, and as a person types it.
        for path in ("Users(Number=%27101%27)", "Users(Number='101')"):
            assert (await b.api.get(f"/xapi/v1/{path}")).status_code == new
        answer = await b.api.get("/xapi/v1/Users/Pbx.GetByNumber(number='101')")
        assert answer.status_code == old


async def test_patching_the_status_and_what_the_switch_does():
    async with bench() as b:
        await b.sign_in()
        for mode, status, seen in (
            ("applied", 204, "Custom 1"),
            ("ignored", 204, "Custom 1"),
            ("error", 400, "Custom 1"),
        ):
            await b.play("POST", "/faults", {"patch_profile": mode})
            wanted = "Custom 1" if mode == "applied" else "Away"
            answer = await b.api.patch("/xapi/v1/Users(1)", json={"CurrentProfileName": wanted})
            assert (answer.status_code, answer.content == b"") == (status, status == 204)
            user = await b.get("/xapi/v1/Users(1)", **{"$select": "CurrentProfileName"})
            assert user["CurrentProfileName"] == seen
        # The queue's own switch works in any case.
        await b.play("POST", "/faults", {"patch_profile": "ignored"})
        change = {"CurrentProfileName": "Away", "QueueStatus": "LoggedOut"}
        assert (await b.api.patch("/xapi/v1/Users(1)", json=change)).status_code == 204
        user = await b.get("/xapi/v1/Users(1)")
        assert (user["CurrentProfileName"], user["QueueStatus"]) == ("Custom 1", "LoggedOut")


@pytest.mark.parametrize(
    "change",
    [
        {"CurrentProfileName": "Lunch"},
        {"CurrentProfileName": 1},
        {"Nothing": 1},
        {"QueueStatus": "Maybe"},
        {"PrimaryGroupId": True},
        {"Number": "555"},
        ["CurrentProfileName"],
    ],
)
async def test_a_patch_that_is_not_allowed_changes_nothing(change):
    async with bench() as b:
        await b.sign_in()
        before = await b.get("/xapi/v1/Users(1)")
        answer = await b.api.patch("/xapi/v1/Users(1)", json=change)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]
        assert await b.get("/xapi/v1/Users(1)") == before


async def test_somebody_else_sets_a_status_and_an_override_hides_it():
    async with bench() as b:
        await b.sign_in()
        await b.play("PUT", "/extensions/101", {"status": "Out of office"})
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Out of office"
        await b.play("POST", "/faults", {"status_override": {"101": "Custom 2"}})
        assert await b.play("GET", "/extensions/101") == {
            "number": "101",
            "status": "Out of office",
            "legs": [],
            "override": "Custom 2",
        }
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Out of office"
        await b.api.patch("/xapi/v1/Users(1)", json={"CurrentProfileName": "Away"})
        await b.play("POST", "/faults", {"override_shown": True})
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Custom 2"
        await b.play("POST", "/faults", {"status_override": {"101": None}})
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Away"


async def test_what_is_expanded_has_options_of_its_own():
    async with bench() as b:
        await b.sign_in()
        nested = "Groups($select=GroupId,Name;$expand=Rights($select=RoleName))"
        profiles = (
            "ForwardingProfiles($filter=contains(Name,'Custom');$orderby=Name desc;$top=1;$select=Name)"
        )
        query = {"$select": "Number", "$expand": f"{nested},{profiles}"}
        user = await b.get("/xapi/v1/Users(1)", **query)
        assert user["Groups"] == [{"GroupId": 1, "Name": "DEFAULT", "Rights": {"RoleName": "users"}}]
        assert user["ForwardingProfiles"] == [{"Name": "Custom 2"}]
        # What is no property but a relation shows on demand alone, inside too.
        assert "Rights" not in (await b.get("/xapi/v1/Users(1)", **{"$expand": "Groups"}))["Groups"][0]
        group = await b.get("/xapi/v1/Groups(1)", **{"$expand": "Members($select=Name)"})
        assert (group["HasMembers"], len(group["Members"])) == (True, 3)


async def test_the_tutorials_walk_through_users():
    """src/users.spec.ts of 3cx/xapi-tutorial, request by request."""
    async with bench() as b:
        await b.sign_in()
        made = await b.api.post("/xapi/v1/Users", json={})
        assert made.status_code == 201
        user = made.json()
        assert user["Number"] == "104"
        one = f"/xapi/v1/Users({user['Id']})"
        assert (await b.api.patch(one, json={"Number": user["Number"]})).status_code == 204
        assert (await b.api.patch(one, json={"Number": "101"})).status_code == 400
        group = (await b.api.post("/xapi/v1/Groups", json={"Name": "Group 1"})).json()
        membership = {"Groups": [{"GroupId": group["Id"], "Rights": {"RoleName": "users"}}]}
        assert (await b.api.patch(one, json=membership)).status_code == 204
        assert (await b.api.patch(one, json={"Groups": []})).status_code == 204
        assert (await b.api.delete(f"/xapi/v1/Groups({group['Id']})")).status_code == 204
        assert (await b.api.delete(one)).status_code == 204
        assert (await b.api.get(one)).status_code == 404
        taken = await b.api.post("/xapi/v1/Users", json={"Number": "101"})
        assert taken.json()["error"]["message"] == "Number:\nWARNINGS.XAPI.ALREADY_IN_USE"


async def test_the_tutorials_walk_through_service_principals():
    """src/service-principal.spec.ts of 3cx/xapi-tutorial, request by request."""
    async with bench() as b:
        await b.sign_in()
        made = (await b.api.post("/xapi/v1/ServicePrincipals", json={"Number": "sptest"})).json()
        listing = await b.get("/xapi/v1/ServicePrincipals", **{"$select": "Id", "$count": "true"})
        assert (listing["value"], listing["@odata.count"]) == ([{"Id": 1}, {"Id": 2}], 2)
        one = f"/xapi/v1/ServicePrincipals({made['Id']})"
        assert (await b.api.patch(one, json={"Number": "sptest"})).status_code == 204
        assert (await b.api.patch(one, json={"Number": "100"})).status_code == 400
        assert (await b.api.post("/xapi/v1/ServicePrincipals", json={"Number": "sptest"})).status_code == 400
        assert (await b.get(one))["Number"] == "sptest"
        assert (await b.api.delete(one)).status_code == 204
        assert (await b.api.delete(one)).status_code == 404
        own = (await b.get("/xapi/v1/ServicePrincipals", **{"$expand": "Peers"}))["value"][0]
        assert [peer["Number"] for peer in own["Peers"]] == ["101", "102"]
        assert own["LastUsed"]
        assert own["MyPhoneEnabled"] is False
        assert (await b.api.delete("/xapi/v1/ServicePrincipals(1)")).status_code == 400
        assert (own["Number"], own["CallControlEnabled"]) == ("teamsync", True)


async def test_the_system():
    async with bench() as b:
        await b.sign_in()
        assert (await b.get("/xapi/v1/Defs", **{"$select": "Id"}))["Id"] == 0
        await b.call(("101", "Connected", "0123"))
        status = await b.get("/xapi/v1/SystemStatus")
        assert (status["Version"], status["ExtensionsTotal"], status["CallsActive"]) == ("20.0.9.995", 3, 1)
        assert (await b.get("/xapi/v1/SystemStatus", **{"$select": "Version"})).keys() == {
            "@odata.context",
            "Version",
        }
        assert (await b.get("/xapi/v1/SystemStatus/Pbx.SystemHealthStatus()"))["Trunks"] is True
        licence = (await b.get("/xapi/v1/Defs/Pbx.GetSystemParameters()"))["License"]
        assert "IsEnterprise" not in licence
        assert (await b.api.get("/xapi/v1/MyUser")).status_code == 404
        assert (await b.api.get("/xapi/v1/Elsewhere")).status_code == 404
        wrong = await b.api.put("/xapi/v1/Users")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")
    async with bench(version="20.0.10.1") as b:
        await b.sign_in()
        assert (await b.get("/xapi/v1/Defs/GetSystemParameters()"))["License"]["IsEnterprise"] is True


async def test_the_settings_that_bear_on_presence_are_nested_as_in_the_description():
    """Names and nesting of swagger.yaml in 3cx/xapi-tutorial, ceb6d0d."""
    async with bench() as b:
        await b.sign_in()
        microsoft365 = await b.get("/xapi/v1/Microsoft365Integration")
        assert set(microsoft365) == {
            *("@odata.context", "Id", "TenantId", "ApplicationId", "AdUsers", "SharedMailboxesSync")
        }
        assert set(microsoft365["AdUsers"]) == {
            *("EnableSSO", "IsEnabled", "IsSyncDepartments", "IsSyncDetails", "IsSyncOfficePhone"),
            *("IsSyncPhoto", "SelectedGroups", "SelectedUsers", "SetTeamsPresence", "SyncType"),
            *("StartingExtensionNumber", "StatusSyncConfiguration", "SyncEvents", "SyncGuestUsers"),
            "SyncPersonalContacts",
        }
        chosen = await b.get("/xapi/v1/Microsoft365Integration", **{"$select": "AdUsers/SetTeamsPresence"})
        assert chosen["AdUsers"] == {"SetTeamsPresence": False}
        apps = await b.get("/xapi/v1/GeneralSettingsForApps")
        assert set(apps["AutoSchedulerSettings"]) == {
            *("Enabled", "ProfileAvailable", "ProfileAway", "ProfileDND")
        }
        assert (await b.get("/xapi/v1/DialCodeSettings"))["DialCodeProfileStatus"] == "*3"
        licence = await b.get("/xapi/v1/LicenseStatus", **{"$select": "ProductCode,ResellerName"})
        assert licence.keys() == {"@odata.context", "ProductCode", "ResellerName"}
        for change, status in (
            ({"NameOfCustomAvailableStatus": "Lunch", "AutoSchedulerSettings": {"Enabled": True}}, 204),
            ({"Nothing": 1}, 400),
        ):
            answer = await b.api.patch("/xapi/v1/GeneralSettingsForApps", json=change)
            assert answer.status_code == status
        apps = await b.get("/xapi/v1/GeneralSettingsForApps")
        assert apps["AutoSchedulerSettings"] == {
            "Enabled": True,
            "ProfileAvailable": "",
            "ProfileAway": "",
            "ProfileDND": "",
        }
        assert await b.play("GET", "/profile-names") == {"Custom 1": "Lunch", "Custom 2": ""}
        assert (await b.api.patch("/xapi/v1/LicenseStatus", json={})).status_code == 405


async def test_renamed_statuses():
    async with bench() as b:
        await b.sign_in()
        await b.play("PUT", "/profile-names", {"Custom 1": "Lunch", "Custom 2": "Trip"})
        parameters = await b.get("/xapi/v1/Defs/Pbx.GetSystemParameters()")
        assert (parameters["Custom1Name"], parameters["Custom2Name"]) == ("Lunch", "Trip")
        apps = await b.get("/xapi/v1/GeneralSettingsForApps")
        assert apps["NameOfCustomOutOfOfficeStatus"] == "Trip"
        names = {"Custom 1": "Mittag", "Out of office": "DND"}
        shown = await b.play("PUT", "/extensions/101", {"status": "Custom 1", "custom_names": names})
        assert shown["custom_names"] == names
        query = {"$select": "Name,CustomName"}
        profiles = (await b.get("/xapi/v1/Users(1)/ForwardingProfiles", **query))["value"]
        assert {each["Name"]: each["CustomName"] for each in profiles} == {
            "Available": "",
            "Away": "",
            "Out of office": "DND",
            "Custom 1": "Mittag",
            "Custom 2": "",
        }
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Custom 1"


async def test_the_label_of_a_status_may_be_told_instead_of_its_internal_name():
    async with bench() as b:
        await b.sign_in()
        await b.play("PUT", "/profile-names", {"Custom 1": "Lunch", "Custom 2": "Trip"})
        await b.play("PUT", "/extensions/101", {"custom_names": {"Custom 1": "Mittag"}})
        refused = await b.api.patch("/xapi/v1/Users(1)", json={"CurrentProfileName": "Mittag"})
        assert refused.status_code == 400
        await b.play("POST", "/faults", {"profile_names": "shown"})
        for user, wanted, told in (
            (1, "Mittag", "Mittag"),
            (1, "Away", "Away"),
            (2, "Lunch", "Lunch"),
            (2, "Custom 2", "Trip"),
        ):
            answer = await b.api.patch(f"/xapi/v1/Users({user})", json={"CurrentProfileName": wanted})
            assert answer.status_code == 204
            assert (await b.get(f"/xapi/v1/Users({user})"))["CurrentProfileName"] == told
        assert (await b.play("GET", "/extensions/102"))["status"] == "Custom 2"
        found = await b.get("/xapi/v1/Users", **{"$filter": "CurrentProfileName eq 'Trip'"})
        assert [user["Number"] for user in found["value"]] == ["102"]


async def test_the_table_of_the_own_sync_came_with_20_0_5():
    async with bench(version="20.0.4.1") as b:
        await b.sign_in()
        users = (await b.get("/xapi/v1/Microsoft365Integration"))["AdUsers"]
        assert users["SetTeamsPresence"] is False
        assert "StatusSyncConfiguration" not in users


async def test_3cxs_own_presence_sync_can_be_seen():
    async with bench() as b:
        await b.sign_in()
        assert (await b.get("/xapi/v1/Microsoft365Integration"))["AdUsers"]["SetTeamsPresence"] is False
        bindings = {"PBXToM365Bindings": [{"From": "Away", "To": "Busy"}], "PBXToM365Busy": True}
        given = {"SetTeamsPresence": True, "StatusSyncConfiguration": bindings}
        await b.play("PUT", "/microsoft365", given)
        users = (await b.get("/xapi/v1/Microsoft365Integration"))["AdUsers"]
        assert users["SetTeamsPresence"] is True
        assert users["StatusSyncConfiguration"]["PBXToM365Busy"] is True


async def test_a_role_that_is_too_low():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"forbidden": ["ActiveCalls"]})
        assert (await b.api.get("/xapi/v1/ActiveCalls")).status_code == 403
        assert (await b.api.get("/xapi/v1/Users")).status_code == 200


# -- active calls


async def _seen(b) -> list[tuple[str, str, str]]:
    calls = (await b.get("/xapi/v1/ActiveCalls"))["value"]
    return [(call["Caller"], call["Callee"], call["Status"]) for call in calls]


async def test_active_calls_are_texts_and_hold_does_not_show():
    async with bench() as b:
        await b.sign_in()
        inside = await b.call(("101", "Dialing", "102"), ("102", "Ringing", "101"))
        outside = await b.call(("103", "Ringing", "0123456789"))
        ann, ben = "101 Miller, Ann", "102 O'Neil, Ben"
        assert await _seen(b) == [(ann, ben, "Routing"), ("0123456789", "103 Cem", "Routing")]
        await b.play("PUT", f"/calls/{inside}/legs/101", {"state": "Connected"})
        await b.play("PUT", f"/calls/{inside}/legs/102", {"state": "Connected"})
        await b.play("DELETE", f"/calls/{outside}")
        assert await _seen(b) == [(ann, ben, "Talking")]
        for state in ("Hold", "Connected"):
            await b.play("PUT", f"/calls/{inside}/legs/101", {"state": state})
            assert await _seen(b) == [(ann, ben, "Talking")]
        await b.play("PUT", f"/calls/{inside}/legs/103", {"state": "Ringing"})
        assert (await _seen(b))[0][2] == "Transferring"
        call = (await b.get("/xapi/v1/ActiveCalls", **{"$filter": "contains(Caller,'101')"}))["value"][0]
        assert call["EstablishedAt"] is not None
        assert call["ServerNow"] >= call["LastChangeStatus"] >= call["EstablishedAt"]
        assert (await b.api.post(f"/xapi/v1/ActiveCalls({inside})/Pbx.DropCall")).status_code == 200
        assert await _seen(b) == []
        assert (await b.api.post(f"/xapi/v1/ActiveCalls({inside})/Pbx.DropCall")).status_code == 404


async def test_a_caller_in_a_queue_talks_to_the_queue():
    async with bench() as b:
        await b.sign_in()
        queue = {"number": "8003", "name": "Queue 1"}
        call = await b.call(("10000", "Connected", "0123"), ("8003", "Connected", "0123"), queue=queue)
        assert await _seen(b) == [("0123", "8003 Queue 1", "Talking")]
        await b.play("DELETE", f"/calls/{call}/legs/8003")
        await b.play("PUT", f"/calls/{call}/legs/101", {"state": "Connected", "party": "0123"})
        assert await _seen(b) == [("0123", "101 Miller, Ann", "Talking")]


async def test_active_calls_can_be_behind():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"active_calls_lag_s": 5})
        call = await b.call(("101", "Connected", "0123"))
        assert await b.statuses("101") == ["Connected"]
        assert await _seen(b) == []
        await b.play("POST", "/clock", {"advance_s": 5})
        assert len(await _seen(b)) == 1
        await b.play("DELETE", f"/calls/{call}")
        await b.play("POST", "/clock", {"advance_s": 4})
        assert len(await _seen(b)) == 1
        await b.play("POST", "/clock", {"advance_s": 1})
        assert await _seen(b) == []


# -- call control


async def test_what_is_in_sight_of_the_api_client():
    async with bench() as b:
        await b.sign_in()
        shown = await b.get("/callcontrol")
        assert [(each["dn"], each["type"]) for each in shown] == [
            ("teamsync", "Wroutepoint"),
            ("101", "Wextension"),
            ("102", "Wextension"),
        ]
        assert await b.get("/callcontrol/101") == shown[1]
        assert [len(each["devices"]) for each in shown] == [1, 2, 2]
        refused = await b.api.get("/callcontrol/103")
        assert refused.status_code == 403
        assert refused.json()["error_description"]
        assert (await b.api.get("/callcontrol/999")).status_code == 404
        device = shown[1]["devices"][1]
        path = f"/callcontrol/101/devices/{device['device_id'].replace(':', '%3A').replace('@', '%40')}"
        assert await b.get(path) == device
        assert await b.get("/callcontrol/101/devices") == shown[1]["devices"]
        for path in ("/callcontrol/101/devices/x", "/callcontrol/101/x", "/callcontrol/101/participants/x"):
            assert (await b.api.get(path)).status_code == 404


async def test_a_participant_looks_like_a_real_one():
    async with bench() as b:
        await b.sign_in()
        await b.call(("101", "Dialing", "0123456789"))
        assert await b.get("/callcontrol/101/participants/1") == {
            "id": 1,
            "status": "Dialing",
            "dn": "101",
            "party_caller_name": "",
            "party_dn": "10000",
            "party_caller_id": "0123456789",
            "party_did": "",
            "device_id": "sip:101@127.0.0.1:5060",
            "party_dn_type": "Wexternalline",
            "direct_control": False,
            "originated_by_dn": "",
            "originated_by_type": "None",
            "referred_by_dn": "",
            "referred_by_type": "None",
            "on_behalf_of_dn": "",
            "on_behalf_of_type": "None",
            "callid": 1,
            "legid": 1,
        }
        await b.call(("102", "Connected"), ("101", "Connected"))
        other = (await b.get("/callcontrol/102/participants"))[0]
        assert (other["party_dn"], other["party_dn_type"]) == ("101", "Wextension")
        assert (other["party_caller_id"], other["party_caller_name"]) == ("101", "Ann Miller")


async def test_a_ringing_extension_shows_several_participants_unless_switched():
    async with bench() as b:
        await b.sign_in()
        await b.call(("101", "Ringing", "0123"))
        shown = await b.get("/callcontrol/101/participants")
        assert [each["device_id"] for each in shown] == [
            "sip:101@127.0.0.1:5060",
            "sip:101@127.0.0.1:5063",
            "",
        ]
        await b.play("PUT", "/extensions/101", {"devices": [{"device_id": "sip:101@10.0.0.9"}]})
        assert await b.statuses("101") == ["Ringing", "Ringing"]
        await b.play("POST", "/faults", {"several_participants": False})
        assert await b.statuses("101") == ["Ringing"]


async def test_hold_has_the_word_that_the_switch_gives_it():
    async with bench() as b:
        await b.sign_in()
        call = await b.call(("101", "Hold", "0123"), ("102", "Held", "0123"))
        assert (await b.statuses("101"), await b.statuses("102")) == (["Connected"], ["Connected"])
        await b.play("POST", "/faults", {"hold_shown": "own"})
        assert (await b.statuses("101"), await b.statuses("102")) == (["Hold"], ["Held"])
        await b.play("PUT", f"/calls/{call}/legs/101", {"state": "Undefined"})
        assert await b.statuses("101") == []


async def test_an_api_client_dials_answers_transfers_and_drops():
    async with bench() as b:
        await b.sign_in()
        device = "sip%3A101%40127.0.0.1%3A5060"
        made = await b.api.post(f"/callcontrol/101/devices/{device}/makecall", json={"destination": "102"})
        body = made.json()
        assert list(body) == ["finalstatus", "reason", "reasontext", "result"]
        assert (body["finalstatus"], body["result"]["status"]) == ("Success", "Dialing")
        ringing = (await b.get("/callcontrol/102/participants"))[0]["id"]
        answer = await b.api.post(f"/callcontrol/102/participants/{ringing}/answer", json={})
        assert answer.json()["result"]["status"] == "Connected"
        assert (await b.statuses("101"), await b.statuses("102")) == (["Connected"], ["Connected"])
        again = await b.api.post(f"/callcontrol/102/participants/{ringing}/answer")
        assert again.status_code == 422
        assert again.json()["reasontext"] == "a participant that is Connected can't answer"
        moved = await b.api.post(
            f"/callcontrol/102/participants/{ringing}/transferto", json={"destination": "103"}
        )
        assert moved.status_code == 200
        assert await b.statuses("102") == []
        assert (await b.get("/callcontrol/101/participants"))[0]["party_dn"] == "103"
        assert (await b.play("GET", "/extensions/103"))["legs"][0]["state"] == "Ringing"
        own = (await b.get("/callcontrol/101/participants"))[0]["id"]
        assert (await b.api.post(f"/callcontrol/101/participants/{own}/drop")).status_code == 200
        assert (await b.play("GET", "/extensions/103"))["legs"] == []
        assert (await b.api.post("/callcontrol/101/makecall", json={})).status_code == 422
        assert (await b.api.post("/callcontrol/103/makecall", json={"destination": "1"})).status_code == 403
        routed = await b.api.post("/callcontrol/teamsync/makecall", json={"destination": "101"})
        assert routed.json()["result"]["dn"] == "teamsync"
        by_xapi = {"dn": "102", "destination": "0123"}
        shown = (await b.api.post("/xapi/v1/Users/Pbx.MakeCall", json=by_xapi)).json()
        assert shown["Result"]["DN"] == "102"


async def test_3cxs_sample_calls_from_its_route_point_and_routes_the_call_on():
    """The requests of CustomIVRApp.service.ts in 3cx/call-control-examples (4663329)."""
    async with bench() as b:
        await b.sign_in()
        [device] = await b.get("/callcontrol/teamsync/devices")
        path = f"/callcontrol/teamsync/devices/{quote(device['device_id'], safe='')}/makecall"
        made = (await b.api.post(path, json={"destination": "0123"})).json()["result"]
        own = f"/callcontrol/teamsync/participants/{made['id']}"
        assert (await b.api.post(f"{own}/drop", json={"destination": "152"})).status_code == 200
        assert (await b.play("GET", "/extensions/102"))["legs"] == []
        await b.call(("teamsync", "Connected", "0123"))
        own = f"/callcontrol/teamsync/participants/{made['id'] + 1}"
        assert (await b.api.post(f"{own}/routeto", json={"destination": "102"})).status_code == 200
        assert await b.statuses("teamsync") == ["Connected"]
        assert (await b.api.post(f"{own}/drop", json={"destination": "152"})).status_code == 200
        assert await b.statuses("teamsync") == []
        [leg] = (await b.play("GET", "/extensions/102"))["legs"]
        assert (leg["state"], leg["party"]) == ("Ringing", "0123")


# -- the control port and the trouble


async def test_a_pbx_that_refuses_or_does_not_answer():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"refuse": {"count": 1, "path": "/xapi"}})
        assert (await b.api.get("/callcontrol")).status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            await b.api.patch("/xapi/v1/Users(1)", json={"CurrentProfileName": "Away"})
        assert (await b.play("GET", "/requests"))[-1]["status"] is None
        assert (await b.get("/xapi/v1/Users(1)"))["CurrentProfileName"] == "Available"
        await b.play("POST", "/faults", {"refuse": True})
        for path in ("/connect/token", "/callcontrol", "/xapi/v1/Users"):
            with pytest.raises(httpx2.RemoteProtocolError):
                await b.api.get(path)
        await b.play("POST", "/faults", {"refuse": None})
        assert (await b.api.get("/callcontrol")).status_code == 200


async def test_extensions_come_and_go():
    async with bench() as b:
        await b.sign_in()
        await b.call(("103", "Connected", "0123"), ("102", "Connected", "0123"))
        shown = await b.play(
            "PUT",
            "/extensions",
            [
                {"number": "101"},
                {"number": "102", "name": "Ben Two", "status": "Custom 2"},
                {"number": "110", "name": "Dora", "email": "d@example.org"},
            ],
        )
        assert [(each["number"], each["status"]) for each in shown] == [
            ("101", "Available"),
            ("102", "Custom 2"),
            ("110", "Available"),
        ]
        users = (await b.get("/xapi/v1/Users"))["value"]
        assert [user["DisplayName"] for user in users] == ["Ann Miller", "Ben Two", "Dora"]
        assert users[0]["EmailAddress"] == "ann@example.org"
        assert len({user["Id"] for user in users}) == 3
        assert (await b.api.get("/callcontrol/103")).status_code == 404
        await b.play("PUT", "/extensions", [{"number": each} for each in ("101", "102", "110", "103")])
        assert (await b.play("GET", "/extensions/103"))["legs"] == []
        assert len((await b.play("GET", "/extensions/102"))["legs"]) == 1
        await b.play("PUT", "/extensions", [{"number": each} for each in ("101", "102", "110")])
        await b.play("PUT", "/monitored", None)
        assert await b.play("GET", "/monitored") == ["101", "102", "110"]


async def test_requests_are_written_down():
    async with bench() as b:
        await b.sign_in()
        await b.api.patch("/xapi/v1/Users(1)?x=1", json={"CurrentProfileName": "Away"})
        seen = (await b.play("GET", "/requests"))[-1]
        assert (seen["method"], seen["path"], seen["status"]) == ("PATCH", "/xapi/v1/Users(1)?x=1", 204)
        assert seen["body"] == {"CurrentProfileName": "Away"}
        assert await b.play("GET", f"/requests?since={seen['index'] + 1}") == []
        await b.play("DELETE", "/requests")
        assert await b.play("GET", "/requests") == []


async def test_refusals_on_demand():
    async with bench() as b:
        await b.sign_in()
        fault = {"code": 503, "count": 1, "path": "/xapi", "retry_after_s": 2}
        await b.play("POST", "/faults", {"status": fault})
        assert (await b.api.get("/callcontrol")).status_code == 200
        answer = await b.api.get("/xapi/v1/Users")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert (await b.api.get("/xapi/v1/Users")).status_code == 200
        await b.play("POST", "/faults", {"drop_after_write": {"count": 1}})
        with pytest.raises(Exception, match="disconnected"):
            await b.api.patch("/xapi/v1/Users(1)", json={"CurrentProfileName": "Away"})
        assert (await b.play("GET", "/extensions/101"))["status"] == "Away"
        await b.play("DELETE", "/faults")
        assert (await b.play("GET", "/faults"))["status"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "part"),
    [
        ("PUT", "/extensions/999", {"status": "Away"}, "GET /extensions"),
        ("PUT", "/extensions/101", {"status": "away"}, "use one of: Available"),
        ("PUT", "/extensions/101", {"state": "Away"}, "status, custom_names, queue_status, devices"),
        ("PUT", "/extensions", [{"number": "1"}, {"number": "1"}], "twice"),
        ("POST", "/calls", {"legs": []}, "a call has legs"),
        ("POST", "/calls", {"legs": [{"dn": "1", "state": "Talking"}]}, "use one of: Undefined"),
        ("PUT", "/calls/9/legs/101", {"state": "Ringing"}, "no call 9"),
        ("POST", "/clock", {"advance_s": -1}, "can't go back"),
        ("POST", "/socket/drop", {"code": 7}, "1000 to 4999"),
        ("POST", "/faults", {"nothing": 1}, "the faults are: latency_s"),
        ("POST", "/faults", {"status": 200}, "400 to 599"),
        ("POST", "/faults", {"latency_s": -1}, "0 or more"),
        ("POST", "/faults", {"default_page_size": 0}, "1 or more"),
        ("POST", "/faults", {"status_override": {"9": "Away"}}, "no extension 9"),
        ("POST", "/faults", {"status_override": {"101": "Lunch"}}, "use one of"),
        ("PUT", "/extensions/101", {"custom_names": {"Lunch": "x"}}, "use one of: Available"),
        ("PUT", "/profile-names", {"Away": "x"}, "use one of: Custom 1, Custom 2"),
        (
            "PUT",
            "/microsoft365",
            {"StatusSyncConfiguration": {"PBXToM365Bindings": [{"From": "Custom 1", "To": "Busy"}]}},
            "use one of: Available, OutOfOffice, Away",
        ),
        ("POST", "/faults", {"profile_names": "other"}, "'other'"),
        ("GET", "/requests?since=x", None, "?since=12"),
        ("GET", "/nothing", None, "what there is: GET /extensions"),
    ],
)
async def test_the_control_port_says_what_would_help(method: str, path: str, body, part: str):
    async with bench() as b:
        answer = await b.control.request(method, path, json=body)
        assert answer.status_code in {400, 404}
        assert part in answer.json()["error"]
        assert answer.content.endswith(b"}\n")
