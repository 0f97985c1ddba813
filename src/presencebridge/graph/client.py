"""I/O: carries out calls, with a token, a time limit, Graph's budget, and its Retry-After obeyed."""

import asyncio
import collections
from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

import httpx2
import msgspec

from presencebridge.bounded import read_bounded
from presencebridge.errors import Refused, TryAgain
from presencebridge.graph import calls
from presencebridge.quick_http import Http
from presencebridge.unreachable import WAS_CUT, unreachable

T = TypeVar("T")

BUDGET_PER_S: Final = {"presence": 38, "subscriptions": 1, "users": 20}
"""Requests a second for each of Graph's budgets, and as many again at once. Published are, for one app in one
tenant: presence 1,500 in 30 s (the lower of two figures; this makes 1,178 of it, less than 80 %), list of
subscriptions 25 in 20 s. https://learn.microsoft.com/graph/throttling-limits"""

_TIMEOUT_S: Final = 20.0
_LONGEST_ANSWER: Final = 8_000_000


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self, *, renewed: bool = False) -> str:
        """A token that is valid now; `renewed` asks for one that Graph has not refused yet."""


class _Gate:
    """One of Graph's budgets: a token bucket, and who waits for it. Polls let everybody else go first.

    When Graph says Retry-After, it is closed for everybody who uses it.
    """

    def __init__(self, per_second: int) -> None:
        self._pace_s = 1 / per_second
        self._slack_s = 1.0 - self._pace_s
        self._spent_until = float("-inf")
        """When the bucket is full again, if nobody comes."""
        self._closed_until = float("-inf")
        self._waiting: tuple[collections.deque[asyncio.Future[None]], ...] = (
            collections.deque(),
            collections.deque(),
        )
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, *, may_wait: bool = False) -> None:
        """Until a request may leave. One that may wait raises `TryAgain` at a closed gate instead.

        Polls would only queue up there, each older than the next, and nobody would see that nothing is read.
        """
        loop = asyncio.get_running_loop()
        while True:
            if may_wait and self.is_closed:
                raise self._closed()
            turn = loop.create_future()
            self._waiting[may_wait].append(turn)
            self._let_go()
            await turn
            if not self.is_closed:  # it may have been closed before we came to it
                return

    @property
    def is_closed(self) -> bool:
        return self._closed_until > asyncio.get_running_loop().time()

    def close(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._closed_until = max(self._closed_until, until)
        for turn in self._waiting[True]:
            if not turn.done():
                turn.set_exception(self._closed())

    def _closed(self) -> TryAgain:
        left = self._closed_until - asyncio.get_running_loop().time()
        return TryAgain("Graph has asked us to wait", after_s=left)

    def _let_go(self) -> None:
        """Let through whoever may go, and come again when the next one may."""
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while line := self._next_line():
            now = loop.time()
            wait_s = max(self._closed_until, self._spent_until - self._slack_s) - now
            if wait_s > 0:
                # A hair later, so that the time has certainly come.
                self._timer = loop.call_later(wait_s + 0.001, self._let_go)
                return
            self._spent_until = max(self._spent_until, now) + self._pace_s
            line.popleft().set_result(None)

    def _next_line(self) -> collections.deque[asyncio.Future[None]] | None:
        for line in self._waiting:
            while line and line[0].done():  # who waited has given up
                line.popleft()
            if line:
                return line
        return None


class Budget:
    """Graph counts for an app in a tenant, whoever signs in: all clients of a site share one of these."""

    def __init__(self) -> None:
        self.gates = {resource: _Gate(rate) for resource, rate in BUDGET_PER_S.items()}


class GraphClient:
    """Calls Graph in the name of whoever the tokens are of. Raises `LinkError` and nothing else."""

    def __init__(self, http: Http, tokens: Tokens, budget: Budget | None = None) -> None:
        self._http = http
        self._tokens = tokens
        self._gates = (budget or Budget()).gates

    async def run(self, call: calls.Call[T]) -> T:
        """The call's answer. A token that Graph refuses is renewed once; nothing else is repeated here."""
        gate = self._gates[call.resource]
        token = await self._tokens.token()
        try:
            await gate.wait(may_wait=call.may_wait)
            try:
                return await self._once(call, token)
            except Refused as error:
                if error.status != 401:
                    raise
            token = await self._tokens.token(renewed=True)
            await gate.wait(may_wait=call.may_wait)
            return await self._once(call, token)
        except TryAgain as error:
            if error.after_s is not None:
                gate.close(error.after_s)
            raise

    async def _once(self, call: calls.Call[T], token: str) -> T:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(call.body)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                try:
                    status, answer_headers, body = await self._send(call, headers, content)
                except WAS_CUT:  # everything that we ask Graph for may be asked for twice
                    if self._gates[call.resource].is_closed:  # somebody else's answer said so meanwhile
                        raise
                    status, answer_headers, body = await self._send(call, headers, content)
        except TimeoutError:
            raise TryAgain(f"Graph did not answer within {_TIMEOUT_S:g} s") from None
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise unreachable("Graph", error, "[teams] cloud or graph_url", "[teams] ca_file") from error
        return calls.decode(call, status, answer_headers, body)

    async def _send(
        self, call: calls.Call[Any], headers: dict[str, str], content: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self._http.stream(call.method, call.path, headers=headers, content=content) as response:
            body = await read_bounded(response, _LONGEST_ANSWER, "Graph's answer")
            return response.status_code, response.headers, body
