"""I/O: asks 3CX V20 over its official APIs."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx2

from presencebridge.errors import Malformed, Refused, TryAgain
from presencebridge.pbx import v20
from presencebridge.pbx.answers import Legs, StatusChange

_RENEW_AT: Final = 0.8
"""Share of a token's life after which a new one is fetched."""
_LONGEST_ANSWER: Final = 16_000_000
_MOST_AT_A_TIME: Final = 6


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
        self._renew_at = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._free = asyncio.Semaphore(_MOST_AT_A_TIME)
        self._call_control = True

    async def legs(self) -> Legs:
        """All legs: by Call Control, or where its licence or right is missing by the list of calls."""
        if self._call_control:
            try:
                return v20.parse_call_control(await self._ask("GET", v20.CALLS_PATH))
            except Refused as error:
                if error.status != 403:
                    raise
                self._call_control = False
        return v20.parse_active_calls(await self._ask("GET", v20.ACTIVE_CALLS_PATH))

    async def status(self, extension: str) -> str:
        """The status of one extension. Raises `LinkError`."""
        return v20.status_of(await self._user(extension))

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        """Read the status; if it is one of `expected`, write `wanted` and read back. Raises `LinkError`.

        Whether 3CX carries out the PATCH depends on its version: an ignored one is found by the read.
        """
        user = await self._user(extension)
        before = v20.status_of(user)
        if before not in expected or before == wanted:
            return StatusChange(before, before, wrote=False)
        await self._ask("PATCH", v20.change_path(user.id), v20.change_body(wanted))
        return StatusChange(before, await self.status(extension), wrote=True)

    async def _user(self, extension: str) -> v20.User:
        return v20.parse_user(extension, await self._ask("GET", v20.user_path(extension)))

    async def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's body. A token that 3CX does not take (any more) is replaced once."""
        async with self._free:
            token = await self._valid_token()
            try:
                return await self._send(method, path, token, body)
            except Refused as error:
                if error.status != 401:
                    raise
            return await self._send(method, path, await self._valid_token(refused=token), body)

    async def _valid_token(self, refused: str = "") -> str:
        async with self._one_at_a_time:
            if not self._token or self._token == refused or self._now() >= self._renew_at:
                asked_at = self._now()
                self._token, life = v20.parse_token(await self._send("POST", v20.TOKEN_PATH, "", self._form))
                self._renew_at = asked_at + life * _RENEW_AT
            return self._token

    async def _send(self, method: str, path: str, token: str, body: Any) -> bytes:
        what = path.partition("?")[0]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content: dict[str, Any] = {} if body is None else ({"json": body} if token else {"data": body})
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._http.stream(method, path, headers=headers, **content) as response:
                    answer = bytearray()
                    async for chunk in response.aiter_bytes():
                        answer += chunk
                        if len(answer) > _LONGEST_ANSWER:
                            raise Malformed(f"3CX's answer to {what} has no end")
        except TimeoutError:
            raise TryAgain(f"3CX did not answer {what} within {self._timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TryAgain(
                f"3CX can't be reached: {str(error) or type(error).__name__}",
                cure="check [pbx] url, name resolution, the firewall, and [pbx] ca_file",
            ) from error
        if not 200 <= response.status_code < 300:
            raise v20.error(method, what, response.status_code, bytes(answer))
        return bytes(answer)
