"""Real nodes on real NATS servers: people live their day at many sites, and whatever can break is broken.

The emulators of all sites live in this process, each with an address of its own for each node, so that it is
known which node asked. So does the load balancer, and a wire between each node and each NATS server that can
be cut. The nodes are programs, and so are the NATS servers.
"""

import asyncio
import collections
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import uvicorn
from nats_kit import NatsServers, free_ports

from presencebridge.adapters import watcher_tokens
from presencebridge.cluster.client_states import SignedStates
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.nats_engine import Access, NatsEngine, nats_engine
from presencebridge.cluster.records import notices_subject, position_key, sign_in_key
from presencebridge.config import load
from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import GraphEmulator
from presencebridge.emulators.graph import presence as teams
from presencebridge.emulators.graph.presence import CLIENT_SESSION, Pair
from presencebridge.emulators.world import Extension, User, Watcher, World
from presencebridge.files import FolderFiles
from presencebridge.simulation.phones import OldBridge, Switchboard
from presencebridge.web.door import mark_of

PROGRAM = str(Path(sys.executable).with_name("presencebridge"))
NODES = 3
NOTHING: Mapping[str, Any] = {}
MEETINGS = ("Busy/InAMeeting", "DoNotDisturb/Presenting", "Busy/Busy")


class Write(msgspec.Struct, frozen=True):
    at: float
    site: str
    node: int
    what: str


class Site:
    """A tenant and a PBX, with their people."""

    def __init__(self, trial: "Trial", number: int, people: int) -> None:
        self.trial, self.number, self.name = trial, number, f"site{number:02}"
        self.dice = random.Random(number)
        names = [f"u{number:02}-{one}@example.org" for one in range(people)]
        self.numbers = [f"{100 + one}" for one in range(people)]
        self.world = World(
            client_secret="s3cret",
            users=tuple(User(name, display_name=name) for name in names),
            watchers=(Watcher(f"watcher{number}@example.org"),),
            extensions=tuple(Extension(one, one, f"{one}@example.org") for one in self.numbers),
        )
        clock = Clock()
        self.graph = GraphEmulator(self.world, clock=clock, transport=Balancer(trial, self.name), seed=number)
        self.phones = OldBridge(self.world, clock)
        self.switchboard = Switchboard(self.phones)
        self.shows = dict.fromkeys(self.numbers, "Available/Available")
        self.calls: dict[str, int] = {}
        self._users = dict(zip(self.numbers, self.world.users, strict=True))
        self._numbers = iter(range(1, 1_000_000))
        for number_ in self.numbers:
            self.show(number_, "Available/Available")

    # People

    def show(self, number: str, pair: str) -> None:
        user = self._users[number]
        availability, _, activity = pair.partition("/")
        before = self.graph.board.entry(user.id).presence
        now = self.graph.clock.now()
        self.graph.put_presence(
            user, teams.told(before, CLIENT_SESSION, Pair(availability, activity), now, None)
        )
        self.shows[number] = pair

    def act(self, number: str) -> None:
        """One thing that happens in somebody's day: never a meeting and a call at the same time."""
        if number in self.calls:
            self.switchboard.hang_up(self.calls.pop(number))
        elif not self.shows[number].startswith("Available"):
            self.show(number, "Available/Available")
        elif self.dice.random() < 0.5:
            self.show(number, self.dice.choice(MEETINGS))
        else:
            call = self.calls[number] = next(self._numbers)
            self.switchboard.start(call, [(number, "Connected"), ("10000", "Connected")])

    async def live(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(self.dice.expovariate(len(self.numbers) / every_s))
            self.act(self.dice.choice(self.numbers))

    async def approve(self, said: str) -> None:
        """The watcher types in the code that `login` tells."""
        code = said.partition("enter the code ")[2].split()[0]
        transport = httpx2.ASGITransport(self.graph.control)
        async with httpx2.AsyncClient(transport=transport, base_url="http://control") as control:
            name = self.world.watchers[0].username
            answer = await control.post(f"/sign-ins/{code}/approve", json={"username": name})
            assert answer.is_success, answer.text

    # What is right

    def wrong(self) -> list[str]:
        found = []
        self.graph.settle()
        for number in self.numbers:
            user = self._users[number]
            entry = self.graph.board.entry(user.id)
            ours = teams.session_of(entry.presence, self.world.client_id, self.graph.clock.now())
            status = self.phones.status(number)
            wanted = "Available" if self.shows[number].startswith("Available") else "Away"
            # What Teams shows beneath our session during a call can't be known, so it may stay until its end.
            if status != wanted and number not in self.calls:
                found.append(f"{self.name} {number}: Teams shows {self.shows[number]}, and 3CX {status}")
            if (ours is not None) != (number in self.calls):
                found.append(f"{self.name} {number}: call: {self.calls.get(number)}, and our session: {ours}")
        return found


class Balancer(httpx2.AsyncBaseTransport):
    """Hands each notification to a node that is there, in turn; 503 if there is none."""

    def __init__(self, trial: "Trial", site: str) -> None:
        self._trial, self._site = trial, site

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        trial = self._trial
        for _ in range(NODES):
            node = trial.nodes[next(trial.turns) % NODES]
            url = f"http://127.0.0.1:{node.hook_port}{request.url.raw_path.decode()}"
            try:
                headers = {"Content-Type": request.headers["content-type"]}
                answer = await trial.http.request(request.method, url, content=body, headers=headers)
            except httpx2.TransportError:
                continue
            if answer.is_success and b"validationToken" not in request.url.query:
                trial.accepted[self._site].append(hashlib.sha256(self._site.encode() + body).hexdigest())
            trial.answers[answer.status_code] += 1
            return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)
        trial.answers[503] += 1
        return httpx2.Response(503)


