"""The outside world that the service stands on: emulators, a virtual clock and a disk in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2

from presencebridge.adapters import Listening, Outside
from presencebridge.config import Config, Pbx
from presencebridge.errors import Refused, TryAgain
from presencebridge.files import Files
from presencebridge.pbx import v20
from presencebridge.pbx.v20_feed import Dial, Socket, SocketEnded
from presencebridge.runtime.ports import Clock, Store
from presencebridge.simulation.line import spawn
from presencebridge.simulation.virtual_loop import InlineWorkers
from presencebridge.unreachable import unreachable

if TYPE_CHECKING:
    from presencebridge.simulation.life import Life

_TOKEN_LASTS_S: Final = 3000.0
_SIGN_IN_WITHIN_S: Final = 20.0


class LifeClock:
    """As `runtime.clock`: the wall's time when the process started, and what has passed since."""

    def __init__(self, life: "Life") -> None:
        self._office = life.office
        self._base = life.office.wall() - life.office.time()

    def now(self) -> float:
        return self._base + self._office.time()

    def wall(self) -> float:
        return self._office.wall()


class InProcess(Outside):
    """The outside of one life of the service."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self._office = life.office

    def clock(self) -> Clock:
        return self._life.clock

    def http(self, url: str, ca_file: Path | None) -> httpx2.AsyncClient:  # noqa: ARG002
        line = self._office.pbx_line if "pbx." in url else self._office.teams_line
        return line.client(url, self._life)

    async def certificate_end(self, url: str, ca_file: Path | None) -> float | None:  # noqa: ARG002
        return None

    def dial(self, pbx: Pbx) -> Dial:  # noqa: ARG002
        return self._life.dial

    def app_tokens(self, config: Config) -> "EntraTokens":  # noqa: ARG002
        return EntraTokens(self._life, "")

    def watcher_tokens(
        self,
        config: Config,  # noqa: ARG002
        name: str,
        files: Files | None = None,  # noqa: ARG002
    ) -> "EntraTokens":
        return EntraTokens(self._life, name)

    @contextlib.asynccontextmanager
    async def store(self, config: Config) -> AsyncIterator[Store]:  # noqa: ARG002
        with self._office.disk.mounted(self._life) as store:
            yield store

    def workers(self) -> contextlib.AbstractContextManager[Executor]:
        return InlineWorkers()

    def listener(
        self,
        where: str,
        app: Any,
        listen: str,  # noqa: ARG002
    ) -> contextlib.AbstractAsyncContextManager[Listening]:
        return self._listening(where, app)

    @contextlib.asynccontextmanager
    async def _listening(self, where: str, app: Any) -> AsyncIterator[Listening]:
        if "webhook" in where:
            self._life.webhook = app
        else:
            self._life.operator = app
        yield _Somewhere()


class _Somewhere:
    url = "https://bridge.example.org"


class EntraTokens:
    """Access tokens: of the app, or of a watcher where one is named. Signing in is somebody else's test."""

    def __init__(self, life: "Life", watcher: str) -> None:
        self._life = life
        self._watcher = watcher
        self._token = ""
        self._until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def token(self, *, renewed: bool = False) -> str:
        async with self._one_at_a_time:
            now = self._life.office.time()
            if renewed or now >= self._until:
                self._token = await self._sign_in()
                self._until = now + _TOKEN_LASTS_S
            return self._token

    async def _sign_in(self) -> str:
        office = self._life.office
        try:
            async with asyncio.timeout(_SIGN_IN_WITHIN_S):
                await office.teams_line.ask("/token", self._life)
        except (TimeoutError, httpx2.RequestError) as error:
            raise TryAgain(f"Entra's sign-in can't be reached: {error}") from error
        if not self._watcher:
            return office.graph.tokens.for_application()
        if self._watcher in office.signed_out:
            raise Refused(f"nobody is signed in as watcher {self._watcher}", cure="sign in")
        return office.graph.tokens.for_user(office.watcher_account(self._watcher), ["Presence.Read.All"])


class AsgiSocket:
    """A websocket of the service, by ASGI's own messages."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.is_mute = False
        """Nothing comes through it any more, and nobody tells so: half of a connection that is gone."""
        self._is_open = True

    async def recv(self) -> str | bytes:
        message = await self.outbox.get()
        if self.is_mute:
            await asyncio.get_running_loop().create_future()
        if message["type"] != "websocket.send":
            self.outbox.put_nowait(message)
            raise SocketEnded(f"closed {message.get('code')}")
        text: str = message["text"]
        return text

    async def close(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        if self._is_open:
            self._is_open = False
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})


async def dial(life: "Life", token: str) -> Socket:
    """Open a socket to V20. Raises `LinkError`."""
    office, socket = life.office, AsgiSocket()
    path = "/callcontrol/ws"
    try:
        async with asyncio.timeout(office.config.pbx.timeout_s):
            await office.pbx_line.ask(path, life)
            scope = {
                "type": "websocket",
                "path": path,
                "query_string": b"",
                "headers": [(b"authorization", f"Bearer {token}".encode())],
                "extensions": {"websocket.http.response": {}},
            }
            socket.inbox.put_nowait({"type": "websocket.connect"})
            life.sockets.append(socket)
            spawn(office.tasks, office.phones.app(scope, socket.inbox.get, socket.outbox.put))
            first = await socket.outbox.get()
    except (TimeoutError, httpx2.RequestError) as error:
        raise unreachable("3CX", error, "[pbx] url", "[pbx] ca_file") from error
    if first["type"] != "websocket.accept":
        raise v20.error("GET", path, first.get("status", 503), b"")
    return socket
