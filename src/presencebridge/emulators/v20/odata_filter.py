"""PURE: OData's `$filter`, as far as lists of users and calls need it.

Comparisons, `and`, `or`, `not`, `in`, the text functions, `any` and `all` over a list, and paths with
`/`. docs.oasis-open.org/odata/odata/v4.01, part 2, section 5.1.1.
"""

import re
from collections.abc import Callable
from typing import Any

Entity = dict[str, Any]
Expression = Callable[[Entity], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<enum>[A-Za-z_][\w.]*)?(?P<text>'(?:[^']|'')*')|(?P<number>-?\d{1,18}(?:\.\d{1,18})?)(?![\w-])"
    r"|(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<name>[A-Za-z_$][\w./]*)|(?P<mark>[(),:]))"
)
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "contains": (2, lambda text, part: part in text),
    "startswith": (2, lambda text, part: text.startswith(part)),
    "endswith": (2, lambda text, part: text.endswith(part)),
    "tolower": (1, lambda text: text.lower()),
    "toupper": (1, lambda text: text.upper()),
    "trim": (1, lambda text: text.strip()),
    "length": (1, len),
    "concat": (2, lambda left, right: left + right),
    "indexof": (2, lambda text, part: text.find(part)),
}
_CONSTANTS = {"true": True, "false": False, "null": None}


class FilterError(ValueError):
    """A filter that can't be understood; the message says why."""


def parsed(text: str, names: frozenset[str]) -> Expression:
    """What tells whether an entity passes. `names` are the properties there are. Raises `FilterError`."""
    parser = _Parser(text, names)
    try:
        found = parser.either()
    except RecursionError:
        raise FilterError("The query is too deep.") from None
    if parser.peek() is not None:
        raise FilterError(f"Syntax error at position {parser.position} in '{text}'.")
    return found


class _Parser:
    """Recursive descent, loosest binding first."""

    def __init__(self, text: str, names: frozenset[str]) -> None:
        self._text = text
        self._names = names
        self._bound: list[str] = []
        self._tokens: list[tuple[str, str, int]] = []
        self._next = 0
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise FilterError(f"Syntax error at position {at} in '{text}'.")
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind], match.start(kind)))
            at = match.end()

    @property
    def position(self) -> int:
        return self._tokens[self._next][2] if self._next < len(self._tokens) else len(self._text)

    def peek(self) -> str | None:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else None

    def either(self) -> Expression:
        found = self._both()
        while self._takes("or"):
            found = _any_of(found, self._both())
        return found

    def _both(self) -> Expression:
        found = self._negated()
        while self._takes("and"):
            found = _all_of(found, self._negated())
        return found

    def _negated(self) -> Expression:
        if self._takes("not"):
            inner = self._negated()
            return lambda entity: not inner(entity)
        return self._compared()

    def _compared(self) -> Expression:
        left = self._value()
        word = self.peek()
        if word in _COMPARED:
            self._next += 1
            return _comparing(word, left, self._value())
        if self._takes("in"):
            self._expect("(")
            items = [self._value()]
            while self._takes(","):
                items.append(self._value())
            self._expect(")")
            return lambda entity: left(entity) in [item(entity) for item in items]
        return left

    def _value(self) -> Expression:
        if self._takes("("):
            found = self.either()
            self._expect(")")
            return found
        if self._next >= len(self._tokens):
            raise FilterError(f"Expression expected at position {len(self._text)} in '{self._text}'.")
        kind, word, _ = self._tokens[self._next]
        self._next += 1
        if kind == "text":
            return _constant(word[1:-1].replace("''", "'"))
        if kind == "moment":
            return _constant(word)
        if kind == "number":
            return _constant(float(word) if "." in word else int(word))
        if kind != "name":
            raise FilterError(f"Syntax error at position {self.position} in '{self._text}'.")
        if word in _CONSTANTS:
            return _constant(_CONSTANTS[word])
        if self.peek() == "(":
            return self._called(word)
        return self._path(word)

    def _called(self, word: str) -> Expression:
        self._expect("(")
        over, _, quantifier = word.rpartition("/")
        if over and quantifier in {"any", "all"}:
            return self._quantified(self._path(over), quantifier)
        if word not in _FUNCTIONS:
            raise FilterError(f"An unknown function with name '{word}' was found.")
        count, function = _FUNCTIONS[word]
        values = [self.either()]
        while self._takes(","):
            values.append(self.either())
        self._expect(")")
        if len(values) != count:
            raise FilterError(f"No function signature for the function with name '{word}' matches.")
        return _calling(function, values)

    def _quantified(self, items: Expression, quantifier: str) -> Expression:
        if quantifier == "any" and self._takes(")"):
            return lambda entity: bool(items(entity))
        variable = self._expect_name()
        self._expect(":")
        self._bound.append(variable)
        test = self.either()
        self._bound.pop()
        self._expect(")")
        meets = any if quantifier == "any" else all
        return lambda entity: meets(test({**entity, f"${variable}": item}) for item in items(entity) or ())

    def _path(self, word: str) -> Expression:
        first, *rest = word.split("/")
        if first in self._bound:
            first = f"${first}"
        elif first not in self._names:
            raise FilterError(f"Could not find a property named '{first}'.")

        def found(entity: Entity) -> Any:
            value = entity.get(first)
            for name in rest:
                value = value.get(name) if isinstance(value, dict) else None
            return value

        return found

    def _takes(self, word: str) -> bool:
        is_there = self.peek() == word and self._tokens[self._next][0] != "text"
        self._next += is_there
        return is_there

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            raise FilterError(f"'{word}' expected at position {self.position} in '{self._text}'.")

    def _expect_name(self) -> str:
        if self._next >= len(self._tokens) or self._tokens[self._next][0] != "name":
            raise FilterError(f"Identifier expected at position {self.position} in '{self._text}'.")
        self._next += 1
        return self._tokens[self._next - 1][1]


def _constant(value: Any) -> Expression:
    return lambda _: value


def _any_of(left: Expression, right: Expression) -> Expression:
    return lambda entity: left(entity) or right(entity)


def _all_of(left: Expression, right: Expression) -> Expression:
    return lambda entity: left(entity) and right(entity)


def _comparing(word: str, left: Expression, right: Expression) -> Expression:
    def compare(entity: Entity) -> bool:
        try:
            return _COMPARED[word](left(entity), right(entity))
        except TypeError:  # null, or unlike kinds: neither before nor behind
            return False

    return compare


def _calling(function: Callable[..., Any], values: list[Expression]) -> Expression:
    def call(entity: Entity) -> Any:
        found = [value(entity) for value in values]
        return None if None in found else function(*found)

    return call
