"""What is asked of an engine: values by key, written only if nothing has changed, and messages in order.

Everything that must be right hangs on two promises of it. A write with an expectation is carried out in one
order for everybody, or refused; and what it has acknowledged is not lost. Reads may be late, by any amount.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec


class EngineError(OSError):
    """The engine did not answer, or not with a yes: whether a write was carried out is not known."""


class Stale(OSError):
    """The write was refused, and nothing of it carried out: somebody else has written meanwhile."""


class Entry(msgspec.Struct, frozen=True):
    """A value, and the place of its write among all writes."""

    key: str
    value: bytes
    revision: int


class Fence(msgspec.Struct, frozen=True):
    """A write with it is refused once somebody has written `key` after `revision`."""

    key: str
    revision: int


class Message(msgspec.Struct, frozen=True):
    sequence: int
    body: bytes


class Engine(Protocol):
    """Every method raises `EngineError`. Parts of keys are separated by dots."""

    async def get(self, key: str) -> Entry | None:
        """A value; it may be an old one."""

    async def put(self, key: str, value: bytes, expected: int) -> int:
        """Write if the key's revision is still the expected one, 0 if there is none. Returns the new one.

        Raises `Stale`.
        """

    async def write(self, fence: Fence, changes: Mapping[str, bytes]) -> None:
        """Write all of them or none. Empty values are as good as none. One at a time for each fence.

        Raises `Stale` where the fence does not hold any more.
        """

    async def under(self, prefix: str, at_least: int = 0) -> dict[str, Entry]:
        """All values under a prefix that ends with a dot, or that match where it has a `*`.

        Unless `at_least` is 0 there is one of this revision or a newer one, and the others are as new.
        """

    async def publish(self, subject: str, body: bytes, message_id: str) -> int:
        """Return when the engine has it. What comes twice with the same id within minutes is kept once."""

    async def messages(self, subject: str, after: int, most: int) -> Sequence[Message]:
        """The next ones in order; none if there are none yet."""

    async def nudge(self, subject: str, number: int = 0) -> None:
        """Tell whoever listens that there is something to look at, and its number. It may get lost."""

    def listening(
        self, subject: str, on_nudge: Callable[[int], None]
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Hear nudges as long as the block runs."""
