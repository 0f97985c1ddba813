"""The calls of a phone system, as its control port plays them."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from presencebridge.emulators.control_kit import Refusal, json_answer, require_known
from presencebridge.emulators.pbx_model import LEG_STATES, Calls, Leg, NewLeg


class LegGiven(msgspec.Struct, forbid_unknown_fields=True):
    dn: str
    state: str
    party: str = ""


class LegChange(msgspec.Struct, forbid_unknown_fields=True):
    state: str
    party: str | None = None


class PlayedCalls:
    """One method a route, for a call that there is; `settle` follows every change."""

    def __init__(
        self,
        calls: Calls,
        read: Callable[[Request, type[LegChange]], Awaitable[LegChange]],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._calls = calls
        self._read = read
        self._settle = settle

    async def end_call(self, request: Request) -> Response:
        self._calls.end_call(self._call(request))
        self._settle()
        return Response(status_code=204)

    async def put_leg(self, request: Request) -> Response:
        call, dn = self._call(request), request.path_params["dn"]
        given = await self._read(request, LegChange)
        require_known("state", (given.state,), LEG_STATES)
        legs = self._legs(call, dn) or [self._calls.add_leg(call, NewLeg(dn, given.state, given.party or ""))]
        for leg in legs:
            leg.state = given.state
            leg.party = leg.party if given.party is None else given.party
        self._settle()
        return json_answer(leg_shown(legs[0]))

    async def end_leg(self, request: Request) -> Response:
        call, dn = self._call(request), request.path_params["dn"]
        legs = self._legs(call, dn)
        if not legs:
            there = ", ".join(leg.dn for leg in self._calls.legs_in(call))
            raise Refusal(404, f"{dn} is not in call {call}; those in it are: {there}")
        for leg in legs:
            self._calls.end_leg(leg)
        self._settle()
        return Response(status_code=204)

    def _call(self, request: Request) -> int:
        call: int = request.path_params["call"]
        if not self._calls.has_call(call):
            raise Refusal(404, f"there is no call {call}; it is over, or was never started (POST /calls)")
        return call

    def _legs(self, call: int, dn: str) -> list[Leg]:
        return [leg for leg in self._calls.legs_in(call) if leg.dn == dn]


def new_legs(given: tuple[LegGiven, ...]) -> list[NewLeg]:
    """The legs with which a call starts. Raises `Refusal`."""
    if not given:
        raise Refusal(400, 'a call has legs: give {"legs": [{"dn": "101", "state": "Ringing"}]}')
    require_known("state", [leg.state for leg in given], LEG_STATES)
    return [NewLeg(leg.dn, leg.state, leg.party) for leg in given]


def leg_shown(leg: Leg) -> dict[str, Any]:
    return {"call": leg.call, "dn": leg.dn, "state": leg.state, "party": leg.party}
