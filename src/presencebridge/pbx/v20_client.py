"""I/O: asks 3CX V20 over its official APIs, with the one token that an API client has."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx2

from presencebridge.bounded import read_bounded
from presencebridge.errors import Gone, LinkError, Malformed, Refused, TryAgain
from presencebridge.pbx import v20
from presencebridge.pbx.answers import PbxUser

_RENEW_AT: Final = 0.8
"""Share of a token's life after which a new one is fetched."""
_REFUSED_AGAIN_S: Final = 10.0
"""A token that is refused so soon after another one was: a third would fare no better."""
_LONGEST_ANSWER: Final = 16_000_000
_MOST_AT_A_TIME: Final = 6
_MOST_PAGES: Final = 500


class V20Client:
    """One API client of the PBX. Only one of its tokens is alive at a time, so everything here shares it."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        client_id: str,
        secret: str,
        timeout_s: float,
        now: Callable[[], float],
    ) -> None:
        self._http = http
        self._form = v20.token_form(client_id, secret)
        self._timeout_s = timeout_s
        self._now = now
        self._token = ""
        self._refused_at = float("-inf")
        self._renew_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._free = asyncio.Semaphore(_MOST_AT_A_TIME)
        self._replaced = asyncio.Event()

    async def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's body. A token that 3CX takes no longer is replaced once. Raises `LinkError`."""
        async with self._free:
            token = await self.token()
            try:
                return await self._send(method, path, token, body)
            except Refused as error:
                if error.status != 401:
                    raise
            return await self._send(method, path, await self.token(refused=token), body)

    async def token(self, refused: str = "") -> str:
        """The token that is valid now; another one than `refused`. Raises `LinkError`."""
        async with self._one_at_a_time:
            asked_at = self._now()
            may_be_dead = asked_at >= self._refused_at + _REFUSED_AGAIN_S
            is_dead = bool(refused) and self._token == refused and may_be_dead
            if not self._token or is_dead or asked_at >= self._renew_at:
                self._token, life = v20.parse_token(await self._send("POST", v20.TOKEN_PATH, "", self._form))
                self._renew_at = asked_at + life * _RENEW_AT
                if is_dead:
                    self._refused_at = asked_at
                self._replaced.set()
                self._replaced = asyncio.Event()
            return self._token

    async def replaced(self, token: str) -> None:
        """Wait until another token has taken the place of this one, or this one has had its time."""
        while token == self._token:
            left = self._renew_at - self._now()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    await self._replaced.wait()
            except TimeoutError:
                return

    async def users(self) -> list[PbxUser]:
        """Everybody who has an extension. Raises `LinkError`."""
        found: list[PbxUser] = []
        for page in range(_MOST_PAGES):
            users = v20.parse_directory(await self.ask("GET", v20.directory_path(page * v20.PAGE)))
            found += users
            if len(users) < v20.PAGE:
                return found
        raise Malformed("3CX's list of users has no end")

    async def own_sync(self) -> str:
        """What 3CX's own sync with Teams does; empty if off, or not for us to know. Raises `LinkError`."""
        try:
            return v20.parse_own_sync(await self.ask("GET", v20.OWN_SYNC_PATH))
        except (Gone, Refused):
            return ""  # a version without it, or a role that may not see it

    async def _send(self, method: str, path: str, token: str, body: Any) -> bytes:
        what = path.partition("?")[0]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content: dict[str, Any] = {} if body is None else ({"json": body} if token else {"data": body})
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._http.stream(method, path, headers=headers, **content) as response:
                    answer = await read_bounded(response, _LONGEST_ANSWER, f"3CX's answer to {what}")
        except TimeoutError:
            raise TryAgain(f"3CX did not answer {what} within {self._timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(error) from error
        if not 200 <= response.status_code < 300:
            raise v20.error(method, what, response.status_code, answer)
        return answer


def unreachable(error: Exception) -> LinkError:
    """3CX can't be connected to."""
    return TryAgain(
        f"3CX can't be reached: {str(error) or type(error).__name__}",
        cure="check [pbx] url, name resolution, the firewall, and [pbx] ca_file",
    )
