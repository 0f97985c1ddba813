"""PURE: what can go wrong with any request to an emulator, as data, and how faults are changed."""

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


class Mishaps(msgspec.Struct, forbid_unknown_fields=True):
    """The faults that any request can meet.

    `status`: answer with this one. `hang`: accept and never answer. `drop_after_write`: do what is
    asked, then cut the connection.
    """

    latency_s: float = 0.0
    status: Refuse | int | None = None
    hang: Strike | bool | None = None
    drop_after_write: Strike | bool | None = None


def refusing(faults: Mishaps, path: str) -> Refuse | None:
    """The refusal that hits this request, counted down."""
    refuse = Refuse(faults.status) if isinstance(faults.status, int) else faults.status
    if refuse is None or refuse.path not in path:
        return None
    if refuse.count is not None:
        refuse.count -= 1
        if refuse.count <= 0:
            faults.status = None
    return refuse


def strikes(faults: Mishaps, name: Literal["hang", "refuse", "drop_after_write"], path: str) -> bool:
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


def overlaid(base: dict[str, Any], change: dict[str, Any], inner: str) -> dict[str, Any]:
    """A change laid over (JSON merge patch, RFC 7396: null resets); of what is nested, `inner` is merged."""
    result = dict(base)
    for name, value in change.items():
        before = result.get(name)
        if value is None:
            result.pop(name, None)
        elif name == inner and isinstance(before, dict) and isinstance(value, dict):
            result[name] = overlaid(before, value, inner)
        else:
            result[name] = value
    return result
