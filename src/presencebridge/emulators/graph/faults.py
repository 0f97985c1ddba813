"""What can be made to go wrong on demand, as data. Everything is off by default."""

import random
from typing import Any, Literal

import msgspec


class Refuse(msgspec.Struct, forbid_unknown_fields=True):
    """Answer with this status: the next `count` requests (all, if left out) whose path holds `path`."""

    code: int
    count: int | None = None
    retry_after_s: float | None = None
    path: str = ""


class Strike(msgspec.Struct, forbid_unknown_fields=True):
    """Hit the next `count` requests (all, if left out) whose path holds `path`."""

    count: int | None = None
    path: str = ""


class NotificationFaults(msgspec.Struct, forbid_unknown_fields=True):
    """Faults of the delivery. `drop`, `duplicate` and `reorder` are probabilities; true is 1.

    `delay_s` holds every notification back, `batch_s` collects that long before a POST.
    `silent_stop`: subscriptions look alive and say nothing. `lifecycle_every_s`: how often
    reauthorizationRequired is sent; null is the printed formula (each 15 minutes of the last hour), 0
    never. `slow_after`: from how many answers on an endpoint may be called slow, or be dropped.
    """

    drop: float | bool = 0.0
    duplicate: float | bool = 0.0
    reorder: float | bool = 0.0
    delay_s: float = 0.0
    batch_s: float = 0.0
    silent_stop: bool = False
    validation_tokens_null: bool = False
    token_version: Literal["1.0", "2.0"] = "2.0"  # noqa: S105 - a version, no secret
    legacy_payload: bool = False
    lifecycle_every_s: float | None = None
    slow_after: int = 100


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """Faults of the whole emulator.

    `hang`: accept and never answer. `drop_after_write`: do what is asked, then cut the connection.
    `limits`: other rate limits, by name. `long_expiry`: whether a subscription beyond 60 minutes is
    cut down to them, or refused; Microsoft announces the second.
    """

    latency_s: float = 0.0
    status: Refuse | int | None = None
    hang: Strike | bool | None = None
    drop_after_write: Strike | bool | None = None
    limits: dict[str, int] = {}
    long_expiry: Literal["cap", "refuse"] = "cap"
    notifications: NotificationFaults = msgspec.field(default_factory=NotificationFaults)


def merged(faults: Faults, change: dict[str, Any]) -> Faults:
    """The faults with that change laid over; null puts a field back. Raises `ValueError` with the cure."""
    try:
        return msgspec.convert(_overlaid(msgspec.to_builtins(faults), change), Faults)
    except msgspec.ValidationError as error:
        known = ", ".join(Faults.__struct_fields__)
        inner = ", ".join(NotificationFaults.__struct_fields__)
        raise ValueError(f"{error}; known are {known}; in notifications: {inner}") from error


def refusing(faults: Faults, path: str) -> Refuse | None:
    """The refusal that hits this request, counted down."""
    refuse = Refuse(faults.status) if isinstance(faults.status, int) else faults.status
    if refuse is None or refuse.path not in path:
        return None
    if refuse.count is not None:
        refuse.count -= 1
        if refuse.count <= 0:
            faults.status = None
    return refuse


def strikes(faults: Faults, name: Literal["hang", "drop_after_write"], path: str) -> bool:
    """Whether this request is hit, counted down."""
    strike = getattr(faults, name)
    if isinstance(strike, bool) or strike is None:
        return bool(strike)
    if strike.path not in path:
        return False
    if strike.count is not None:
        strike.count -= 1
        if strike.count <= 0:
            setattr(faults, name, None)
    return True


def happens(probability: float, chance: random.Random) -> bool:
    return probability > 0 and chance.random() < probability


def _overlaid(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in change.items():
        before = result.get(name)
        if value is None:
            result.pop(name, None)
        elif name == "notifications" and isinstance(before, dict) and isinstance(value, dict):
            result[name] = _overlaid(before, value)
        else:
            result[name] = value
    return result
