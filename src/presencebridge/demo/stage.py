"""Sets the scene: both emulators, the service with a config file of its own, and the signed-in watcher."""

import asyncio
import contextlib
import random
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import httpx2

from presencebridge import words
from presencebridge.adapters import watcher_tokens
from presencebridge.config import Config, load
from presencebridge.demo.office import NAMES, Colleague, Side, office_day
from presencebridge.emulators.graph.serve import RunningGraph
from presencebridge.emulators.v20.serve import RunningV20
from presencebridge.emulators.webapi.serve import RunningWebApi
from presencebridge.emulators.world import Extension, User, Watcher, World
from presencebridge.node import Node
from presencebridge.node.source import Given

_SETTLE_WITHIN_S: Final = 20.0
_LONGEST_EPISODE_S: Final = 16.0
"""So long before its end the day is over, and nobody begins anything new."""


class Show:
    """A running demo."""

    def __init__(
        self, node: Node, colleagues: list[Colleague], speed: float, tell: Callable[[str, str], None]
    ) -> None:
        self.node = node
        self.colleagues = colleagues
        self._speed = speed
        self._tell = tell

    async def play(self, stop: asyncio.Event, seconds: float | None) -> dict[str, list[str]]:
        """Play for a time, or until told to stop. Returns whoever is wrong, and how.

        With a time, everybody finishes what they are at, and both sides come to rest, before it is judged.
        """
        dice = random.Random(2023)  # noqa: S311 - the same day every time
        over = asyncio.Event()
        async with asyncio.TaskGroup() as bystanders:
            following = bystanders.create_task(self._follow())
            async with asyncio.TaskGroup() as people:
                days = [
                    people.create_task(office_day(who, random.Random(dice.random()), self._pause, over))  # noqa: S311
                    for who in self.colleagues
                ]
                await _until(stop, None if seconds is None else seconds - _LONGEST_EPISODE_S / self._speed)
                over.set()
                if stop.is_set():
                    for day in days:
                        day.cancel()
                else:
                    self._tell("", "the day is over: everybody finishes what they are at")
            wrong = {} if stop.is_set() else await self._wrong()
            following.cancel()
        return wrong

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    async def _follow(self) -> None:
        """Tell what the bridge does, as it happens."""
        async with self.node.site.journal.follow() as entries:
            while True:
                entry = await entries.get()
                if entry is not None:
                    for command in filter(words.is_deed, entry.said):
                        self._tell(f"bridge ({entry.person})", words.said(command))

    async def _wrong(self) -> dict[str, list[str]]:
        wrong: dict[str, list[str]] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_WITHIN_S):
                while wrong := {
                    who.name: found for who in self.colleagues if (found := await who.is_right())
                }:
                    await asyncio.sleep(0.25)
        return wrong


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if seconds is None else max(1.0, seconds)):
            await stop.wait()


@contextlib.asynccontextmanager
async def show(
    folder: Path, world: World, kind: str, speed: float, port: int, tell: Callable[[str, str], None]
) -> AsyncIterator[Show]:
    """Everything running, in a folder of its own, on free ports of loopback."""
    async with contextlib.AsyncExitStack() as stack:
        graph = await stack.enter_async_context(RunningGraph(world, tls_dir=folder / "tls"))
        pbx: RunningWebApi | RunningV20
        if kind == "3cx-v20":
            pbx = await stack.enter_async_context(RunningV20(world, tls_dir=folder / "tls"))
        else:
            pbx = await stack.enter_async_context(RunningWebApi(world))
        sides = (
            Side(await stack.enter_async_context(_control(graph.control_url))),
            Side(await stack.enter_async_context(_control(pbx.control_url))),
        )
        config = load(
            _write_config(folder, world, graph.url, _pbx_section(folder, world, kind, pbx.url), port)
        )
        await _sign_in(config, sides[0])
        colleagues = [
            Colleague((user.display_name or "", user.user_principal_name, extension.number), sides, tell)
            for user, extension in zip(world.users, world.extensions, strict=True)
        ]
        node = Node(Given("demo", config))
        stop, listening = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.run(stop, listening.set))
            await listening.wait()
            async with asyncio.timeout(_SETTLE_WITHIN_S):
                while not node.site.overview().ready:
                    await asyncio.sleep(0.05)
            yield Show(node, colleagues, speed, tell)
            stop.set()


