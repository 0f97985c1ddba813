"""PURE: calls on 3CX V20: Call Control, its events, and the list of active calls.

github.com/3cx/call-control-examples. A call shows as several participants of an extension: each device while
it rings, and a leg for signalling. An event says that something about an extension has changed, not what: so
the extension's participants are read, and an answer that comes too late can never hide what came after it.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from presencebridge.core.model import LegState
from presencebridge.pbx.answers import Legs
from presencebridge.pbx.v20 import decode

CALLS_PATH: Final = "/callcontrol"
SOCKET_PATH: Final = "/callcontrol/ws"
ACTIVE_CALLS_PATH: Final = "/xapi/v1/ActiveCalls?$select=Caller,Callee,Status"

_UPSERT, _REMOVE = 0, 1
_LONGEST_NUMBER: Final = 20
_MOST_REMOVED: Final = 100
"""Participants of one extension that were told to have gone since it was read last."""


class _Participant(msgspec.Struct, frozen=True):
    id: int
    status: str = ""


class _Entry(msgspec.Struct, frozen=True):
    dn: str
    participants: tuple[_Participant, ...] | None = None


class _Event(msgspec.Struct, frozen=True):
    event_type: int
    entity: str | None = ""


class _Message(msgspec.Struct, frozen=True):
    sequence: int
    event: _Event


class _ActiveCall(msgspec.Struct, frozen=True, rename="pascal"):
    caller: str | None = None
    callee: str | None = None
    status: str | None = ""


class _ActiveCalls(msgspec.Struct, frozen=True):
    value: tuple[_ActiveCall, ...]


Participants = Mapping[int, str]
"""The participants of an extension by their id, with their status."""


# Answers ------------------------------------------------------------------------------------------


def participants_path(dn: str) -> str:
    return f"{CALLS_PATH}/{quote(dn, safe='')}/participants"


def parse_call_control(body: bytes) -> dict[str, Participants]:
    """The participants of every extension that the API client may watch. Raises `Malformed`."""
    entries = decode(body, tuple[_Entry, ...], CALLS_PATH)
    return {entry.dn: _by_id(entry.participants or ()) for entry in entries}


def parse_participants(body: bytes) -> Participants:
    """The participants of one extension. Raises `Malformed`."""
    return _by_id(decode(body, tuple[_Participant, ...], "participants"))


def _by_id(participants: Iterable[_Participant]) -> Participants:
    return {one.id: one.status for one in participants}


def parse_active_calls(body: bytes) -> Legs:
    """Legs out of the list of calls, where the first word of a party is its number. Raises `Malformed`.

    A queue that plays its music is a party of its own, so an agent is in the call only once named as a party.
    Hold can't be seen here. A call in a state that nobody has attested is never guessed at.
    """
    legs: dict[str, list[LegState]] = {}
    unreadable: dict[str, str] = {}
    for call in decode(body, _ActiveCalls, "ActiveCalls").value:
        parties = _number(call.caller), _number(call.callee)
        states = _LEGS_OF_CALL.get((call.status or "").casefold())
        for number, state in zip(parties, states or (None, None), strict=True):
            if state is not None and number:
                legs.setdefault(number, []).append(state)
            elif number:
                unreadable[number] = (
                    f"extension {number}: unknown state of a call: {(call.status or '')[:40]!r}"
                )
    return Legs({number: tuple(states) for number, states in legs.items()}, unreadable)


_TALKING: Final = (LegState.CONNECTED, LegState.CONNECTED)
_REACHING: Final = (LegState.DIALING, LegState.RINGING)
_LEGS_OF_CALL: Final[Mapping[str, tuple[LegState, LegState]]] = {
    "talking": _TALKING,
    "connected": _TALKING,
    "routing": _REACHING,
    "ringing": _REACHING,
    "dialing": _REACHING,
    "transferring": _TALKING,
}
"""What the caller and the callee of a call are at. Talking, Routing and Transferring are attested. A call
that is transferred was answered before: whoever is named in it talks until somebody else is."""


def _number(text: str | None) -> str:
    first = (text or "").split(maxsplit=1)
    return first[0] if first and first[0].isdecimal() else ""


# Events -------------------------------------------------------------------------------------------


class Told(Enum):
    """What an event is about."""

    CHANGED = auto()
    """A participant of this extension has come or changed."""
    REMOVED = auto()
    """A participant of this extension has gone."""
    NOTHING = auto()


class Event(msgspec.Struct, frozen=True):
    """An event of the socket."""

    sequence: int
    told: Told
    dn: str = ""
    participant: int | None = None


def parse_event(message: str | bytes) -> Event:
    """Raises `Malformed` for what is no event."""
    got = decode(message, _Message, SOCKET_PATH)
    match [unquote(part) for part in (got.event.entity or "").split("/") if part]:
        case ["callcontrol", dn, "participants", number] if (
            number.isdecimal() and len(number) < _LONGEST_NUMBER
        ):
            if got.event.event_type == _UPSERT:
                return Event(got.sequence, Told.CHANGED, dn, int(number))
            if got.event.event_type == _REMOVE:
                return Event(got.sequence, Told.REMOVED, dn, int(number))
        case ["callcontrol", dn] if got.event.event_type in (_UPSERT, _REMOVE):
            return Event(got.sequence, Told.CHANGED, dn)
    return Event(got.sequence, Told.NOTHING)


# The picture --------------------------------------------------------------------------------------


class Mark(msgspec.Struct, frozen=True):
    """When a read was sent: how many events there had been by then, and on the how-manieth socket."""

    events: int
    socket: int


class Picture:
    """Who is on the phone, painted by reads and touched up by events.

    Reads take time, and events come meanwhile. A mark is taken when a read is sent; its answer then changes
    nothing that is newer than its question: a participant that was removed since stays away, and an extension
    that was read later keeps that.
    """

    def __init__(self, is_wanted: Callable[[str], bool]) -> None:
        self._is_wanted = is_wanted
        """Which extensions it is about; what is told of others is passed over."""
        self._visible: frozenset[str] = frozenset()
        self._participants: dict[str, dict[int, str]] = {}
        self._events = 0
        self._told: dict[str, int] = {}
        """The number of the last event of each extension."""
        self._changed: dict[str, int] = {}
        """The number of the last event after which an extension has to be read."""
        self._removed: dict[str, dict[int, int]] = {}
        self._read_at: dict[str, int] = {}
        self._socket = 0
        self._painted_socket = 0
        self._untold: dict[str, int] = {}
        """Extensions where a read found a change of which no event had told, with their last event."""

    def connected(self) -> None:
        """Another socket tells from here on; what happened before it is found by the next whole read."""
        self._socket += 1
        self._untold.clear()

    def mark(self) -> Mark:
        """To be taken when a read is sent, and given back with its answer."""
        return Mark(self._events, self._socket)

    def event(self, event: Event) -> bool:
        """Fold in an event. Returns whether the extension has to be read."""
        if event.told is Told.NOTHING or not self._is_wanted(event.dn):
            return False
        self._events += 1
        self._told[event.dn] = self._events
        if event.told is Told.CHANGED:
            self._changed[event.dn] = self._events
            return True
        if event.participant is None:
            return False
        removed = self._removed.setdefault(event.dn, {})
        removed[event.participant] = self._events
        self._participants.get(event.dn, {}).pop(event.participant, None)
        if len(removed) <= _MOST_REMOVED:
            return False
        # They are not kept for ever: the extension is read anew, and no answer to an older question counts.
        self._removed[event.dn] = {event.participant: self._events}
        self._changed[event.dn] = self._events
        self._read_at[event.dn] = max(self._read_at.get(event.dn, 0), self._events - 1)
        return True

    def one(self, dn: str, found: Participants, mark: Mark) -> None:
        """Fold in the participants of one extension, asked for at `mark`."""
        if mark.events < self._read_at.get(dn, 0):
            return
        removed = self._removed.pop(dn, {})
        newer = {number: at for number, at in removed.items() if at > mark.events}
        if newer:
            self._removed[dn] = newer
        here = {number: word for number, word in found.items() if number not in newer}
        if here:
            self._participants[dn] = here
        else:  # of most extensions, most of the time
            self._participants.pop(dn, None)
        self._read_at[dn] = mark.events

    def whole(self, found: Mapping[str, Participants], mark: Mark) -> None:
        """Fold in the participants of every extension, asked for at `mark`."""
        self._visible = frozenset(found)
        for dn in self._participants.keys() - found.keys():
            del self._participants[dn]
        told_all_along = mark.socket == self._socket == self._painted_socket
        for dn, participants in found.items():
            if not self._is_wanted(dn):
                continue
            last = self._told.get(dn, 0)
            expected = not told_all_along or last > mark.events or self.is_due(dn)
            before = self.legs_of(dn)
            self.one(dn, participants, mark)
            if not expected and self.legs_of(dn) != before:
                self._untold[dn] = last
        self._painted_socket = mark.socket

    def is_due(self, dn: str) -> bool:
        """Whether an event told of a change that no read has shown yet."""
        return self._changed.get(dn, 0) > self._read_at.get(dn, 0)

    def hide(self, dn: str) -> None:
        """This extension may not be watched any more."""
        self._visible -= {dn}
        self._participants.pop(dn, None)

    def hides(self, dn: str) -> bool:
        """Whether this is one of ours that may not be watched, so that no legs does not mean no call."""
        return self._is_wanted(dn) and dn not in self._visible

    def is_silent(self) -> bool:
        """Whether a whole read found what no event has told by now. Each finding counts once."""
        untold, self._untold = self._untold, {}
        return any(self._told.get(dn, 0) == last for dn, last in untold.items())

    def legs_of(self, dn: str) -> tuple[LegState, ...]:
        return tuple(_leg(word) for word in self._participants.get(dn, {}).values() if word)

    def legs(self) -> Legs:
        """All of it."""
        busy = {dn: legs for dn in self._participants if (legs := self.legs_of(dn))}
        return Legs(busy, {}, self._visible)


def _leg(word: str) -> LegState:
    """Dialing, Ringing and Connected are attested, hold is not: any other word is a leg in a call."""
    try:
        return LegState(word)
    except ValueError:
        return LegState.CONNECTED
