"""kill -9 in the middle of office life, again and again: nobody ends wrong, and the database is sound.

KILLS=100 makes it long.
"""

import os
import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

from e2e_programs import until
from e2e_sites import BUSY, FREE, V20_WEBSOCKET, Site, on

pytestmark = on(V20_WEBSOCKET)

KILLS = int(os.environ.get("KILLS", "12"))
A_DAY = 4
"""So many kills, and then everybody goes home and is looked at."""


def test_killed_again_and_again(site: Site, tmp_path: Path) -> None:
    dice = random.Random(7)  # noqa: S311 - the same days every time, as far as the machine is
    for day in range(-(-KILLS // A_DAY)):
        for _ in range(min(A_DAY, KILLS - day * A_DAY)):
            calls = live_a_little(site, dice)
            time.sleep(dice.random() * 0.3)  # when it dies is left to chance; nothing depends on it
            site.service.end(signal.SIGKILL)
            assert_sound(site.folder / "state", tmp_path / "copy")
            for call in calls:
                site.hang_up(call)
            site.start_service()
        for number in (1, 2):
            site.client(number, FREE)
        for number in (1, 2):
            site.until_teams(number, FREE)
            site.until_status(number, "Available")
        site.until_at_rest()
        for number in (1, 2):
            assert (site.teams(number), site.status(number)) == (FREE, "Available")
            assert site.sessions(number) == ["client"]
            assert site.holding(number) == "nothing"


def live_a_little(site: Site, dice: random.Random) -> list[str]:
    """Two people do something in the same moment; returns the calls they are left in."""
    calls = []
    for number in (1, 2):
        deed = dice.randrange(5)
        if deed == 0:
            site.client(number, "Busy/InAMeeting")
        elif deed == 1:
            site.client(number, FREE)
        elif deed == 2:
            calls.append(site.dial(number))
        elif deed == 3:
            calls.append(site.dial(number))
            until("a claim is made", lambda: BUSY in site.holding(number))  # noqa: B023 - done in this round
        else:
            site.client(number, "DoNotDisturb/Presenting")
            site.hang_up(site.dial(number))
    return calls


def assert_sound(state: Path, copy: Path) -> None:
    """Look at a copy, as the next start would find it."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy)
    with sqlite3.connect(copy / "presencebridge.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
