"""Nothing leaves for Teams or 3CX but by the site's owner.

The lease is asked last of all, in the transport: after every gate, retry and token. What is under way when it
runs out is cut off. What can't be excluded: that a request whose bytes are already with the network arrives
later than that; nothing on the other side knows our epochs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from presencebridge.cluster.ownership import Tenure

_QUIET_WITHIN_S: Final = 1.0


class Guard:
    """One for each tenure; it wraps the transports of all of the site's clients."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._under_way: set[asyncio.Timeout] = set()
        tenure.on_cut(self.cut)

    def over(self, inner: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
        return _Guarded(inner, self)

    def check(self) -> None:
        """Raises `httpx2.ConnectError` where this node must not act for the site."""
        if not self._tenure.may_act:
            raise httpx2.ConnectError("this node does not own the site just now")

    def cut(self) -> None:
        """Drop what is under way."""
        now = asyncio.get_running_loop().time()
        for one in self._under_way:
            with contextlib.suppress(RuntimeError):  # it is just over
                one.reschedule(now)

    async def quiet(self) -> None:
        """Wait a little for what is under way to be answered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_WITHIN_S):
                while self._under_way:
                    await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        self.check()
        try:
            async with asyncio.timeout(None) as bound:
                self._under_way.add(bound)
                try:
                    yield
                finally:
                    self._under_way.discard(bound)
        except TimeoutError as error:
            raise httpx2.ReadError("cut off: this node's lease ran out") from error


class _Guarded(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        async with self._guard.request():
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
