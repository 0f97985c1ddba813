"""What a site stands on in a cluster: the same as ever, but guarded, and its state is where it can follow."""

import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import httpx2

from presencebridge.adapters import Listening, Outside
from presencebridge.cluster.client_states import SignedStates
from presencebridge.cluster.files import Seal, SharedFiles
from presencebridge.cluster.guard import Guard, GuardedHttp
from presencebridge.cluster.store import SharedStore
from presencebridge.config import Config, Pbx
from presencebridge.files import Files
from presencebridge.graph.client import Tokens
from presencebridge.graph.client_states import ClientStates
from presencebridge.pbx.v20_feed import Dial, Socket
from presencebridge.runtime.ports import Clock, Store
from presencebridge.unreachable import unreachable


class SharedOutside(Outside):
    """Of one tenure of a site; `base` is the outside of the node."""

    def __init__(
        self, base: Outside, guard: Guard, store: SharedStore, files: SharedFiles, seal: Seal
    ) -> None:
        self._base, self._guard, self._store, self._files = base, guard, store, files
        self._seal = seal

    def http(self, url: str, ca_file: Path | None) -> Any:
        return GuardedHttp(self._base.http(url, ca_file), self._guard)

    @contextlib.asynccontextmanager
    async def store(self, config: Config) -> AsyncIterator[Store]:  # noqa: ARG002
        yield self._store

    def files(self, config: Config) -> Files:  # noqa: ARG002
        return self._files

    def client_states(self, mark: str) -> ClientStates:
        return SignedStates(self._seal, mark)

    def watcher_tokens(self, config: Config, name: str, files: Files | None = None) -> Tokens:
        return self._base.watcher_tokens(config, name, files or self._files)

    def dial(self, pbx: Pbx) -> Dial:
        dial = self._base.dial(pbx)

        async def guarded(token: str) -> Socket:
            try:
                async with self._guard.request():
                    return await dial(token)
            except httpx2.RequestError as error:
                raise unreachable("3CX", error, "[pbx] url", "[pbx] ca_file") from error

        return guarded

    # The rest is the node's

    def clock(self) -> Clock:
        return self._base.clock()

    async def certificate_end(self, url: str, ca_file: Path | None) -> float | None:
        return await self._base.certificate_end(url, ca_file)

    def app_tokens(self, config: Config) -> Tokens:
        return self._base.app_tokens(config)

    def workers(self) -> contextlib.AbstractContextManager[Executor]:
        return self._base.workers()

    def listener(
        self, where: str, app: Any, listen: str
    ) -> contextlib.AbstractAsyncContextManager[Listening]:
        return self._base.listener(where, app, listen)
