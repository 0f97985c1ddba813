"""PURE: what is to be done about a presence subscription: create, renew, replace, or nothing until when.

A subscription lives at most 60 minutes, and an app has one for each signed-in user.
https://learn.microsoft.com/graph/changenotifications-for-presence
"""

import zlib
from enum import Enum
from typing import Final

import msgspec

LIFE_S: Final = 3600.0
LEAST_LIFE_S: Final = 2700.0
"""Graph raises anything shorter to this: https://learn.microsoft.com/graph/api/resources/subscription"""
RENEW_AFTER_S: Final = 1500.0
"""Well before the hour: two more tries of this length would still fit in."""
ASK_AFTER_S: Final = 300.0
"""How often Graph is asked whether the subscription is still there."""


class Held(msgspec.Struct, frozen=True):
    """A subscription that we made. It is kept on the disk (mode 0600), so that a restart leaves no gap."""

    id: str
    client_state: str
    ids: tuple[str, ...]
    url: str
    certificate_id: str
    expires_at: float
    renewed_at: float
    asked_at: float = 0.0


class Wanted(msgspec.Struct, frozen=True):
    """What the subscription should be."""

    ids: tuple[str, ...]
    url: str
    certificate_id: str


class Action(Enum):
    """What to do now."""

    CREATE = "create"
    RENEW = "renew"
    REPLACE = "replace"
    DELETE = "delete"
    ASK = "ask"
    NOTHING = "nothing"


def plan(held: Held | None, wanted: Wanted, now: float) -> Action:
    """What is to be done now about the subscription."""
    if not wanted.ids:
        return Action.DELETE if held else Action.NOTHING
    if held is None or held.expires_at <= now:
        return Action.CREATE
    if set(held.ids) != set(wanted.ids) or held.url != wanted.url:
        return Action.REPLACE  # Graph can't change these in place
    if now >= held.renewed_at + RENEW_AFTER_S or held.certificate_id != wanted.certificate_id:
        return Action.RENEW
    if now >= max(held.asked_at, held.renewed_at) + ASK_AFTER_S:
        return Action.ASK
    return Action.NOTHING


def next_look(held: Held | None, now: float) -> float:
    """When there is something to do at the latest."""
    if held is None:
        return now + ASK_AFTER_S
    ask = max(held.asked_at, held.renewed_at) + ASK_AFTER_S
    return min(ask, held.renewed_at + RENEW_AFTER_S, held.expires_at)


def share(ids: tuple[str, ...], watchers: int, most: int) -> list[tuple[str, ...]]:
    """The people of each watcher. Who comes or goes changes as little as can be for the others."""
    shares: list[list[str]] = [[] for _ in range(watchers)]
    for user in sorted(ids):
        start = zlib.crc32(user.encode()) % watchers
        for step in range(watchers):
            mine = shares[(start + step) % watchers]
            if len(mine) < most:
                mine.append(user)
                break
    return [tuple(mine) for mine in shares]
