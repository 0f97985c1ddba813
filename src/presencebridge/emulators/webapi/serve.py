"""The bridge on real sockets: for the command line, and for tests and the demo."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.tls import server_certificate
from presencebridge.emulators.webapi.emulator import WebApiEmulator
from presencebridge.emulators.world import World
from presencebridge.serving import Listener


async def serve_webapi(  # noqa: PLR0913 - the command's options, one for one
    world: World,
    *,
    port: int,
    control_port: int | None,
    dialect: str,
    announce: Callable[[str], None],
    tls_dir: Path | None = None,
    api_key: str | None = None,
) -> None:
    """Serves until cancelled, or until /stop ended the bridge.

    The real bridge speaks plain HTTP only. With `tls_dir` it is as behind a proxy that adds HTTPS.

    Standard output is the bridge's own, for scripts that read it; what this program itself has to say
    goes to `announce`. Raises `ValueError` for an unknown dialect and `OSError` for a taken port.
    """
    running = RunningWebApi(
        world,
        port=port,
        control_port=control_port,
        dialect=dialect,
        api_key=api_key,
        out=_print,
        tls_dir=tls_dir,
    )
    async with running:
        announce(f"3cx-web-API ({dialect}) on {running.url}")
        if running.control_url:
            announce(f"its control port on {running.control_url}")
        await running.emulator.stopped.wait()


class RunningWebApi:
    """The bridge and its control port on loopback, while the `async with` block runs.

    Port 0 takes a free one; `control_port=None` means no control port. `stop` takes the bridge away as
    the restart of a PBX does, `start` brings it back on the same port; the control port stays, and so
    do profiles and calls.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default that will do
        self,
        world: World,
        *,
        port: int = 0,
        control_port: int | None = 0,
        dialect: str = "original",
        out: Callable[[str], None] | None = None,
        api_key: str | None = None,
        clock: Clock | None = None,
        tls_dir: Path | None = None,
    ) -> None:
        self._tls = server_certificate(tls_dir) if tls_dir else None
        self.emulator = WebApiEmulator(
            world, dialect=dialect, out=out, api_key=api_key, clock=clock or Clock()
        )
        self.url = ""
        self.control_url = ""
        self._port = port
        self._control_port = control_port
        self._bridge: Listener | None = None
        self._control: Listener | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            if self._control_port is not None:
                self._control = await Listener(self.emulator.control, port=self._control_port).__aenter__()
                self.control_url = self._control.url
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._control is not None:
            await self._control.__aexit__(None, None, None)
            self._control = None

    async def start(self) -> None:
        """Starts the bridge, unless it runs. Raises `OSError` where its port is taken."""
        if self._bridge is not None:
            return
        bridge = Listener(
            _spelled(self.emulator.app),
            port=self._port,
            certificate=self._tls.certificate if self._tls else None,
            key=self._tls.key if self._tls else None,
            date_header=False,
        )
        self._port, self.url = bridge.port, bridge.url
        self._bridge = await bridge.__aenter__()
        self.emulator.start(self._port)

    async def stop(self) -> None:
        """Stops the bridge, whose requests are cut off; does nothing if it does not run."""
        if self._bridge is not None:
            bridge, self._bridge = self._bridge, None
            self.emulator.shut()
            await bridge.__aexit__(None, None, None)


def _print(line: str) -> None:
    """Console.WriteLine: UTF-8, at once, and not minding that the reader has gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(line.encode() + b"\n")
        sys.stdout.buffer.flush()


class _Spelled(bytes):
    """A header name that keeps its capitals on the wire, as the bridge writes them.

    uvicorn sends names in lower case, as ASGI has it; this one says that it is in lower case already.
    """

    __slots__ = ()

    def lower(self) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return bytes.lower(self) == other

    __hash__ = bytes.__hash__


def _spelled(app: Any) -> Any:
    async def spelling(scope: Any, receive: Any, send: Any) -> None:
        async def spell(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [(_Spelled(name), value) for name, value in message["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, spell)

    return spelling
