"""Reading an answer, or a list in pages, whose length the other side chooses."""

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


class ListLimit:
    """For a list, over all its pages: each of them is bounded, and there may be thousands."""

    def __init__(self, people: int, megabytes: int) -> None:
        self._people = people
        self._bytes = megabytes * 1_000_000

    def allows(self, people: int, size: int) -> bool:
        """Count another page, of so many people and bytes. Returns whether it is still within the limit."""
        self._people -= people
        self._bytes -= size
        return self._people >= 0 and self._bytes >= 0
