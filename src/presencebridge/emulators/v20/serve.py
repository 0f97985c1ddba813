"""The emulator on real sockets, over TLS where a directory for certificates is given."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.running import Running, announced
from presencebridge.emulators.tls import server_certificate
from presencebridge.emulators.v20.bridge import bridge_of
from presencebridge.emulators.v20.emulator import V20Emulator
from presencebridge.emulators.v20.version import DEFAULT
from presencebridge.emulators.world import World
from presencebridge.serving import Listener


class RunningV20(Running):
    """The emulator served while its `async with` block runs.

    Port 0 takes a free one; `control_port` None leaves the control port out. `url`, `control_url` and
    `ca_file` are known once the block is entered. `stop` takes the PBX away as a restart does, `start`
    brings it back on the same port: tokens and sockets are gone then, people and calls stay, and so does
    the control port.
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
        version: str = DEFAULT,
    ) -> None:
        self.emulator = V20Emulator(world, clock=clock, seed=seed, version=version)
        super().__init__(self.emulator.control, control_port)
        self._port = port
        self._tls_dir = tls_dir
        self._listener: Listener | None = None

    async def _enter(self, stack: AsyncExitStack) -> None:
        await self.start()
        stack.push_async_callback(self.stop)

    async def start(self) -> None:
        """Starts the PBX, unless it runs. Raises `OSError` where its port is taken."""
        if self._listener is not None:
            return
        tls = server_certificate(self._tls_dir) if self._tls_dir else None
        listener = Listener(
            self.emulator.app,
            port=self._port,
            certificate=tls.certificate if tls else None,
            key=tls.key if tls else None,
            websockets=True,
        )
        self._listener = await listener.__aenter__()
        self._port, self.url = listener.port, listener.url
        self.ca_file = tls.ca if tls else None

    async def stop(self) -> None:
        """Stops the PBX; does nothing if it does not run."""
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self.emulator.tokens.revoke_all()
            await listener.__aexit__(None, None, None)


async def serve_v20(
    world: World,
    *,
    port: int,
    control_port: int | None,
    tls_dir: Path | None,
    announce: Callable[[str], None],
    bridge_port: int | None = None,
) -> None:
    """Serves until it is cancelled, and announces where; 3cx-web-API too if it has a port."""
    emulator = RunningV20(world, port=port, control_port=control_port, tls_dir=tls_dir)
    async with AsyncExitStack() as stack:
        if bridge_port is not None:
            bridge = await stack.enter_async_context(bridge_of(emulator.emulator.pbx, bridge_port))
            announce(f"3cx-web-api: {bridge.url}")
        await announced("3cx-v20", emulator, announce)
