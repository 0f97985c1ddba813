"""Presence: sessions, precedence, fading, the actions and their refusals."""

import asyncio

import pytest
from graph_bench import ANN, APP, BEN, WATCHER, WORLD, bench, code

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import presence
from presencebridge.emulators.graph.presence import Pair, Preferred, Presence
from presencebridge.emulators.graph.wire import duration_s
from presencebridge.emulators.world import World

BUSY, DND = Pair("Busy", "InACall"), Pair("DoNotDisturb", "Presenting")


def _with(*said: tuple[str, Pair, float, float | None], preferred: Preferred | None = None) -> Presence:
    whole = Presence()
    for session_id, pair, now, expires in said:
        whole = presence.told(whole, session_id, pair, now, expires)
    return presence.preferring(whole, preferred)


def test_nobody_signed_in_is_offline_whatever_is_preferred():
    whole = _with(preferred=Preferred(Pair("Busy", "Busy"), None))
    assert presence.shown(whole, 0) == presence.OFFLINE


@pytest.mark.parametrize(
    ("client", "app", "shown"),
    [
        (presence.AVAILABLE, BUSY, BUSY),
        (presence.AWAY, presence.AVAILABLE, presence.AVAILABLE),
        (presence.AVAILABLE, presence.AWAY, presence.AVAILABLE),
        (DND, BUSY, DND),
        (BUSY, DND, DND),
    ],
)
def test_the_higher_session_is_shown(client, app, shown):
    assert presence.shown(_with(("client", client, 0, None), (APP, app, 0, 3600)), 1) == shown


def test_among_equals_the_newest_pair_is_shown_and_a_renewal_is_not_newer():
    meeting = Pair("Busy", "InAMeeting")
    whole = _with((APP, BUSY, 0, 3600), ("client", meeting, 10, None))
    assert presence.shown(whole, 11) == meeting
    renewed = presence.told(whole, APP, BUSY, 20, 4000)
    assert presence.shown(renewed, 21) == meeting


def test_a_preferred_presence_outranks_sessions_until_it_ends():
    whole = _with(("client", DND, 0, None), preferred=Preferred(Pair("Offline", "OffWork"), 100.0))
    assert presence.shown(whole, 99) == Pair("Offline", "OffWork")
    assert presence.shown(whole, 100) == DND


def test_an_available_application_session_fades_and_a_client_does_not():
    whole = _with((APP, presence.AVAILABLE, 0, 3600))
    seen = [presence.shown(whole, at) for at in (299, 300, 599, 600, 3599, 3600)]
    assert seen == [
        presence.AVAILABLE,
        presence.AVAILABLE_INACTIVE,
        presence.AVAILABLE_INACTIVE,
        presence.AWAY,
        presence.AWAY,
        presence.OFFLINE,
    ]
    client = _with(("client", presence.AVAILABLE, 0, None))
    assert presence.shown(client, 10_000) == presence.AVAILABLE
    assert presence.next_turn(client, 0) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT5M", 300),
        ("PT4H", 14400),
        ("PT1H30M", 5400),
        ("P1D", 86400),
        ("PT0.5S", 0.5),
        ("-PT5M", -300),
        ("1:00:00", None),
        ("P", None),
        ("PT", None),
        ("PT5", None),
        ("1h", None),
    ],
)
def test_durations_are_those_of_iso_8601(text, seconds):
    assert duration_s(text) == seconds


async def test_a_call_makes_busy_and_clearing_restores_what_the_client_says():
    async with bench() as b:
        graph = await b.as_app()
        await b.says(ANN, "Available")
        answer = await graph.set_presence(ANN, *BUSY)
        assert (answer.status_code, answer.content) == (200, b"")
        read = (await graph.get(f"/users/{ANN.id}/presence")).json()
        assert (read["availability"], read["activity"]) == BUSY
        assert (await graph.clear_presence(ANN)).status_code == 200
        assert await b.shows(ANN) == "Available/Available"
        assert code(await graph.clear_presence(ANN)) == (404, "NotFound")


