"""Calls on V20 by its websocket: the emulator and our client, in virtual time."""

import asyncio
import json

import pytest
from v20_kit import office

from presencebridge.core.events import LegsLost, LegsSeen
from presencebridge.core.model import LegState
from presencebridge.errors import LinkError, Refused
from presencebridge.pbx.v20_feed import V20Calls
from presencebridge.runtime.links import LinkState

pytestmark = pytest.mark.looptime

C, R = LegState.CONNECTED, LegState.RINGING


async def test_a_call_is_told_at_once_and_so_is_its_end():
    async with office() as site:
        assert site.calls.is_live
        assert site.link.report.state is LinkState.CONNECTED
        assert [site.legs(key) for key in ("101", "102", "103")] == [(), (), ()]
        await site.play("DELETE", "/requests")
        begun = site.clock.now()
        call = await site.call("101")
        await asyncio.sleep(0.01)
        assert site.legs("101") == (C,)
        await site.play("DELETE", f"/calls/{call}")
        await asyncio.sleep(0.01)
        assert site.legs("101") == ()
        assert site.clock.now() - begun < 0.1
        assert await site.asked() == ["GET /callcontrol/101/participants"], "more was asked than is needed"


async def test_several_participants_of_a_ringing_extension_are_read_together_and_are_one_call():
    async with office() as site:
        await site.play("DELETE", "/requests")
        call = await site.call("101", "Ringing")
        await asyncio.sleep(0.01)
        assert site.legs("101") == (R, R, R)
        assert len(await site.asked()) <= 2
        await site.play("PUT", f"/calls/{call}/legs/101", {"state": "Connected"})
        await asyncio.sleep(0.01)
        assert site.legs("101") == (C,)


async def test_while_the_socket_is_up_everything_is_read_now_and_then_only():
    async with office() as site:
        await asyncio.sleep(300)
        assert 8 <= len(await site.asked("/callcontrol")) - len(await site.asked("/ws")) <= 13


async def test_a_call_that_begins_or_ends_while_the_socket_is_cut_is_not_missed():
    async with office() as site:
        over = await site.call("101")
        await asyncio.sleep(1)
        await site.play("POST", "/faults", {"refuse_sockets": True})
        await site.play("POST", "/socket/drop", {})
        await asyncio.sleep(5)
        assert not site.calls.is_live
        assert site.link.report.state is LinkState.DEGRADED
        assert "polled" in site.link.report.reason
        await site.play("DELETE", f"/calls/{over}")
        await site.call("102")
        await asyncio.sleep(2.1)
        assert (site.legs("101"), site.legs("102")) == ((), (C,)), "without a socket calls are polled"
        await site.play("DELETE", "/faults")
        await asyncio.sleep(60)
        assert site.calls.is_live
        assert site.link.report.state is LinkState.CONNECTED


async def test_what_happened_between_two_sockets_is_found_at_once():
    async with office() as site:
        call = await site.call("101")
        await asyncio.sleep(1)
        await site.play("POST", "/socket/drop", {})
        await site.play("DELETE", f"/calls/{call}")
        await asyncio.sleep(4)
        assert site.legs("101") == ()


async def test_a_socket_that_tells_nothing_is_found_and_replaced():
    async with office() as site:
        await site.play("POST", "/faults", {"drop_events": 1.0})
        await site.call("101")
        await asyncio.sleep(31)
        assert site.legs("101") == (C,), "the whole read finds it"
        opened = len(await site.asked("/ws"))
        await asyncio.sleep(65)
        assert len(await site.asked("/ws")) == opened + 1
        await site.play("DELETE", "/faults")
        await asyncio.sleep(200)
        assert len(await site.asked("/ws")) == opened + 1, "a socket that tells is kept"


async def test_doubled_and_late_events_change_nothing():
    async with office() as site:
        await site.play("POST", "/faults", {"duplicate_events": 1.0, "event_delay_s": 3})
        call = await site.call("101")
        await site.play("DELETE", f"/calls/{call}")
        await asyncio.sleep(10)
        assert site.legs("101") == ()


async def test_a_new_token_means_a_new_socket_and_nothing_is_missed():
    async with office() as site:
        await site.play("POST", "/faults", {"token_life_s": 100, "sockets_end_with_token": True})
        await site.play("DELETE", "/tokens")
        call = None
        for _ in range(40):
            call = await site.call("101")
            await asyncio.sleep(8)
            assert site.legs("101") == (C,)
            await site.play("DELETE", f"/calls/{call}")
            await asyncio.sleep(8)
            assert site.legs("101") == ()
        assert len(await site.asked("/ws")) >= 8
        assert len(await site.asked("/connect/token")) <= 12


