"""Graph in trouble, as its emulator plays it, and the bridge behind it: in virtual time."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from graph_kit import ORIGIN, LoopClock, Tenant, Tokens
from site_kit import FakePbx

from presencebridge.adapters import Outside
from presencebridge.config import Config, load
from presencebridge.core.events import LegsSeen, StatusSeen
from presencebridge.core.model import LegState
from presencebridge.core.policy import SEED
from presencebridge.graph.client import Budget, GraphClient
from presencebridge.graph.teams import GraphTeams
from presencebridge.node.site import Site
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.links import Link, LinkState
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.store.memory import MemoryStore
from presencebridge.web.webhook import Webhook

pytestmark = pytest.mark.looptime

EVERY_S = 5.0
CALL_OF = "105"
PRESENCE = "resence"
"""In the path of reads and writes of presence."""


def passed() -> float:
    return asyncio.get_running_loop().time()


class Bridge:
    """The hub with both sides: Graph is the emulator, 3CX a fake that does what it is told."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.clock, self.pbx = tenant, LoopClock(), FakePbx()
        users = tenant.world.users
        self.people = People(
            [Member(str(100 + number), user.user_principal_name, SEED) for number, user in enumerate(users)]
        )
        for member, user in zip(self.people, users, strict=True):
            self.people.identify(member, user.id, member.key)
        graph = GraphClient(tenant.http, Tokens(tenant), Budget())
        self.teams = GraphTeams(graph, tenant.world.client_id)
        self.link = Link("graph", self.clock.now)
        self.hub = Hub(self.people, MemoryStore(), self.teams, self.pbx, self.clock, Journal())
        self.reader = PresenceReader(self.people, self.teams, self.link, self.clock, 4, EVERY_S)
        self.reader.on_seen = self.hub.seen
        self.reader.on_back = self.hub.teams_found
        self.hub.on_read_wanted = self.reader.want
        self.hub.on_teams_failed = lambda member: self.reader.want(member, self.clock.now())

    def tell_calm(self) -> None:
        """3CX shows everybody free, and nobody on the phone."""
        for member in self.people:
            self.hub.post(member.key, LegsSeen(()))
            self.hub.post(member.key, StatusSeen("Available", self.clock.now()))

    def wrong(self) -> list[str]:
        """Whose status on 3CX is not what Teams asks for."""
        found = []
        for member, user in zip(self.people, self.tenant.world.users, strict=True):
            wanted = "Away" if self.tenant.shows(user) == "Busy/InAMeeting" else "Available"
            if self.pbx.statuses.get(member.key, "Available") != wanted:
                found.append(member.key)
        return found


@contextlib.asynccontextmanager
async def running(count: int) -> AsyncIterator[Bridge]:
    tenant = Tenant(count)
    async with tenant.emulator:
        bridge = Bridge(tenant)
        await bridge.hub.load()
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(bridge.hub.run()), tasks.create_task(bridge.reader.run())]
            await asyncio.sleep(0)
            bridge.tell_calm()
            await asyncio.sleep(12)
            yield bridge
            for loop in loops:
                loop.cancel()


async def test_a_minute_of_429_a_minute_of_503_and_a_minute_of_silence():
    async with running(10) as bridge:
        tenant, users = bridge.tenant, bridge.tenant.world.users
        assert bridge.wrong() == []
        assert bridge.link.report.state is LinkState.CONNECTED

        await tenant.faults(status={"code": 429, "retry_after_s": 13, "path": PRESENCE})
        tenant.says(users[0], "Busy/InAMeeting")
        bridge.hub.post(CALL_OF, LegsSeen((LegState.CONNECTED,)))
        await asyncio.sleep(60)
        await tenant.faults(status={"code": 503, "path": PRESENCE})
        tenant.says(users[1], "Busy/InAMeeting")
        await asyncio.sleep(60)
        await tenant.faults(hang={"path": PRESENCE})
        tenant.says(users[2], "Busy/InAMeeting")
        tenant.says(users[1], "Available/Available")
        await asyncio.sleep(60)
        assert bridge.link.report.state is LinkState.DOWN
        await tenant.faults()
        over = passed()

        await asyncio.sleep(EVERY_S)
        assert bridge.wrong() == []
        assert tenant.shows(users[int(CALL_OF) - 100]) == "Busy/InACall", "what waited for its next try too"
        assert bridge.link.report.state is LinkState.CONNECTED
        answers = tenant.asked(PRESENCE)
        for when, status in answers:
            if status == 429:
                early = [later for later, _ in answers if when < later < when + 13.0]
                assert early == [], "no request is sent before the time that Graph named"
        refused = [when for when, status in answers if status == 503]
        assert len(refused) < 40
        assert len([when for when, _ in answers if when > over]) < 30, "and it is not overrun afterwards"
        await asyncio.sleep(60)
        assert bridge.wrong() == []


# A subscription that falls silent -----------------------------------------------------------------

CONFIG = f"""
[teams]
tenant_id = "{{tenant}}"
client_id = "{{client}}"
client_secret_file = "secret"
delivery = "webhook"
reconcile_every_s = 300
graph_url = "{ORIGIN}"
login_url = "{ORIGIN}"
[teams.webhook]
public_url = "https://pbx.example.org/hook"
watchers = ["one", "two"]
listen = "127.0.0.1:0"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:9"
[policy]
manual_wins = false
[operator]
listen = "127.0.0.1:0"
[state]
dir = "state"
"""


