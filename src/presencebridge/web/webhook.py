"""The webhook: the one thing that strangers can reach. It takes in and answers; it never tells.

https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Offer = Callable[[bytes], bool | Awaitable[bool]]
"""Takes a body in; False if the sender should come again later."""

_LARGEST_BODY: Final = 4_000_000
"""A full batch of Graph's is far smaller: 650 items of 3 kB are 2 MB."""
_MOST_COMMAS: Final = 100_000
"""In a body: to parse it costs by the part, not by the byte. Graph's items have some fifteen, and one for
each person if the resource should be told with all 650 of them."""
_SMALL_BODY: Final = 100_000
_MOST_BYTES_COMING: Final = 32_000_000
"""Of bodies that are still coming. Beyond that only small ones are taken; Graph's are hardly ever large."""
_LONGEST_TOKEN: Final = 4096


class _SenderLeft(Exception):
    """Nobody waits for an answer any more."""


class _NoRoom(Exception):
    """Too much is coming in at the same time."""


class Room:
    """What all webhooks of a listener share: bytes of bodies that are still coming."""

    def __init__(self) -> None:
        self.coming = 0


class Webhook:
    """An ASGI application: `POST` on one path, and nothing else (404)."""

    def __init__(
        self, path: str, offer: Offer, on_too_large: Callable[[], None], room: Room | None = None
    ) -> None:
        self._path = path or "/"
        self._offer = offer
        self._on_too_large = on_too_large
        self._room = room or Room()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["path"] != self._path:
            await answer(send, 404)
            return
        token = _validation_token(scope.get("query_string", b""))
        if token is not None:
            # Graph's handshake: the token comes back as it is, decoded, as plain text.
            await answer(send, 200, token, b"text/plain; charset=utf-8")
            return
        try:
            body = await self._read(receive)
        except _SenderLeft:
            return
        except _NoRoom:
            await answer(send, 503, close=True)
            return
        if body is None:
            self._on_too_large()
            await answer(send, 202, close=True)
        elif await self._is_taken(body):
            await answer(send, 202)
        else:
            await answer(send, 503)  # Graph sends it again later

    async def _is_taken(self, body: bytes) -> bool:
        taken = self._offer(body)
        return taken if isinstance(taken, bool) else await taken

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, None if it is too large. Raises `_SenderLeft`, `_NoRoom`."""
        body = bytearray()
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _SenderLeft
                part = message.get("body", b"")
                body += part
                self._room.coming += len(part)
                if len(body) > _LARGEST_BODY:
                    return None
                if not message.get("more_body"):
                    return None if body.count(b",") > _MOST_COMMAS else bytes(body)
                if len(body) > _SMALL_BODY and self._room.coming > _MOST_BYTES_COMING:
                    raise _NoRoom
        finally:
            self._room.coming -= len(body)


def _validation_token(query: bytes) -> bytes | None:
    try:
        values = parse_qs(query.decode("ascii"), max_num_fields=20).get("validationToken", [])
    except ValueError:
        return None
    if len(values) != 1 or len(values[0]) > _LONGEST_TOKEN:
        return None
    return values[0].encode()


async def answer(
    send: Send, status: int, body: bytes = b"", kind: bytes = b"", *, close: bool = False
) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"x-content-type-options", b"nosniff")]
    if kind:
        headers.append((b"content-type", kind))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
