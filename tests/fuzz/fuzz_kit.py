"""Inputs that are nearly right, and what may come of them.

A target is a parser of outside bytes with samples of what it understands. Samples are mutated as what they
are (JSON, with words of its own) and as bytes; whatever comes, a parser returns or raises what it says.
"""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "0"))
"""Of processor time, for each parser; 0 is one short round, the same each time."""
LONGEST_MESSAGE: Final = 700
"""An error quotes no more of a stranger's text than a person reads: what (256), a cure, and whose it is."""


class Target(NamedTuple):
    """A parser, and how to make inputs for it."""

    name: str
    parse: Callable[[Any], Any]
    inputs: st.SearchStrategy[Any]
    raises: tuple[type[Exception], ...] = ()
    grown: Callable[[int], Any] | None = None
    """An input of about this many bytes, of the sort that would show a parser that is not linear."""


# Values that are valid JSON and seldom thought of --------------------------------------------------

_NUMBERS: Final = st.sampled_from(
    [0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308, -1e308, 1e-308, 0.1, 4.0, 10**400]
)
_TEXTS: Final = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "",
            " ",
            "\0",
            "\r\n",
            "9" * 5000,
            "-" + "9" * 5000,
            "\u0661\u0662\u0663",  # digits, and not ASCII
            "\u00b2",
            "\ud800",
            "\u202e",
            "a" * 5000,
            "../../etc/passwd",
            "%00",
            "%2e%2e/",
            "//evil.example/",
            "<script>",
            "' or 1 eq 1",
            "{{7*7}}",
            "Available",
            "None",
            "nan",
            "1e999",
            "http://[",
            "İ",  # grows when its case is folded
        ]
    ),
)
_LEAVES: Final = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
VALUES: Final = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


# Mutations ------------------------------------------------------------------------------------------


@st.composite
def changed(draw: st.DrawFn, sample: Any) -> Any:
    """A JSON value with one or some of its parts replaced, left out, doubled or renamed."""
    value = json.loads(json.dumps(sample))
    for _ in range(draw(st.integers(1, 3))):
        value = _change(draw, value)
    return value


def _change(draw: st.DrawFn, value: Any) -> Any:
    goes_in = bool(value) and isinstance(value, dict | list) and draw(st.integers(0, 4)) > 0
    if not goes_in:
        return draw(VALUES)
    what = draw(st.sampled_from(["in", "in", "in", "out", "double", "rename"]))
    if isinstance(value, dict):
        key = draw(st.sampled_from(sorted(value)))
        if what == "out":
            return {name: one for name, one in value.items() if name != key}
        if what == "rename":
            return {(draw(_TEXTS) if name == key else name): one for name, one in value.items()}
        return value | {key: _change(draw, value[key])}
    at = draw(st.integers(0, len(value) - 1))
    if what == "out":
        return value[:at] + value[at + 1 :]
    if what == "double":
        return value[: at + 1] * draw(st.integers(2, 3)) + value[at:]
    return [*value[:at], _change(draw, value[at]), *value[at + 1 :]]


@st.composite
def bent(draw: st.DrawFn, sample: bytes) -> bytes:
    """Bytes with some flipped, cut out, doubled, or put in."""
    raw = bytearray(sample)
    for _ in range(draw(st.integers(1, 4))):
        at, much = draw(st.integers(0, len(raw))), draw(st.integers(1, 20))
        match draw(st.integers(0, 4)):
            case 0:
                raw[at : at + much] = b""
            case 1:
                raw[at:at] = draw(st.binary(min_size=1, max_size=8))
            case 2:
                raw[at:at] = raw[at : at + much] * draw(st.integers(1, 50))
            case 3:
                raw[at : at + 1] = bytes([raw[at] ^ (1 << draw(st.integers(0, 7)))]) if at < len(raw) else b""
            case _:
                del raw[at:]
    return bytes(raw)


_NO_JSON: Final = (
    b"",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"1",
    b"<html><body>502 Bad Gateway</body></html>",
    b"[" * 50_000,
    b'{"value":' * 20_000,
    b'{"a":[' * 20_000,
    b'{"value":[' + b'"\\ud800"' + b"]}",
    b"9" * 6000,
    b'{"value":' + b"9" * 6000 + b"}",
    b'{"value":[1e999]}',
)


def json_like(*samples: Any) -> st.SearchStrategy[bytes]:
    """Bytes that were one of the samples once."""
    whole = [encoded(sample) for sample in samples]
    found = st.one_of(
        *(changed(sample).map(encoded) for sample in samples),
        *(bent(raw) for raw in whole),
        st.sampled_from([*_NO_JSON, *whole]),
        VALUES.map(encoded),
    )
    _OF_JSON.append((found, whole))
    return found


_OF_JSON: Final[list[tuple[st.SearchStrategy[bytes], list[bytes]]]] = []


def always(target: Target) -> tuple[bytes, ...]:
    """Inputs that a parser of JSON gets in every round."""
    for inputs, whole in _OF_JSON:
        if inputs is target.inputs:
            return (*_NO_JSON, *whole)
    return ()


def text_like(*samples: str) -> st.SearchStrategy[str]:
    """Text that was one of the samples once."""
    raws = [sample.encode() for sample in samples]
    return st.one_of(
        st.one_of(*(bent(raw) for raw in raws)).map(lambda raw: raw.decode("utf-8", "replace")),
        st.sampled_from(list(samples)),
        _TEXTS,
        st.text(max_size=200),
    )


def repeated(begin: bytes, one: bytes, end: bytes, between: bytes = b",") -> Callable[[int], bytes]:
    """Many items of a kind."""
    return lambda size: begin + between.join([one] * max(1, size // (len(one) + len(between)))) + end


def names(targets: Sequence[Target]) -> list[str]:
    return [target.name for target in targets]
