"""What goes wrong with several nodes and their engine, beside what goes wrong with Graph and 3CX."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from presencebridge.simulation import troubles
from presencebridge.simulation.branches import Branches
from presencebridge.simulation.machines import Machine
from presencebridge.simulation.plan import Site, Trouble

_WAIT_FOR_IT_S: Final = 60.0
_SHORTEST_START_S: Final = 0.5
_FIRST_BACKOFF_S: Final = 30.0
_LONGEST_BACKOFF_S: Final = 1800.0
_SLOWEST_S: Final = 1.5
"""Of Graph and 3CX: what the network holds back for longer than is left of a lease may come too late, as
docs/cluster.md says."""
_OWNER_SHARE: Final = 0.6


Play = Callable[[Branches, Machine, Trouble], Awaitable[None]]


class Kind(msgspec.Struct, frozen=True):
    what: str
    play: Play
    lasts: tuple[float, float]
    number: tuple[float, float] = (0.0, 0.0)
    is_of_all: bool = False
    """Whether it concerns every node."""
    is_mild: bool = True


async def play(office: Branches, trouble: Trouble) -> None:
    """Break it, and mend it when its time has come."""
    kind = KINDS.get(trouble.kind)
    if kind is None:
        await troubles.play(office, trouble)
        return
    machine = _machine(office, trouble)
    if machine.is_in_trouble and not kind.is_of_all:
        return  # one thing at a time
    begun, owner = office.time(), office.owner
    is_felt = kind.is_of_all or owner is None or owner.life.machine is machine
    machine.is_in_trouble = not kind.is_of_all or machine.is_in_trouble
    office.broken += 1
    office.count(f"trouble: {trouble.kind}")
    try:
        await kind.play(office, machine, trouble)
    finally:
        if not kind.is_of_all:
            machine.is_in_trouble = False
        office.broken -= 1
        _tell(office, kind, machine, begun, is_felt=is_felt)


def _tell(office: Branches, kind: Kind, machine: Machine, begun: float, *, is_felt: bool) -> None:
    now = office.time()
    office.changed_at = now
    what = kind.what if kind.is_of_all else kind.what.format(machine.name)
    office.tell_trouble(begun, now, "nodes", what, total=kind.is_of_all)
    if is_felt:  # until somebody else took the site over
        taken = office.next_owner(begun, machine.name)
        until = now if kind.is_of_all else min(now, taken)
        office.tell_trouble(begun, until, "teams", what)
        office.tell_trouble(begun, until, "3cx", what)
    if office.plan.site.delivery == "webhook":
        again = now + min(now - begun, _LONGEST_BACKOFF_S) + _FIRST_BACKOFF_S
        office.tell_trouble(begun, again, "notifications", "Graph sends again what nobody took in")


def _machine(office: Branches, trouble: Trouble) -> Machine:
    if trouble.node is not None:
        return office.machines[trouble.node % len(office.machines)]
    owner = office.owner
    return office.machines[0] if owner is None else owner.life.machine


async def _over(office: Branches, trouble: Trouble) -> None:
    await asyncio.sleep(max(0.0, trouble.until - office.time()))


# A node -------------------------------------------------------------------------------------------


_When = Literal["kept", "written", "connecting"]
"""Something of the owner's was kept; a write to either side is carried out; a request is about to leave."""


async def _moment(office: Branches, trouble: Trouble, when: _When) -> None:
    """`number` steps after that, or after a while if it does not come."""
    come = asyncio.Event()

    def begin() -> None:
        office.loop.after_steps(max(1, round(trouble.number)), come.set)
        _watch(office, when, lambda: None)

    _watch(office, when, begin)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_FOR_IT_S):
            await come.wait()
    _watch(office, when, lambda: None)


def _watch(office: Branches, when: _When, act: Callable[[], None]) -> None:
    match when:
        case "kept":
            office.on_saved = act
        case "written":
            office.teams_line.on_write = office.pbx_line.on_write = act
        case "connecting":
            office.teams_line.on_opening = office.pbx_line.on_opening = act


def _killed(when: _When) -> Play:
    async def killed(office: Branches, machine: Machine, trouble: Trouble) -> None:
        await _moment(office, trouble, when)
        machine.kill()
        await asyncio.sleep(max(_SHORTEST_START_S, trouble.until - office.time()))
        office.glance()
        machine.start()

    return killed


def _frozen(when: _When) -> Play:
    async def frozen(office: Branches, machine: Machine, trouble: Trouble) -> None:
        await _moment(office, trouble, when)
        with machine.frozen():
            await asyncio.sleep(trouble.lasts)

    return frozen


async def _cut(office: Branches, machine: Machine, trouble: Trouble) -> None:
    """From the engine, and not from Graph and 3CX."""
    life = machine.life
    if life is None:
        return
    life.engine.is_cut_off = True
    try:
        await _over(office, trouble)
    finally:
        life.engine.is_cut_off = False


