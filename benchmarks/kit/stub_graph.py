"""A stand-in for Graph that costs next to nothing: `python benchmarks/kit/stub_graph.py PEOPLE`.

It knows one thing, everybody's presence, and answers at once. The emulator is far more faithful and slower
(it looks through its whole directory at each read), and would be what is measured. It is a process of its
own, so that its time is not counted; its clock is the machine's, so that both can compare. It prints its
address and ends when its input does.
"""

import asyncio
import json
import random
import re
import sys
import time

from presencebridge.serving import Listener

PAIRS = (("Available", "Available"), ("Busy", "InAMeeting"))


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


class Graph:
    """Everybody's presence, and the hours of the day: people change at a rate that is told."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.shows = [0] * people
        self.rows = {user_id(number): _row(number, 0) for number in range(people)}
        self.reads: list[float] = []
        self.writes = 0
        self.changes: list[tuple[float, int, int]] = []
        self.changes_per_s = 0.0

    async def play(self) -> None:
        """Let people change one after another, each as often as the others."""
        order: list[int] = []
        due = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            if not self.changes_per_s:
                due = now
            while self.changes_per_s and due <= now:
                if not order:
                    order = random.sample(range(self.people), self.people)
                self._change(order.pop(), now)
                due += 1 / self.changes_per_s

    def _change(self, number: int, now: float) -> None:
        self.shows[number] = 1 - self.shows[number]
        self.rows[user_id(number)] = _row(number, self.shows[number])
        self.changes.append((now, number, self.shows[number]))

    def answer(self, path: str, body: bytes) -> bytes:
        if path.endswith("/getPresencesByUserId"):
            self.reads.append(time.monotonic())
            ids = re.findall(rb'"([0-9a-f-]{36})"', body)
            return b'{"value":[' + b",".join(self.rows[key.decode()] for key in ids) + b"]}"
        if path == "/changes":
            self.changes_per_s = float(body)
        if path == "/told":
            return json.dumps({"reads": self.reads, "writes": self.writes, "changes": self.changes}).encode()
        self.writes += "/presence/" in path
        return b""

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = self.answer(scope["path"], body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _row(number: int, shows: int) -> bytes:
    """As Graph writes it, with all that we do not read."""
    availability, activity = PAIRS[shows]
    return json.dumps(
        {
            "id": user_id(number),
            "availability": availability,
            "activity": activity,
            "statusMessage": None,
            "outOfOfficeSettings": {"message": None, "isOutOfOffice": False},
            "workLocation": None,
            "sequenceNumber": f"A{int(time.time() * 1000):012X}",
        }
    ).encode()


async def main() -> None:
    graph = Graph(int(sys.argv[1]))
    async with Listener(graph) as listener, asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(graph.play())
        print(listener.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        playing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
