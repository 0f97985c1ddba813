"""The emulator on real sockets, over TLS where a directory for certificates is given."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph.emulator import GraphEmulator
from presencebridge.emulators.tls import server_certificate
from presencebridge.emulators.world import World
from presencebridge.serving import Listener


class RunningGraph:
    """The emulator served while its `async with` block runs.

    Port 0 takes a free one; `control_port` None leaves the control port out. `url`, `control_url` and
    `ca_file` are known once the block is entered.
    """

    def __init__(  # noqa: PLR0913 - the command's options, one for one
        self,
        world: World,
        *,
        port: int = 0,
        control_port: int | None = 0,
        tls_dir: Path | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        notification_ca: Path | None = None,
    ) -> None:
        self.emulator = GraphEmulator(world, clock=clock, seed=seed, notification_ca=notification_ca)
        self.url = ""
        self.control_url: str | None = None
        self.ca_file: Path | None = None
        self._port = port
        self._control_port = control_port
        self._tls_dir = tls_dir
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            tls = server_certificate(self._tls_dir) if self._tls_dir else None
            await stack.enter_async_context(self.emulator)
            # Graph's answers carry their own Date, in the emulator's base time.
            listener = Listener(
                self.emulator.app,
                port=self._port,
                certificate=tls.certificate if tls else None,
                key=tls.key if tls else None,
                date_header=False,
            )
            await stack.enter_async_context(listener)
            self.url = listener.url
            self.ca_file = tls.ca if tls else None
            if self._control_port is not None:
                control = Listener(self.emulator.control, port=self._control_port)
                await stack.enter_async_context(control)
                self.control_url = control.url
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)


async def serve_graph(
    world: World,
    *,
    port: int,
    control_port: int | None,
    tls_dir: Path | None,
    announce: Callable[[str], None],
) -> None:
    """Serves until it is cancelled, and announces where."""
    async with RunningGraph(world, port=port, control_port=control_port, tls_dir=tls_dir) as running:
        tls = f" (TLS, authority {running.ca_file})" if running.ca_file else ""
        announce(f"graph: {running.url}{tls}")
        if running.control_url:
            announce(f"control: {running.control_url}")
        await asyncio.Event().wait()
