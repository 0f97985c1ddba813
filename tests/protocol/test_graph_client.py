"""Calls carried out: tokens, Retry-After, budgets, time limits, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest

from presencebridge.core.model import Presence
from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.graph import calls
from presencebridge.graph.client import BUDGET_PER_S, Budget, GraphClient
from presencebridge.graph.teams import GraphTeams

pytestmark = pytest.mark.looptime

ANN = "00000000-0000-4000-8000-0000000000a1"
READ = calls.read_presences([ANN])
WRITE = calls.clear_presence(ANN, "app")
LIST = calls.list_subscriptions()
NONE = b'{"value":[]}'


class Tokens:
    """Tokens by the number of renewals; getting one may take a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.renewals = 0
        self.seconds = seconds
        self.trouble: LinkError | None = None

    async def token(self, *, renewed: bool = False) -> str:
        await asyncio.sleep(self.seconds)
        if self.trouble:
            raise self.trouble
        self.renewals += renewed
        return f"token-{self.renewals}"


class Graph:
    """A transport that notes when each request left, and answers by `answer`."""

    def __init__(self, answer: Callable[[httpx2.Request], httpx2.Response] | None = None) -> None:
        self.answer = answer or (lambda _: httpx2.Response(200, content=NONE))
        self.left: list[tuple[float, str, str]] = []
        self.tokens = Tokens()
        http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(self._take), base_url="https://graph.microsoft.com"
        )
        self.client = GraphClient(http, self.tokens)

    async def _take(self, request: httpx2.Request) -> httpx2.Response:
        now = round(asyncio.get_running_loop().time(), 3)
        self.left.append((now, request.url.path, request.headers["authorization"]))
        await asyncio.sleep(0.01)
        return self.answer(request)

    def times(self, path: str = "") -> list[float]:
        return [when for when, at, _ in self.left if path in at]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_request_carries_the_token_and_its_body_as_json():
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content=NONE)

    graph = Graph(answer)
    await graph.client.run(READ)
    await graph.client.run(LIST)
    assert seen[0].headers["authorization"] == "Bearer token-0"
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].content == b'{"ids":["00000000-0000-4000-8000-0000000000a1"]}'
    assert "content-type" not in seen[1].headers


async def test_clearing_a_preferred_presence_sends_an_empty_object():
    seen: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return httpx2.Response(200)

    await Graph(answer).client.run(calls.clear_preferred(ANN))
    assert seen == [b"{}"]


# Tokens -------------------------------------------------------------------------------------------


async def test_a_refused_token_is_renewed_once_and_the_call_repeated():
    graph = Graph()
    graph.answer = lambda request: httpx2.Response(
        401 if request.headers["authorization"].endswith("0") else 200, content=NONE
    )
    await graph.client.run(READ)
    assert [token for _, _, token in graph.left] == ["Bearer token-0", "Bearer token-1"]


async def test_a_renewed_token_that_is_refused_too_is_an_error():
    graph = Graph(lambda _: httpx2.Response(401))
    with pytest.raises(Refused) as raised:
        await graph.client.run(READ)
    assert raised.value.status == 401
    assert len(graph.left) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500])
async def test_nothing_else_is_repeated(status):
    graph = Graph(lambda _: httpx2.Response(status))
    with pytest.raises(LinkError):
        await graph.client.run(READ)
    assert len(graph.left) == 1
    assert graph.tokens.renewals == 0


async def test_a_sign_in_that_died_is_told_and_graph_is_not_asked():
    graph = Graph()
    graph.tokens.trouble = Refused("the sign-in has ended", cure="sign in again")
    with pytest.raises(Refused) as raised:
        await graph.client.run(READ)
    assert raised.value.cure == "sign in again"
    assert graph.left == []


# Retry-After --------------------------------------------------------------------------------------


