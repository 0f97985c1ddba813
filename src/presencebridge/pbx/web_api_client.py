"""I/O: asks 3cx-web-API, never more than it can answer, and never lets one extension hold up another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from presencebridge.bounded import read_bounded
from presencebridge.errors import Malformed, TryAgain
from presencebridge.pbx import web_api
from presencebridge.pbx.answers import Legs, StatusChange
from presencebridge.quick_http import Http
from presencebridge.unreachable import unreachable

_PATIENCE_S: Final = 0.5
"""After this long a request that holds the lane is overtaken: most likely it will never be answered."""
_LONGEST_ANSWER: Final = 4_000_000


_SILENT_CURE: Final = (
    "check that 3cx-web-API is connected to the PBX (its output says so), or restart it; "
    "if statuses can be read, a call stands of a queue whose number has not four characters: docs/limits.md"
)


class NeverAnswered(TryAgain):
    """The bridge took the request and did not answer it, as it does whenever one fails inside."""


class WebApiClient:
    """The bridge serves one request at a time, so requests go out one after another (the lane).

    A request that is not answered soon lets the next one pass. An extension that was not answered before
    waits outside of the lane from then on, until it is answered again.
    """

    def __init__(self, http: Http, timeout_s: float, section: str = "[pbx]") -> None:
        self._http = http
        self._timeout_s = timeout_s
        self._section = section
        """Where the config names this bridge."""
        self._lane = asyncio.Lock()
        self._suspects: set[str] = set()

    async def legs(self) -> Legs:
        """All connections. Raises `LinkError`."""
        return web_api.parse_calls(await self._get(web_api.CALLS_PATH))

    async def all_statuses(self) -> dict[str, str]:
        """Nobody's: the bridge tells one at a time."""
        return {}

    async def status(self, extension: str) -> str:
        """The status of one extension. Raises `LinkError`."""
        return web_api.parse_status(extension, await self._get(web_api.status_path(extension), extension))

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        """Read the status; if it is one of `expected`, write `wanted` and read back. Raises `LinkError`."""
        before = await self.status(extension)
        if before not in expected or before == wanted:
            return StatusChange(before, before, wrote=False)
        answer = await self._get(web_api.change_path(extension, wanted), extension)
        web_api.parse_change(extension, wanted, answer)
        return StatusChange(before, await self.status(extension), wrote=True)

    async def _get(self, path: str, extension: str | None = None) -> str:
        in_lane = extension not in self._suspects
        try:
            async with self._turn() if in_lane else contextlib.nullcontext():
                async with asyncio.timeout(self._timeout_s):
                    body = await self._read(path)
        except TimeoutError:
            if extension is None:
                raise NeverAnswered(
                    f"the bridge did not answer {path} within {self._timeout_s:g} s",
                    cure=_SILENT_CURE,
                ) from None
            self._suspects.add(extension)
            raise NeverAnswered(
                f"extension {extension}: the bridge did not answer {path} within {self._timeout_s:g} s",
                cure=f"check that extension {extension} exists on the PBX and has all five status profiles",
            ) from None
        except httpx2.RequestError as error:
            url, ca_file = f"{self._section} url", f"{self._section} ca_file"
            raise unreachable("the bridge 3cx-web-API", error, url, ca_file) from error
        if extension is not None:
            self._suspects.discard(extension)
        return body

    async def _read(self, path: str) -> str:
        async with self._http.stream("GET", path) as response:
            if response.status_code != 200:
                raise Malformed(
                    f"the bridge answered {path} with status {response.status_code}",
                    cure="check that the address in [pbx] url is that of 3cx-web-API",
                )
            body = await read_bounded(response, _LONGEST_ANSWER, f"the bridge's answer to {path}")
        return body.decode("utf-8", "replace")

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        await self._lane.acquire()
        held = True

        def let_pass() -> None:
            nonlocal held
            if held:
                held = False
                self._lane.release()

        overtaken = asyncio.get_running_loop().call_later(_PATIENCE_S, let_pass)
        try:
            yield
        finally:
            overtaken.cancel()
            let_pass()