async def test_a_session_ends_after_five_minutes_unless_more_is_asked():
    async with bench() as b:
        graph = await b.as_app()
        await graph.set_presence(ANN, *BUSY, lasting=None)
        await b.advance(299)
        assert await b.shows(ANN) == "Busy/InACall"
        await b.advance(1)
        assert await b.shows(ANN) == "Offline/Offline"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessionId": None}, "[SessionId]: The SessionId field is required."),
        ({"activity": "Busy"}, None),
        ({"availability": "busy"}, None),
        ({"availability": None}, "[Availability]: The Availability field is required."),
        ({"expirationDuration": "PT4M"}, "The provided [ExpirationDuration] is out of range."),
        ({"expirationDuration": "PT4H1S"}, "The provided [ExpirationDuration] is out of range."),
        ({"expirationDuration": "1:00:00"}, None),
        ({"expirationDuration": 5}, None),
        ({"colour": "red"}, None),
    ],
)
async def test_set_presence_refuses(change, message):
    async with bench() as b:
        graph = await b.as_app()
        body = {"sessionId": APP, "availability": "Busy", "activity": "InACall"} | change
        answer = await graph.post(f"/users/{ANN.id}/presence/setPresence", body)
        assert answer.status_code == 400, answer.text
        assert message in {None, answer.json()["error"]["message"]}
        assert (await b.control.get(f"/users/{ANN.id}")).json()["sessions"] == []


async def test_a_missing_session_id_is_refused_before_the_missing_right():
    async with bench(World(client_secret="a-secret", users=(ANN,), app_roles=("Presence.Read.All",))) as b:
        graph = await b.as_app()
        path = f"/users/{ANN.id}/presence/"
        assert code(await graph.post(path + "clearPresence", {})) == (400, "InvalidArgument")
        answer = await graph.post(path + "clearPresence", {"sessionId": APP})
        assert code(answer) == (403, "Forbidden")
        assert answer.json()["error"]["message"] == ""


async def test_a_signed_in_user_writes_only_their_own_presence():
    async with bench() as b:
        ann = await b.as_user("ann@example.org", "Presence.ReadWrite")
        assert (await ann.set_presence(ANN, *BUSY)).status_code == 200
        answer = await ann.set_presence(BEN, *BUSY)
        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == "Cannot set the presence of another user"
        body = {"sessionId": APP, "availability": "Away", "activity": "Away"}
        assert (await ann.post("/me/presence/setPresence", body)).status_code == 200
        assert await b.shows(ANN) == "Away/Away"


async def test_what_a_signed_in_user_may_read():
    async with bench() as b:
        only_self = await b.as_user("ann@example.org", "Presence.Read")
        assert (await only_self.get("/me/presence")).status_code == 200
        assert (await only_self.get(f"/users/{ANN.id}/presence")).status_code == 200
        assert code(await only_self.get(f"/users/{BEN.id}/presence")) == (403, "Forbidden")
        everybody = await b.as_user()
        assert (await everybody.get(f"/communications/presences/{BEN.id}")).status_code == 200
        app = await b.as_app()
        assert code(await app.get("/me/presence")) == (400, "BadRequest")


async def test_preferred_presence_covers_sessions_and_clearing_it_twice_succeeds():
    async with bench() as b:
        graph = await b.as_app()
        body = {"availability": "DoNotDisturb", "activity": "DoNotDisturb"}
        path = f"/users/{ANN.id}/presence/"
        assert (await graph.post(path + "setUserPreferredPresence", body)).status_code == 200
        assert await b.shows(ANN) == "Offline/Offline"
        await b.says(ANN, "Available")
        assert await b.shows(ANN) == "DoNotDisturb/DoNotDisturb"
        for _ in range(2):
            answer = await graph.post(path + "microsoft.graph.clearUserPreferredPresence")
            assert (answer.status_code, answer.content) == (200, b"")
        assert await b.shows(ANN) == "Available/Available"
        body = {"availability": "Busy", "activity": "InACall"}
        assert code(await graph.post(path + "setUserPreferredPresence", body)) == (400, "InvalidArgument")