def throttled(path: str, seconds: str, status: int = 429) -> Callable[[httpx2.Request], httpx2.Response]:
    """Refuses the first request on a path."""
    paths = {path}

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path in paths:
            paths.remove(request.url.path)
            return httpx2.Response(status, headers={"Retry-After": seconds})
        return httpx2.Response(200, content=NONE)

    return answer


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_back_everybody_who_uses_that_budget(status):
    graph = Graph(throttled(READ.path, "10", status))
    with pytest.raises(TryAgain) as raised:
        await graph.client.run(READ)
    assert raised.value.after_s == 10.0
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(graph.client.run(WRITE))
        tasks.create_task(graph.client.run(calls.set_presence(ANN, "app", Presence("a", "b"), 300)))
        tasks.create_task(graph.client.run(LIST))
    assert graph.times("subscriptions") == [0.01]
    assert [when for when in graph.times("/communications/") + graph.times("/presence/") if when > 0] == [
        pytest.approx(10.01, abs=0.005)
    ] * 6


async def test_without_retry_after_nobody_is_held_back():
    graph = Graph()
    graph.answer = lambda _: httpx2.Response(429)
    with pytest.raises(TryAgain) as raised:
        await graph.client.run(READ)
    assert raised.value.after_s is None
    graph.answer = lambda _: httpx2.Response(200, content=NONE)
    await graph.client.run(READ)
    assert now() < 1


async def test_a_later_retry_after_extends_the_wait_and_an_earlier_one_does_not_shorten_it():
    graph = Graph()
    waits = iter(["10", "3"])
    graph.answer = lambda _: httpx2.Response(429, headers={"Retry-After": next(waits)})
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(_refused(graph, READ))
    graph.answer = lambda _: httpx2.Response(200, content=NONE)
    await graph.client.run(WRITE)
    assert graph.times()[-1] == pytest.approx(10.01, abs=0.005)


async def test_who_waits_for_the_budget_while_the_gate_closes_does_not_leave_early():
    graph = Graph(throttled("/v1.0/subscriptions", "30"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_refused(graph, LIST))
        for _ in range(4):
            tasks.create_task(graph.client.run(LIST))
    first, *others = graph.times()
    assert first == 0
    assert min(others) >= 30.01


async def test_who_waits_for_a_token_while_the_gate_closes_does_not_leave_early():
    graph = Graph(throttled(READ.path, "30"))
    graph.tokens.seconds = 5.0

    async def first() -> None:
        await _refused(graph, READ)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first())
        await asyncio.sleep(1)
        tasks.create_task(graph.client.run(WRITE))
    assert graph.times() == [5.0, pytest.approx(35.01, abs=0.005)]


async def test_a_renewed_token_does_not_pass_a_closed_gate():
    graph = Graph()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == READ.path:
            return httpx2.Response(429, headers={"Retry-After": "20"})
        old = request.headers["authorization"].endswith("0")
        return httpx2.Response(401 if old else 200, content=NONE)

    graph.answer = answer
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(graph.client.run(WRITE))
        tasks.create_task(_refused(graph, READ))
    assert graph.times("clearPresence") == [0.0, pytest.approx(20.01, abs=0.005)]


async def test_polls_do_not_queue_up_at_a_closed_gate():
    graph = Graph(throttled("/v1.0/users/" + ANN + "/presence/clearPresence", "30"))
    told: list[TryAgain] = []

    async def poll() -> None:
        try:
            await graph.client.run(READ)
        except TryAgain as error:
            told.append(error)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(poll())
        tasks.create_task(_refused(graph, WRITE))
        await asyncio.sleep(1)
        tasks.create_task(poll())
    assert now() < 2, "nobody waited"
    assert [error.after_s for error in told] == pytest.approx([30.0] * (len(told) - 1) + [29.0], abs=0.1)
    assert len(told) + len(graph.times("communications")) == 61
    assert 10 < len(told) < 40


# Budgets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "resource", "published", "window_s"),
    [(READ, "presence", 1500, 30), (LIST, "subscriptions", 25, 20)],
)
async def test_a_burst_stays_below_what_graph_publishes(call, resource, published, window_s):
    graph = Graph()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(BUDGET_PER_S[resource] * 40):
            tasks.create_task(graph.client.run(call))
    times = graph.times()
    windows = [sum(start <= when < start + window_s for when in times) for start in times[::29]]
    assert 0.5 * published < max(windows) < published
    assert times[-1] < 60


