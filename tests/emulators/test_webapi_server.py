"""The bridge in process, on a virtual clock: turns, silence, faults, and the control port."""

import asyncio
from typing import Any

import httpx2
import pytest

from presencebridge.emulators.webapi import WebApiEmulator
from presencebridge.emulators.world import Extension, World

pytestmark = pytest.mark.looptime

WORLD = World(extensions=(Extension("100", "Ann"), Extension("101", "Bob")))
PHONE = {"phones": [{"contact": "sip:a", "user_agent": "Yealink"}]}


class Bench:
    """An emulator, what it printed, and a client for each of its ports."""

    def __init__(self, **options: Any) -> None:
        self.printed: list[str] = []
        self.emulator = WebApiEmulator(WORLD, out=self.printed.append, **options)
        self._bridge = _client(self.emulator.app)
        self._control = _client(self.emulator.control)

    async def get(self, path: str) -> str:
        return (await self._bridge.get(path)).text

    async def request(self, method: str, path: str, **how: Any) -> httpx2.Response:
        return await self._bridge.request(method, path, **how)

    async def gives_up(self, path: str, after_s: float = 5) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(after_s):
                await self._bridge.get(path)

    async def play(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._control.request(method, path, json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, text: str) -> tuple[int, str]:
        answer = await self._control.request(method, path, content=text)
        return answer.status_code, answer.json()["error"]


def _client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://pbx")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def now() -> float:
    return asyncio.get_running_loop().time()


# The envelope


async def test_the_original_sends_no_content_type(bench: Bench) -> None:
    answer = await bench.request("GET", "/showstatus/100")
    assert answer.status_code == 200
    assert answer.headers.raw == [
        (b"Access-Control-Allow-Origin", b"null"),
        (b"Server", b"Microsoft-NetCore/2.0"),
        (b"Date", b"Fri, 15 Jan 2027 08:00:00 GMT"),
        (b"Content-Length", b"28"),
    ]


async def test_the_fork_names_its_content_types() -> None:
    bench = Bench(dialect="adn77-2023")
    page = await bench.request("GET", "/nothing")
    assert page.headers["content-type"] == "text/html"
    token = await bench.request("POST", "/anywhere?validationToken=a%20b", content="")
    assert (token.headers["content-type"], token.text) == ("text/plain", "a b")
    assert bench.printed == ["<HTML><BODY>Idle</BODY></HTML>", "a b"]


async def test_a_notification_is_printed_as_it_came() -> None:
    bench = Bench(dialect="adn77-2024")
    answer = await bench.request("POST", "/secret", content='{"value":[{"subscriptionId":"ü"}]}')
    assert (answer.status_code, answer.content) == (200, b"")
    assert bench.printed == ['{"value":[{"subscriptionId":"ü"}]}', ""]


async def test_wha_is_an_aspnet_service_with_a_key() -> None:
    bench = Bench(dialect="wha", api_key="k")
    refused = await bench.request("GET", "/status/extension/100")
    assert (refused.status_code, refused.content) == (401, b"")
    answer = await bench.request("GET", "/status/extension/100", headers={"X-API-Key": "k"})
    assert answer.json() == {
        "message": "Available",
        "status": "OK",
        "timeStamp": "2027-01-15T08:00:00+00:00",
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["server"] == "Kestrel"
    bench.emulator.start()
    assert bench.printed == []


async def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="use one of: original, adn77-2023, adn77-2024, wha"):
        WebApiEmulator(WORLD, dialect="v20")


async def test_it_is_asked_nothing_but_http(bench: Bench) -> None:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    await bench.emulator.app({"type": "lifespan"}, nothing, nothing)


async def test_starting_prints_the_port(bench: Bench) -> None:
    bench.emulator.start()
    assert bench.printed[0] == "Port Submitted, use Generic Port: 8889"
    bench.emulator.start(1234)
    assert bench.printed[-1] == "To Stop open URL: http://127.0.0.1:1234/stop"


# Silence and turns


async def test_a_request_that_fails_inside_is_never_answered_and_holds_nobody_up(bench: Bench) -> None:
    async with asyncio.TaskGroup() as people:
        people.create_task(bench.gives_up("/showstatus/999", after_s=3600))
        await asyncio.sleep(1)
        assert await bench.get("/showstatus/100") == "    CURRENT_STATUS=Available"
        assert now() == 1
    assert now() == 3600
    assert bench.printed == [
        "/showstatus/999",
        "Object reference not set to an instance of an object.",
        "/showstatus/100",
        "    CURRENT_STATUS=Available",
        "    CURRENT_STATUS=Available",
    ]
    assert [(seen.path, seen.status) for seen in bench.emulator.requests] == [
        ("/showstatus/999", None),
        ("/showstatus/100", 200),
    ]


async def test_everybody_waits_while_the_bridge_makes_a_call(bench: Bench) -> None:
    await bench.play("PUT", "/extensions/100", PHONE)
    async with asyncio.TaskGroup() as people:
        call = people.create_task(bench.get("/makecall/100/101/Desktop"))
        await asyncio.sleep(0)
        ask = people.create_task(bench.get("/showstatus/100"))
        await asyncio.sleep(2.4)
        assert not call.done()
        assert bench.printed[-1] == "Desktop"
    assert now() == 2.5
    assert (call.result(), ask.result()) == ("1", "    CURRENT_STATUS=Available")
    assert bench.printed[-6:-3] == ["CallID: 1", "CallID_v16: 1", "1"]


async def test_requests_are_taken_in_the_order_in_which_they_came(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"latency_s": 1})
    async with asyncio.TaskGroup() as people:
        for word in ("away", "oof", "avail", "custom1"):
            people.create_task(bench.get(f"/setstatus/100/{word}"))
    assert now() == 4
    assert [line for line in bench.printed if line.startswith("/")] == [
        "/setstatus/100/away",
        "/setstatus/100/oof",
        "/setstatus/100/avail",
        "/setstatus/100/custom1",
    ]


