"""In which line of the file a section or a word stands, by the name that problems call it."""

import tomllib
from collections.abc import Iterator
from typing import Any


class Lines:
    """The places of a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        self._persons = 0
        inside = ""
        for line, statement, told in _statements(text):
            if statement.lstrip().startswith("["):
                inside = self._head(told, line)
            else:
                self._words(inside, told, line)

    def of(self, where: str) -> int | None:
        """The line of the word; of its section, if the word is missing; None if that is missing too."""
        while where:
            if where in self._lines:
                return self._lines[where]
            section, space, _ = where.rpartition(" ")
            where = section if space else f"{where.rpartition('.')[0]}]" if "." in where else ""
        return None

    def _head(self, told: dict[str, Any], line: int) -> str:
        names = []
        while told:
            ((name, inner),) = told.items()
            names.append(name)
            told = inner[0] if isinstance(inner, list) else inner
        where = f"[{'.'.join(names)}]"
        if where == "[person]" and isinstance(inner, list):
            return self._person(line)
        self._lines.setdefault(where, line)
        if len(names) > 1:
            self._lines.setdefault(f"[{'.'.join(names[:-1])}] {names[-1]}", line)
        return where

    def _person(self, line: int) -> str:
        self._persons += 1
        where = f"[[person]] {self._persons}"
        self._lines[where] = line
        return where

    def _words(self, inside: str, told: dict[str, Any], line: int) -> None:
        for word, value in told.items():
            section = f"{inside[:-1]}.{word}]" if inside else f"[{word}]"
            if inside:
                self._lines.setdefault(f"{inside} {word}", line)
                self._lines.setdefault(f"{inside} {word!r}", line)
            if isinstance(value, dict) or not inside:
                self._lines.setdefault(section, line)
            if isinstance(value, dict):
                self._words(section, value, line)
            elif section == "[person]" and isinstance(value, list):
                for one in value:
                    where = self._person(line)
                    self._words(where, one if isinstance(one, dict) else {}, line)


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Line, text and content of each statement: a header, a word with its value, or nothing.

    A statement is TOML of its own as soon as it is whole, and never before: so tomllib itself says where a
    text or a list of several lines ends.
    """
    statement, begins = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            begins = number
        elif not any(end in line for end in ("]", '"""', "'''")):
            statement += line + "\n"
            continue
        statement += line + "\n"
        try:
            told = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        yield begins, statement, told
        statement = ""