async def test_a_write_never_waits_behind_polls():
    graph = Graph()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(400):
            tasks.create_task(graph.client.run(READ))
        await asyncio.sleep(3)
        asked_at = now()
        for _ in range(20):
            tasks.create_task(graph.client.run(calls.clear_presence(ANN, "app")))
    writes = graph.times("clearPresence")
    assert writes[0] - asked_at < 0.05
    assert writes[-1] - asked_at < 0.6
    assert graph.times()[-1] > 9


async def test_who_was_let_through_when_the_gate_closes_at_that_very_moment_waits_all_the_same():
    gate = Budget().gates["presence"]
    gate.close(10.0)

    async def refused_at_once() -> None:
        await gate.wait()
        gate.close(30.0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(refused_at_once())
        tasks.create_task(gate.wait())
    assert now() >= 40.0


async def test_who_gives_up_waiting_takes_nobodys_place():
    graph = Graph()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(graph.client.run(LIST)) for _ in range(6)]
        await asyncio.sleep(0.5)
        for task in waiting[1:5]:
            task.cancel()
    assert graph.times() == pytest.approx([0.0, 1.0], abs=0.01)


# Trouble on the way -------------------------------------------------------------------------------


async def test_a_graph_that_does_not_answer_is_given_up_after_twenty_seconds():
    graph = Graph()

    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(hang), base_url="https://graph.microsoft.com")
    client = GraphClient(http, graph.tokens)
    with pytest.raises(TryAgain, match="did not answer within 20 s"):
        await client.run(READ)
    assert now() == pytest.approx(20.0)


@pytest.mark.parametrize(
    "fault",
    [
        httpx2.ConnectError("[Errno -2] Name or service not known"),
        httpx2.ReadTimeout(""),
        httpx2.ProxyError("407 Proxy Authentication Required"),
        httpx2.RemoteProtocolError("Server disconnected"),
        httpx2.DecodingError("Error -3 while decompressing data"),
        httpx2.TooManyRedirects("Exceeded maximum allowed redirects."),
        httpx2.InvalidURL("Invalid non-printable ASCII character in URL"),
    ],
)
async def test_a_graph_that_can_not_be_reached_may_be_later(fault):
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise fault

    with pytest.raises(TryAgain, match=r"^Graph can't be reached: .+") as raised:
        await Graph(fail).client.run(READ)
    assert "[teams]" in raised.value.cure
    assert "token" not in str(raised.value)


class Endless(httpx2.AsyncByteStream):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1_000_000
            await asyncio.sleep(self.seconds)


@pytest.mark.parametrize(("seconds", "says"), [(0.0, "has no end"), (7.0, "did not answer")])
async def test_a_body_without_end_is_not_read_for_ever(seconds, says):
    graph = Graph(lambda _: httpx2.Response(200, stream=Endless(seconds)))
    with pytest.raises(LinkError, match=says):
        await graph.client.run(READ)
    assert now() <= 20.01


@pytest.mark.parametrize(
    ("status", "kind"), [(200, LinkError), (302, Refused), (403, Refused), (407, Refused), (502, TryAgain)]
)
async def test_a_proxys_page_is_never_quoted(status, kind):
    page = b"<html>Blocked: policy 17, user CORP\\ann, Bearer token-0</html>"
    graph = Graph(lambda _: httpx2.Response(status, content=page))
    with pytest.raises(kind) as raised:
        await graph.client.run(READ)
    assert "CORP" not in str(raised.value)
    assert "token-0" not in str(raised.value)


async def test_a_broken_compression_is_trouble_and_no_crash():
    broken = {"Content-Encoding": "gzip"}
    graph = Graph(lambda _: httpx2.Response(200, headers=broken, stream=Once(b"no gzip at all")))
    with pytest.raises(TryAgain):
        await graph.client.run(READ)