class Node:
    """A program; its folder, its ports, and its wires to NATS."""

    def __init__(self, number: int, folder: Path, ports: list[int], wires: list["Wire"]) -> None:
        self.number, self.name = number, f"node{number}"
        self.folder = folder
        self.hook_port, self.page_port, self.face_port = ports
        self.wires = wires
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder.parent / f"{self.name}.log"

    @property
    def ports(self) -> list[int]:
        """Of all that it asks, and where it is asked."""
        return [self.hook_port, self.page_port, self.face_port, *(wire.port for wire in self.wires)]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "run", "--config", str(self.folder)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONASYNCIODEBUG": ""},
            )

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, within_s: float = 60.0) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, within_s)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def cut_off(self, is_cut: bool) -> None:
        for wire in self.wires:
            wire.cut(is_cut)

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8") if self.log.exists() else ""

    def takes(self) -> list[tuple[float, str, int]]:
        """When it took which site, with its epoch, as it told in its log."""
        found = []
        for line in self.said.splitlines():
            if '"site taken"' in line:
                said = json.loads(line)
                at = datetime.fromisoformat(said["timestamp"]).timestamp()
                found.append((at, said["site"], said["epoch"]))
        return found


class Wire:
    """A port that leads to a NATS server, unless it is cut."""

    def __init__(self, port: int, to_port: int) -> None:
        self.port, self._to_port = port, to_port
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()

    def cut(self, is_cut: bool) -> None:
        """Nothing gets through, and nobody is told: what was sent is simply gone."""
        self._is_cut = is_cut
        if not is_cut:
            for writer in self._writers:
                writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._forward(reader, back), self._forward(there, writer))
        except asyncio.CancelledError:  # the end of all; asyncio's streams would make a stack trace of it
            return
        finally:
            self._writers -= {writer, back}

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._is_cut:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