async def test_a_token_that_was_killed_is_replaced_once_for_everybody():
    async with office() as site:
        await asyncio.sleep(20)
        await site.play("DELETE", "/requests")
        await site.play("DELETE", "/tokens")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(site.client.ask("GET", "/callcontrol"))
        assert len(await site.asked("/connect/token")) == 1


async def test_an_extension_that_is_not_monitored_is_in_trouble_and_later_not():
    async with office() as site:
        await site.play("PUT", "/monitored", ["101", "102"])
        await asyncio.sleep(31)
        assert "extensions to monitor" in site.people["103"].troubles["3cx calls"]
        await site.play("PUT", "/monitored", None)
        await asyncio.sleep(31)
        assert "3cx calls" not in site.people["103"].troubles


async def test_where_participants_are_refused_the_end_of_one_call_does_not_hide_the_others():
    async with office() as site:
        await site.call("101")
        second = await site.call("101")
        await asyncio.sleep(1)
        assert site.legs("101") == (C, C)
        refused = {"status": {"code": 403, "path": "/callcontrol"}}
        await site.play("POST", "/faults", refused)
        third = await site.call("101", "Ringing")
        await asyncio.sleep(0.2)
        told: list[object] = []
        site.reader.on_seen = lambda _member, event: told.append(event)
        await site.play("DELETE", f"/calls/{third}")
        await site.play("DELETE", f"/calls/{second}")
        await asyncio.sleep(0.2)
        assert LegsSeen(()) not in told, "it is not known that there is no call"


async def test_without_call_control_active_calls_take_its_place_until_it_is_there():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"status": {"code": 403, "path": "/callcontrol"}})
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(site.reader.run())
            call = await site.call("101")
            await asyncio.sleep(3)
            assert site.legs("101") == (C,)
            assert site.link.report.state is LinkState.DEGRADED
            assert "list of active calls" in site.link.report.reason
            assert "Call Control API Access" in site.link.report.cure
            await site.play("DELETE", f"/calls/{call}")
            await asyncio.sleep(3)
            assert site.legs("101") == ()
            await site.play("DELETE", "/faults")
            await asyncio.sleep(620)
            assert site.calls.is_live
            assert site.link.report.state is LinkState.CONNECTED
            running.cancel()


async def test_an_answer_that_is_overtaken_by_a_removal_brings_nothing_back():
    async with office() as site:
        call = await site.call("101")
        await asyncio.sleep(1)
        # The answer of this read takes a second; the call ends meanwhile.
        await site.play("POST", "/faults", {"latency_s": 1.0})
        reading = asyncio.ensure_future(site.calls.legs())
        await asyncio.sleep(0.5)
        await site.play("DELETE", f"/calls/{call}")
        await reading
        assert site.calls.on_legs
        await asyncio.sleep(0.1)
        assert site.legs("101") == ()
        assert [event for key, event in site.seen if key == "101"][-1] == LegsSeen(())


class SlowClient:
    """Answers a second later with what was so when it was asked."""

    def __init__(self) -> None:
        self.status = "Dialing"

    async def token(self, refused: str = "") -> str:
        return "token"

    async def replaced(self, _token: str) -> None:
        await asyncio.get_running_loop().create_future()

    async def ask(self, _method: str, _path: str) -> bytes:
        body = json.dumps([{"id": 1, "status": self.status}]).encode()
        await asyncio.sleep(1)
        return body


async def test_an_extension_that_changes_while_it_is_read_is_read_again():
    client, seen = SlowClient(), []
    events = asyncio.Queue()

    async def dial(_token: str) -> Script:
        return Script(events=events)

    calls = V20Calls(client, dial, lambda _dn: True, asyncio.get_running_loop().time)
    calls.on_legs = lambda _extension, legs: seen.append(legs)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(calls.run())
        events.put_nowait(1)
        await asyncio.sleep(0.5)
        client.status = "Connected"
        events.put_nowait(2)
        await asyncio.sleep(3)
        running.cancel()
    assert seen == [(LegState.DIALING,), (C,)]


async def test_a_call_that_ends_before_the_next_one_was_read_is_not_the_last():
    """As after a sleep of the machine, when events come all at once."""
    async with office() as site:
        first = await site.call("101")
        await asyncio.sleep(1)
        await site.play("POST", "/faults", {"latency_s": 0.5})
        await site.call("101")
        await site.play("DELETE", f"/calls/{first}")
        await asyncio.sleep(2)
        assert site.legs("101") == (C,)
        assert ("101", LegsSeen(())) not in site.seen[site.seen.index(("101", LegsSeen((C,)))) :]


