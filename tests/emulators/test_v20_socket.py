"""The WebSocket of Call Control, in process."""

import asyncio

import pytest
from v20_bench import Socket, bench

from presencebridge.emulators.clock import Clock


async def test_a_call_is_told_step_by_step_and_without_data():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            assert s.status == 101
            call = await b.call(("101", "Ringing", "0123456789"))
            # A participant for each of the two devices, and one for the signalling.
            assert await s.told(3) == [(n, 0, f"/callcontrol/101/participants/{n}") for n in (1, 2, 3)]
            assert await b.statuses("101") == ["Ringing"] * 3
            await b.play("PUT", f"/calls/{call}/legs/101", {"state": "Connected"})
            assert await s.told(3) == [
                (4, 0, "/callcontrol/101/participants/1"),
                (5, 1, "/callcontrol/101/participants/2"),
                (6, 1, "/callcontrol/101/participants/3"),
            ]
            assert await b.statuses("101") == ["Connected"]
            await b.play("DELETE", f"/calls/{call}")
            message = await s.message()
            assert message == {
                "sequence": 7,
                "event": {
                    "event_type": 1,
                    "entity": "/callcontrol/101/participants/1",
                    "attached_data": None,
                },
            }
            gone = await b.api.get("/callcontrol/101/participants/1")
            assert gone.status_code == 404


async def test_each_socket_counts_for_itself_and_nothing_is_sent_again():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as first:
            await b.call(("101", "Dialing", "0123"))
            assert await first.told() == [(1, 0, "/callcontrol/101/participants/1")]
            async with b.socket() as second:
                assert await second.is_silent()
                await b.call(("102", "Dialing", "0123"))
                assert await second.told() == [(1, 0, "/callcontrol/102/participants/2")]
                assert await first.told() == [(2, 0, "/callcontrol/102/participants/2")]
            assert await b.play("GET", "/socket") == {"open": 1}


async def test_what_is_not_monitored_is_not_told():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            await b.call(("103", "Dialing", "0123"))
            assert await s.is_silent()
            await b.play("PUT", "/monitored", ["103"])
            await b.call(("101", "Dialing", "0123"), ("103", "Ringing", "101"))
            told = await s.told(3)
            assert {entity.split("/")[2] for _, _, entity in told} == {"103"}
            assert await s.is_silent()


async def test_requests_over_the_socket_are_answered_by_event_type_4():
    async with bench() as b:
        await b.sign_in()
        await b.call(("101", "Ringing", "0123"))
        async with b.socket() as s:
            s.ask(RequestID="7", Path="/callcontrol")
            message = await s.message()
            assert message["sequence"] == 1
            assert message["event"]["event_type"] == 4
            data = message["event"]["attached_data"]
            assert (data["RequestID"], data["Path"], data["StatusCode"]) == ("7", "/callcontrol", 200)
            assert data["Response"] == await b.get("/callcontrol")
            s.ask(RequestID="8", Path="/callcontrol/103")
            assert (await s.message())["event"]["attached_data"]["StatusCode"] == 403
            s.ask(RequestID="9", Path="/callcontrol/101/participants/1/answer", RequestData={})
            told = [await s.message() for _ in range(4)]
            assert [each["event"]["event_type"] for each in told] == [0, 1, 1, 4]
            assert told[-1]["event"]["attached_data"]["Response"]["result"]["status"] == "Connected"
            s.ask(nothing="sensible")
            s._to.put_nowait({"type": "websocket.receive", "bytes": b"\xff"})
            assert await s.is_silent()


@pytest.mark.parametrize(
    ("authorization", "path", "status"),
    [
        ("", "/callcontrol/ws", 401),
        ("Bearer nonsense", "/callcontrol/ws", 401),
        ("", "/elsewhere", 404),
    ],
)
async def test_a_handshake_without_a_token_is_refused(authorization: str, path: str, status: int):
    async with bench() as b:
        await b.sign_in()
        socket = Socket(b.emulator.app, authorization, path)
        await socket.serve()
        await socket.open()
        assert socket.status == status
        assert (await b.play("GET", "/requests"))[-1]["status"] == status


