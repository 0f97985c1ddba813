"""Row 15b: what a change costs for each browser that has the page open."""

import socket
import threading
import time
from contextlib import ExitStack

from measure import Measure
from rig import Failed, Rig

CHANGES_PER_S = 20.0


class Browser(threading.Thread):
    """Somebody who follows the page, as a browser's EventSource does, and counts what comes."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_connection(("127.0.0.1", port))
        request = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n"
        self._socket.sendall(request.encode())
        self.head = self._socket.recv(64_000)
        self.bytes = 0

    def run(self) -> None:
        while data := self._socket.recv(1_000_000):
            self.bytes += len(data)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()


def measure(*, quick: bool) -> list[Measure]:
    people, seconds, clients = (100, 2.0, 4) if quick else (1000, 20.0, 10)
    count = round(CHANGES_PER_S * seconds)
    with Rig(people) as rig, ExitStack() as stack:
        alone = _cpu_s(rig, people, count, 1)
        browsers = [Browser(rig.page_port) for _ in range(clients)]
        for browser in browsers:
            if b" 200 " not in browser.head:
                raise Failed(f"no events: {browser.head[:300]!r}")
            browser.start()
            stack.callback(browser.close)
        time.sleep(1.0)
        before = sum(browser.bytes for browser in browsers)
        watched = _cpu_s(rig, people, count, 0)
        told = sum(browser.bytes for browser in browsers) - before
    if not told:
        raise Failed("the page is told nothing")
    what = f"page with {people:,} people and {CHANGES_PER_S:g} changes a second, a change and browser: "
    note = f"{clients} browsers; a change is a notification, what it made of 3CX, and its confirmation"
    return [
        Measure(15, what + "bytes", told / count / clients, 1000.0, unit="B", note=note),
        Measure(15, what + "CPU", (watched - alone) / count / clients * 1000, 1.0, unit="ms"),
    ]


def _cpu_s(rig: Rig, people: int, count: int, pair: int) -> float:
    rig.order("make", items=[[number % people, pair] for number in range(count)], per=1, url=rig.hook)
    before = rig.until_idle()["cpu_s"]
    rig.order("pace", per_s=CHANGES_PER_S)
    after: float = rig.until_idle()["cpu_s"]
    return after - before
