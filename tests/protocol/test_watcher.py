"""One account's subscription, kept alive against a Graph that forgets, refuses and is away."""

import asyncio
import contextlib
import errno
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from presencebridge import files
from presencebridge.errors import LinkError, Refused
from presencebridge.files import FolderFiles, write_private
from presencebridge.graph.client import GraphClient
from presencebridge.graph.keys import EncryptionKey, EncryptionKeys, make_key
from presencebridge.graph.receiver import Watched
from presencebridge.graph.watcher import Watcher, list_all

pytestmark = pytest.mark.looptime

START = 1_800_000_000.0
URL = "https://hook.example.org/x"
ANN, BEN = "00000000-0000-4000-8000-0000000000a1", "00000000-0000-4000-8000-0000000000b2"
MINUTE, HOUR = 60.0, 3600.0

Fault = Callable[[httpx2.Request], httpx2.Response]


def passed() -> float:
    return asyncio.get_running_loop().time()


class Graph:
    """Subscriptions of one account, one at a time, as Graph has them. It forgets those that end."""

    def __init__(self) -> None:
        self.held: dict[str, dict] = {}
        self.log: list[tuple[float, str, dict]] = []
        self.faults: dict[str, Fault] = {}
        self.made = 0
        self.clock_ahead = 0.0
        self.keeps_old_key = False

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0.01)
        body = json.loads(request.content) if request.content else {}
        name = request.url.path.removeprefix("/v1.0/subscriptions").strip("/")
        word = request.method + (" one" if name else "")
        self.log.append((round(passed()), word, body))
        if word in self.faults:
            return self.faults[word](request)
        now = START + passed() + self.clock_ahead
        self.held = {key: one for key, one in self.held.items() if _end(one) > now}
        if word == "POST":
            return self._create(body)
        if word == "GET":
            return httpx2.Response(
                200, json={"value": [one | {"clientState": None} for one in self.held.values()]}
            )
        if name not in self.held:
            return httpx2.Response(404, json={"error": {"code": "ResourceNotFound", "message": "x"}})
        if word == "DELETE one":
            del self.held[name]
            return httpx2.Response(204)
        if word == "PATCH one":
            if self.keeps_old_key:
                body = {"expirationDateTime": body["expirationDateTime"]}
            self.held[name] |= body
        return httpx2.Response(200, json=self.held[name])

    def _create(self, body: dict) -> httpx2.Response:
        if any("presences" in one["resource"] for one in self.held.values()):
            return httpx2.Response(409, json={"error": {"code": "ExtensionError", "message": "Conflict"}})
        self.made += 1
        one = {name: value for name, value in body.items() if name != "encryptionCertificate"}
        self.held[f"s{self.made}"] = one | {"id": f"s{self.made}", "creatorId": "c3", "applicationId": None}
        return httpx2.Response(201, json=self.held[f"s{self.made}"])

    def words(self) -> list[str]:
        return [word for _, word, _ in self.log]

    def bodies(self, word: str) -> list[dict]:
        return [body for _, said, body in self.log if said == word]

    def times(self, word: str) -> list[float]:
        return [when for when, said, _ in self.log if said == word]


def _end(one: dict) -> float:
    return datetime.fromisoformat(one["expirationDateTime"]).timestamp()


class Tokens:
    def __init__(self) -> None:
        self.trouble: LinkError | None = None

    async def token(self, *, renewed: bool = False) -> str:
        if self.trouble:
            raise self.trouble
        return "token"


class Link:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.errors: list[LinkError] = []

    def connected(self) -> None:
        self._say("connected")

    def note(self, about: str, what: str, cure: str = "") -> None:
        self._say("degraded" if what else "connected")

    def failed(self, error: LinkError) -> None:
        self.errors.append(error)
        self._say(type(error).__name__)

    def _say(self, word: str) -> None:
        if self.said[-1:] != [word]:
            self.said.append(word)


