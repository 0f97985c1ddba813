"""What can go wrong, named by what the caller does next.

    BridgeError
        Misconfigured       the operator mends the config; carries every problem at once
        LinkError           an outside system did not do what was asked
            TryAgain        later it may work: busy, away, timed out
            Refused         it won't work until somebody changes credentials or rights
            Gone            what was named is not there (any more)
            Conflict        it is there already
            Malformed       the answer is not what it should be

No message holds a secret: bodies of answers are cut, and shown only where they have the vendor's error form.
"""

from collections.abc import Sequence
from typing import Final

_LONGEST_DETAIL: Final = 256


def cut(text: str) -> str:
    """Of a text that others wrote, as much as a person reads. No real address or name is longer."""
    return text[:_LONGEST_DETAIL]


class BridgeError(Exception):
    """Something this project knows how to name."""


class Problem:
    """One thing that is wrong, with its cure; `line` is where it stands in the config file."""

    __slots__ = ("cure", "line", "what", "where")

    def __init__(self, where: str, what: str, cure: str, line: int | None = None) -> None:
        self.where, self.what, self.cure, self.line = where, what, cure, line

    def __str__(self) -> str:
        where = f"{self.where} (line {self.line})" if self.line else self.where
        return f"{where}: {self.what}\n    cure: {self.cure}"


class Misconfigured(BridgeError):
    """The configuration can't be used as it is."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class LinkError(BridgeError):
    """An outside system did not do what was asked. `cure` says what a person can do, where anything."""

    def __init__(self, what: str, *, cure: str = "", status: int | None = None) -> None:
        super().__init__(cut(what))
        self.cure = cure
        self.status = status


class TryAgain(LinkError):
    """It may work later; `after_s` is what the other side asked for, if it did."""

    def __init__(
        self, what: str, *, after_s: float | None = None, status: int | None = None, cure: str = ""
    ) -> None:
        super().__init__(what, status=status, cure=cure)
        self.after_s = after_s


class Refused(LinkError):
    """It won't work until somebody changes credentials or rights."""


class Gone(LinkError):
    """What was named is not there."""


class Conflict(LinkError):
    """What was to be made is there already."""


class Malformed(LinkError):
    """The answer is not what it should be."""
