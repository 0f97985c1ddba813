"""I/O: carries out calls, with a token, a time limit, Graph's budget, and its Retry-After obeyed."""

import asyncio
from typing import Any, Final, Protocol, TypeVar

import httpx2
import msgspec
from aiolimiter import AsyncLimiter

from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.graph import calls

T = TypeVar("T")

BUDGET_PER_S: Final = {"presence": 40, "subscriptions": 1, "users": 20}
"""Requests a second for each of Graph's budgets, well below its published limits, which are for one app in
one tenant: presence 1,500 in 30 s (the lower of the two published figures), list of subscriptions 25 in 20 s.
https://learn.microsoft.com/graph/throttling-limits"""

_TIMEOUT_S: Final = 20.0
_LONGEST_ANSWER: Final = 8_000_000


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self, *, renewed: bool = False) -> str:
        """A token that is valid now; `renewed` asks for one that Graph has not refused yet."""


class _Gate:
    """One of Graph's budgets. When Graph says Retry-After, it is closed for everybody who uses it."""

    def __init__(self, per_second: int) -> None:
        self._limiter = AsyncLimiter(per_second, 1)
        self._closed_until = 0.0

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (left := self._closed_until - loop.time()) > 0:
                await asyncio.sleep(left)
            await self._limiter.acquire()
            if self._closed_until <= loop.time():  # it may have been closed while we waited for our turn
                return

    def close(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._closed_until = max(self._closed_until, until)


class Budget:
    """Graph counts for an app in a tenant, whoever signs in: all clients of a site share one of these."""

    def __init__(self) -> None:
        self.gates = {resource: _Gate(rate) for resource, rate in BUDGET_PER_S.items()}


class GraphClient:
    """Calls Graph in the name of whoever the tokens are of. Raises `LinkError` and nothing else."""

    def __init__(self, http: httpx2.AsyncClient, tokens: Tokens, budget: Budget | None = None) -> None:
        self._http = http
        self._tokens = tokens
        self._gates = (budget or Budget()).gates

    async def run(self, call: calls.Call[T]) -> T:
        """The call's answer. A token that Graph refuses is renewed once; nothing else is repeated here."""
        gate = self._gates[call.resource]
        token = await self._tokens.token()
        try:
            await gate.wait()
            try:
                return await self._once(call, token)
            except Refused as error:
                if error.status != 401:
                    raise
            token = await self._tokens.token(renewed=True)
            await gate.wait()
            return await self._once(call, token)
        except TryAgain as error:
            if error.after_s is not None:
                gate.close(error.after_s)
            raise

    async def _once(self, call: calls.Call[T], token: str) -> T:
        headers = {"Authorization": f"Bearer {token}"}
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(call.body)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, answer_headers, body = await self._send(call, headers, content)
        except TimeoutError:
            raise TryAgain(f"Graph did not answer within {_TIMEOUT_S:g} s") from None
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise TryAgain(
                f"Graph can't be reached: {str(error) or type(error).__name__}",
                cure="check name resolution, the firewall, the proxy, and [teams] ca_file",
            ) from error
        return calls.decode(call, status, answer_headers, body)

    async def _send(
        self, call: calls.Call[Any], headers: dict[str, str], content: bytes | None
    ) -> tuple[int, httpx2.Headers, bytes]:
        async with self._http.stream(call.method, call.path, headers=headers, content=content) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    raise LinkError("Graph's answer has no end")
            return response.status_code, response.headers, bytes(body)
