"""I/O: asks 3CX V20 over its official APIs, with the one token that an API client has."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec

from presencebridge.bounded import ListLimit, read_bounded
from presencebridge.core.backoff import doubled
from presencebridge.errors import Gone, LinkError, Malformed, Refused, TryAgain
from presencebridge.pbx import v20
from presencebridge.pbx.answers import Licence, PbxUser
from presencebridge.quick_http import Http
from presencebridge.unreachable import WAS_CUT, unreachable

T = TypeVar("T")

_RENEW_AT: Final = 0.8
"""Share of a token's life after which a new one is fetched."""
_RENEW_AGAIN_S: Final = 30.0
"""After a renewal that did not work, while the old token is still good."""
_REFUSED_AGAIN_S: Final = 10.0
"""A token that is refused so soon after another one was: a third would fare no better."""
_FIRST_REFUSAL_S, _LONGEST_REFUSAL_S = 5.0, 300.0
"""Between two sign-ins that 3CX refuses with the same key."""
_LONGEST_ANSWER: Final = 16_000_000
_MOST_AT_A_TIME: Final = 6
_MOST_PEOPLE, _MOST_MB = 200_000, 64
"""In a list over all its pages: many times what any 3CX has, at some 200 bytes each."""


class V20Client:
    """One API client of the PBX. Only one of its tokens is alive at a time, so everything here shares it."""

    def __init__(
        self,
        http: Http,
        client_id: str,
        key: Callable[[], str],
        timeout_s: float,
        now: Callable[[], float],
    ) -> None:
        self._http = http
        self._client_id = client_id
        self._key = key
        """Read for each sign-in, so that a corrected one is used."""
        self._timeout_s = timeout_s
        self._now = now
        self._token = ""
        self._refused_at = float("-inf")
        self._sign_in_refused: tuple[str, Refused] | None = None
        """The key that 3CX did not take, and what it said."""
        self._sign_in_again_at = float("-inf")
        self._refusals = 0
        self._renew_at = 0.0
        self._ends_at = 0.0
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
                try:
                    self._token, life = await self._sign_in()
                except LinkError:
                    if is_dead or asked_at >= self._ends_at:
                        raise
                    self._renew_at = asked_at + _RENEW_AGAIN_S
                    return self._token
                self._renew_at, self._ends_at = asked_at + life * _RENEW_AT, asked_at + life
                if is_dead:
                    self._refused_at = asked_at
                self._replaced.set()
                self._replaced = asyncio.Event()
            return self._token

    async def _sign_in(self) -> tuple[str, float]:
        """A new token and its life. A key that 3CX refused is tried again ever later, lest it bars us."""
        key = self._key()
        is_same = self._sign_in_refused is not None and self._sign_in_refused[0] == key
        if self._sign_in_refused and is_same and self._now() < self._sign_in_again_at:
            raise self._sign_in_refused[1]
        form = v20.token_form(self._client_id, key)
        try:
            found = v20.parse_token(await self._send("POST", v20.TOKEN_PATH, "", form))
        except Refused as error:
            rest = doubled(_FIRST_REFUSAL_S, self._refusals, _LONGEST_REFUSAL_S)
            self._sign_in_refused, self._sign_in_again_at = (key, error), self._now() + rest
            self._refusals += 1
            raise
        self._sign_in_refused, self._refusals = None, 0
        return found

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
        return [user async for page in self.pages(v20.directory_path, v20.parse_directory) for user in page]

    async def pages(
        self, path: Callable[[int], str], parse: Callable[[bytes], Sequence[T]]
    ) -> AsyncIterator[Sequence[T]]:
        """A list of users, page by page; the last one is not full. Raises `LinkError`."""
        limit, skip = ListLimit(_MOST_PEOPLE, _MOST_MB), 0
        while True:
            body = await self.ask("GET", path(skip))
            users = parse(body)
            if not limit.allows(len(users), len(body)):
                what = f"3CX's list of users is longer than {_MOST_PEOPLE} people or {_MOST_MB} MB"
                raise Malformed(what, cure="check that the address in [pbx] url is that of 3CX")
            yield users
            if len(users) < v20.PAGE:
                return
            skip += len(users)

    async def own_sync(self) -> str:
        """What 3CX's own sync with Teams does; empty if off, or not for us to know. Raises `LinkError`."""
        try:
            return v20.parse_own_sync(await self.ask("GET", v20.OWN_SYNC_PATH))
        except (Gone, Refused):
            return ""  # a version without it, or a role that may not see it

    async def licence(self) -> Licence | None:
        """3CX's licence; None where a role may not see it. Raises `LinkError`."""
        try:
            return v20.parse_licence(await self.ask("GET", v20.LICENCE_PATH))
        except (Gone, Refused):
            return None

    async def _send(self, method: str, path: str, token: str, body: Any) -> bytes:
        what = path.partition("?")[0]
        headers = {"Accept": "application/json"}
        content = None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and token:
            headers["Content-Type"], content = "application/json", msgspec.json.encode(body)
        elif body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            content = urlencode(body).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    status, answer = await self._once(method, path, headers, content)
                except WAS_CUT:  # everything that we ask 3CX for may be asked for twice
                    status, answer = await self._once(method, path, headers, content)
        except TimeoutError:
            raise TryAgain(f"3CX did not answer {what} within {self._timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable("3CX", error, "[pbx] url", "[pbx] ca_file") from error
        if not 200 <= status < 300:
            raise v20.error(method, what, status, answer)
        return answer

    async def _once(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> tuple[int, bytes]:
        async with self._http.stream(method, path, headers=headers, content=content) as response:
            what = f"3CX's answer to {path.partition('?')[0]}"
            return response.status_code, await read_bounded(response, _LONGEST_ANSWER, what)
