"""Client states that any node can check without having seen them: a random part, and its signature.

So whoever takes a notification in knows at once whether one of us has made the subscription, however new that
is. Whether it is the subscription's own, and all else, is for the site's owner to say.
"""

import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from presencebridge.cluster.files import Seal
from presencebridge.graph.client_states import ClientStates

_RANDOM_BYTES: Final = 24
_LARGEST_PART: Final = 500_000
"""Bytes of items; NATS takes a megabyte at once (`max_payload`)."""


class SignedStates(ClientStates):
    def __init__(self, seal: Seal, mark: str) -> None:
        super().__init__(mark)
        self._seal = seal

    def new(self) -> str:
        text = self.mark + secrets.token_urlsafe(_RANDOM_BYTES)
        return text + self._seal.sign(text)

    def are_made_here(self, state: str) -> bool:
        at = -self._seal.SIGNATURE_LENGTH
        return state.startswith(self.mark) and self._seal.has_signed(state[:at], state[at:])


class _Item(msgspec.Struct):
    client_state: str | None = msgspec.field(name="clientState", default=None)


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode


class Worth(NamedTuple):
    """What of a notification is worth keeping."""

    parts: list[bytes]
    """What shows a client state of ours, each part such that the engine takes it."""
    refused: int
    """Items that do not; one for a body that is no notification."""


def worth_keeping(body: bytes, states: ClientStates) -> Worth:
    """PURE."""
    try:
        found = _decode(body)
        items = _decode_items(found["value"])
        ours = [item for item in items if states.are_made_here(_decode_item(item).client_state or "")]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return Worth([], 1)
    if len(ours) == len(items) and len(body) <= _LARGEST_PART:
        return Worth([body] if items else [], 0 if items else 1)
    parts = [msgspec.json.encode({**found, "value": part}) for part in _parts(ours)]
    return Worth(parts, len(items) - len(ours))


def _parts(items: list[msgspec.Raw]) -> Iterator[list[msgspec.Raw]]:
    part: list[msgspec.Raw] = []
    size = 0
    for item in items:
        length = len(memoryview(item))
        if part and size + length > _LARGEST_PART:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    if part:
        yield part
