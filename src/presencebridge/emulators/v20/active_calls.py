"""PURE: the list of calls as XAPI's ActiveCalls shows it, which may be behind.

Caller and Callee are text, their first word a number; the words seen are Routing, Talking and
Transferring (REDiTECH-NOC/3CX-Tools-Suite 53d19fc, qmexnetworks/3cx-zammad-bridge 580c20c). Hold does not
show, and a caller who hears a queue's music is Talking to the queue.
"""

import msgspec

from presencebridge.emulators.pbx_model import Leg
from presencebridge.emulators.v20.pbx import Pbx


class ActiveCall(msgspec.Struct, frozen=True):
    """One call; the moments are epoch seconds of the emulator's clock."""

    id: int
    caller: str
    callee: str
    status: str
    changed: float
    established: float | None


class ActiveCalls:
    """Keeps the list of now, and as much of the past as a lag asks for."""

    def __init__(self) -> None:
        self._past: list[tuple[float, tuple[ActiveCall, ...]]] = []
        self._callers: dict[int, str] = {}

    def sync(self, pbx: Pbx, now: float, kept_s: float) -> None:
        before = {call.id: call for call in self._past[-1][1]} if self._past else {}
        current = tuple(
            self._told(call, legs, pbx, before.get(call), now) for call, legs in pbx.calls.calls()
        )
        self._callers = {call.id: self._callers[call.id] for call in current}
        if not self._past or self._past[-1][1] != current:
            self._past.append((now, current))
        # The newest of those that are too old stays: it is the state that the kept past begins with.
        while len(self._past) > 1 and self._past[1][0] <= now - kept_s:
            self._past.pop(0)

    def seen(self, now: float, lag_s: float) -> tuple[ActiveCall, ...]:
        """The calls as a reader at `now` is told them."""
        found: tuple[ActiveCall, ...] = ()
        for moment, calls in self._past:
            if moment <= now - lag_s:
                found = calls
        return found

    def _told(
        self, call: int, legs: list[Leg], pbx: Pbx, before: ActiveCall | None, now: float
    ) -> ActiveCall:
        caller, callee = self._parties(call, legs, pbx)
        open_legs = [leg for leg in legs if leg.state in {"Dialing", "Ringing"}]
        was_talking = before is not None and before.established is not None
        if not open_legs:
            status = "Talking"
        else:
            status = "Transferring" if was_talking and len(legs) > len(open_legs) else "Routing"
        established = before.established if before else None
        if status == "Talking" and established is None:
            established = now
        changed = before.changed if before and before.status == status else now
        return ActiveCall(call, caller, callee, status, changed, established)

    def _parties(self, call: int, legs: list[Leg], pbx: Pbx) -> tuple[str, str]:
        """The caller is who dialled, else who is no extension, else who came first; it stays the caller."""

        def outside(leg: Leg) -> bool:
            return not pbx.type_of(leg.dn)

        if call not in self._callers:
            dialling = [leg for leg in legs if leg.state == "Dialing"]
            first = (dialling or [leg for leg in legs if outside(leg)] or legs)[0]
            only = len(legs) == 1
            self._callers[call] = first.party if only and first.state == "Ringing" else first.dn
        caller = self._callers[call]
        mine = [leg for leg in legs if leg.dn == caller]
        others = [leg for leg in legs if leg.dn != caller]
        answered = [leg for leg in others if leg.state not in {"Dialing", "Ringing"}]
        chosen = next(iter(answered or others), None)
        shown_caller = mine[0].party or caller if mine and outside(mine[0]) else caller
        if chosen is None:
            callee = mine[0].party if mine else ""
        else:
            callee = chosen.party or chosen.dn if outside(chosen) else chosen.dn
        return pbx.label_of(shown_caller), pbx.label_of(callee)
