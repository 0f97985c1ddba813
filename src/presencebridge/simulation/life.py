"""One life of the service: from its start until it is stopped, killed, or dies of itself."""

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from presencebridge.config import Config
from presencebridge.node import Node
from presencebridge.node.source import Given
from presencebridge.pbx.v20_feed import Socket
from presencebridge.simulation.line import forever, served
from presencebridge.simulation.outside import AsgiSocket, InProcess, LifeClock, dial

if TYPE_CHECKING:
    from presencebridge.simulation.stage import Office


_LOOK_EVERY_S: Final = 0.1


class Life:
    """After `alive` has become false nothing of it reaches the outside any more, and nothing it."""

    def __init__(self, office: "Office") -> None:
        self.office = office
        self.alive = True
        self.clock = LifeClock(self)
        self.webhook: Any = None
        self.operator: Any = None
        self.sockets: list[AsgiSocket] = []
        self.node = self._made()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.listens = asyncio.Event()
        self.ended = asyncio.Event()

    def _made(self) -> Node:
        self._keys = ""
        self._given = Given("office", self.office.config)
        return Node(self._given, outside=InProcess(self), metrics=self.office.metrics)

    def _context(self) -> Context | None:
        """In which it runs; None: wherever it is begun."""
        return None

    async def gone(self) -> None:
        await forever()

    async def dial(self, token: str) -> Socket:
        return await dial(self, token)

    async def run(self) -> None:
        """Until it ends. Raises whatever it dies of, but for `kill`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._task = tasks.create_task(
                    self.node.run(self._stop, self.listens.set), name="service", context=self._context()
                )
        finally:
            self._gone()
            self.ended.set()

    def stop(self) -> None:
        """An orderly end."""
        self._stop.set()

    def reload(self, config: Config) -> None:
        """The config file was changed, and is read anew."""
        self._given.change(config, self._keys)
        self.node.reload()

    async def begin_anew(self) -> None:
        """The keys that the config names were changed. Returns when it works with them, or is dead."""
        before = self.node.site
        self.office.teams_line.forget(self)
        self._keys = f"of {self.office.time()}"
        self._given.change(self.office.config, self._keys)
        self.node.reload()
        while self.alive and (self.node.site is before or not self.node.site.is_set_up):
            await asyncio.sleep(_LOOK_EVERY_S)

    def kill(self) -> None:
        """Now, between two steps, as by SIGKILL or a power cut."""
        self._gone()
        if self._task is not None:
            self._task.cancel()

    def _gone(self) -> None:
        self.alive = False
        self.webhook = self.operator = None
        self.listens.clear()
        for socket in self.sockets:
            socket.hang_up()

    async def order(self, person: str, what: str, body: dict[str, Any]) -> bool:
        """What the operator asks for, through the operator's listener; False where nobody listens."""
        if self.operator is None:
            return False
        url = f"http://127.0.0.1/api/people/{person}/{what}"
        request = httpx2.Request("POST", url, json=body)
        status, _, _ = await served(self.operator, request, msgspec.json.encode(body))
        return 200 <= status < 300
