"""What the service manager is told, on a real datagram socket."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from presencebridge import words
from presencebridge.notify import Notifier, Standing
from presencebridge.runtime.links import LinkReport, LinkState

WELL = Standing(alive=True, text="in step, 52 people")
STUCK = Standing(alive=False, text="in step, 52 people")


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@")}

    def heard(self) -> list[dict[str, str]]:
        """All that was told since the last look."""
        found = []
        while True:
            try:
                lines = self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return found
            found.append(dict(line.split("=", 1) for line in lines))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a file", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "a file" else f"\0{tmp_path}")
    yield made
    made.close()


def test_the_words_of_a_life(manager: Manager) -> None:
    notifier = Notifier(manager.environment)
    notifier.ready()
    notifier.reloading()
    notifier.ready()
    notifier.stopping()
    ready, reloading, again, stopping = manager.heard()
    assert ready == again == {"READY": "1"}
    assert stopping == {"STOPPING": "1", "STATUS": "stopping"}
    assert reloading["RELOADING"] == "1"
    age_us = time.monotonic_ns() // 1000 - int(reloading["MONOTONIC_USEC"])
    assert 0 <= age_us < 60_000_000


@pytest.mark.looptime
async def test_the_watchdog_is_fed_thrice_in_its_time(manager: Manager) -> None:
    notifier = Notifier(manager.environment | {"WATCHDOG_USEC": "30000000"})
    notifier.keep_told(lambda: WELL)
    assert manager.heard() == [{"WATCHDOG": "1", "STATUS": "in step, 52 people"}]
    await asyncio.sleep(95)
    assert manager.heard() == [{"WATCHDOG": "1"}] * 9  # and the text only where it changes


@pytest.mark.looptime
async def test_without_progress_the_watchdog_starves_and_is_fed_again_with_it(manager: Manager) -> None:
    now = [WELL]
    notifier = Notifier(manager.environment | {"WATCHDOG_USEC": "30000000"})
    notifier.keep_told(lambda: now[0])
    manager.heard()
    now[0] = STUCK
    await asyncio.sleep(95)
    assert manager.heard() == [{"STATUS": "no progress; in step, 52 people"}]
    now[0] = WELL
    await asyncio.sleep(10)
    assert manager.heard() == [{"WATCHDOG": "1", "STATUS": "in step, 52 people"}]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "words_of_it",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "3000", "WATCHDOG_PID": "1"}],
    ids=["none", "zero", "no number", "another process"],
)
async def test_a_watchdog_that_is_not_ours_is_not_fed(manager: Manager, words_of_it: dict[str, str]) -> None:
    notifier = Notifier(manager.environment | words_of_it)
    notifier.keep_told(lambda: WELL)
    await asyncio.sleep(60)
    assert manager.heard() == [{"STATUS": "in step, 52 people"}]


@pytest.mark.looptime
async def test_a_watchdog_for_this_process_is_fed(manager: Manager) -> None:
    ours = {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    Notifier(manager.environment | ours).keep_told(lambda: WELL)
    assert manager.heard()[0]["WATCHDOG"] == "1"


@pytest.mark.looptime
async def test_after_the_stop_nothing_more_is_told(manager: Manager) -> None:
    notifier = Notifier(manager.environment | {"WATCHDOG_USEC": "3000000"})
    notifier.keep_told(lambda: WELL)
    notifier.stopping()
    manager.heard()
    await asyncio.sleep(60)
    assert manager.heard() == []


@pytest.mark.looptime
async def test_the_text_is_one_short_line(manager: Manager) -> None:
    Notifier(manager.environment).keep_told(lambda: Standing(alive=True, text="a\nREADY=1 " + "x" * 500))
    (told,) = manager.heard()
    assert set(told) == {"STATUS"}
    assert told["STATUS"].startswith("a READY=1 xxx")
    assert len(told["STATUS"]) == 200


@pytest.mark.parametrize(
    "address", [None, "", "relative", "vsock:2:1234", "/nobody/is/here", "@presencebridge-nobody-is-here"]
)
async def test_without_a_manager_nothing_happens(address: str | None) -> None:
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
    notifier.ready()
    notifier.keep_told(lambda: WELL)
    notifier.reloading()
    notifier.stopping()


def test_a_manager_that_does_not_listen_holds_nobody_up(manager: Manager) -> None:
    notifier = Notifier(manager.environment)
    for _ in range(10_000):  # more than the queue of a socket holds
        notifier.ready()
    assert 0 < len(manager.heard()) < 10_000


def _link(name: str, state: LinkState, reason: str = "") -> LinkReport:
    return LinkReport(name, state, reason, "", 0.0)


@pytest.mark.parametrize(
    ("links", "people", "text"),
    [
        ([_link("graph", LinkState.CONNECTED)], 52, "in step, 52 people"),
        ([_link("graph", LinkState.CONNECTED)], 1, "in step, 1 person"),
        (
            [_link("graph", LinkState.CONNECTED), _link("3cx", LinkState.DOWN, "no answer")],
            52,
            "3cx is down: no answer; 52 people",
        ),
        (
            [_link("graph", LinkState.REFUSED, "bad key"), _link("3cx", LinkState.DEGRADED, "slow")],
            2,
            "graph is refused: bad key; 3cx is degraded: slow; 2 people",
        ),
    ],
)
def test_how_it_stands_in_one_line(links: list[LinkReport], people: int, text: str) -> None:
    assert words.standing(links, people) == text
