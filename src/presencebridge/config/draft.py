"""A config of which some words could not be read: what is there can be checked all the same."""

from typing import Any

import msgspec


class Unread(Exception):
    """The word was not readable, and its problem is told already."""


class Draft:
    """Stands in for a struct of `kind`, with those of its words that could be read.

    Has the properties and methods of `kind` too. Whoever looks at any other of its words gets `Unread`.
    """

    def __init__(self, kind: type[msgspec.Struct], words: dict[str, Any]) -> None:
        self._kind, self._words = kind, words

    def __getattr__(self, word: str) -> Any:
        if word in self._words:
            return self._words[word]
        if word in self._kind.__struct_fields__:
            raise Unread(word)
        return getattr(self._kind, word).__get__(self)