_KEYS: list[EncryptionKey] = []


class Site:
    """A watcher with all that it hangs on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ahead = 0.0
        if not _KEYS:
            _KEYS.append(make_key(datetime.fromtimestamp(START, UTC)))
        write_private(folder / f"notification-key-{_KEYS[0].id}.pem", _KEYS[0].to_pem().encode())
        self.graph, self.tokens = Graph(), Tokens()
        self.start()

    def start(self) -> None:
        """As after a start of the process: nothing is known but what the files say."""
        http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(self.graph.answer), base_url="https://graph.microsoft.com"
        )
        self.client = GraphClient(http, self.tokens)
        self.keys = EncryptionKeys(FolderFiles(self.folder), self.now)
        self.watched, self.link = Watched(), Link()
        self.file = self.folder / "subscription-default.json"
        self.watcher = Watcher(
            self.client, self.keys, self.watched, self.link, FolderFiles(self.folder), "default", self.now
        )
        self.gaps: list[float] = []
        self.watcher.on_gap = lambda: self.gaps.append(round(passed()))
        self.watcher.watch((ANN, BEN), URL)

    def now(self) -> float:
        return START + passed() + self.ahead

    async def work(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.watcher.run()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# Life -------------------------------------------------------------------------------------------


async def test_a_subscription_is_made_at_once_and_its_secret_is_known_here_only(site):
    await site.work(1)
    (body,) = site.graph.bodies("POST")
    assert body["resource"] == f"/communications/presences?$filter=id in ('{ANN}','{BEN}')"
    assert body["notificationUrl"] == body["lifecycleNotificationUrl"] == URL
    assert body["encryptionCertificateId"] == _KEYS[0].id
    assert body["encryptionCertificate"] == _KEYS[0].certificate
    assert _end(body) == pytest.approx(START + HOUR, abs=1)
    assert 32 <= len(body["clientState"]) <= 128
    assert site.watched.client_states == {"s1": body["clientState"]}
    assert site.file.stat().st_mode & 0o777 == 0o600
    assert site.watcher.owns("s1")
    assert not site.watcher.owns("s2")
    assert site.gaps == [0]
    assert site.link.said == ["connected"]


async def test_it_is_renewed_long_before_its_hour_for_as_long_as_we_live(site):
    await site.work(12 * HOUR)
    renewed = [0, *site.graph.times("PATCH one")]
    assert len(renewed) > 20
    gaps = [later - earlier for earlier, later in itertools.pairwise(renewed)]
    assert max(gaps) <= 1510
    assert min(gaps) >= 1490
    assert site.graph.made == 1
    assert site.gaps == [0]
    assert all(set(body) == {"expirationDateTime"} for body in site.graph.bodies("PATCH one"))


async def test_graph_is_asked_every_five_minutes_whether_it_is_still_there(site):
    await site.work(1400)
    assert site.graph.times("GET one") == pytest.approx([300, 600, 900, 1200], abs=3)


async def test_a_subscription_that_is_gone_is_made_anew_and_everything_read_again(site):
    await site.work(10)
    site.graph.held.clear()
    await site.work(310)
    assert site.graph.words() == ["POST", "GET one", "POST"]
    assert list(site.watched.client_states) == ["s2"]
    assert len(site.gaps) == 2


async def test_one_that_is_gone_when_it_is_renewed_is_made_anew(site):
    site.graph.faults["GET one"] = lambda _: httpx2.Response(200, json=next(iter(site.graph.held.values())))
    await site.work(1450)
    site.graph.held.clear()
    del site.graph.faults["GET one"]
    site.graph.log.clear()
    await site.work(100)
    assert site.graph.words() == ["PATCH one", "POST"]
    assert len(site.gaps) == 2


async def test_nobody_to_watch_means_no_subscription(site):
    await site.work(10)
    site.watcher.watch((), URL)
    await site.work(10)
    assert site.graph.words() == ["POST", "DELETE one"]
    assert site.watched.client_states == {}
    assert not site.file.exists()
    await site.work(HOUR)
    assert site.graph.made == 1


@pytest.mark.parametrize(("ids", "url"), [((ANN,), URL), ((ANN, BEN, "c"), URL), ((ANN, BEN), URL + "/new")])
async def test_another_list_or_address_means_another_subscription(site, ids, url):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(60)
        site.watcher.watch(ids, url)
        await asyncio.sleep(10)
        assert site.graph.words() == ["POST", "DELETE one", "POST"]
        assert site.graph.bodies("POST")[1]["notificationUrl"] == url
        assert list(site.watched.client_states) == ["s2"]
        site.watcher.watch(ids[::-1], url)
        await asyncio.sleep(100)
        assert site.graph.made == 2
        working.cancel()


# What stands in the way ---------------------------------------------------------------------------


async def test_an_old_one_of_ours_in_the_way_is_cleared_away_and_others_are_left(site):
    end = datetime.fromtimestamp(START + HOUR, UTC).isoformat()
    site.graph.held = {
        "old": {"id": "old", "resource": "/communications/presences?$filter=x", "expirationDateTime": end},
        "mail": {"id": "mail", "resource": "/me/messages", "expirationDateTime": end},
    }
    await site.work(10)
    assert site.graph.words() == ["POST", "GET", "DELETE one", "POST"]
    assert set(site.graph.held) == {"mail", "s1"}
    assert list(site.watched.client_states) == ["s1"]


async def test_a_conflict_that_does_not_go_away_is_told_and_tried_again(site):
    site.graph.faults["POST"] = lambda _: httpx2.Response(409)
    await site.work(2 * MINUTE)
    assert site.link.said == ["Conflict"]
    assert 6 <= len(site.graph.times("POST")) <= 20
    del site.graph.faults["POST"]
    await site.work(2 * MINUTE)
    assert site.link.said == ["Conflict", "connected"]


@pytest.mark.parametrize("status", [400, 405, 422])
async def test_a_renewal_that_graph_does_not_take_means_a_new_subscription(site, status):
    site.graph.faults["PATCH one"] = lambda _: httpx2.Response(status)
    await site.work(1520)
    assert site.graph.words()[-3:] == ["PATCH one", "DELETE one", "POST"]
    assert list(site.graph.held) == ["s2"]
    assert len(site.gaps) == 2


async def test_a_right_that_was_taken_away_is_told_and_nothing_is_deleted(site):
    site.graph.faults["PATCH one"] = lambda _: httpx2.Response(403)
    await site.work(1600)
    assert site.link.said == ["connected", "Refused"]
    assert "DELETE one" not in site.graph.words()
    assert "Presence.Read.All" in site.link.errors[0].cure


async def test_graphs_retry_after_is_waited_out_even_where_it_is_longer_than_our_own(site):
    site.graph.faults["POST"] = lambda _: httpx2.Response(503, headers={"Retry-After": "200"})
    await site.work(390)
    assert site.graph.times("POST") == pytest.approx([0, 200], abs=2)


async def test_tries_become_rarer_and_stay_within_twenty_seconds(site):
    site.graph.faults["POST"] = lambda _: httpx2.Response(500)
    await site.work(10 * MINUTE)
    times = site.graph.times("POST")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] <= 3
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(20, abs=1)


async def test_after_an_hour_without_graph_a_new_one_is_made(site):
    await site.work(10)
    away = {word: (lambda _: httpx2.Response(503)) for word in ("GET one", "PATCH one", "POST")}
    site.graph.faults |= away
    await site.work(1.2 * HOUR)
    site.graph.faults.clear()
    await site.work(2 * MINUTE)
    assert list(site.graph.held) == ["s2"]
    assert len(site.gaps) == 2


@pytest.mark.parametrize("ahead", [-2 * HOUR, 2 * HOUR])
async def test_a_clock_that_differs_from_graphs_moves_no_renewal(site, ahead):
    def made(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        end = datetime.fromtimestamp(_end(body) + ahead, UTC).isoformat()
        return httpx2.Response(201, json={"id": "s1", "resource": "x", "expirationDateTime": end})

    site.graph.faults["POST"] = made
    await site.work(10)
    assert site.watcher.held.expires_at - site.now() == pytest.approx(HOUR if ahead > 0 else 2700, abs=15)


# A new key ----------------------------------------------------------------------------------------


async def test_a_new_key_reaches_graph_with_a_renewal(site):
    await site.work(10)
    new = site.keys.rotate()
    await site.work(6 * MINUTE)
    assert "DELETE one" not in site.graph.words()
    (body,) = site.graph.bodies("PATCH one")
    assert body["encryptionCertificateId"] == new.id == site.graph.held["s1"]["encryptionCertificateId"]
    assert body["encryptionCertificate"] == new.certificate
    assert site.watcher.held.certificate_id == new.id
    assert len(site.keys.private_keys()) == 2


async def test_a_graph_that_keeps_the_old_key_is_given_a_new_subscription(site):
    await site.work(10)
    new = site.keys.rotate()
    site.graph.keeps_old_key = True
    site.graph.log.clear()
    await site.work(10 * MINUTE)
    assert site.graph.words()[:3] == ["PATCH one", "DELETE one", "POST"]
    assert site.graph.bodies("POST")[0]["encryptionCertificateId"] == new.id
    assert len(site.graph.times("PATCH one")) == 1
    assert list(site.graph.held) == ["s2"]


# What Graph tells ---------------------------------------------------------------------------------


async def test_a_call_for_reauthorization_is_answered_by_a_renewal_and_a_full_read(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        site.watcher.lifecycle("reauthorizationRequired")
        await asyncio.sleep(1)
        assert site.graph.times("PATCH one") == [100]
        assert site.gaps == [0, 100]
        assert not any(word.startswith("POST one") for word in site.graph.words())
        working.cancel()


async def test_a_removed_subscription_is_made_anew(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        site.graph.held.clear()
        site.watcher.lifecycle("subscriptionRemoved")
        assert site.watched.client_states == {}
        await asyncio.sleep(5)
        assert list(site.watched.client_states) == ["s2"]
        working.cancel()


async def test_missed_notifications_mean_a_full_read_and_nothing_else(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        site.watcher.lifecycle("missed")
        await asyncio.sleep(5)
        assert site.gaps == [0, 100]
        assert site.graph.words() == ["POST"]
        working.cancel()


async def test_a_storm_of_events_is_answered_every_five_seconds_at_the_most(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        for _ in range(600):
            site.watcher.lifecycle("reauthorizationRequired")
            await asyncio.sleep(0.1)
        assert 10 <= len(site.graph.times("PATCH one")) <= 13
        working.cancel()


async def test_a_silent_subscription_is_replaced_and_doubted_until_it_tells(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        site.watcher.suspect()
        assert site.link.said == ["connected", "degraded"]
        await asyncio.sleep(10)
        assert site.graph.words() == ["POST", "DELETE one", "POST"]
        assert len(site.gaps) == 2
        await asyncio.sleep(400)
        assert site.graph.made == 2
        assert site.watcher.is_doubted
        site.watcher.heard()
        assert not site.watcher.is_doubted
        assert site.link.said == ["connected", "degraded", "connected"]
        working.cancel()


async def test_one_that_stays_silent_is_replaced_every_ten_minutes_at_the_most(site):
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(site.watcher.run())
        await asyncio.sleep(100)
        for _ in range(30):
            site.watcher.suspect()
            await asyncio.sleep(60)
        assert site.graph.times("POST") == pytest.approx([0, 100, 700, 1300], abs=6)
        working.cancel()


# The sign-in --------------------------------------------------------------------------------------


async def test_a_sign_in_that_died_is_told_with_its_cure_and_nothing_is_lost(site):
    await site.work(10)
    site.tokens.trouble = Refused("the sign-in has ended", cure="sign in again")
    await site.work(10 * MINUTE)
    assert site.link.said == ["connected", "Refused"]
    assert site.link.errors[-1].cure == "sign in again"
    assert site.watcher.owns("s1")
    site.tokens.trouble = None
    await site.work(2 * MINUTE)
    assert site.link.said == ["connected", "Refused", "connected"]
    assert site.graph.made == 1


async def test_a_sign_in_that_dies_at_a_renewal_does_not_cost_the_subscription(site):
    await site.work(10)
    site.tokens.trouble = Refused("the sign-in has ended")
    site.watcher.lifecycle("reauthorizationRequired")
    await site.work(10)
    assert site.watcher.owns("s1")
    assert site.graph.words() == ["POST"]


# Restarts and the disk ----------------------------------------------------------------------------


async def test_a_restart_picks_up_the_kept_subscription(site):
    await site.work(10)
    states = dict(site.watched.client_states)
    site.start()
    assert site.watched.client_states == states
    await site.work(10)
    assert site.graph.made == 1
    assert site.watcher.owns("s1")


async def test_a_restart_after_the_hour_makes_a_new_one(site):
    await site.work(10)
    await asyncio.sleep(2 * HOUR)
    site.start()
    await site.work(10)
    assert list(site.watched.client_states) == ["s2"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_restart_with_a_clock_that_was_set_back_for_hours_renews_at_once(site, lost):
    site.ahead = 10 * HOUR  # ours was, and Graph's was right
    site.start()
    await site.work(400)
    if lost:
        site.graph.held.clear()
    site.ahead = 0.0
    site.start()
    await site.work(10)
    words = [word for when, word, _ in site.graph.log if when >= 400]
    assert words == (["PATCH one", "POST"] if lost else ["PATCH one"])
    for _ in range(100):
        await site.work(6 * MINUTE)
        assert len(site.graph.held) == 1
        assert site.watcher.owns(*site.graph.held)


@pytest.mark.parametrize("torn", [b"", b"{", b'{"id":1}', b"\xff\xfe", b'{"id":"\xff"}', b"[" * 100_000])
async def test_a_torn_file_is_no_file(site, torn):
    await site.work(10)
    site.file.write_bytes(torn)
    site.start()
    await site.work(10)
    assert site.graph.words() == ["POST", "POST", "GET", "DELETE one", "POST"]
    assert list(site.watched.client_states) == ["s2"]


async def test_a_full_disk_does_not_end_the_watch(site, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_private", full)
    await site.work(2 * HOUR)
    assert site.graph.made == 1
    assert len(site.graph.times("PATCH one")) == 4
    assert site.link.said == ["connected"]


async def test_lists_of_several_pages_are_read_whole(site):
    end = datetime.fromtimestamp(START + HOUR, UTC).isoformat()

    def page(request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.params.get("$skiptoken", "0"))
        value = [{"id": f"s{number}", "resource": "x", "expirationDateTime": end}]
        link = f"https://graph.microsoft.com/v1.0/subscriptions?$skiptoken={number + 1}"
        return httpx2.Response(200, json={"value": value} | ({"@odata.nextLink": link} if number < 2 else {}))

    site.graph.faults["GET"] = page
    assert [one.id for one in await list_all(site.client)] == ["s0", "s1", "s2"]


async def test_pages_that_never_end_are_given_up(site):
    link = "https://graph.microsoft.com/v1.0/subscriptions?$skiptoken=1"
    site.graph.faults["GET"] = lambda _: httpx2.Response(200, json={"value": [], "@odata.nextLink": link})
    assert await list_all(site.client) == []
