"""PURE: what becomes of a request. The server carries it out."""

from collections.abc import Callable

import msgspec


class Request(msgspec.Struct, frozen=True):
    """`raw_url` is the target as it stood in the request line, query string included, not decoded."""

    method: str
    raw_url: str
    body: str = ""
    has_body: bool = False
    api_key: str | None = None


class Answered(msgspec.Struct, frozen=True):
    """The bridge prints `lines` and answers. With `ends` the program is over after that."""

    lines: tuple[str, ...]
    body: str
    content_type: str | None = None
    status: int = 200
    ends: bool = False
    farewell: tuple[str, ...] = ()


class Hung(msgspec.Struct, frozen=True):
    """The bridge prints `lines` and forgets the request: it is never answered."""

    lines: tuple[str, ...]


class Cut(msgspec.Struct, frozen=True):
    """The connection is closed without an answer."""

    lines: tuple[str, ...] = ()


class Blocked(msgspec.Struct, frozen=True):
    """The bridge prints `lines`, sleeps with everybody else waiting, and goes on with `then`."""

    lines: tuple[str, ...]
    seconds: float
    then: Callable[[], "Step"]


Step = Answered | Hung | Cut | Blocked