class Trial:
    """All of it. `lease_s` is the nodes'."""

    def __init__(
        self, folder: Path, servers: NatsServers, *, sites: int, people: int, lease_s: float = 10.0
    ) -> None:
        self.folder, self.servers, self.lease_s = folder, servers, lease_s
        self.http = httpx2.AsyncClient(trust_env=False, timeout=9.0)
        self.turns = iter(range(10**9))
        self.accepted: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
        self.answers: collections.Counter[int] = collections.Counter()
        self.writes: list[Write] = []
        self.asked: dict[str, list[tuple[float, int, float, int]]] = collections.defaultdict(list)
        """By site: when another node than the last one asked first, and which; when the one before had asked
        last, and which."""
        self.last_asked: dict[tuple[str, int], float] = {}
        ports = free_ports(1 + NODES * (3 + len(servers.client_ports)))
        self._login_port = ports.pop()
        self.sites = {
            site.name: site for site in (Site(self, number, people) for number in range(1, sites + 1))
        }
        self.nodes: list[Node] = []
        for number in range(NODES):
            wires = [Wire(ports.pop(), port) for port in servers.client_ports]
            node_ports = [ports.pop() for _ in range(3)]
            self.nodes.append(Node(number, folder / f"node{number}", node_ports, wires))
        self._faces = {node.face_port: node.number for node in self.nodes} | {self._login_port: -1}
        self._key = new_key()

    # What nodes ask

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The emulators: by address it is known which one, and who asks."""
        address, port = scope["server"]
        side, number = (int(part) for part in address.split(".")[2:])
        site, node = self.sites[f"site{number:02}"], self._faces[port]
        app, now, path = (site.graph.app if side == 1 else site.phones.app), time.time(), scope["path"]
        if node >= 0:
            asked = self.asked[site.name]
            if not asked or asked[-1][1] != node:
                before = asked[-1][1] if asked else node
                asked.append((now, node, self._asked(site.name, before), before))
            self.last_asked[site.name, node] = now
            if path.endswith(("/setPresence", "/clearPresence")) or path.startswith("/setstatus/"):
                self.writes.append(Write(now, site.name, node, path))
        await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def set_up(self, *, signed_in: bool = True) -> AsyncIterator["Trial"]:
        """Everything but the nodes."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.http)
            for node in self.nodes:
                stack.callback(node.kill)
                for wire in node.wires:
                    await stack.enter_async_context(wire.laid())
            for site in self.sites.values():
                await stack.enter_async_context(site.graph)
            await stack.enter_async_context(self._listening())
            await self.servers.ready()
            access = Access(self.servers.urls)
            self.engine: NatsEngine = await stack.enter_async_context(nats_engine(access, "trial"))
            for node in self.nodes:
                self._write_config(node)
            if signed_in:
                await self._sign_in_all()
            yield self

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        sockets = []
        for number in range(1, len(self.sites) + 1):
            for port in self._faces:
                for side in (1, 2):
                    sock = socket.socket()
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((f"127.0.{side}.{number}", port))
                    sock.setblocking(False)
                    sockets.append(sock)
        config = uvicorn.Config(
            self, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=sockets))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                yield
            finally:
                server.should_exit = True

    # Files

    def _write_config(self, node: Node) -> None:
        node.folder.mkdir(parents=True)
        for name, text in (("secret", self.world.client_secret), ("cluster-key", self._key)):
            (node.folder / name).write_text(text)
            (node.folder / name).chmod(0o600)
        servers = ", ".join(f'"nats://127.0.0.1:{wire.port}"' for wire in node.wires)
        (node.folder / "node.toml").write_text(
            f"""
            [operator]
            listen = "127.0.0.1:{node.page_port}"
            [webhook]
            listen = "127.0.0.1:{node.hook_port}"
            [state]
            dir = "state"
            [cluster]
            name = "{node.name}"
            servers = [{servers}]
            cluster_key_file = "cluster-key"
            lease_s = {self.lease_s}
            """
        )
        for site in self.sites.values():
            people = "".join(
                f'[[person]]\nteams = "{user.user_principal_name}"\nextension = "{number}"\n'
                for user, number in zip(site.world.users, site.numbers, strict=True)
            )
            (node.folder / f"{site.name}.toml").write_text(
                f"""
                [teams]
                tenant_id = "{site.world.tenant_id}"
                client_id = "{site.world.client_id}"
                client_secret_file = "secret"
                delivery = "webhook"
                reconcile_every_s = 30
                graph_url = "http://127.0.1.{site.number}:{node.face_port}"
                login_url = "http://127.0.1.{site.number}:{self._login_port}"
                [teams.webhook]
                public_url = "http://127.0.0.1:1/hook/{site.name}"
                [pbx]
                kind = "3cx-web-api"
                url = "http://127.0.2.{site.number}:{node.face_port}"
                poll_every_s = 1
                timeout_s = 3
                [policy]
                preset = "seed"
                {people}
                """
            )

    @property
    def world(self) -> World:
        return next(iter(self.sites.values())).world

    async def _sign_in_all(self) -> None:
        """The watcher of each site, as `login` does it: it is laid down for whoever will own the site."""
        seal = Seal(self.nodes[0].folder / "cluster-key")
        room = asyncio.Semaphore(8)

        async def sign_in(site: Site) -> None:
            async with room:
                folder = self.folder / "sign-in" / site.name
                config = self.config_of(site.name)
                files = FolderFiles(folder)
                tokens = watcher_tokens(config, "default", files)
                codes: asyncio.Queue[str] = asyncio.Queue()
                loop = asyncio.get_running_loop()

                async def approve() -> None:
                    await site.approve(await codes.get())

                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(approve())
                    await tokens.sign_in(lambda text: loop.call_soon_threadsafe(codes.put_nowait, text))
                content = files.read("watcher-default.json")
                assert content is not None
                sealed = seal.close(f"{site.name}/watcher-default.json", content)
                await self.engine.put(sign_in_key(site.name, "watcher-default.json"), sealed, 0)

        await asyncio.gather(*map(sign_in, self.sites.values()))

    def config_of(self, site: str) -> Any:
        """The site's config as a file of its own would have it."""
        alone = self.folder / "alone"
        alone.mkdir(exist_ok=True)
        for name in ("secret",):
            (alone / name).write_text(self.world.client_secret)
        file = alone / f"{site}.toml"
        text = (self.nodes[0].folder / f"{site}.toml").read_text()
        file.write_text(text + '\n[state]\ndir = "state"\n')
        return load(file)

    async def command(self, *words: str) -> str:
        """What a command says that is run on the first node's machine."""
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *words, "--config", str(self.nodes[0].folder), stdout=subprocess.PIPE
        )
        said, _ = await process.communicate()
        return said.decode()

    async def login(self, site: str) -> str:
        """Sign in that site's watcher as an operator does it."""
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("login", "--config", str(self.nodes[0].folder), "--site", site),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        said = ""
        while line := (await process.stdout.readline()).decode():
            said += line
            if "enter the code" in line:
                await self.sites[site].approve(line)
        assert await process.wait() == 0
        return said

    def notification(self, site: str, number: str, more: Mapping[str, Any] = NOTHING) -> bytes:
        """As Graph might send it, of a subscription that is gone: any node takes it in."""
        seal = Seal(self.nodes[0].folder / "cluster-key")
        item = {"subscriptionId": number, "clientState": SignedStates(seal, mark_of(site)).new(), **more}
        return json.dumps({"value": [item]}).encode()

    # What is looked at

    async def leader(self) -> int:
        """Which NATS server leads the stream of states."""
        info = await self.engine.client.jetstream().stream_info("presencebridge-state")
        return int(str(info.cluster.leader)[-1])

    def wrong(self) -> list[str]:
        return [one for site in self.sites.values() for one in site.wrong()]

    def _asked(self, site: str, node: int) -> float:
        return self.last_asked.get((site, node), 0.0)

    async def until(self, what: str, condition: Callable[[], bool], within_s: float = 90.0) -> float:
        """Wait for it; returns how long it took."""
        begun = time.monotonic()
        while not condition():
            if time.monotonic() > begun + within_s:
                raise AssertionError(f"waited {within_s:g} s in vain: {what}; wrong: {self.wrong()[:5]}")
            await asyncio.sleep(0.1)
        return time.monotonic() - begun

    async def at_rest(self, within_s: float = 90.0, for_s: float = 4.0) -> None:
        """Everybody is right and stays so. A late notification may cost two writes before that."""
        deadline = time.monotonic() + within_s
        right_since = time.monotonic()
        while time.monotonic() < right_since + for_s:
            if wrong := self.wrong():
                if time.monotonic() > deadline:
                    raise AssertionError(f"no rest within {within_s:g} s; wrong: {wrong[:5]}")
                right_since = time.monotonic()
            await asyncio.sleep(0.1)

    async def everybody_is_served(self, nodes: int = NODES, within_s: float = 90.0) -> None:
        """Each site was asked for since this began, and by so many nodes, which have their share each."""
        begun = time.time()

        def served() -> bool:
            now = time.time()
            owners = {
                site: [
                    node
                    for node in range(NODES)
                    if self.last_asked.get((site, node), 0) > max(now - 3, begun)
                ]
                for site in self.sites
            }
            having = collections.Counter(found[0] for found in owners.values() if len(found) == 1)
            fair = -(-len(self.sites) // nodes)
            return having.total() == len(self.sites) and len(having) == nodes and max(having.values()) <= fair

        await self.until("everybody is served", served, within_s)

    @contextlib.asynccontextmanager
    async def people_live(self, every_s: float = 10.0) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(site.live(every_s)) for site in self.sites.values()]
            try:
                yield
            finally:
                for life in lives:
                    life.cancel()

    def taken(self) -> dict[str, list[tuple[float, int, int]]]:
        """By site: when it was taken, by which node, with which epoch; in the order of epochs."""
        found: dict[str, list[tuple[float, int, int]]] = collections.defaultdict(list)
        for node in self.nodes:
            for at, site, epoch in node.takes():
                found[site].append((at, node.number, epoch))
        for takes in found.values():
            takes.sort(key=lambda one: one[2])
        return found

    def foreign_writes(self) -> list[str]:
        """Writes that reached Teams or 3CX from a node after another one had taken the site."""
        wrong = []
        taken = self.taken()
        for write in self.writes:
            owner = [node for at, node, _ in taken[write.site] if at <= write.at]
            if not owner or owner[-1] != write.node:
                wrong.append(f"{write}, and it was {owner[-1:]}'s")
        return wrong

    async def lost_notices(self, within_s: float = 20.0) -> list[str]:
        """Notifications that were answered with a yes, and are not with the engine, or were not handed on.

        Owners keep their place a little later than they hand on.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self._lost():
                    await asyncio.sleep(0.5)
        return await self._lost()

    async def _lost(self) -> list[str]:
        lost = []
        for site, digests in self.accepted.items():
            kept, after = set(), 0
            while page := await self.engine.messages(notices_subject(site), after, 500):
                kept |= {hashlib.sha256(site.encode() + one.body).hexdigest() for one in page}
                after = page[-1].sequence
            position = await self.engine.get(position_key(site))
            read_to = int(position.value) if position else 0
            if missing := set(digests) - kept:
                lost.append(f"{site}: {len(missing)} of {len(digests)} are not with the engine")
            elif read_to < after:
                lost.append(f"{site}: handed on up to {read_to} of {after}")
        return lost

    def gaps_since(self, moment: float, nodes: set[int]) -> list[float]:
        """For sites of these nodes: from then (or when they last asked) until another node asked first."""
        gaps = []
        for asked in self.asked.values():
            for at, _, last, before in asked:
                if at >= moment and before in nodes:
                    gaps.append(at - max(moment, last))
                    break
        return gaps
