"""I/O: asks 3CXStatusWebApi, by which a status can be set on a V20 whose own API ignores that."""

import asyncio

import httpx2

from presencebridge.bounded import read_bounded
from presencebridge.errors import TryAgain
from presencebridge.pbx import status_web_api
from presencebridge.pbx.answers import StatusChange
from presencebridge.quick_http import Http
from presencebridge.unreachable import unreachable

_LONGEST_ANSWER = 100_000


class StatusWebApiClient:
    """Sets statuses, one extension at a time."""

    def __init__(self, http: Http, key: str, timeout_s: float) -> None:
        self._http = http
        self._headers = {"X-API-Key": key} if key else {}
        self._timeout_s = timeout_s

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        """Read the status; if it is one of `expected`, write `wanted` and read back. Raises `LinkError`."""
        before = await self._ask(extension, status_web_api.status_path(extension))
        if before not in expected or before == wanted:
            return StatusChange(before, before, wrote=False)
        await self._ask(extension, status_web_api.change_path(extension, wanted))
        after = await self._ask(extension, status_web_api.status_path(extension))
        return StatusChange(before, after, wrote=True)

    async def _ask(self, extension: str, path: str) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._http.stream("GET", path, headers=self._headers) as response:
                    answer = await read_bounded(response, _LONGEST_ANSWER, "the bridge's answer")
        except TimeoutError:
            raise TryAgain(f"the bridge for statuses did not answer within {self._timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(
                "the bridge 3CXStatusWebApi", error, "[pbx.bridge] url", "[pbx.bridge] ca_file"
            ) from error
        if response.status_code != 200:
            raise status_web_api.error(response.status_code)
        return status_web_api.parse_status(extension, answer)