class Hook(httpx2.AsyncBaseTransport):
    """Whatever the emulator posts goes to the webhook, once there is one."""

    def __init__(self) -> None:
        self.app: object = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await httpx2.ASGITransport(self.app).handle_async_request(request)


class InProcess(Outside):
    """The emulator for Graph, and no sockets, threads or clock."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        names = (watcher.username for watcher in tenant.world.watchers)
        self.accounts = dict(zip(("one", "two"), names, strict=True))

    def clock(self) -> LoopClock:
        return LoopClock()

    def http(self, url: str, ca_file: Path | None) -> httpx2.AsyncClient:
        return self.tenant.http

    def watcher_tokens(self, config: Config, name: str) -> Tokens:
        return Tokens(self.tenant, self.accounts[name])

    def workers(self) -> contextlib.nullcontext:
        return contextlib.nullcontext()


class Watched:
    """The service's own wiring of Teams, with the emulator for Graph and no listener, disk or threads."""

    def __init__(self, folder: Path) -> None:
        self.hook = Hook()
        self.tenant = Tenant(8, self.hook)
        world = self.tenant.world
        (folder / "secret").write_text("a-secret")
        (folder / "secret").chmod(0o600)
        (folder / "state").mkdir()
        text = CONFIG.format(tenant=world.tenant_id, client=world.client_id)
        for number, user in enumerate(world.users):
            text += f'[[person]]\nteams = "{user.user_principal_name}"\nextension = "{100 + number}"\n'
        (folder / "site.toml").write_text(text)
        self.config = load(folder / "site.toml")
        self.pbx = FakePbx()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        outside = InProcess(self.tenant)
        clock = outside.clock()
        async with self.tenant.emulator, contextlib.AsyncExitStack() as stack:
            service = Site(self.config, outside=outside)
            graph = GraphClient(self.tenant.http, Tokens(self.tenant), service._budget)
            teams = GraphTeams(graph, self.config.teams.client_id)
            service.hub = Hub(service.people, MemoryStore(), teams, self.pbx, clock, service.journal)
            await service.hub.load()
            service._connect_teams(teams)
            receiver = await service._connect_webhook(stack, self.tenant.http)
            self.hook.app = Webhook("/hook", receiver.offer, service.too_large)
            for member, user in zip(service.people, self.tenant.world.users, strict=True):
                service.people.identify(member, user.id, member.key)
            service._watch()
            async with asyncio.TaskGroup() as tasks:
                loops = [
                    tasks.create_task(loop)
                    for loop in (
                        service.hub.run(),
                        service._reader.run(),
                        receiver.run(),
                        service._keep_subscriptions(),
                    )
                ]
                await asyncio.sleep(0)
                for member in service.people:
                    service.hub.post(member.key, LegsSeen(()))
                    service.hub.post(member.key, StatusSeen("Available", clock.now()))
                await asyncio.sleep(120)
                yield service
                for loop in loops:
                    loop.cancel()


def of_subscriptions(service: Site) -> list[LinkState]:
    return [report.state for report in service.links.reports() if report.name.startswith("subscription")]


async def test_an_hour_without_notifications_is_found_told_and_cured(tmp_path):
    watched = Watched(tmp_path)
    tenant, people = watched.tenant, watched.tenant.world.users
    async with watched.running() as service:
        assert of_subscriptions(service) == [LinkState.CONNECTED, LinkState.CONNECTED]
        tenant.says(people[0], "Busy/InAMeeting")
        await asyncio.sleep(2)
        assert watched.pbx.statuses["100"] == "Away", "notifications act at once"
        before = set(tenant.emulator.subscriptions)

        await tenant.faults(notifications={"silent_stop": True})
        silent_since = passed()
        changes = itertools.cycle(("Busy/InAMeeting", "Available/Available"))
        while LinkState.DEGRADED not in of_subscriptions(service) and passed() < silent_since + 700:
            await asyncio.sleep(1)
            if int(passed()) % 60 == 0:  # somebody changes every minute
                tenant.says(people[int(passed() / 60) % 8], next(changes))
        assert passed() - silent_since <= 2 * 300
        report = next(one for one in service.links.reports() if one.state is LinkState.DEGRADED)
        assert report.name.startswith("subscription ")
        assert "did not tell of" in report.reason
        await asyncio.sleep(30)
        assert set(tenant.emulator.subscriptions) != before

        # For as long as it stays silent, a change is found by polls, and nothing is replaced all the time.
        created = len([when for when, status in tenant.asked("/subscriptions") if status == 201])
        for number in range(20):
            pair = ("Busy/InAMeeting", "Available/Available")[number % 2]
            tenant.says(people[3], pair)
            await asyncio.sleep(8)
            wanted = "Away" if pair == "Busy/InAMeeting" else "Available"
            assert watched.pbx.statuses.get("103", "Available") == wanted
            await asyncio.sleep(112)
        late = len([when for when, status in tenant.asked("/subscriptions") if status == 201])
        assert late - created <= 8

        await tenant.faults()
        for user in people:
            tenant.says(user, "DoNotDisturb/DoNotDisturb")
        await asyncio.sleep(5)
        assert of_subscriptions(service) == [LinkState.CONNECTED, LinkState.CONNECTED]
        tenant.emulator.log.clear()
        tenant.says(people[5], "Available/Available")
        await asyncio.sleep(60)
        assert len(tenant.asked("getPresencesByUserId")) < 8, "back to the slow look"
