"""Either kind of 3CX, as the stage plays it: statuses, calls, and the trouble that only that kind knows."""

import random
from collections.abc import Iterable
from typing import Any, Final, Protocol

import httpx2
import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.pbx_model import Calls, Leg, NewLeg
from presencebridge.emulators.v20 import V20Emulator
from presencebridge.emulators.v20 import faults as v20
from presencebridge.emulators.v20.sockets import Closing
from presencebridge.emulators.webapi import WebApiEmulator
from presencebridge.emulators.webapi import faults as webapi
from presencebridge.emulators.world import World

_PARTY: Final = "0301234"
_TRUNK: Final = "10000"
"""By whom `lives` calls outside: it is connected as soon as somebody is."""


class Phones(Protocol):
    """A phone system and the application in front of it."""

    calls: Calls

    @property
    def app(self) -> Any: ...
    def status(self, extension: str) -> str: ...
    def set_status(self, extension: str, status: str) -> None: ...
    def set_mail(self, extension: str, mail: str) -> None:
        """Whose extension it is; empty: nobody's. V20 only."""

    def settle(self) -> None:
        """After a change of calls."""

    def restart(self) -> None:
        """Every call, token and socket is gone."""

    def revoke_tokens(self) -> None: ...
    def cut_sockets(self) -> None: ...
    def ugly(self, **facts: Any) -> None:
        """Exactly these faults of the emulator itself; those that this kind does not know are left out."""

    def written(self, method: str, path: str) -> str | None:
        """Whose status a request is about to set."""

    def forget_requests(self) -> None:
        """The log of requests, which nobody reads here."""


class OldBridge:
    """3cx-web-API in front of a V16 or V18."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._emulator = WebApiEmulator(world, clock=clock, cut_with=httpx2.RemoteProtocolError)
        self.calls: Calls = self._emulator.pbx

    @property
    def app(self) -> Any:
        return self._emulator.app

    def status(self, extension: str) -> str:
        return self._emulator.pbx.extensions[extension].status

    def set_status(self, extension: str, status: str) -> None:
        self._emulator.pbx.extensions[extension].status = status

    def set_mail(self, extension: str, mail: str) -> None:
        pass

    def settle(self) -> None:
        pass

    def restart(self) -> None:
        _end_all(self.calls)

    def revoke_tokens(self) -> None:
        pass

    def cut_sockets(self) -> None:
        pass

    def ugly(self, **facts: Any) -> None:
        self._emulator.faults = _with_known(webapi.Faults(), facts)

    def written(self, method: str, path: str) -> str | None:
        return path.split("/")[2] if method == "GET" and path.startswith("/setstatus/") else None

    def forget_requests(self) -> None:
        self._emulator.requests.clear()


class V20:
    """The official APIs of V20."""

    def __init__(self, world: World, clock: Clock, dice: random.Random) -> None:
        self.emulator = V20Emulator(world, clock=clock, seed=dice.getrandbits(32))
        self.calls: Calls = self.emulator.pbx.calls

    @property
    def app(self) -> Any:
        return self.emulator.app

    def status(self, extension: str) -> str:
        return str(self._user(extension)["CurrentProfileName"])

    def set_status(self, extension: str, status: str) -> None:
        self._user(extension)["CurrentProfileName"] = status
        self.settle()

    def set_mail(self, extension: str, mail: str) -> None:
        self.emulator.pbx.change_user(self._user(extension), {"EmailAddress": mail})
        self.settle()

    def settle(self) -> None:
        self.emulator.settle()

    def restart(self) -> None:
        _end_all(self.calls)
        self.settle()
        self.revoke_tokens()
        self.cut_sockets()

    def revoke_tokens(self) -> None:
        self.emulator.tokens.revoke_all()
        self.emulator.clock.nudge()

    def cut_sockets(self) -> None:
        self.emulator.sockets.drop(Closing())

    def ugly(self, **facts: Any) -> None:
        self.emulator.put_faults(_with_known(v20.Faults(), facts))

    def written(self, method: str, path: str) -> str | None:
        if method != "PATCH" or not path.startswith("/xapi/v1/Users("):
            return None
        number = int(path.removeprefix("/xapi/v1/Users(").partition(")")[0])
        return str(self.emulator.pbx.users[number]["Number"])

    def forget_requests(self) -> None:
        self.emulator.log.clear()

    def _user(self, extension: str) -> dict[str, Any]:
        user = self.emulator.pbx.user(extension)
        if user is None:
            raise LookupError(extension)
        return user


class Switchboard:
    """Calls by numbers of the plan's own, and everybody's legs."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones
        self._calls: dict[int, int] = {}

    def start(self, call: int, legs: Iterable[tuple[str, str]]) -> None:
        self._calls[call] = self._phones.calls.start_call([NewLeg(dn, state, _PARTY) for dn, state in legs])
        self._phones.settle()

    def leg(self, call: int, extension: str, state: str) -> None:
        """What a plan says of a call that is over is not played."""
        if not self._goes_on(call):
            return
        mine = [leg for leg in self._legs_in(call) if leg.dn == extension]
        if not mine:
            self._phones.calls.add_leg(self._calls[call], NewLeg(extension, state, _PARTY))
        for leg in self._legs_in(call):
            if leg.dn == extension or (leg.dn == _TRUNK and state == "Connected"):
                leg.state = state
        self._phones.settle()

    def leave(self, call: int, extension: str) -> None:
        """The call goes on without it."""
        for leg in self._legs_in(call):
            if leg.dn == extension:
                self._phones.calls.end_leg(leg)
        self._phones.settle()

    def hang_up(self, call: int) -> None:
        if self._goes_on(call):
            self._phones.calls.end_call(self._calls[call])
        self._phones.settle()

    def legs_of(self, extension: str) -> tuple[str, ...]:
        return tuple(leg.state for leg in self._phones.calls.legs_of(extension))

    def _legs_in(self, call: int) -> list[Leg]:
        return self._phones.calls.legs_in(self._calls[call]) if self._goes_on(call) else []

    def _goes_on(self, call: int) -> bool:
        number = self._calls.get(call)
        return number is not None and self._phones.calls.has_call(number)


def _end_all(calls: Calls) -> None:
    for call, _ in calls.calls():
        calls.end_call(call)


def _with_known(faults: Any, facts: dict[str, Any]) -> Any:
    known = {name: value for name, value in facts.items() if name in type(faults).__struct_fields__}
    return msgspec.structs.replace(faults, **known)
