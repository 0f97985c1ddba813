"""All tenants and phone systems of a benchmark in one program, which plays and measures; it obeys its stdin.

Each line is an order in JSON, and is answered with a line in JSON.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from typing import Any

from presencebridge.emulators.graph import presence
from presencebridge.emulators.graph.serve import RunningGraph
from presencebridge.emulators.played_calls import NewLeg
from presencebridge.emulators.v20.faults import merged
from presencebridge.emulators.v20.serve import RunningV20
from presencebridge.emulators.world import Extension, User, World

LATEST_S = 10.0
"""A call that is not shown within this time counts as one that took so long."""


class Office:
    """A tenant and its PBX."""

    def __init__(self, name: str, people: int) -> None:
        self.name = name
        users = tuple(User(user_principal_name=f"u{number}@{name}.example.org") for number in range(people))
        extensions = tuple(
            Extension(str(10_000 + number), email=u.user_principal_name) for number, u in enumerate(users)
        )
        self.world = World(
            client_secret="s3cret",  # noqa: S106 - of an emulator
            users=users,
            extensions=extensions,
        )
        self.graph = RunningGraph(self.world, control_port=None)
        self.pbx = RunningV20(self.world, control_port=None)

    def appear(self) -> None:
        """Everybody is at work."""
        for user in self.world.users:
            emulator, now = self.graph.emulator, self.graph.emulator.clock.now()
            before = emulator.board.entry(user.id).presence
            free = presence.Pair("Available", "Available")
            emulator.put_presence(user, presence.told(before, presence.CLIENT_SESSION, free, now, None))

    async def call(self, number: int, seconds: float) -> float:
        """Somebody talks for that long. Returns after how many seconds Teams shows it."""
        user, emulator, calls = self.world.users[number], self.graph.emulator, self.pbx.emulator.pbx.calls
        begun = time.perf_counter()
        call = calls.start_call([NewLeg(str(10_000 + number), "Connected", "+4930123456")])
        self.pbx.emulator.settle()
        took = LATEST_S
        while time.perf_counter() - begun < LATEST_S:
            entry = emulator.board.entry(user.id)
            if presence.session_of(entry.presence, self.world.client_id, emulator.clock.now()):
                took = time.perf_counter() - begun
                break
            await asyncio.sleep(0.002)
        await asyncio.sleep(seconds)
        calls.end_call(call)
        self.pbx.emulator.settle()
        return took

    async def misbehave(self, how: str) -> None:
        emulator = self.pbx.emulator
        match how:
            case "dead PBX":
                await self.pbx.stop()
            case "PBX that never answers":
                emulator.put_faults(merged(emulator.faults, {"hang": True}, set()))
            case "well again":
                emulator.put_faults(merged(emulator.faults, {"hang": None}, set()))
                await self.pbx.start()


async def play(offices: list[Office], seconds: float, calls_per_s: float, dice: random.Random) -> list[float]:
    """Calls all over the sites for that long. Returns how long each took to be shown."""
    took: list[float] = []
    busy: set[tuple[str, int]] = set()

    async def one(office: Office, number: int) -> None:
        took.append(await office.call(number, 1.0))
        await asyncio.sleep(1.0)
        busy.discard((office.name, number))

    end = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        while time.perf_counter() < end:
            office = dice.choice(offices)
            number = dice.randrange(len(office.world.users))
            if (office.name, number) not in busy:
                busy.add((office.name, number))
                tasks.create_task(one(office, number))
            await asyncio.sleep(1 / calls_per_s)
    return took


async def main() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    dice = random.Random(2023)  # noqa: S311 - no secrets
    async with contextlib.AsyncExitStack() as stack:
        offices: dict[str, Office] = {}
        while line := await reader.readline():
            order = json.loads(line)
            answer: Any = None
            match order["do"]:
                case "open":
                    for name in order["sites"]:
                        office = offices[name] = Office(name, order["people"])
                        await stack.enter_async_context(office.graph)
                        await stack.enter_async_context(office.pbx)
                        office.appear()
                    answer = {
                        name: [one.graph.url, one.pbx.url, one.world.tenant_id, one.world.client_id]
                        for name, one in offices.items()
                    }
                case "play":
                    others = [one for name, one in offices.items() if name != order.get("but")]
                    answer = await play(others, order["seconds"], order["calls_per_s"], dice)
                case "misbehave":
                    await offices[order["site"]].misbehave(order["how"])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
