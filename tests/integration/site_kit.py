"""A site without Microsoft and 3CX: small fakes of both sides and of the store, in virtual time."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from msgspec.structs import replace

from presencebridge.core.model import LegState, Presence, State
from presencebridge.core.policy import SEED
from presencebridge.errors import LinkError
from presencebridge.graph.wire import PresenceBody
from presencebridge.metrics import Metrics
from presencebridge.pbx.answers import Legs, StatusChange
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.people import Member, People
from presencebridge.store.memory import MemoryStore

FREE = Presence("Available", "Available")
BUSY = Presence("Busy", "Busy")
IN_A_CALL = Presence("Busy", "InACall")


class LoopClock:
    """The loop's own time, so that nothing has to be waited for."""

    def now(self) -> float:
        return 1_000_000.0 + asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.now()


def passed() -> float:
    return round(asyncio.get_running_loop().time(), 2)


def people(*keys: str, known: bool = True, **policy: object) -> People:
    everybody = People([Member(key, f"u{key}@example.org", replace(SEED, **policy)) for key in keys])
    for member in everybody if known else ():
        everybody.identify(member, f"id-{member.key}", f"Name {member.key}")
    return everybody


class FakeTeams:
    """Notes every call; `slow` and `faults` by object id make it late or refuse."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.shows: dict[str, Presence] = {}
        self.unknown: set[str] = set()
        self.slow: dict[str, float] = {}
        self.faults: dict[str, LinkError] = {}
        self.fault: LinkError | None = None
        self.reads: list[tuple[float, list[str]]] = []
        self.read_takes = 0.0

    async def presences(self, users: Sequence[str]) -> list[PresenceBody]:
        self.reads.append((passed(), list(users)))
        await asyncio.sleep(self.read_takes)
        if self.fault:
            raise self.fault
        found = [(user, self.shows.get(user, FREE)) for user in users if user not in self.unknown]
        return [PresenceBody(user.upper(), shown.availability, shown.activity) for user, shown in found]

    async def set_presence(self, user: str, pair: Presence, seconds: int) -> None:
        await self._write(user, f"set {user} {pair}")

    async def clear_presence(self, user: str) -> None:
        await self._write(user, f"clear {user}")

    async def _write(self, user: str, what: str) -> None:
        self.log.append(what)
        await asyncio.sleep(self.slow.get(user, 0.0))
        if user in self.faults:
            raise self.faults[user]
        self.log.append(f"done {what}")


class FakePbx:
    """Notes calls; `slow`, `faults`, `ignores` by extension, `calls_fault` for the calls, `fault` for all."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.log = [] if log is None else log
        self.statuses: dict[str, str] = {}
        self.calls: dict[str, tuple[LegState, ...]] = {}
        self.unreadable: dict[str, str] = {}
        self.slow: dict[str, float] = {}
        self.faults: dict[str, LinkError] = {}
        self.ignores: set[str] = set()
        self.fault: LinkError | None = None
        self.calls_fault: LinkError | None = None
        self.polls: list[float] = []
        self.together: dict[str, str] = {}
        self.look_fault: LinkError | None = None
        self.looks: list[float] = []
        self.asked: list[tuple[float, str]] = []

    async def legs(self) -> Legs:
        self.polls.append(passed())
        if fault := self.calls_fault or self.fault:
            raise fault
        return Legs(dict(self.calls), dict(self.unreadable))

    async def all_statuses(self) -> dict[str, str]:
        self.looks.append(passed())
        if self.look_fault:
            raise self.look_fault
        return self.together

    async def status(self, extension: str) -> str:
        self.asked.append((passed(), extension))
        await self._answer(extension)
        return self.statuses.get(extension, "Available")

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        self.log.append(f"status {extension} {wanted}")
        await self._answer(extension)
        before = self.statuses.get(extension, "Available")
        if before in expected and extension not in self.ignores:
            self.statuses[extension] = wanted
        return StatusChange(before, self.statuses.get(extension, "Available"), before in expected)

    async def _answer(self, extension: str) -> None:
        await asyncio.sleep(self.slow.get(extension, 0.0))
        if fault := self.faults.get(extension) or self.fault:
            raise fault


class NotingStore(MemoryStore):
    """Notes when a state is safe; while `full` it fails as a full disk does."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log
        self.full = False
        self.takes = 0.0

    async def save(self, states: Mapping[str, State]) -> None:
        await asyncio.sleep(self.takes)
        if self.full:
            self.log += [f"unsaved {key}" for key in states]
            raise OSError("database or disk is full")
        await super().save(states)
        self.log += [f"saved {key}" for key in states]


class Site:
    """A hub with fakes around it, all noting into one log."""

    def __init__(
        self, *keys: str, known: bool = True, store: NotingStore | None = None, **policy: object
    ) -> None:
        self.log: list[str] = []
        self.people = people(*keys, known=known, **policy)
        self.teams, self.pbx = FakeTeams(self.log), FakePbx(self.log)
        self.store = store or NotingStore(self.log)
        self.store.log = self.log
        self.clock, self.journal, self.metrics = LoopClock(), Journal(), Metrics()
        self.hub = Hub(
            self.people, self.store, self.teams, self.pbx, self.clock, self.journal, metrics=self.metrics
        )
        self.reads: list[tuple[str, float]] = []
        self.hub.on_read_wanted = lambda member, not_before: self.reads.append((member.key, not_before))
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self.hub.load()
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self.hub.run())
        await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await self._tasks.__aexit__(None, None, None)
