"""What can be made to go wrong on demand, as data. Everything is off by default."""

import random
from typing import Any, Literal

import msgspec

from presencebridge.emulators.mishaps import Mishaps, overlaid


class NotificationFaults(msgspec.Struct, forbid_unknown_fields=True):
    """Faults of the delivery. `drop`, `duplicate` and `reorder` are probabilities; true is 1.

    What is reordered comes `reorder_s` late. `delay_s` holds every notification back, `batch_s` collects
    that long before a POST. `silent_stop`: subscriptions look alive and say nothing. `lifecycle_every_s`:
    how often reauthorizationRequired is sent; null is the printed formula (each 15 minutes of the last
    hour), 0 never. `slow_after`: from how many answers on an endpoint may be called slow, or be dropped.
    """

    drop: float | bool = 0.0
    duplicate: float | bool = 0.0
    reorder: float | bool = 0.0
    reorder_s: float = 1.0
    delay_s: float = 0.0
    batch_s: float = 0.0
    silent_stop: bool = False
    validation_tokens_null: bool = False
    token_version: Literal["1.0", "2.0"] = "2.0"  # noqa: S105 - a version, no secret
    legacy_payload: bool = False
    lifecycle_every_s: float | None = None
    slow_after: int = 100


class Faults(Mishaps, forbid_unknown_fields=True):
    """Faults of the whole emulator.

    `limits`: other rate limits, by name. `long_expiry`: whether a subscription beyond 60 minutes is
    cut down to them, or refused; Microsoft announces the second.
    """

    limits: dict[str, int] = msgspec.field(default_factory=dict)
    long_expiry: Literal["cap", "refuse"] = "cap"
    notifications: NotificationFaults = msgspec.field(default_factory=NotificationFaults)


def merged(faults: Faults, change: dict[str, Any]) -> Faults:
    """The faults with that change laid over; null puts a field back. Raises `ValueError` with the cure."""
    try:
        return msgspec.convert(overlaid(msgspec.to_builtins(faults), change, "notifications"), Faults)
    except msgspec.ValidationError as error:
        known = ", ".join(Faults.__struct_fields__)
        inner = ", ".join(NotificationFaults.__struct_fields__)
        raise ValueError(f"{error}; known are {known}; in notifications: {inner}") from error


def happens(probability: float, chance: random.Random) -> bool:
    return probability > 0 and chance.random() < probability