async def test_a_read_of_an_extension_that_fails_is_made_up_for_at_once():
    async with office() as site:
        await site.play("POST", "/faults", {"status": {"code": 503, "count": 1, "path": "/participants"}})
        await site.call("101")
        await asyncio.sleep(2)
        assert site.legs("101") == (C,)


async def test_what_changed_between_two_sockets_is_not_held_against_the_new_one():
    async with office() as site:
        await site.call("101")
        await asyncio.sleep(1)
        await site.play("POST", "/socket/drop", {})
        await site.call("102")
        await asyncio.sleep(100)
        assert len(await site.asked("/ws")) == 2


async def test_while_reads_fail_they_are_tried_as_often_as_without_a_socket():
    async with office() as site:
        await site.play("POST", "/faults", {"status": {"code": 503, "path": "/callcontrol"}})
        await asyncio.sleep(31)
        assert site.link.report.state is LinkState.DOWN
        assert site.calls.is_live
        await site.play("DELETE", "/requests")
        await asyncio.sleep(20)
        assert 8 <= len(await site.asked("/callcontrol")) <= 12
        await site.play("DELETE", "/faults")
        await asyncio.sleep(2.1)
        assert site.link.report.state is LinkState.CONNECTED


async def test_a_token_that_is_refused_although_it_is_new_is_not_asked_for_again_and_again():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"status": {"code": 401, "path": "/callcontrol"}})
        for _ in range(20):
            with pytest.raises(Refused):
                await site.client.ask("GET", "/callcontrol")
            await asyncio.sleep(1)
        assert len(await site.asked("/connect/token")) <= 3


class Script:
    """A socket with an event about 101 for each number that it is given."""

    def __init__(self, *sequences: int, events: asyncio.Queue[int] | None = None) -> None:
        self.left: asyncio.Queue[int] = events or asyncio.Queue()
        for number in sequences:
            self.left.put_nowait(number)

    async def recv(self) -> str:
        event = {"event_type": 0, "entity": "/callcontrol/101", "attached_data": None}
        return json.dumps({"sequence": await self.left.get(), "event": event})

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("sequences", "gaps"), [((5, 6, 7), 0), ((5, 7, 8), 1), ((5, 6, 1), 1)])
async def test_a_gap_in_the_numbers_of_events_means_that_everything_is_read(sequences, gaps):
    async with office(running=False) as site:

        async def dial(_token: str) -> Script:
            return Script(*sequences)

        calls = V20Calls(site.client, dial, site.people.__contains__, site.clock.now)
        asked: list[float] = []
        calls.on_gap = lambda: asked.append(site.clock.now())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(calls.run())
            await asyncio.sleep(1)
            running.cancel()
        assert len(asked) == 1 + gaps, "once for the connection, and once for each gap"


async def test_a_call_that_can_not_be_seen_any_more_is_not_known():
    async with office() as site:
        await site.call("103")
        await asyncio.sleep(1)
        await site.play("PUT", "/monitored", ["101", "102"])
        await asyncio.sleep(31)
        assert [event for key, event in site.seen if key == "103"][-1] == LegsLost()
        await site.play("PUT", "/monitored", None)
        await asyncio.sleep(31)
        assert site.legs("103") == (C,)


async def test_a_key_that_is_refused_is_tried_ever_later_and_a_corrected_one_at_once():
    async with office(running=False) as site:
        site.key = "wrong"
        for _ in range(600):
            with pytest.raises(Refused, match="401"):
                await site.client.ask("GET", "/callcontrol")
            await asyncio.sleep(1)
        assert 5 <= len(await site.asked("/connect/token")) <= 8
        site.key = "k3y"
        await site.client.ask("GET", "/callcontrol")


async def test_a_token_that_can_not_be_renewed_is_used_for_as_long_as_it_is_good():
    async with office(running=False) as site:
        await site.play("POST", "/faults", {"token_life_s": 200})
        await site.client.ask("GET", "/callcontrol")
        await site.play("POST", "/faults", {"status": {"code": 500, "path": "/connect/token"}})
        for _ in range(19):
            await asyncio.sleep(10)
            await site.client.ask("GET", "/callcontrol")
        assert 2 <= len(await site.asked("/connect/token")) <= 3
        await asyncio.sleep(10)
        with pytest.raises(LinkError, match="500"):
            await site.client.ask("GET", "/callcontrol")
        await site.play("DELETE", "/faults")
        await site.client.ask("GET", "/callcontrol")


async def test_a_3cx_that_is_back_has_its_socket_back_at_once():
    async with office() as site:
        await site.play("POST", "/faults", {"refuse": True})
        await asyncio.sleep(300)
        assert not site.calls.is_live
        await site.play("DELETE", "/faults")
        await asyncio.sleep(4)
        assert site.calls.is_live
        assert site.link.report.state is LinkState.CONNECTED
