"""The emulator on real sockets, over TLS where a directory for certificates is given."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph.emulator import GraphEmulator
from presencebridge.emulators.running import Running, announced
from presencebridge.emulators.tls import server_certificate
from presencebridge.emulators.world import World
from presencebridge.serving import Listener


class RunningGraph(Running):
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
        super().__init__(self.emulator.control, control_port)
        self._port = port
        self._tls_dir = tls_dir

    async def _enter(self, stack: AsyncExitStack) -> None:
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


async def serve_graph(
    world: World,
    *,
    port: int,
    control_port: int | None,
    tls_dir: Path | None,
    announce: Callable[[str], None],
) -> None:
    """Serves until it is cancelled, and announces where."""
    emulator = RunningGraph(world, port=port, control_port=control_port, tls_dir=tls_dir)
    await announced("graph", emulator, announce)
