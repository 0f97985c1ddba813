"""A 3CX V20 in process: the emulator, and our clients of it, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
from site_kit import LoopClock, people

from presencebridge.core.events import AnyEvent, LegsSeen
from presencebridge.core.model import LegState
from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20 import V20Emulator
from presencebridge.emulators.world import Extension, World
from presencebridge.pbx import v20
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.v20_feed import Socket, SocketEnded, V20Calls
from presencebridge.runtime.calls_reader import CallsReader
from presencebridge.runtime.links import Link

KEYS = ("101", "102", "103")
WORLD = World(client_id="bridge", client_secret="k3y", extensions=tuple(map(Extension, KEYS)))


class AsgiSocket:
    """A websocket by ASGI's own messages."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.is_open = True

    async def recv(self) -> str | bytes:
        message = await self.outbox.get()
        if message["type"] != "websocket.send":
            self.outbox.put_nowait(message)
            raise SocketEnded(f"closed {message.get('code')}")
        return message["text"]

    async def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})


def asgi_dial(app: Any, tasks: asyncio.TaskGroup) -> Callable[[str], Any]:
    async def dial(token: str) -> Socket:
        socket = AsgiSocket()
        scope = {
            "type": "websocket",
            "path": "/callcontrol/ws",
            "headers": [(b"authorization", f"Bearer {token}".encode())],
            "extensions": {"websocket.http.response": {}},
        }
        socket.inbox.put_nowait({"type": "websocket.connect"})
        tasks.create_task(app(scope, socket.inbox.get, socket.outbox.put))
        first = await socket.outbox.get()
        if first["type"] != "websocket.accept":
            raise v20.error("GET", "/callcontrol/ws", first.get("status", 503), b"")
        return socket

    return dial


class Office:
    """The reader of calls over our V20 client, against the emulator."""

    def __init__(self, emulator: V20Emulator, http: httpx2.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        self.emulator, self.clock, self.key = emulator, LoopClock(), "k3y"
        self.people = people(*KEYS)
        self.client = V20Client(http, "bridge", lambda: self.key, 5, self.clock.now)
        dial = asgi_dial(emulator.app, tasks)
        self.calls = V20Calls(self.client, dial, self.people.__contains__, self.clock.now)
        self.link = Link("3cx", self.clock.now)
        self.reader = CallsReader(self.people, self.calls, self.calls, self.link, self.clock, 2.0)
        self.calls.on_note = self.link.note
        self.seen: list[tuple[str, AnyEvent]] = []
        self.reader.on_seen = lambda member, event: self.seen.append((member.key, event))
        self._control = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=emulator.control), base_url="http://control"
        )

    async def play(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._control.request(method, path, json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None

    async def call(self, dn: str, state: str = "Connected") -> int:
        legs = [{"dn": dn, "state": state, "party": "0301234567"}]
        return (await self.play("POST", "/calls", {"legs": legs}))["id"]

    def legs(self, key: str) -> tuple[LegState, ...]:
        """What the person was last told."""
        return next(
            event.legs for who, event in reversed(self.seen) if who == key and type(event) is LegsSeen
        )

    async def asked(self, part: str = "") -> list[str]:
        """The requests that 3CX got."""
        requests = await self.play("GET", "/requests")
        return [f"{one['method']} {one['path']}" for one in requests if part in one["path"]]


@contextlib.asynccontextmanager
async def office(*, world: World = WORLD, running: bool = True) -> AsyncIterator[Office]:
    emulator = V20Emulator(world, clock=Clock.of_loop(), seed=1)
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=emulator.app), base_url="https://pbx")
    async with http, asyncio.TaskGroup() as tasks:
        made = Office(emulator, http, tasks)
        task = tasks.create_task(made.reader.run()) if running else None
        await asyncio.sleep(3 if running else 0)
        yield made
        if task:
            task.cancel()
        await made.play("POST", "/socket/drop", {})
