"""The people of the demo: what they do all day, and what a fair person would expect to see of them.

The expectation is written apart from the bridge's rules, in the words of the blog post: somebody busy in
Teams is Away on the phone unless they say otherwise, somebody on the phone is in a call in Teams, and when it
is over everything is as it was.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import httpx2

NAMES: Final = (
    "Anna Albers", "Bernd Brandt", "Clara Conrad", "David Dietz", "Elif Erdem", "Franz Fuchs",
    "Greta Graf", "Hans Huber", "Ines Iversen", "Jonas Jung", "Katja Kern", "Lukas Lang",
)  # fmt: skip

_FREE: Final = "Available/Available"
_REST_S: Final = 5.0
"""How long somebody does nothing, so that both sides come to rest; poll intervals are shorter."""


_CALLER, _TRUNK = "0301234567", "10000"
_OTHER_END: Final = {
    "Dialing": "Ringing",
    "Ringing": "Dialing",
    "Connected": "Connected",
    "Hold": "Held",
    "Held": "Hold",
}
"""What a leg's state makes of the leg at the other end."""


class Side:
    """A control port."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def do(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None


class Colleague:
    """One person, with a Teams client and a telephone."""

    def __init__(
        self, names: tuple[str, str, str], sides: tuple[Side, Side], tell: Callable[[str, str], None]
    ) -> None:
        self.name, self.teams, self.extension = names
        self._graph, self._pbx = sides
        self._tell = tell
        self.shows: str | None = None
        """What the Teams client reports; None while signed out."""
        self.status = "Available"
        """What the phone's status should be, at rest."""
        self.did = 0

    # What people can do

    async def client(self, shows: str | None, what: str) -> None:
        """The Teams client reports something else."""
        pair = None
        if shows is not None:
            availability, activity = shows.split("/")
            pair = {"availability": availability, "activity": activity}
        await self._graph.do("PUT", f"/users/{self.teams}/client", pair)
        self.shows = shows
        self._say(what)

    async def by_hand(self, status: str) -> None:
        await self._pbx.do("PUT", f"/extensions/{self.extension}", {"status": status})
        self.status = status
        self._say(f"sets the phone to {status} by hand")

    async def dial(self, state: str, what: str) -> str:
        """A call with somebody outside; returns its id."""
        legs = [
            {"dn": self.extension, "state": state, "party": _CALLER},
            {"dn": _TRUNK, "state": _OTHER_END[state], "party": _CALLER},
        ]
        call = await self._pbx.do("POST", "/calls", {"legs": legs})
        self._say(what)
        return str(call["id"])

    async def leg(self, call: str, state: str, what: str) -> None:
        for dn, shown in ((_TRUNK, _OTHER_END[state]), (self.extension, state)):
            await self._pbx.do("PUT", f"/calls/{call}/legs/{dn}", {"state": shown})
        self._say(what)

    async def hang_up(self, call: str) -> None:
        await self._pbx.do("DELETE", f"/calls/{call}")
        self._say("hangs up")

    async def busy(self, shows: str, what: str) -> None:
        """Busy in Teams: the phone should become Away, if it was Available."""
        await self.client(shows, what)
        if self.status == "Available":
            self.status = "Away"

    async def free(self, what: str) -> None:
        """Free in Teams again: an Away phone should be Available."""
        was_free = self.shows == _FREE
        await self.client(_FREE, what)
        if self.status == "Away" and not was_free:
            self.status = "Available"

    def _say(self, what: str) -> None:
        self.did += 1
        self._tell(self.name, what)

    async def is_right(self) -> list[str]:
        """What differs from what a fair person would expect; empty if nothing."""
        user = await self._graph.do("GET", f"/users/{self.teams}")
        phone = await self._pbx.do("GET", f"/extensions/{self.extension}")
        shown = f"{user['effective']['availability']}/{user['effective']['activity']}"
        wanted = self.shows or "Offline/Offline"
        wrong = []
        if shown != wanted:
            wrong.append(f"Teams shows {shown} and should show {wanted}")
        if phone["status"] != self.status:
            wrong.append(f"3CX shows {phone['status']} and should show {self.status}")
        return wrong


