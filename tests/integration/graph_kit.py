"""The Graph emulator inside the test, in virtual time, without a network."""

import asyncio

import httpx2

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import GraphEmulator
from presencebridge.emulators.graph.presence import CLIENT_SESSION, Pair, told
from presencebridge.emulators.world import User, Watcher, World

ORIGIN = "https://graph.microsoft.com"
START = 1_800_000_000.0
WATCHERS = (Watcher("watcher@example.org"), Watcher("second@example.org"))


class LoopClock:
    """The emulator's time, which is the loop's."""

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()

    wall = now


class Tokens:
    """Access tokens by Entra's own forms: of the app, or of a watcher where one is named."""

    def __init__(self, tenant: "Tenant", username: str = "") -> None:
        self._tenant = tenant
        self._username = username
        self._token = ""
        self._until = 0.0

    async def token(self, *, renewed: bool = False) -> str:
        now = asyncio.get_running_loop().time()
        if renewed or now >= self._until:
            self._until = now + 3000.0
            self._token = await (self._of_watcher() if self._username else self._of_app())
        return self._token

    async def _of_app(self) -> str:
        form = {"grant_type": "client_credentials", "client_secret": self._tenant.world.client_secret}
        return await self._asked("token", form | {"scope": f"{ORIGIN}/.default"})

    async def _of_watcher(self) -> str:
        tenant = self._tenant
        form = {"scope": "Presence.Read.All openid offline_access", "client_id": tenant.world.client_id}
        started = (await tenant.http.post(tenant.login + "devicecode", data=form)).json()
        approval = f"/sign-ins/{started['user_code']}/approve"
        await tenant.control.post(approval, json={"username": self._username})
        kind = "urn:ietf:params:oauth:grant-type:device_code"
        return await self._asked("token", {"grant_type": kind, "device_code": started["device_code"]})

    async def _asked(self, what: str, form: dict[str, str]) -> str:
        tenant = self._tenant
        answer = await tenant.http.post(
            tenant.login + what, data=form | {"client_id": tenant.world.client_id}
        )
        return str(answer.raise_for_status().json()["access_token"])


class Tenant:
    """An emulated tenant with so many people, all of them free; `hook` gets the notifications."""

    def __init__(self, people: int, hook: httpx2.AsyncBaseTransport | None = None) -> None:
        users = tuple(User(f"user{number}@example.org") for number in range(people))
        self.world = World(client_secret="a-secret", users=users, watchers=WATCHERS)
        self.emulator = GraphEmulator(self.world, clock=Clock.of_loop(START), transport=hook, seed=7)
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.emulator.app), base_url=ORIGIN, timeout=None
        )
        self.control = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.emulator.control), base_url="http://127.0.0.1"
        )
        self.login = f"/{self.world.tenant_id}/oauth2/v2.0/"
        for user in users:
            self.says(user, "Available/Available")

    def says(self, user: User, pair: str) -> None:
        """What the person's Teams client reports from now on."""
        board, now = self.emulator.board, self.emulator.clock.now()
        changed = told(
            board.entry(user.id).presence, CLIENT_SESSION, Pair(*pair.split("/")), now, expires=None
        )
        self.emulator.put_presence(user, changed)

    def shows(self, user: User) -> str:
        return "/".join(self.emulator.board.entry(user.id).published)

    async def faults(self, **change: object) -> None:
        """Exactly these from now on."""
        await self.control.delete("/faults")
        (await self.control.post("/faults", json=change)).raise_for_status()

    def asked(self, what: str = "") -> list[tuple[float, int | None]]:
        """When each request with that in its path came, and the status that it was answered with."""
        entries = self.emulator.log.since(0)
        return [(entry.time - START, entry.status) for entry in entries if what in entry.path]