@pytest.mark.parametrize(("kind", "days"), [("Busy", 1), ("DoNotDisturb", 1), ("BeRightBack", 7)])
async def test_a_preferred_presence_lasts_a_day_or_a_week(kind, days):
    async with bench() as b:
        graph = await b.as_app()
        await b.says(ANN, "Available")
        body = {"availability": kind, "activity": kind}
        await graph.post(f"/users/{ANN.id}/presence/setUserPreferredPresence", body)
        await b.advance(days * 86400 - 1)
        assert await b.shows(ANN) == f"{kind}/{kind}"
        await b.advance(1)
        assert await b.shows(ANN) == "Available/Available"


async def test_many_presences_are_read_at_once_and_unknown_ids_are_left_out():
    async with bench() as b:
        graph = await b.as_app()
        await b.says(BEN, "Busy", "InAMeeting")
        body = {"ids": [ANN.id, BEN.id, "00000000-0000-4000-8000-00000000ffff"]}
        answer = (await graph.post("/communications/getPresencesByUserId", body)).json()
        assert [(row["id"], row["activity"]) for row in answer["value"]] == [
            (ANN.id, "Offline"),
            (BEN.id, "InAMeeting"),
        ]
        full = {"ids": [ANN.id] * 650}
        path = "/communications/microsoft.graph.getPresencesByUserId"
        assert (await graph.post(path, full)).status_code == 200
        assert (await graph.post(path, {"ids": [ANN.id] * 651})).status_code == 400
        assert (await graph.post(path, {})).status_code == 400


async def test_the_sequence_number_goes_up_in_text_order_with_every_change():
    async with bench() as b:
        graph = await b.as_app()
        seen = []
        for availability in ("Available", "Busy", "Away", "DoNotDisturb") * 5:
            await b.says(ANN, availability)
            seen.append((await graph.get(f"/users/{ANN.id}/presence")).json()["sequenceNumber"])
        assert seen == sorted(set(seen))


async def test_a_status_message_shows_its_dates_to_its_owner_only():
    async with bench() as b:
        graph = await b.as_app()
        message = {
            "message": {"content": "On the phone", "contentType": "text"},
            "expiryDateTime": {"dateTime": "2027-01-15T10:00:00.0000000", "timeZone": "Europe/Berlin"},
        }
        path = f"/users/{ANN.id}/presence/setStatusMessage"
        assert (await graph.post(path, {"statusMessage": message})).status_code == 200
        other = (await graph.get(f"/users/{ANN.id}/presence")).json()["statusMessage"]
        assert other == {"message": {"content": "On the phone", "contentType": "text"}}
        ann = await b.as_user("ann@example.org", "Presence.Read")
        own = (await ann.get("/me/presence")).json()["statusMessage"]
        assert own["expiryDateTime"] == {"dateTime": "2027-01-15T09:00:00.0000000", "timeZone": "UTC"}
        message["message"]["contentType"] = "html"
        assert (await graph.post(path, {"statusMessage": message})).status_code == 400


async def test_a_status_message_ends_by_the_clock():
    async with bench() as b:
        graph = await b.as_app()
        message = {
            "message": {"content": "Lunch"},
            "expiryDateTime": {"dateTime": "2027-01-15T09:00:00", "timeZone": "UTC"},
        }
        await graph.post(f"/users/{ANN.id}/presence/setStatusMessage", {"statusMessage": message})
        await b.advance(3599)
        graph = await b.as_app()
        assert (await graph.get(f"/users/{ANN.id}/presence")).json()["statusMessage"]
        await b.advance(1)
        assert (await graph.get(f"/users/{ANN.id}/presence")).json()["statusMessage"] is None