# Episodes -----------------------------------------------------------------------------------------

Pause = Callable[[float], Awaitable[None]]
Episode = Callable[[Colleague, Pause], Awaitable[None]]


async def meeting(who: Colleague, pause: Pause) -> None:
    await who.busy("Busy/InAMeeting", "goes into a Teams meeting")
    await pause(7)
    await who.free("leaves the meeting")


async def phone_call(who: Colleague, pause: Pause) -> None:
    call = await who.dial("Ringing", "is called on the phone")
    await pause(1)
    await who.leg(call, "Connected", "answers")
    await pause(6)
    await who.hang_up(call)


async def call_on_hold(who: Colleague, pause: Pause) -> None:
    call = await who.dial("Dialing", "dials a customer")
    await pause(2)
    await who.leg(call, "Connected", "is connected")
    await pause(3)
    await who.leg(call, "Hold", "puts the customer on hold")
    await pause(4)
    await who.leg(call, "Connected", "is back")
    await pause(2)
    await who.hang_up(call)


async def two_calls(who: Colleague, pause: Pause) -> None:
    first = await who.dial("Connected", "is on the phone")
    await pause(4)
    await who.leg(first, "Hold", "puts the call on hold")
    second = await who.dial("Connected", "takes a second call")
    await pause(3)
    await who.hang_up(first)
    await pause(4)
    await who.hang_up(second)


async def teams_call(who: Colleague, pause: Pause) -> None:
    await who.busy("Busy/InACall", "is in a Teams call")
    await pause(6)
    await who.free("ends the Teams call")


async def meeting_over_a_call(who: Colleague, pause: Pause) -> None:
    call = await who.dial("Connected", "is on the phone")
    await pause(4)
    await who.busy("DoNotDisturb/Presenting", "starts presenting in Teams meanwhile")
    await pause(3)
    await who.hang_up(call)
    await pause(6)
    await who.free("stops presenting")


async def reachable_all_the_same(who: Colleague, pause: Pause) -> None:
    await who.busy("DoNotDisturb/DoNotDisturb", "does not want to be disturbed")
    await pause(_REST_S)
    await who.by_hand("Available")
    await pause(_REST_S)
    await who.free("may be disturbed again")


async def away_before_a_call(who: Colleague, pause: Pause) -> None:
    await who.by_hand("Away")
    await pause(2)
    call = await who.dial("Connected", "phones somebody all the same")
    await pause(5)
    await who.hang_up(call)
    await pause(_REST_S)
    await who.by_hand("Available")


async def coffee(who: Colleague, pause: Pause) -> None:
    await who.client("Away/Away", "fetches a coffee")
    await pause(4)
    await who.free("is back at the desk")


EPISODES: Final[Sequence[Episode]] = (
    meeting,
    phone_call,
    two_calls,
    teams_call,
    call_on_hold,
    reachable_all_the_same,
    meeting_over_a_call,
    away_before_a_call,
    coffee,
)


async def office_day(who: Colleague, dice: random.Random, pause: Pause, over: asyncio.Event) -> None:
    """Come, do this and that until the day is over, and leave in peace."""
    await pause(dice.uniform(0, 2))
    await who.free("comes to work")
    turn = dice.randrange(len(EPISODES))
    while True:
        await pause(dice.uniform(2, 4))
        if over.is_set():
            return
        await EPISODES[turn % len(EPISODES)](who, pause)
        turn += 1
        if over.is_set():
            return
        await pause(_REST_S)
        if turn % 5 == 0 and not over.is_set():
            await who.client(None, "signs out for a while")
            await pause(3)
            await who.free("signs in again")
            await pause(_REST_S)