async def test_wha_serves_many_at_once() -> None:
    bench = Bench(dialect="wha")
    await bench.play("POST", "/faults", {"latency_s": 1})
    async with asyncio.TaskGroup() as people:
        for number in ("100", "101"):
            people.create_task(bench.get(f"/status/extension/{number}"))
    assert now() == 1


async def test_what_a_client_gave_up_waiting_for_is_done_all_the_same(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"latency_s": 4})
    async with asyncio.TaskGroup() as people:
        people.create_task(bench.get("/showstatus/101"))
        people.create_task(bench.gives_up("/setstatus/100/away", after_s=5))
    assert (await bench.play("GET", "/extensions/100"))["status"] == "Available"
    await asyncio.sleep(3)
    assert (await bench.play("GET", "/extensions/100"))["status"] == "Away"


async def test_many_waiting_requests_are_no_deep_recursion(bench: Bench) -> None:
    await bench.play("PUT", "/extensions/100", PHONE)
    async with asyncio.TaskGroup() as people:
        people.create_task(bench.get("/makecall/100/101/Desktop"))
        for _ in range(2000):
            people.create_task(bench.get("/"))
    assert len(bench.emulator.requests) == 2001


async def test_a_fault_of_the_emulator_itself_reaches_the_one_who_asked(bench: Bench) -> None:
    def broken(line: str) -> None:
        raise RuntimeError(line)

    bench.emulator._out = broken
    with pytest.raises(RuntimeError, match="/showstatus/100"):
        await bench.get("/showstatus/100")
    bench.emulator._out = bench.printed.append
    assert await bench.get("/") == "idle"


