"""What the tests of the V20 emulator share: a small office, its API client, and a socket in process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20 import V20Emulator
from presencebridge.emulators.world import Extension, World

WORLD = World(
    pbx_client_id="teamsync",
    pbx_client_secret="s3cret",
    extensions=(
        Extension("101", "Ann Miller", "ann@example.org"),
        Extension("102", "Ben O'Neil", "Ben@Example.org", "Away"),
        Extension("103", "Cem"),
    ),
    monitored=("101", "102"),
)
FORM = {"client_id": "teamsync", "client_secret": "s3cret", "grant_type": "client_credentials"}


class Bench:
    """An emulator in process, with a client for its APIs and one for its control port."""

    def __init__(self, emulator: V20Emulator, api: httpx2.AsyncClient, control: httpx2.AsyncClient) -> None:
        self.emulator = emulator
        self.api = api
        self.control = control

    async def sign_in(self) -> str:
        answer = await self.api.post("/connect/token", data=FORM)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        self.api.headers["Authorization"] = f"Bearer {token}"
        return token

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.api.get(path, params=params or None)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    async def play(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.control.request(method, path, json=body)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None

    async def call(self, *legs: tuple[str, ...], **more: Any) -> int:
        given = [dict(zip(("dn", "state", "party"), leg, strict=False)) for leg in legs]
        return (await self.play("POST", "/calls", {"legs": given, **more}))["id"]

    async def statuses(self, dn: str) -> list[str]:
        return [each["status"] for each in await self.get(f"/callcontrol/{dn}/participants")]

    @contextlib.asynccontextmanager
    async def socket(self, token: str | None = None) -> AsyncIterator["Socket"]:
        authorization = f"Bearer {token}" if token else self.api.headers["Authorization"]
        socket = Socket(self.emulator.app, authorization)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(socket.serve())
            try:
                await socket.open()
                yield socket
            finally:
                socket.leave()
                await asyncio.wait([serving])


class Socket:
    """A WebSocket by ASGI's own messages."""

    def __init__(self, app: Any, authorization: str, path: str = "/callcontrol/ws") -> None:
        self._app = app
        self._path = path
        self._authorization = authorization
        self._to: asyncio.Queue[Any] = asyncio.Queue()
        self._from: asyncio.Queue[Any] = asyncio.Queue()
        self.status: int | None = None

    async def serve(self) -> None:
        scope = {
            "type": "websocket",
            "path": self._path,
            "headers": [(b"authorization", self._authorization.encode())],
            "extensions": {"websocket.http.response": {}},
        }
        self._to.put_nowait({"type": "websocket.connect"})
        await self._app(scope, self._to.get, self._from.put)

    async def open(self) -> None:
        first = await self._from.get()
        ends = {"websocket.accept": 101, "websocket.close": first.get("code")}
        self.status = ends.get(first["type"], first.get("status"))

    def leave(self) -> None:
        self._to.put_nowait({"type": "websocket.disconnect", "code": 1005})

    def ask(self, **request: Any) -> None:
        self._to.put_nowait({"type": "websocket.receive", "text": json.dumps(request)})

    async def told(self, count: int = 1) -> list[tuple[int, int, str]]:
        """The next events: sequence, type, entity."""
        return [
            (each["sequence"], each["event"]["event_type"], each["event"]["entity"])
            for each in [await self.message() for _ in range(count)]
        ]

    async def message(self) -> Any:
        async with asyncio.timeout(5):
            received = await self._from.get()
        return json.loads(received["text"]) if received["type"] == "websocket.send" else received

    async def is_silent(self) -> bool:
        for _ in range(20):
            await asyncio.sleep(0)
        return self._from.empty()


@contextlib.asynccontextmanager
async def bench(
    world: World = WORLD, *, clock: Clock | None = None, seed: int = 1, version: str = "20.0.9.995"
) -> AsyncIterator[Bench]:
    emulator = V20Emulator(world, clock=clock, seed=seed, version=version)
    api = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=emulator.app), base_url="https://pbx.example.com"
    )
    control = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=emulator.control), base_url="http://control"
    )
    async with api, control:
        yield Bench(emulator, api, control)
