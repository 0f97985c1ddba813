"""Who there is in Entra: everybody in pages, and people by name."""

from collections.abc import Callable

import httpx2
import pytest

from presencebridge.errors import Malformed, Refused, TryAgain
from presencebridge.graph import calls, teams
from presencebridge.graph.client import GraphClient
from presencebridge.graph.teams import GraphTeams

BASE = "https://graph.microsoft.com"
FURTHER = "otherMails"


class Tokens:
    async def token(self, *, renewed: bool = False) -> str:
        return "secret-token"


class Graph:
    """Answers by `answer`, and keeps what was asked."""

    def __init__(self, answer: Callable[[httpx2.Request], httpx2.Response]) -> None:
        self.asked: list[httpx2.Request] = []
        self.answer = answer
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._take), base_url=BASE)
        self.teams = GraphTeams(GraphClient(http, Tokens()), "app")

    def _take(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return self.answer(request)


def user(number: int, **fields: object) -> dict[str, object]:
    names = {
        "id": f"id-{number}",
        "userPrincipalName": f"U{number}@example.org",
        "mail": f"m{number}@example.org",
    }
    return names | fields


def pages(users: list[dict[str, object]], size: int = 999) -> Callable[[httpx2.Request], httpx2.Response]:
    """All of them, a page for a request."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        start = int(request.url.params.get("$skiptoken", 0))
        body: dict[str, object] = {"value": users[start : start + size]}
        if start + size < len(users):
            kept = request.url.params["$select"]
            body["@odata.nextLink"] = f"{BASE}/v1.0/users?$select={kept}&$skiptoken={start + size}"
        return httpx2.Response(200, json=body)

    return answer


async def test_everybody_is_read_page_by_page():
    graph = Graph(pages([user(n, accountEnabled=True) for n in range(2500)]))
    everybody = await graph.teams.everybody()
    assert [one.id for one in everybody.users] == [f"id-{n}" for n in range(2500)]
    assert everybody.in_full
    assert [request.url.params.get("$top") for request in graph.asked] == ["999", None, None]
    fields = "id,userPrincipalName,mail,displayName,otherMails,proxyAddresses,accountEnabled,userType"
    assert {request.url.params["$select"] for request in graph.asked} == {fields}


async def test_what_is_told_of_somebody_is_understood():
    told = user(
        1,
        displayName="Ann",
        otherMails=["ann@home.example.com"],
        proxyAddresses=["SMTP:m1@example.org", "smtp:annie@example.org", "SIP:ann@example.org"],
        accountEnabled=False,
        userType="Guest",
    )
    (one,) = (await Graph(pages([told])).teams.everybody()).users
    assert one.further == ("m1@example.org", "annie@example.org", "ann@home.example.com")
    assert (one.display_name, one.enabled, one.guest) == ("Ann", False, True)


async def test_what_is_not_for_us_comes_as_null_and_is_noticed():
    nothing = {"otherMails": [], "proxyAddresses": [], "accountEnabled": None, "userType": None}
    everybody = await Graph(pages([user(1, **nothing), user(2, otherMails=None)])).teams.everybody()
    assert not everybody.in_full
    assert [(one.further, one.enabled, one.guest) for one in everybody.users] == [((), True, False)] * 2


async def test_where_further_fields_are_refused_the_basic_ones_are_read():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if FURTHER in request.url.params["$select"]:
            return httpx2.Response(
                403, json={"error": {"code": "Authorization_RequestDenied", "message": "no"}}
            )
        return pages([user(n) for n in range(1200)])(request)

    graph = Graph(answer)
    everybody = await graph.teams.everybody()
    assert (len(everybody.users), everybody.in_full) == (1200, False)
    assert len(graph.asked) == 3


async def test_where_all_is_refused_the_cure_names_the_right():
    with pytest.raises(Refused) as raised:
        await Graph(lambda _: httpx2.Response(403)).teams.everybody()
    assert "User.Read.All" in raised.value.cure


async def test_a_page_that_does_not_come_is_an_error_and_no_shorter_list():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "$skiptoken" in request.url.params:
            return httpx2.Response(503, headers={"Retry-After": "7"})
        return pages([user(n) for n in range(1200)])(request)

    with pytest.raises(TryAgain):
        await Graph(answer).teams.everybody()


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/v1.0/me?$skiptoken=1",
        "https://evil.example.com/v1.0/users/../me?$skiptoken=1",
        "https://evil.example.com/v1.0/users",
        "//evil.example.com/v1.0/usersx?$skiptoken=1",
        "https://[evil/v1.0/users?$skiptoken=1",
        "/v1.0/users?$skiptoken=1\r\nX: y",
        "/v1.0/users?$skiptoken=ü",
        "javascript:alert(1)",
    ],
)
async def test_a_link_to_anywhere_else_is_not_followed(link):
    graph = Graph(lambda _: httpx2.Response(200, json={"value": [user(1)], "@odata.nextLink": link}))
    with pytest.raises(Malformed):
        await graph.teams.everybody()
    assert len(graph.asked) == 1


async def test_no_token_goes_to_another_host_that_a_link_names():
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "$skiptoken" in request.url.params:
            return httpx2.Response(200, json={"value": [user(2)]})
        link = "https://evil.example.com/v1.0/users?$select=id&$skiptoken=a%2Fb'c"
        return httpx2.Response(200, json={"value": [user(1)], "@odata.nextLink": link})

    graph = Graph(answer)
    assert [one.id for one in (await graph.teams.everybody()).users] == ["id-1", "id-2"]
    assert {request.url.host for request in graph.asked} == {"graph.microsoft.com"}
    assert graph.asked[1].url.raw_path == b"/v1.0/users?$select=id&$skiptoken=a%2Fb'c"


async def test_a_list_that_goes_in_a_circle_ends():
    def answer(request: httpx2.Request) -> httpx2.Response:
        at = int(request.url.params.get("$skiptoken", 0))
        link = f"{BASE}/v1.0/users?$select=id&$skiptoken={(at + 1) % 3}"
        return httpx2.Response(200, json={"value": [user(at)], "@odata.nextLink": link})

    graph = Graph(answer)
    with pytest.raises(Malformed, match="no end"):
        await graph.teams.everybody()
    assert len(graph.asked) == 4


@pytest.mark.parametrize(
    ("page", "link", "asked"),
    [
        ([user(1)] * 10, "", 5),
        ([user(1, displayName="x" * 200_000)] * 2, "", 3),
        (["x" * 400_000], "", 3),
        ([], "x" * 60_000, 17),
    ],
    ids=["people", "names", "what is nobody", "links"],
)
async def test_a_list_is_bounded_over_all_its_pages(page, link, asked, monkeypatch):
    monkeypatch.setattr(teams, "_MOST_PEOPLE", 40)
    monkeypatch.setattr(teams, "_MOST_MB", 1)

    def answer(_: httpx2.Request) -> httpx2.Response:
        following = f"{BASE}/v1.0/users?$select=id&$skiptoken={len(graph.asked)}{link}"
        more = {"@odata.nextLink": following} if len(graph.asked) <= asked else {}
        return httpx2.Response(200, json={"value": page} | more)

    graph = Graph(answer)
    with pytest.raises(Malformed, match="list of users is longer than 40 people or 1 MB") as raised:
        await graph.teams.everybody()
    assert "object ids" in raised.value.cure
    assert len(graph.asked) == asked


async def test_somebodys_odd_data_costs_nobody_else():
    odd = [5, {"id": None}, user(8, proxyAddresses="x"), user(9, accountEnabled=True)]
    assert [one.id for one in (await Graph(pages(odd)).teams.everybody()).users] == ["id-9"]


async def test_many_names_are_looked_up_in_the_list_of_everybody():
    graph = Graph(pages([user(n) for n in range(10_000)]))
    names = [f"u{n}@EXAMPLE.org" for n in range(9_000)] + ["M9500@example.org", "nobody@example.org"]
    guid = "00000000-0000-4000-8000-0000000000A1"
    found = await graph.teams.find([*names, guid])
    assert len(graph.asked) == 11
    assert not [request for request in graph.asked if FURTHER in str(request.url)]
    assert len(found) == 9_002
    ids = {name: [one.id for one in users] for name, users in found.items()}
    assert (ids["u77@EXAMPLE.org"], ids["M9500@example.org"], ids[guid]) == (["id-77"], ["id-9500"], [guid])


@pytest.mark.parametrize("names", [["ann@x", "two@x"], [f"u{n}@example.org" for n in range(101)]])
@pytest.mark.parametrize("order", [1, -1])
async def test_a_mail_address_of_two_leads_to_both_and_a_principal_name_to_its_own(names, order):
    users = [
        user(1, userPrincipalName="old@x", mail="Two@x"),
        user(2, userPrincipalName="new@x", mail="two@X"),
        user(3, userPrincipalName="ann@x", mail="ann.miller@x"),
        user(4, userPrincipalName="ben@x", mail="ann@x"),
    ]
    found = await Graph(pages(users[::order] * 2)).teams.find([*names, "ann@x", "two@x"])
    assert [one.id for one in found["two@x"]] == ["id-1", "id-2"]
    assert [one.id for one in found["ann@x"]] == ["id-3"]


async def test_a_few_names_are_asked_for_by_name():
    graph = Graph(pages([user(n) for n in range(100)]))
    await graph.teams.find([f"u{n}@example.org" for n in range(100)])
    assert len(graph.asked) == 15
    assert all("$filter" in request.url.params for request in graph.asked)


def test_a_page_is_as_large_as_graph_makes_it():
    assert calls.list_users().path == "/v1.0/users?$select=id,userPrincipalName,mail,displayName&$top=999"