async def test_stop_answers_prints_and_ends(bench: Bench) -> None:
    assert await bench.get("/stop") == "<HTML><BODY> Server Stopped</BODY></HTML>"
    assert bench.printed[:2] == ["/stop", "<HTML><BODY> Server Stopped</BODY></HTML>"]
    assert bench.printed[2].startswith("System.InvalidOperationException: ")
    assert bench.emulator.stopped.is_set()
    with pytest.raises(ConnectionResetError):
        await bench.get("/")
    bench.emulator.start()
    assert await bench.get("/") == "idle"


async def test_stop_cuts_whoever_still_waits(bench: Bench) -> None:
    async with asyncio.TaskGroup() as people:
        hung = people.create_task(_failure(bench.get("/showstatus/999")))
        await asyncio.sleep(1)
        await bench.get("/stop")
    assert isinstance(hung.result(), ConnectionResetError)
    assert now() == 1


async def test_a_request_whose_turn_comes_after_stop_is_cut(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"latency_s": 1})
    async with asyncio.TaskGroup() as people:
        people.create_task(bench.get("/stop"))
        late = people.create_task(_failure(bench.get("/setstatus/100/away")))
    assert isinstance(late.result(), ConnectionResetError)
    assert (await bench.play("GET", "/extensions/100"))["status"] == "Available"


async def _failure(asking: Any) -> BaseException | None:
    try:
        await asking
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
        return error
    return None


# Faults


async def test_hang_leaves_every_request_unanswered_or_those_of_one_path(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"hang": True, "path": "/100"})
    await bench.gives_up("/setstatus/100/away")
    assert bench.printed == ["/setstatus/100/away"]
    assert await bench.get("/setstatus/101/away") == "Away"
    await bench.play("POST", "/faults", {"path": None})
    await bench.gives_up("/setstatus/101/avail")
    assert (await bench.play("GET", "/extensions"))[0]["status"] == "Available"
    await bench.play("DELETE", "/faults")
    assert await bench.get("/setstatus/101/avail") == "Available"


async def test_an_unanswered_request_can_be_closed_after_a_time() -> None:
    bench = Bench(cut_with=httpx2.RemoteProtocolError)
    await bench.play("POST", "/faults", {"close_after_s": 30})
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        await bench.get("/showstatus/999")
    assert now() == 30


async def test_refuse_cuts_the_connection_before_anything_is_done(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"refuse": True, "path": "setstatus"})
    with pytest.raises(ConnectionResetError):
        await bench.get("/setstatus/100/away")
    assert bench.printed == []
    assert await bench.get("/showstatus/100") == "    CURRENT_STATUS=Available"
    assert [seen.status for seen in bench.emulator.requests] == [None, 200]


async def test_garbage_takes_the_place_of_answers(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"garbage": "<b>502</b>", "path": "/showallcalls"})
    assert await bench.get("/showallcalls") == "<b>502</b>"
    assert await bench.get("/") == "idle"


async def test_not_connected_hangs_with_the_words_seen_live(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"not_connected": True})
    await bench.gives_up("/showallcalls")
    assert bench.printed == ["/showallcalls", "ConfigServer is not connected"]


async def test_a_set_can_be_ignored(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"ignore_set": True})
    assert await bench.get("/setstatus/100/away") == "Away"
    assert await bench.get("/showstatus/100") == "    CURRENT_STATUS=Available"


async def test_an_override_hides_the_profile_from_callers_and_not_from_the_bridge(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"status_override": {"100": "Out of office", "101": "Away"}})
    await bench.play("POST", "/faults", {"status_override": {"101": None}})
    assert await bench.get("/showstatus/100") == "    CURRENT_STATUS=Available"
    assert await bench.get("/setstatus/100/away") == "Away"
    assert await bench.play("GET", "/extensions/100") == {
        "number": "100",
        "status": "Away",
        "legs": [],
        "override": "Out of office",
    }
    assert "override" not in await bench.play("GET", "/extensions/101")


