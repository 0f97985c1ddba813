"""Pure: what stands in the engine about nodes and sites, and under which keys."""

import contextlib
import re
from typing import Annotated, Final

import msgspec

NUDGE_OWNERS: Final = "owners"
ALL_NODES: Final = "node."
ALL_OWNERS: Final = "site.*.owner"
ALL_SIGN_INS: Final = "sign-in.*.*"
KEY_IN_USE: Final = "key-in-use"
"""The mark of the cluster key that seals."""

_UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
_LONGEST_PLACE: Final = 20
"""Digits of the engine's numbers, which have 64 bits."""

_HEX: Final = re.compile(r"=([0-9a-f]+)=")
_PLAIN: Final = re.compile(r"[^A-Za-z0-9_-]")


Count = Annotated[int, msgspec.Meta(ge=0)]


class NodeRecord(msgspec.Struct, frozen=True):
    """A node's lease: it is renewed by being written again, and the number of beats makes each one differ."""

    name: str
    incarnation: str
    """Another one for each start, so that a node is not taken for its predecessor."""
    generation: Count
    """It grows with each start under this name."""
    beat: Count
    lease_s: Annotated[float, msgspec.Meta(gt=0)]
    """Who has seen no other beat for so long, by their own clock, may end it."""
    takes_sites: bool
    """False while it is to be left: its sites go to others."""
    ended: bool = False
    address: str = ""
    """Of its page."""
    version: str = ""
    keys: tuple[str, ...] = ()
    """Marks of the cluster keys that it has."""


class OwnerRecord(msgspec.Struct, frozen=True):
    """Whose a site is. The epoch grows with each new owner."""

    epoch: Count
    node: str
    incarnation: str
    generation: Count
    released: bool = False
    """Handed over: the next owner need not wait for anything."""


def plain(name: str) -> str:
    """A name as one part of a key: what an engine might not take is written as `=hex`. No two become one."""
    return _PLAIN.sub(lambda found: f"={found[0].encode().hex()}=", name)


def original(part: str) -> str:
    """The name that `plain` was given. Raises `ValueError` where it did not make this."""
    name = _HEX.sub(lambda found: bytes.fromhex(found[1]).decode(), part)
    if plain(name) != part:
        raise ValueError("a key that was not made here")
    return name


def node_key(name: str) -> str:
    return f"node.{plain(name)}"


def site_prefix(site: str) -> str:
    return f"site.{plain(site)}."


def owner_key(site: str) -> str:
    return f"{site_prefix(site)}owner"


def position_key(site: str) -> str:
    """How far its notifications have been handed on."""
    return f"{site_prefix(site)}position"


def person_prefix(site: str) -> str:
    return f"{site_prefix(site)}person."


def file_prefix(site: str) -> str:
    return f"{site_prefix(site)}file."


def notices_subject(site: str) -> str:
    return plain(site)


def sign_in_key(site: str, name: str) -> str:
    """Where a sign-in is laid down for the site's owner to take."""
    return f"sign-in.{plain(site)}.{plain(name)}"


def sign_in_of(key: str) -> tuple[str, str]:
    """Site and file of such a key. Raises `ValueError` where it is none."""
    _, site, name = key.split(".")
    return original(site), original(name)


def site_of_owner(key: str) -> str:
    """Whose owner such a key tells. Raises `ValueError` where it is none."""
    _, site, _ = key.split(".")
    return original(site)


def node_in(value: bytes) -> NodeRecord | None:
    """None for what no node has written."""
    with contextlib.suppress(*_UNREADABLE):
        return msgspec.json.decode(value, type=NodeRecord)
    return None


def owner_in(value: bytes) -> OwnerRecord | None:
    """None for what no node has written."""
    with contextlib.suppress(*_UNREADABLE):
        return msgspec.json.decode(value, type=OwnerRecord)
    return None


def place_in(value: bytes) -> int:
    """The number of a notification: how far they have been handed on. 0 for what no node has written."""
    return int(value) if value.isdigit() and len(value) <= _LONGEST_PLACE else 0