async def test_sockets_can_be_refused():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"refuse_sockets": True})
        async with b.socket() as s:
            assert s.status == 503


@pytest.mark.parametrize(("body", "code"), [(None, 1006), ({"code": 1012, "reason": "restart"}, 1012)])
async def test_the_socket_is_dropped_at_will(body, code: int):
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            assert await b.play("POST", "/socket/drop", body) == {"dropped": 1}
            received = await s.message()
            assert (received["type"], received["code"]) == ("websocket.close", code)
        assert await b.play("GET", "/socket") == {"open": 0}
        await b.call(("101", "Dialing", "0123"))
        async with b.socket() as s:
            assert await s.is_silent()
            assert await b.statuses("101") == ["Dialing"]


async def test_events_can_be_lost_or_doubled():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            await b.play("POST", "/faults", {"drop_events": True})
            call = await b.call(("101", "Dialing", "0123"))
            assert await s.is_silent()
            await b.play("POST", "/faults", {"drop_events": None, "duplicate_events": 1})
            await b.play("DELETE", f"/calls/{call}")
            entity = "/callcontrol/101/participants/1"
            assert await s.told(2) == [(1, 1, entity), (2, 1, entity)]


@pytest.mark.looptime
async def test_an_event_that_comes_late_leads_to_nothing():
    async with bench(clock=Clock.of_loop()) as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"event_delay_s": 3})
        async with b.socket() as s:
            call = await b.call(("101", "Dialing", "0123"))
            await b.play("DELETE", f"/calls/{call}")
            start = b.emulator.clock.now()
            told = await s.told(2)
            assert b.emulator.clock.now() == pytest.approx(start + 3)
            assert [kind for _, kind, _ in told] == [0, 1]
            assert (await b.api.get(told[0][2])).status_code == 404


async def test_advancing_the_clock_lets_late_events_out():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"event_delay_s": 600})
        async with b.socket() as s:
            await b.call(("101", "Dialing", "0123"))
            assert await s.is_silent()
            await b.play("POST", "/clock", {"advance_s": 600})
            assert len(await s.told()) == 1


async def test_a_socket_outlives_its_token_unless_it_is_to_end_with_it():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            await b.play("POST", "/clock", {"advance_s": 4000})
            await b.call(("101", "Dialing", "0123"))
            assert len(await s.told()) == 1
        await b.play("POST", "/faults", {"sockets_end_with_token": True})
        old = await b.sign_in()
        async with b.socket(old) as s:
            assert await s.is_silent()
            await b.sign_in()
            assert (await s.message())["code"] == 4401
        async with b.socket() as s:
            assert await s.is_silent()
            await b.play("POST", "/clock", {"advance_s": 3600})
            assert (await s.message())["code"] == 4401


async def test_a_transfer_takes_the_participant_away_and_brings_a_new_one():
    async with bench() as b:
        await b.sign_in()
        await b.call(("101", "Connected", "0123"))
        async with b.socket() as s:
            moved = await b.api.post(
                "/callcontrol/101/participants/1/transferto", json={"destination": "102"}
            )
            assert moved.status_code == 200
            told = await s.told(4)
            assert [(kind, entity) for _, kind, entity in told] == [
                *((0, f"/callcontrol/102/participants/{n}") for n in (2, 3, 4)),
                (1, "/callcontrol/101/participants/1"),
            ]


async def test_a_refusing_pbx_cuts_its_sockets_and_takes_no_new_ones():
    async with bench() as b:
        await b.sign_in()
        async with b.socket() as s:
            await b.play("POST", "/faults", {"refuse": True})
            assert (await s.message())["code"] == 1006
        async with b.socket() as s:
            assert s.status == 1006
        await b.play("DELETE", "/faults")
        async with b.socket() as s:
            assert s.status == 101


async def test_a_hanging_pbx_does_not_answer_the_handshake():
    async with bench() as b:
        await b.sign_in()
        await b.play("POST", "/faults", {"hang": {"count": 1, "path": "/callcontrol/ws"}})
        socket = Socket(b.emulator.app, b.api.headers["Authorization"])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(socket.serve())
            assert await socket.is_silent()
            socket.leave()
        assert await socket.is_silent()
        async with b.socket() as s:
            assert s.status == 101
