"""Graph, its sign-in, 3CX V20, and whoever sends the notifications: all that is outside of the service.

    python benchmarks/kit/other_side.py PEOPLE

It answers at once, from memory, in a few microseconds, so that it is not what is measured; what it costs is
told with each run. It is a process of its own, is played by orders (a line of JSON each) on its standard
input, and answers each by a line on its standard output. Times are of the machine's monotonic clock.
"""

import asyncio
import base64
import collections
import contextlib
import gc
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from notices import AVAILABLE, BUSY, Sealer, SignIn, body, user_id

PAIRS = (AVAILABLE, BUSY)
FIRST_EXTENSION = 100_000
PAGE, ENTRA_PAGE = 100, 999
CONNECTIONS = 8


class World:
    """Everybody's state on both sides, and what was asked for."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.sign_in = SignIn()
        self.token = self.sign_in.token()
        self.url = ""
        self.shows = [0] * people
        self.status = ["Available"] * people
        self.talking: dict[int, int] = {}
        """Who is in a call, with the participant's id."""
        self.sealers: dict[str, Sealer] = {}
        """By user, each in the subscription that watches them."""
        self.sockets: list[asyncio.Transport] = []
        self.sequence = 0
        self.deaf: set[str] = set()
        """Paths that hold one of these are never answered."""
        self.counts: collections.Counter[str] = collections.Counter()
        self.arrivals: list[tuple[float, str, int]] = []
        """When a request came, what for, and about whom."""

    def answer(self, method: str, path: str, content: bytes) -> tuple[int, bytes] | None:
        """Status and body; None where there is to be no answer at all."""
        if path.startswith("/xapi/v1/Users"):
            return self._users(method, path, content)
        if path.startswith("/callcontrol"):
            return self._calls(path)
        if path.startswith("/v1.0/users?"):
            return 200, self._entra(path)
        if path.startswith("/v1.0/users/"):
            _, _, _, user, _, action = path.split("/")
            self._came(action, int(user[-12:], 16))
            return 200, b""
        if path == "/v1.0/communications/getPresencesByUserId":
            self.counts["read presences"] += 1
            ids = re.findall(rb'"([0-9a-f-]{36})"', content)
            return 200, b'{"value":[' + b",".join(self._presence(int(one[-12:], 16)) for one in ids) + b"]}"
        if path.startswith(("/showstatus/", "/setstatus/")):
            return self._bridge(path)
        return self._rest(method, path, content)

    def _came(self, what: str, number: int) -> None:
        self.counts[what] += 1
        self.arrivals.append((time.monotonic(), what, number))

    def _presence(self, number: int) -> bytes:
        availability, activity = PAIRS[self.shows[number]]
        return (
            f'{{"id":"{user_id(number)}","availability":"{availability}","activity":"{activity}",'
            '"statusMessage":null,"outOfOfficeSettings":{"message":null,"isOutOfOffice":false},'
            f'"workLocation":null,"sequenceNumber":"A{time.time_ns() // 1_000_000:012X}"}}'
        ).encode()

    def _users(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        if method == "PATCH":
            number = int(path[len("/xapi/v1/Users(") : -1])
            self._came("write status", number)
            self.status[number] = json.loads(content)["CurrentProfileName"]
            return 204, b""
        if "$filter=" in path:
            found = re.search(r"Number%20eq%20%27(\d+)%27", path)
            number = int(found[1]) - FIRST_EXTENSION if found else 0
            self._came("read status", number)
            return 200, self._listed(range(number, number + 1))
        skip = int(path.rpartition("=")[2])
        if "EmailAddress" in path:
            self.counts["page of 3CX users"] += 1
            return 200, self._directory(range(skip, min(skip + PAGE, self.people)))
        self.counts["page of statuses"] += 1
        return 200, self._listed(range(skip, min(skip + PAGE, self.people)))

    def _listed(self, numbers: range) -> bytes:
        rows = (
            f'{{"Id":{one},"Number":"{FIRST_EXTENSION + one}","CurrentProfileName":"{self.status[one]}"}}'
            for one in numbers
        )
        return ('{"value":[' + ",".join(rows) + "]}").encode()

    def _directory(self, numbers: range) -> bytes:
        rows = (
            f'{{"Number":"{FIRST_EXTENSION + one}","FirstName":"User","LastName":"{one}",'
            f'"EmailAddress":"u{one}@example.org","Enabled":true}}'
            for one in numbers
        )
        return ('{"value":[' + ",".join(rows) + "]}").encode()

    def _entra(self, path: str) -> bytes:
        """A page of Entra's users."""
        self.counts["page of Entra users"] += 1
        found = re.search(r"skiptoken=(\d+)", path)
        skip = int(found[1]) if found else 0
        rows = (
            f'{{"id":"{user_id(one)}","userPrincipalName":"u{one}@example.org","mail":"u{one}@example.org",'
            f'"displayName":"User {one}","accountEnabled":true,"userType":"Member"}}'
            for one in range(skip, min(skip + ENTRA_PAGE, self.people))
        )
        more = f',"@odata.nextLink":"{self.url}/v1.0/users?$skiptoken={skip + ENTRA_PAGE}"'
        text = '{"value":[' + ",".join(rows) + "]" + (more if skip + ENTRA_PAGE < self.people else "") + "}"
        return text.encode()

    def _calls(self, path: str) -> tuple[int, bytes]:
        if path.endswith("/participants"):
            number = int(path.split("/")[2]) - FIRST_EXTENSION
            self._came("read participants", number)
            return 200, b"[" + self._participant(number) + b"]"
        self.counts["read all calls"] += 1
        rows = (
            b'{"dn":"%d","participants":[%s]}' % (FIRST_EXTENSION + one, self._participant(one))
            for one in range(self.people)
        )
        return 200, b"[" + b",".join(rows) + b"]"

    def _participant(self, number: int) -> bytes:
        if number not in self.talking:
            return b""
        return b'{"id":%d,"status":"Connected"}' % self.talking[number]

    def _bridge(self, path: str) -> tuple[int, bytes] | None:
        """3cx-web-API: one that it does not know is never answered."""
        parts = path.split("/")
        number = int(parts[2]) - FIRST_EXTENSION
        if parts[2] in self.deaf:
            self.counts["unanswered"] += 1
            return None
        if parts[1] == "setstatus":
            self._came("write status", number)
            self.status[number] = "Away" if parts[3] == "away" else "Available"
            return 200, self.status[number].encode()
        self._came("read status", number)
        return 200, b"CURRENT_STATUS=" + self.status[number].encode()

    def _rest(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        self.counts[path.partition("?")[0]] += 1
        answer: Any = {}
        if path == "/connect/token":
            answer = {"access_token": "token", "expires_in": 36_000}
        elif path.endswith("openid-configuration"):
            answer = {"jwks_uri": f"{self.url}/keys"}
        elif path == "/keys":
            answer = self.sign_in.keys()
        elif path.startswith("/v1.0/subscriptions"):
            answer = (
                self._subscribed(json.loads(content)) if method == "POST" else self._subscription("x", "")
            )
        elif path.startswith("/showallcalls"):
            return 200, b"<html><head></head><body></body></html>"
        return 200, json.dumps(answer).encode()

    def _subscribed(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"7f105c7d-2dc5-4530-97cd-{len(self.sealers):012x}"
        sealer = Sealer(
            name, asked["clientState"], asked["encryptionCertificate"], asked["encryptionCertificateId"]
        )
        self.sealers |= dict.fromkeys(re.findall(r"'([0-9a-f-]{36})'", asked["resource"]), sealer)
        return self._subscription(name, asked["resource"])

    def _subscription(self, name: str, resource: str) -> dict[str, Any]:
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return {"id": name, "resource": resource, "expirationDateTime": end}

    # 3CX tells

    def tell(self, number: int, *, removed: bool) -> None:
        """A leg of this extension comes or goes."""
        self.sequence += 1
        if removed:
            participant = self.talking.pop(number)
        else:
            participant = self.talking[number] = self.sequence
        entity = f"/callcontrol/{FIRST_EXTENSION + number}/participants/{participant}"
        event = {"event_type": int(removed), "entity": entity, "attached_data": None}
        text = json.dumps({"sequence": self.sequence, "event": event}).encode()
        length = bytes([len(text)]) if len(text) < 126 else b"~" + len(text).to_bytes(2, "big")
        for socket in self.sockets:
            socket.write(b"\x81" + length + text)

    def whoever_is_unknown(self) -> Sealer:
        return next(iter(self.sealers.values()))


class Serving(asyncio.Protocol):
    """As much of HTTP/1.1 as the service speaks, and the opening of a websocket."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        with contextlib.suppress(ValueError):
            self._world.sockets.remove(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._transport in self._world.sockets:
            return
        self._data += data
        while True:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._data[:end]
            length = _length(head)
            if len(self._data) < end + 4 + length:
                return
            content, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            if path == "/callcontrol/ws":
                self._open_socket(head)
                return
            answer = self._world.answer(method, path, content)
            if answer is not None:
                head = b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n" % (answer[0], len(answer[1]))
                self._transport.write(head + answer[1])

    def _open_socket(self, head: bytes) -> None:
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
        magic = (key[1] if key else b"") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic).digest())  # noqa: S324 - RFC 6455
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: %s\r\n\r\n" % accept
        )
        self._world.sockets.append(self._transport)


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


# Whoever sends ------------------------------------------------------------------------------------


class Sending(asyncio.Protocol):
    """A kept connection to the webhook. One request after another, as `next_one` hands them out."""

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self.transport: Any = None
        self._data = b""
        self.sent_at: float | None = None
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, request: bytes, due_at: float) -> None:
        self.sent_at = due_at
        if self._is_lost:
            self._sender.answered(self, 0, float("nan"))
        else:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or self.sent_at is None or len(self._data) < end + 4 + _length(self._data[:end]):
            return
        status, self._data, sent_at = int(self._data[9:12]), b"", self.sent_at
        self.sent_at = None
        self._sender.answered(self, status, time.monotonic() - sent_at)

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_lost = True
        if self.sent_at is not None:
            self._sender.answered(self, 0, float("nan"))


class Sender:
    """Sends requests to one address: all of them as fast as they are answered, or each when it is due.

    When it is due and not when it left is where its time begins, so a service that holds up the sender can't
    hide it.
    """

    def __init__(self, url: str) -> None:
        self.host, _, path = url.removeprefix("http://").partition("/")
        self._path = f"/{path}"
        self._free: collections.deque[Sending] = collections.deque()
        """The one that has rested longest goes first: the service gives up who rests for seconds."""
        self._waiting: collections.deque[tuple[bytes, float]] = collections.deque()
        self.took: list[float] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self._left = 0
        self._done = asyncio.Event()

    async def connect(self, count: int) -> None:
        host, _, port = self.host.partition(":")
        for _ in range(count):
            _, one = await asyncio.get_running_loop().create_connection(
                lambda: Sending(self), host, int(port)
            )
            self._free.append(one)

    def request(self, content: bytes) -> bytes:
        head = f"POST {self._path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content

    def push(self, request: bytes, due_at: float) -> None:
        if self._free:
            self._free.popleft().send(request, due_at)
        else:
            self._waiting.append((request, due_at))

    def answered(self, one: Sending, status: int, took: float) -> None:
        self.took.append(took)
        self.statuses[status] += 1
        if self._waiting:
            one.send(*self._waiting.popleft())
        else:
            self._free.append(one)
        self._left -= 1
        if not self._left:
            self._done.set()

    async def all_at_once(self, requests: list[bytes]) -> float:
        """Returns when the first one left."""
        self._left = len(requests)
        began = time.monotonic()
        for request in requests:
            self.push(request, time.monotonic() if self._free else began)
        await self._done.wait()
        return began

    async def at_a_pace(
        self,
        requests: list[bytes],
        about: list[Any],
        per_s: float,
        sent: list[float],
        on_due: Callable[[Any], None],
    ) -> None:
        self._left = len(requests)
        due_at = time.monotonic() + 0.05
        for request, shown in zip(requests, about, strict=True):
            await until(due_at)
            sent.append(due_at)
            on_due(shown)
            self.push(request, due_at)
            due_at += 1 / per_s
        await self._done.wait()

    def close(self) -> None:
        for one in self._free:
            one.transport.close()


async def until(due_at: float) -> None:
    """Until just before it is time, and then awake: a timer alone is late by a tenth of a millisecond."""
    wait_s = due_at - time.monotonic()
    if wait_s > 0.0015:
        await asyncio.sleep(wait_s - 0.001)
    while time.monotonic() < due_at:
        await asyncio.sleep(0)


# Orders -------------------------------------------------------------------------------------------


class Orders:
    """What the benchmarks ask for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._requests: list[bytes] = []
        self._shows: list[list[tuple[int, int]]] = []
        """Whom each request is about, and what they show from when it leaves."""
        self._sender: Sender | None = None

    async def knock(self, count: int, size: int, url: str) -> dict[str, Any]:
        """Requests of no meaning, for a server that does nothing."""
        self._sender = sender = Sender(url)
        self._requests, self._shows = [sender.request(b"x" * size)] * count, [[]] * count
        return {}

    async def make(
        self, items: list[list[int]], per: int, url: str, client_state: str = ""
    ) -> dict[str, Any]:
        """Notifications of (person, pair), so many in a request; persons beyond the people are nobody's."""
        world = self._world
        self._sender = sender = Sender(url)
        made = []
        for number, pair in items:
            stranger = number >= world.people
            sealer = world.whoever_is_unknown() if stranger else world.sealers[user_id(number)]
            made.append(sealer.item(number, PAIRS[pair], client_state=client_state))
        known = [(number, pair) if number < world.people else (0, world.shows[0]) for number, pair in items]
        self._shows = [known[start : start + per] for start in range(0, len(known), per)]
        groups = [made[start : start + per] for start in range(0, len(made), per)]
        self._requests = [sender.request(body(group, world.token)) for group in groups]
        return {"requests": len(groups)}

    async def burst(self, connections: int = CONNECTIONS) -> dict[str, Any]:
        assert self._sender is not None  # noqa: S101 - orders come in order
        await self._sender.connect(connections)
        for shown in self._shows:
            self._show(shown)
        cpu = time.process_time()
        gc.disable()
        began = await self._sender.all_at_once(self._requests)
        ended = time.monotonic()
        gc.enable()
        self._sender.close()
        return {
            "began": began,
            "ended": ended,
            "cpu": time.process_time() - cpu,
            "took": self._sender.took,
            "statuses": dict(self._sender.statuses),
        }

    def _show(self, shown: list[tuple[int, int]]) -> None:
        for number, pair in shown:
            self._world.shows[number] = pair

    async def pace(self, per_s: float) -> dict[str, Any]:
        assert self._sender is not None  # noqa: S101
        await self._sender.connect(CONNECTIONS)
        sent: list[float] = []
        gc.disable()
        await self._sender.at_a_pace(self._requests, self._shows, per_s, sent, self._show)
        gc.enable()
        self._sender.close()
        return {"sent": sent, "took": self._sender.took, "statuses": dict(self._sender.statuses)}

    async def calls(self, events: list[list[int]], per_s: float) -> dict[str, Any]:
        """Legs come (1) and go (0) at a pace."""
        sent = []
        due_at = time.monotonic() + 0.05
        for number, comes in events:
            await until(due_at)
            sent.append(due_at)
            self._world.tell(number, removed=not comes)
            due_at += 1 / per_s
        return {"sent": sent}

    async def arrivals(self, forget: bool = True) -> dict[str, Any]:
        found = {"arrivals": self._world.arrivals, "counts": dict(self._world.counts)}
        if forget:
            self._world.arrivals = []
            self._world.counts = collections.Counter()
        return found

    async def show(self, pair: int) -> dict[str, Any]:
        self._world.shows = [pair] * self._world.people
        return {}

    async def deaf(self, extensions: list[str]) -> dict[str, Any]:
        self._world.deaf = set(extensions)
        return {}

    async def ready(self) -> dict[str, Any]:
        world = self._world
        return {"watched": len(world.sealers), "sockets": len(world.sockets), "counts": dict(world.counts)}


async def main() -> None:
    world = World(int(sys.argv[1]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Serving(world), "127.0.0.1", 0)
    world.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps({"url": world.url}), flush=True)
    orders = Orders(world)
    gc.freeze()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        answer = await getattr(orders, order.pop("do"))(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
