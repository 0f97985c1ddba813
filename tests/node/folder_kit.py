"""A node of several sites in this process, each with emulators of its own on real sockets of loopback."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2

from presencebridge.emulators.graph.serve import RunningGraph
from presencebridge.emulators.webapi.serve import RunningWebApi
from presencebridge.emulators.world import Extension, User, World
from presencebridge.node import Folder, Node

PATIENCE_S = 60.0


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = is_so()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


class Office:
    """Both emulators of one site, and how its people are played."""

    def __init__(self, name: str, folder: Path, people: int) -> None:
        self.name, self.folder, self.people = name, folder, people
        users = [
            User(user_principal_name=f"u{100 + one}@{name}.example.org", display_name=f"{one} of {name}")
            for one in range(people)
        ]
        self.extensions = [str(100 + one) for one in range(people)]
        self.world = World(
            client_secret=f"secret of {name}",
            users=tuple(users),
            extensions=tuple(Extension(number) for number in self.extensions),
        )
        self.graph = RunningGraph(self.world)
        self.pbx = RunningWebApi(self.world)
        self.http = httpx2.AsyncClient(trust_env=False)

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.toml"

    def write(self, *extensions: str, more: str = "", policy: str = "", secret: str | None = None) -> None:
        """The site's config, for all its people or for some of them."""
        (self.folder / f"{self.name}.key").write_text(secret or self.world.client_secret)
        (self.folder / f"{self.name}.key").chmod(0o600)
        text = f"""
            [teams]
            tenant_id = "{self.world.tenant_id}"
            client_id = "{self.world.client_id}"
            client_secret_file = "{self.name}.key"
            poll_every_s = 1
            graph_url = "{self.graph.url}"
            login_url = "{self.graph.url}"
            [pbx]
            kind = "3cx-web-api"
            url = "{self.pbx.url}"
            poll_every_s = 0.5
            status_every_s = 1
            [policy]
            {policy}
            {more}
            """
        for one in extensions or self.extensions:
            text += f'[[person]]\nteams = "u{one}@{self.name}.example.org"\nextension = "{one}"\n'
        part = self.file.with_suffix(".part")
        part.write_text(text)
        part.replace(self.file)

    async def shows(self, extension: str, pair: str) -> None:
        """Somebody's Teams client shows this from now on."""
        availability, _, activity = pair.partition("/")
        body = {"availability": availability, "activity": activity}
        url = f"{self.graph.control_url}/users/u{extension}@{self.name}.example.org/client"
        (await self.http.put(url, json=body)).raise_for_status()

    async def status(self, extension: str) -> str:
        answer = await self.http.get(f"{self.pbx.control_url}/extensions/{extension}")
        return str(answer.json()["status"])

    async def becomes(self, extension: str, status: str) -> None:
        async def is_so() -> bool:
            return await self.status(extension) == status

        await until(is_so)


class Running:
    """The node, and how it is asked."""

    def __init__(self, node: Node, http: httpx2.AsyncClient) -> None:
        self.node, self.http = node, http

    def is_in_step(self, *sites: str) -> bool:
        found = self.node.sites()
        return all(name in found and not found[name].out_of_step() for name in sites)

    async def in_step(self, *sites: str) -> None:
        await until(lambda: self.is_in_step(*sites))

    async def ask(self, path: str, token: str = "") -> httpx2.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"} if token else {})

    @contextlib.asynccontextmanager
    async def told(self, path: str, token: str = "") -> AsyncIterator[Callable[[], Awaitable[str]]]:
        """A live page: each call is the data of its next event."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.stream("GET", path, headers=headers) as answer:
            lines = answer.aiter_lines()

            async def event() -> str:
                data: list[str] = []
                async for line in lines:
                    if line.startswith("data: "):
                        data.append(line)
                    elif data and not line:
                        break
                return "\n".join(data)

            yield event


@contextlib.asynccontextmanager
async def offices(folder: Path, *names: str, people: int = 2) -> AsyncIterator[list[Office]]:
    """Emulators for each, and their files."""
    (folder / "node.toml").write_text(
        '[operator]\nlisten = "127.0.0.1:0"\n[webhook]\nlisten = "127.0.0.1:0"\n[state]\ndir = "state"\n'
    )
    made = [Office(name, folder, people) for name in names]
    async with contextlib.AsyncExitStack() as stack:
        for office in made:
            await stack.enter_async_context(office.graph)
            await stack.enter_async_context(office.pbx)
            await stack.enter_async_context(office.http)
            for number, extension in enumerate(office.extensions):
                await office.shows(extension, "Available/Available" if number % 2 == 0 else "Away/Away")
            office.write()
        yield made


@contextlib.asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[Running]:
    node = Node(Folder(folder), **more)
    stop, listening = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(node.run(stop, listening.set))
        await listening.wait()
        async with httpx2.AsyncClient(base_url=node.operator_url, trust_env=False) as http:
            try:
                yield Running(node, http)
            finally:
                stop.set()


def found(answer: httpx2.Response) -> Any:
    return json.loads(answer.text)