async def test_faults_are_merged_and_shown(bench: Bench) -> None:
    await bench.play("POST", "/faults", {"latency_s": 1, "hang": True})
    changed = await bench.play("POST", "/faults", {"hang": None, "path": "x"})
    assert changed == await bench.play("GET", "/faults")
    assert changed == {
        "latency_s": 1.0,
        "hang": False,
        "refuse": False,
        "garbage": None,
        "path": "x",
        "close_after_s": None,
        "not_connected": False,
        "ignore_set": False,
        "status_override": {},
    }


@pytest.mark.parametrize(
    ("body", "cure"),
    [
        ('{"hangs": true}', "the faults are: latency_s, hang,"),
        ('{"hang": "yes"}', "Expected `bool`"),
        ('{"latency_s": -1}', "give 0 or more"),
        ('{"close_after_s": -1}', "give 0 or more"),
        ('{"status_override": {"999": "Away"}}', "there is no extension 999; name one of the world file"),
        ('{"status_override": {"100": "Busy"}}', "use one of: Available, Away, Out of office"),
        ('{"status_override": "Away"}', "Expected `object`"),
        ("[]", "send a JSON object"),
        ("hang", "send one JSON object"),
    ],
)
async def test_a_wrong_fault_is_refused_with_its_cure(bench: Bench, body: str, cure: str) -> None:
    status, error = await bench.refused("POST", "/faults", body)
    assert status == 400
    assert cure in error
    assert not (await bench.play("GET", "/faults"))["hang"]


# The people


async def test_somebody_sets_a_status_by_hand(bench: Bench) -> None:
    shown = await bench.play("PUT", "/extensions/100", {"status": "Custom 1"})
    assert shown == {"number": "100", "status": "Custom 1", "legs": []}
    assert await bench.get("/showstatus/100") == "    CURRENT_STATUS=Custom 1"
    assert [each["number"] for each in await bench.play("GET", "/extensions")] == ["100", "101"]


async def test_a_call_is_played_from_ringing_to_its_end(bench: Bench) -> None:
    legs = [
        {"dn": "10000", "state": "Dialing", "party": "0123456789"},
        {"dn": "100", "state": "Ringing", "party": "0123456789"},
    ]
    call = await bench.play("POST", "/calls", {"legs": legs})
    assert call == {"id": 1}
    assert (await bench.play("GET", "/extensions/100"))["legs"] == [
        {"call": 1, "dn": "100", "state": "Ringing", "party": "0123456789"}
    ]
    await bench.play("PUT", "/calls/1/legs/100", {"state": "Connected"})
    held = await bench.play("PUT", "/calls/1/legs/10000", {"state": "Held", "party": "0987"})
    assert held == {"call": 1, "dn": "10000", "state": "Held", "party": "0987"}
    joined = await bench.play("PUT", "/calls/1/legs/101", {"state": "Ringing"})
    assert joined == {"call": 1, "dn": "101", "state": "Ringing", "party": ""}
    await bench.play("DELETE", "/calls/1/legs/100")
    assert (await bench.play("GET", "/extensions/100"))["legs"] == []
    assert await bench.get("/showallcalls") == (
        "<html><head></head><body>"
        "ID=1;S=Held;DN=10000;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=0987;REC=Stop<br>"
        "ID=3;S=Ringing;DN=101;Queue_Name=Direkter Anruf;Queue_Nummer=null;EP=;REC=Stop<br>"
        "</body></html>"
    )
    await bench.play("DELETE", "/calls/1")
    assert await bench.get("/showallcalls") == "<html><head></head><body></body></html>"


async def test_a_call_without_legs_is_over(bench: Bench) -> None:
    await bench.play("POST", "/calls", {"legs": [{"dn": "100", "state": "Connected"}]})
    await bench.play("DELETE", "/calls/1/legs/100")
    assert (await bench.refused("DELETE", "/calls/1", ""))[0] == 404


