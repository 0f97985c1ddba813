"""PURE: what others wrote, so that it can be printed.

A name or an error may hold what steers a terminal (escape sequences, also by their one-character forms), what
turns the order of letters around, or the end of a line, behind which anything may seem to be said by us.
"""

import unicodedata
from typing import Any, Final

_STEERS: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format, half of a pair, line and paragraph separators."""
_OF_WORDS: Final = "\u200c\u200d"
"""Joiners: Persian and Hindi names are spelled with them, and pictures are put together."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with all that steers as `\x1b`, but for the characters of `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _STEERS and char not in _OF_WORDS and char not in keep
        else char
        for char in text
    )


def all_printable(value: Any) -> Any:
    """Likewise every text in a value as of JSON."""
    match value:
        case str():
            return printable(value)
        case list():
            return [all_printable(one) for one in value]
        case dict():
            return {name: all_printable(one) for name, one in value.items()}
        case _:
            return value
