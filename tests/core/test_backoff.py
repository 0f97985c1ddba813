import re
from pathlib import Path

import presencebridge
from presencebridge.core.backoff import doubled


def test_it_doubles_up_to_the_longest():
    assert [doubled(2.0, times, 60.0) for times in range(7)] == [2, 4, 8, 16, 32, 60, 60]


def test_what_fails_for_years_waits_no_longer_and_raises_nothing():
    assert {doubled(1.0, times, 300.0) for times in (100, 1023, 1024, 5_000, 10**9)} == {300.0}


def test_nobody_doubles_for_themselves():
    """2.0 to the power of what grows with each failure raises after some hours or days."""
    for file in Path(presencebridge.__file__).parent.rglob("*.py"):
        if file.name != "backoff.py":
            assert not re.search(r"\b2(\.0)?\s*\*\*\s*\(?[a-z_]", file.read_text("utf-8")), file
