"""PURE: what is drawn: a person's day, and how long the hops took."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from presencebridge.bilingual import Language
from presencebridge.runtime.day import Lane, Stretch
from presencebridge.runtime.plots import SLOTS, Slot

_SPARK_HEIGHT: Final = 18
_SLOT_WIDTH: Final = 2
_LEAST_WIDTH: Final = 0.2
"""Percent: what lasted a moment is seen all the same."""
_ROOM_FOR_WORDS: Final = 7.0
"""Percent of the width below which no words stand in a bar."""

_TICKS: Final = ((900.0, 1), (7200.0, 10), (float("inf"), 60))
"""Up to how many seconds of width there is a tick every so many minutes."""

_TONES: Final = {
    "available": "free",
    "availableidle": "free",
    "busy": "busy",
    "busyidle": "busy",
    "donotdisturb": "dnd",
    "focusing": "dnd",
    "away": "away",
    "berightback": "away",
    "outofoffice": "out",
    "out of office": "out",
    "offline": "off",
    "presenceunknown": "off",
}


class Bar(msgspec.Struct, frozen=True):
    """A stretch, in percent of the picture's width."""

    x: float
    width: float
    tone: str
    value: str
    has_room: bool
    begin: float
    end: float | None


class LaneView(msgspec.Struct, frozen=True):
    lane: Lane
    bars: list[Bar]


class Tick(msgspec.Struct, frozen=True):
    x: float
    at: float
    minor: bool
    """Left out where there is little room."""


class DayView(msgspec.Struct, frozen=True):
    lanes: list[LaneView]
    ticks: list[Tick]


class Spark(msgspec.Struct, frozen=True):
    """A hop's last quarter of an hour. `path` is drawn in a box of 90 by 20."""

    count: int
    mean_s: float
    worst_s: float
    path: str


def tone(word: str) -> str:
    """The colour of what a side shows: free, busy, dnd, away, out, off, or other."""
    if not word:
        return "none"
    return _TONES.get(word.partition("/")[0].casefold(), "other")


def day(stretches: Iterable[Stretch], now: float, hours: float) -> DayView:
    """A person's lanes from `hours` ago until now."""
    begin, span = now - hours * 3600, hours * 3600
    lanes: dict[Lane, list[Bar]] = {lane: [] for lane in Lane}
    for one in stretches:
        x = 100 * (one.begin - begin) / span
        width = max(100 * ((one.end or now) - one.begin) / span, _LEAST_WIDTH)
        kind = one.value if one.lane is Lane.CALLS else tone(one.value)
        lanes[one.lane].append(
            Bar(x, width, kind.casefold(), one.value, width >= _ROOM_FOR_WORDS, one.begin, one.end)
        )
    return DayView([LaneView(lane, bars) for lane, bars in lanes.items()], _ticks(begin, span))


def _ticks(begin: float, span: float) -> list[Tick]:
    """Full hours, or full minutes where there are few hours; every other one is minor."""
    minutes = next(minutes for most_s, minutes in _TICKS if span <= most_s)
    tick = datetime.fromtimestamp(begin).astimezone().replace(minute=0, second=0, microsecond=0)
    found = []
    while (at := (tick := tick + timedelta(minutes=minutes)).timestamp()) < begin + span:
        if at > begin:
            number = (tick.hour * 60 + tick.minute) // minutes
            found.append(Tick(100 * (at - begin) / span, at, minor=number % 2 == 1))
    return found


def spark(slots: Sequence[Slot | None]) -> Spark | None:
    """None if nothing was timed."""
    means = [slot.sum_s / slot.count if slot else None for slot in slots]
    there = [slot for slot in slots if slot]
    if not there:
        return None
    top = max(mean for mean in means if mean is not None) or 1.0
    path = []
    for number, (before, mean) in enumerate(pairwise([None, *means])):
        if mean is not None:
            x, y = number * _SLOT_WIDTH, 1 + _SPARK_HEIGHT * (1 - mean / top)
            path.append(f"{'M' if before is None else 'L'}{x} {y:.1f}h{_SLOT_WIDTH}")
    count = sum(slot.count for slot in there)
    mean_s = sum(slot.sum_s for slot in there) / count
    return Spark(count, mean_s, max(slot.worst_s for slot in there), "".join(path))


SPARK_BOX: Final = f"0 0 {SLOTS * _SLOT_WIDTH} {_SPARK_HEIGHT + 2}"


def duration(seconds: float, language: Language) -> str:
    """A time as people say it, to two digits."""
    if seconds >= 1:
        text = f"{seconds:.1f} s"
    elif seconds >= 0.01:
        text = f"{seconds * 1000:.0f} ms"
    else:
        text = f"{seconds * 1000:.1f} ms"
    return text.replace(".", ",") if language == "de" else text
