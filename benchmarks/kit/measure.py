"""A figure, what it is to be, and how it varied."""

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec


class Measure(msgspec.Struct):
    """One line of the table."""

    row: int
    what: str
    value: float | None
    """None where it could not be measured; the note says why."""
    goal: float | None = None
    """None where it is only told."""
    most: bool = True
    """Whether the goal is the most that it may be, and not the least."""
    unit: str = ""
    prototype: str = ""
    spread: list[float] = []
    """All of the rounds."""
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        if self.value is None or self.goal is None:
            return None
        return self.value <= self.goal if self.most else self.value >= self.goal


def median_of(row: int, what: str, rounds: Sequence[float], **more: Any) -> Measure:
    return Measure(row, what, statistics.median(rounds), spread=sorted(rounds), **more)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