def _control(url: str | None) -> httpx2.AsyncClient:
    # The emulators close an idle connection after 5 s; by then it is not to be used again.
    limits = httpx2.Limits(keepalive_expiry=2)
    return httpx2.AsyncClient(base_url=url or "", trust_env=False, timeout=10, limits=limits)


def _pbx_section(folder: Path, world: World, kind: str, url: str) -> list[str]:
    lines = ["[pbx]", f'kind = "{kind}"', f'url = "{url}"', "poll_every_s = 1", "status_every_s = 5"]
    if kind == "3cx-v20":
        lines += [
            f'ca_file = "{folder / "tls" / "ca.pem"}"',
            f'client_id = "{world.client_id}"',
            f'client_secret_file = "{folder / "client-secret"}"',
        ]
    return lines


def office(people: int) -> World:
    """As many people as that, with a Teams user and an extension each."""
    users, extensions = [], []
    for number in range(people):
        name = NAMES[number % len(NAMES)] + (f" {number // len(NAMES) + 1}" if number >= len(NAMES) else "")
        mail = f"{name.lower().replace(' ', '.')}@example.org"
        users.append(User(user_principal_name=mail, mail=mail, display_name=name))
        extensions.append(Extension(number=str(101 + number), name=name, email=mail))
    return World(
        client_secret=secrets.token_urlsafe(),
        users=tuple(users),
        watchers=(Watcher("watcher@example.org"),),
        extensions=tuple(extensions),
    )


def _write_config(folder: Path, world: World, graph_url: str, pbx: list[str], port: int) -> Path:
    secret = folder / "client-secret"
    secret.touch(0o600)
    secret.write_text(world.client_secret, "utf-8")
    hook = free_port()
    lines = [
        "[teams]",
        f'tenant_id = "{world.tenant_id}"',
        f'client_id = "{world.client_id}"',
        f'client_secret_file = "{secret}"',
        'delivery = "webhook"',
        "reconcile_every_s = 30",
        f'graph_url = "{graph_url}"',
        f'login_url = "{graph_url}"',
        f'ca_file = "{folder / "tls" / "ca.pem"}"',
        "[teams.webhook]",
        f'public_url = "http://127.0.0.1:{hook}/presence-hook"',
        f'listen = "127.0.0.1:{hook}"',
        *pbx,
        "[operator]",
        "day_hours = 0.1",
        f'listen = "127.0.0.1:{port}"',
        "[state]",
        f'dir = "{folder / "state"}"',
    ]
    for user, extension in zip(world.users, world.extensions, strict=True):
        lines += ["[[person]]", f'teams = "{user.user_principal_name}"', f'extension = "{extension.number}"']
    config = folder / "presencebridge.toml"
    config.write_text("\n".join(lines) + "\n", "utf-8")
    return config


def free_port() -> int:
    """A port that nobody has. Graph is told the webhook's address before it listens, so it can't be 0."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def _sign_in(config: Config, graph: Side) -> None:
    """The watcher's sign-in with a device code, approved as a person would in a browser."""
    loop = asyncio.get_running_loop()

    def show(text: str) -> None:  # called in a thread of its own
        code = re.search(r"code ([A-Z0-9]+)", text)
        if code:
            approve = graph.do("POST", f"/sign-ins/{code[1]}/approve", {"username": "watcher@example.org"})
            asyncio.run_coroutine_threadsafe(approve, loop).result(timeout=10)

    await watcher_tokens(config, "default").sign_in(show)
