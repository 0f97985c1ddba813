"""Reading an answer whose length the other side chooses."""

from presencebridge.errors import Malformed
from presencebridge.quick_http import Response


async def read_bounded(response: Response, most: int, what: str) -> bytes:
    """The body of a streamed answer. Raises `Malformed` where it is longer than `most` bytes."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise Malformed(f"{what} has no end")
    return bytes(body)