async def _drained(office: Branches, machine: Machine, trouble: Trouble) -> None:
    await machine.stop()
    await asyncio.sleep(max(_SHORTEST_START_S, trouble.until - office.time()))
    machine.start()


async def _upgraded(office: Branches, _machine: Machine, trouble: Trouble) -> None:
    """One after another."""
    pause_s = trouble.lasts / len(office.machines)
    for machine in office.machines:
        if machine.is_in_trouble:
            continue
        machine.is_in_trouble = True
        await machine.stop()
        await asyncio.sleep(_SHORTEST_START_S)
        machine.start()
        machine.is_in_trouble = False
        await asyncio.sleep(pause_s)


async def _restarted(office: Branches, _machine: Machine, trouble: Trouble) -> None:
    """All of them, for a night."""
    async with asyncio.TaskGroup() as tasks:
        for machine in office.machines:
            tasks.create_task(machine.stop())
    await asyncio.sleep(max(_SHORTEST_START_S, trouble.until - office.time()))
    office.glance()
    await office.start()


# The engine ---------------------------------------------------------------------------------------


def _engine(
    make: Callable[[Trouble], dict[str, Any]],
) -> Play:
    """`make` says which facts of the engine are so meanwhile; those of two troubles replace each other."""

    @contextlib.contextmanager
    def broken(office: Branches, trouble: Trouble) -> Iterator[None]:
        facts = make(trouble)
        for name, value in facts.items():
            setattr(office.world, name, value)
        try:
            yield
        finally:
            for name in facts:
                setattr(office.world, name, False if name == "is_down" else 0.0)

    async def played(office: Branches, _machine: Machine, trouble: Trouble) -> None:
        with broken(office, trouble):
            await _over(office, trouble)

    return played


KINDS: Final[dict[str, Kind]] = {
    "node killed": Kind("{} is killed", _killed("kept"), (1, 300), (1, 60)),
    "node killed writing": Kind("{} is killed while it writes", _killed("written"), (1, 300), (1, 60)),
    "node frozen": Kind("{} is frozen", _frozen("kept"), (2, 90), (1, 40)),
    "node frozen writing": Kind("{} is frozen while it writes", _frozen("written"), (2, 90), (1, 40)),
    "node frozen connecting": Kind("{} is frozen while it connects", _frozen("connecting"), (2, 90), (1, 3)),
    "node cut off": Kind("{} does not reach the engine", _cut, (2, 150)),
    "node drained": Kind("{} is stopped, and hands over", _drained, (1, 200)),
    "upgrade": Kind("all nodes are replaced, one by one", _upgraded, (90, 400), is_of_all=True),
    "nodes restarted": Kind("all nodes are stopped", _restarted, (1, 300), is_of_all=True, is_mild=False),
    "engine down": Kind(
        "the engine has no leader", _engine(lambda _: {"is_down": True}), (2, 90), is_of_all=True
    ),
    "engine unanswered": Kind(
        "the engine's answers are lost",
        _engine(lambda trouble: {"answers_lost": trouble.number}),
        (10, 200),
        (0.1, 0.6),
        is_of_all=True,
    ),
    "engine slow": Kind(
        "the engine is slow",
        _engine(lambda trouble: {"slow_s": trouble.number}),
        (10, 200),
        (0.1, 4),
        is_of_all=True,
    ),
    "engine stale": Kind(
        "the engine gives old readings, and loses and doubles messages",
        _engine(lambda trouble: {"stale_s": trouble.number, "nudges_lost": 0.5, "messages_doubled": 0.5}),
        (10, 300),
        (0.5, 5),
        is_of_all=True,
    ),
}
NIGHT: Final = "nodes restarted"


def drawn(
    dice: random.Random,
    site: Site,
    people: tuple[str, ...],
    count: int,
    mild: bool,
    span: tuple[float, float],
) -> list[Trouble]:
    """So many troubles of the nodes within that time, and half as many of Graph and 3CX."""
    begin, end = span
    names = [name for name, kind in KINDS.items() if kind.is_mild or not mild]
    chosen = []
    for _ in range(count):
        name = dice.choice(names)
        kind = KINDS[name]
        lasts = min(dice.uniform(*kind.lasts), (end - begin) / 2)
        number = round(dice.uniform(*kind.number), 1)
        node = None if dice.random() < _OWNER_SHARE else dice.randrange(site.nodes)
        chosen.append(Trouble(dice.uniform(begin, end - lasts), lasts, name, number=number, node=node))
    others = [
        name
        for name in troubles.possible(site, mild=True)
        if troubles.KINDS[name].link != "service" and not name.startswith("disk")
    ]
    for _ in range(count // 2):
        one = troubles.drawn(dice, dice.choice(others), people, begin, end)
        if one.kind.endswith(" slow"):
            one = msgspec.structs.replace(one, number=min(one.number, _SLOWEST_S))
        chosen.append(one)
    return sorted(chosen, key=lambda trouble: trouble.at)