async def test_several_devices_of_one_extension_are_several_legs(bench: Bench) -> None:
    leg = {"dn": "100", "state": "Ringing"}
    await bench.play("POST", "/calls", {"legs": [leg, leg]})
    await bench.play("PUT", "/calls/1/legs/100", {"state": "Connected"})
    shown = await bench.play("GET", "/extensions/100")
    assert [each["state"] for each in shown["legs"]] == ["Connected", "Connected"]


async def test_a_call_may_come_through_a_queue(bench: Bench) -> None:
    leg = {"dn": "100", "state": "Ringing", "party": "0123456789"}
    await bench.play("POST", "/calls", {"legs": [leg], "queue": {"name": "Sales", "number": "8000"}})
    assert "Queue_Name=Sales;Queue_Nummer=8000;" in await bench.get("/showallcalls")
    await bench.play("POST", "/calls", {"legs": [leg], "queue": {"number": "8001"}})
    await bench.gives_up("/showallcalls")


async def test_an_extension_can_be_given_queues_and_profiles(bench: Bench) -> None:
    queues = [{"number": "800", "name": "Sales"}, {"number": "801"}]
    await bench.play("PUT", "/extensions/100", {"queues": queues, "profiles": ["Available", "Away"]})
    assert await bench.get("/login/login_all/100") == "true"
    assert bench.printed[3] == "Working set:800,801[forced set 'None']"
    status, error = await bench.refused("PUT", "/extensions/100", '{"status": "Custom 1"}')
    assert (status, error) == (400, "no status 'Custom 1'; use one of: Available, Away")


async def test_the_requests_are_told_and_forgotten(bench: Bench) -> None:
    await asyncio.sleep(2)
    await bench.get("/setstatus/100/away")
    await bench.gives_up("/showstatus/100?x=1")
    assert await bench.play("GET", "/requests") == [
        {"method": "GET", "path": "/setstatus/100/away", "body": "", "status": 200, "time": 1_800_000_002.0},
        {"method": "GET", "path": "/showstatus/100?x=1", "body": "", "status": None, "time": 1_800_000_002.0},
    ]
    await bench.play("DELETE", "/requests")
    assert await bench.play("GET", "/requests") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "cure"),
    [
        ("PUT", "/extensions/100", '{"status":"Busy"}', 400, "use one of: Available, Away, Out of office"),
        ("PUT", "/extensions/100", '{"state":"Away"}', 400, "its fields are: status"),
        ("PUT", "/extensions/100", "Away", 400, "send one JSON object"),
        ("PUT", "/extensions/100", '"\xff', 400, "JSON"),
        ("PUT", "/extensions/999", '{"status":"Away"}', 404, "name one of the world file"),
        ("GET", "/extensions/999", "", 404, "there is no extension 999"),
        ("POST", "/calls", '{"legs":[]}', 400, "a call has legs"),
        ("POST", "/calls", '{"legs":[{"dn":"100"}]}', 400, "missing required field `state`"),
        (
            "POST",
            "/calls",
            '{"legs":[{"dn":"100","state":"Talking"}]}',
            400,
            "use one of: Undefined, Dialing, Ringing, Connected, Hold, Held",
        ),
        ("PUT", "/calls/1/legs/100", '{"state":"connected"}', 400, "Connected"),
        ("PUT", "/calls/7/legs/100", '{"state":"Connected"}', 404, "there is no call 7"),
        ("DELETE", "/calls/7", "", 404, "there is no call 7"),
        ("DELETE", "/calls/1/legs/101", "", 404, "those in it are: 100"),
        ("DELETE", "/calls/x", "", 404, "what there is: GET /extensions;"),
        ("PATCH", "/extensions/100", "{}", 405, "PUT /extensions/{number}"),
    ],
)
async def test_a_wrong_word_on_the_control_port_is_refused_with_its_cure(
    bench: Bench, method: str, path: str, body: str, status: int, cure: str
) -> None:
    await bench.play("POST", "/calls", {"legs": [{"dn": "100", "state": "Ringing"}]})
    given, error = await bench.refused(method, path, body)
    assert given == status
    assert cure in error
