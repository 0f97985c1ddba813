"""Nothing leaves for Teams or 3CX but by the site's owner.

The lease is asked last of all: after every gate, retry and token, and once more when there is a connection,
right before the request is sent: a node may have been frozen while it connected. What is under way when the
lease runs out is cut off. What can't be excluded: that a request whose bytes are already with the network
arrives later than that; nothing on the other side knows our epochs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import httpx2

from presencebridge.cluster.ownership import Tenure
from presencebridge.quick_http import QuickClient

_QUIET_WITHIN_S: Final = 1.0
_ABOUT_TO_SEND: Final = ".send_request_headers.started"
"""What httpx2 calls this moment: https://www.encode.io/httpcore/extensions/#trace"""


class Guard:
    """One for each tenure; it stands before all of the site's clients."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._under_way: set[asyncio.Timeout] = set()
        tenure.on_cut(self.cut)

    def check(self) -> None:
        """Raises `httpx2.ConnectError` where this node must not act for the site."""
        if not self._tenure.may_act:
            raise httpx2.ConnectError("this node does not own the site just now")

    async def look_again(self, event: str, _info: Mapping[str, Any]) -> None:
        """As httpx2's `trace`: right before a request is sent. Raises `httpx2.ConnectError`."""
        if event.endswith(_ABOUT_TO_SEND):
            self.check()

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
        """Around a request and its answer. Raises `httpx2.ConnectError`, `httpx2.ReadError`."""
        self.check()
        bound = asyncio.timeout(None)
        try:
            async with bound:
                self._under_way.add(bound)
                try:
                    yield
                finally:
                    self._under_way.discard(bound)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise httpx2.ReadError("cut off: this node's lease ran out") from error


class GuardedHttp:
    """A client of the site as far as the site uses one: entered once, and then asked."""

    def __init__(self, inner: Any, guard: Guard) -> None:
        self._inner, self._guard = inner, guard
        self._options: dict[str, Any] = {}
        if isinstance(inner, QuickClient):
            inner.before_sending = guard.check
        elif isinstance(inner, httpx2.AsyncClient):
            self._options["extensions"] = {"trace": guard.look_again}

    async def __aenter__(self) -> Self:
        self._inner = await self._inner.__aenter__()
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._inner.__aexit__(*why)

    @contextlib.asynccontextmanager
    async def stream(self, method: str, url: str, **options: Any) -> AsyncIterator[Any]:
        options |= self._options
        async with self._guard.request(), self._inner.stream(method, url, **options) as response:
            yield response
