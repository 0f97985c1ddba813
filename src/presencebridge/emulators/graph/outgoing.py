"""Requests to the subscriber: the handshake and the POSTs, over whatever transport there is.

learn.microsoft.com/graph/change-notifications-delivery-webhooks.
"""

import asyncio
import ssl
import uuid
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote_plus

import httpx2

from presencebridge.emulators.graph.errors import GraphError

HANDSHAKE_S = 10.0


class Outcome(NamedTuple):
    """How a POST went. `status` is None when no answer came."""

    status: int | None
    seconds: float

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Outgoing:
    """A client towards notification endpoints. Certificates must be valid, by `ca` or by the public ones."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None, ca: Path | None = None) -> None:
        self._transport = transport
        self._ca = ca
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # Who brings a transport has made it trust whom it should.
        trust = self._trust() if self._transport is None else True
        self._client = httpx2.AsyncClient(
            transport=self._transport, verify=trust, trust_env=False, timeout=None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client:
            await client.aclose()

    async def post(self, url: str, body: bytes, limit_s: float) -> Outcome:
        """Posts a notification; an answer that takes longer than the limit is none."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        status = None
        try:
            async with asyncio.timeout(limit_s):
                headers = {"Content-Type": "application/json; charset=utf-8"}
                answer = await self._open().post(url, content=body, headers=headers)
                status = answer.status_code
        except Exception:  # noqa: BLE001, S110 - whatever the far side does (it may run in this process): no answer
            pass
        return Outcome(status, loop.time() - start)

    async def check(self, url: str) -> None:
        """The handshake: the endpoint must echo the token. Raises Graph's 400."""
        token = (
            f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()}"
        )
        address = f"{url}{'&' if '?' in url else '?'}validationToken={quote_plus(token)}"
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                headers = {"Content-Type": "text/plain; charset=utf-8"}
                answer = await self._open().post(address, headers=headers)
        except TimeoutError:
            raise _failed("Subscription validation request timed out.") from None
        except Exception as error:
            raise _failed(
                f"Subscription validation request failed. Notification endpoint can't be reached: {error}"
            ) from error
        if answer.status_code != 200:
            raise _failed(
                "Subscription validation request failed. Must respond with 200 OK to this request. "
                f"HTTP status code is {answer.status_code}."
            )
        if not answer.headers.get("content-type", "").casefold().startswith("text/plain"):
            raise _failed("Subscription validation request failed. Response must be of type text/plain.")
        if answer.text != token:
            raise _failed(
                "Subscription validation request failed. Response must exactly match validationToken query "
                "parameter."
            )

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise RuntimeError("enter the emulator first: `async with emulator:`")
        return self._client

    def _trust(self) -> ssl.SSLContext:
        trust = ssl.create_default_context()
        if self._ca:
            trust.load_verify_locations(self._ca)
        return trust


def _failed(message: str) -> GraphError:
    return GraphError(400, "InvalidRequest", message)
