"""What the emulators have in common on real sockets: the control port, the certificate, the announcement."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp

from presencebridge.serving import Listener


class Running(ABC):
    """An emulator served while its `async with` block runs.

    `url`, `control_url` and `ca_file` are known once the block is entered.
    """

    def __init__(self, control: ASGIApp, control_port: int | None) -> None:
        self.url = ""
        self.control_url: str | None = None
        self.ca_file: Path | None = None
        self._control = control
        self._control_port = control_port
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            if self._control_port is not None:
                control = Listener(self._control, port=self._control_port)
                await stack.enter_async_context(control)
                self.control_url = control.url
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @abstractmethod
    async def _enter(self, stack: AsyncExitStack) -> None:
        """Starts the emulator itself; the stack ends it."""


async def announced(name: str, emulator: Running, announce: Callable[[str], None]) -> None:
    """Serves until it is cancelled, and announces where."""
    async with emulator as running:
        tls = f" (TLS, authority {running.ca_file})" if running.ca_file else ""
        announce(f"{name}: {running.url}{tls}")
        if running.control_url:
            announce(f"control: {running.control_url}")
        await asyncio.Event().wait()