async def test_the_work_location_is_for_signed_in_users_only_and_manual_comes_first():
    async with bench() as b:
        app = await b.as_app()
        body = {"workLocationType": "office"}
        answer = await app.post(f"/users/{ANN.id}/presence/setManualLocation", body)
        assert code(answer) == (403, "Forbidden")
        ann = await b.as_user("ann@example.org", "Presence.ReadWrite")
        await ann.post("/me/presence/setAutomaticLocation", {"workLocationType": "office"})
        await ann.post("/me/presence/setManualLocation", {"workLocationType": "remote"})
        assert (await ann.get("/me/presence")).json()["workLocation"]["source"] == "manual"
        await ann.post("/me/presence/clearLocation")
        assert (await ann.get("/me/presence")).json()["workLocation"] is None
        assert (await ann.post("/me/presence/setManualLocation", {})).status_code == 400


async def test_users_and_paths_that_are_not_there():
    async with bench() as b:
        graph = await b.as_app()
        assert code(await graph.get("/users/nobody/presence")) == (404, "Request_ResourceNotFound")
        assert (await graph.post(f"/users/{ANN.id}/presence/setMood", {})).status_code == 404
        assert (await graph.get("/no/such/thing")).status_code == 404
        answer = await graph.patch(f"/users/{ANN.id}/presence", {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "Request_BadRequest")
        assert (await graph.get(f"/users('{ANN.user_principal_name}')/presence")).status_code == 200


async def test_the_body_must_be_json():
    async with bench() as b:
        graph = await b.as_app()
        answer = await b.graph.post(
            f"/v1.0/users/{ANN.id}/presence/setPresence", headers=graph.headers, content=b"sessionId=1"
        )
        assert code(answer) == (400, "BadRequest")


async def test_only_some_properties_when_selected():
    async with bench() as b:
        graph = await b.as_app()
        row = (await graph.get(f"/users/{ANN.id}/presence?$select=availability,activity")).json()
        assert set(row) == {"@odata.context", "availability", "activity"}
        assert (await graph.get(f"/users/{ANN.id}/presence?$select=mood")).status_code == 400


async def test_the_control_port_shows_sessions_preferred_and_effective_in_the_fixed_shape():
    async with bench() as b:
        graph = await b.as_app()
        await b.says(ANN, "Away")
        await graph.set_presence(ANN, *BUSY)
        await b.control.put(f"/users/{ANN.id}/preferred", json={"availability": "Busy", "expires_s": 60})
        assert (await b.control.get("/users/ann@example.org")).json() == {
            "sessions": [
                {"session_id": "client", "availability": "Away", "activity": "Away", "expires_at": None},
                {
                    "session_id": APP,
                    "availability": "Busy",
                    "activity": "InACall",
                    "expires_at": "2027-01-15T09:00:00.0000000Z",
                },
            ],
            "preferred": {
                "availability": "Busy",
                "activity": "Busy",
                "expires_at": "2027-01-15T08:01:00.0000000Z",
            },
            "effective": {"availability": "Busy", "activity": "Busy"},
        }
        await b.says(ANN, None)
        await b.control.put(f"/users/{ANN.id}/preferred", json=None)
        assert await b.shows(ANN) == "Busy/InACall"


@pytest.mark.looptime
async def test_the_fade_comes_by_itself_on_a_loop_clock():
    async with bench(clock=Clock.of_loop()) as b:
        graph = await b.as_app()
        await graph.set_presence(ANN, "Available", "Available")
        await asyncio.sleep(301)
        assert b.emulator.board.entry(ANN.id).published == presence.AVAILABLE_INACTIVE
        await asyncio.sleep(300)
        assert b.emulator.board.entry(ANN.id).published == presence.AWAY


def test_the_watcher_is_an_account_too():
    assert WATCHER.id not in {user.id for user in WORLD.users}