class Once(httpx2.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body


async def _refused(graph: Graph, call: calls.Call) -> None:
    with pytest.raises(TryAgain):
        await graph.client.run(call)


# What the bridge does with it ---------------------------------------------------------------------


async def test_ending_a_session_that_is_not_there_is_done():
    await GraphTeams(Graph(lambda _: httpx2.Response(404)).client, "app").clear_presence(ANN)


async def test_setting_a_session_of_somebody_who_is_not_there_is_an_error():
    teams = GraphTeams(Graph(lambda _: httpx2.Response(404)).client, "app")
    with pytest.raises(LinkError):
        await teams.set_presence(ANN, Presence("Busy", "InACall"), 300)


async def test_people_are_found_in_groups_by_name_mail_or_id_whatever_the_case():
    users = [
        {"id": f"id-{n}", "userPrincipalName": f"U{n}@example.org", "mail": f"Mail{n}@example.org"}
        for n in range(20)
    ]
    users.append({"id": "odd", "userPrincipalName": "mail3@example.org", "mail": None, "displayName": None})
    graph = Graph(lambda _: httpx2.Response(200, json={"value": users}))
    names = [f"u{n}@example.org" for n in range(10)] + ["mail3@example.org", "mail12@EXAMPLE.org", "no@x"]
    found = await GraphTeams(graph.client, "app").find([*names, ANN.upper()])
    assert len(graph.left) == 2
    ids = {name: [one.id for one in users] for name, users in found.items()}
    assert ids["u7@example.org"] == ["id-7"]
    assert ids["mail3@example.org"] == ["odd"]  # a principal name before somebody's mail
    assert ids["mail12@EXAMPLE.org"] == ["id-12"]
    assert ids[ANN.upper()] == [ANN.upper()]
    assert "no@x" not in found


async def test_nobody_to_find_is_no_request():
    graph = Graph()
    assert await GraphTeams(graph.client, "app").find([]) == {}
    assert graph.left == []


async def test_one_persons_odd_data_costs_nobody_else():
    odd = [{"id": "a", "availability": None, "activity": "x"}, 5, {"id": "b"}]
    good = {"id": ANN, "availability": "Busy", "activity": "Busy"}
    graph = Graph(lambda _: httpx2.Response(200, json={"value": [*odd, good]}))
    (read,) = await GraphTeams(graph.client, "app").presences([ANN])
    assert read.id == ANN
    users = [{"id": 5, "mail": "odd@x"}, {"id": "good", "mail": "good@x"}]
    graph = Graph(lambda _: httpx2.Response(200, json={"value": users}))
    found = await GraphTeams(graph.client, "app").find(["odd@x", "good@x"])
    assert [user.id for (user,) in found.values()] == ["good"]


async def test_a_name_that_graph_refuses_costs_nobody_else():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "odd" in str(request.url):
            return httpx2.Response(400)
        users = [
            {"id": f"id-{n}", "mail": f"m{n}@x"}
            for n in range(6)
            if f"m{n}@x" in request.url.params["$filter"]
        ]
        return httpx2.Response(200, json={"value": users})

    names = ["m0@x", "odd@x", *(f"m{n}@x" for n in range(1, 6))]
    found = await GraphTeams(Graph(answer).client, "app").find(names)
    assert sorted(found) == [f"m{n}@x" for n in range(6)]


async def test_a_kept_connection_that_graph_had_given_up_is_no_trouble():
    times = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal times
        times += 1
        if times == 1:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx2.Response(200, json={"value": []})

    assert (await Graph(answer).client.run(READ)).value == ()
    assert times == 2


async def test_a_connection_that_was_cut_is_not_tried_again_before_a_retry_after_is_over():
    """Somebody else's answer asks to wait while the request is under way."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == READ.path:
            return httpx2.Response(429, headers={"Retry-After": "20"})
        raise httpx2.ReadError("cut")

    graph = Graph(answer)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_refused(graph, READ))
        tasks.create_task(_refused(graph, WRITE))
    assert len(graph.times("clearPresence")) == 1
