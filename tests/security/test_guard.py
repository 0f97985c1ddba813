"""The operator's listener: who may speak to it, and what comes back with every answer."""

import base64
from importlib import resources
from typing import Any

import httpx2
import pytest
from kit.shown_office import ShownOffice

from presencebridge.web import guard, views
from presencebridge.web.node import One, operator_app

TOKEN = "0123456789abcdef-a-token"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


class Site(ShownOffice):
    def __init__(self) -> None:
        super().__init__(0)

    def overview(self) -> views.Overview:
        link = views.LinkView("graph", "down", "2026-11-23T09:00:00Z", "a reason", "a cure")
        return views.Overview(ready=False, dry_run=False, links=[link], people=[])

    def _order(self, name: str, *what: object) -> bool:
        super()._order(name, *what)
        return True


class Door:
    """The listener's application, and a clock that is set by hand."""

    def __init__(self, token: str = "", hosts: tuple[str, ...] = ("localhost", "127.0.0.1")) -> None:
        self.site = Site()
        self.now = 0.0
        self._app: Any = operator_app(One(self.site), hosts, token, lambda: self.now)

    async def ask(
        self,
        path: str = "/api/people",
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        *,
        method: str = "GET",
        who: str = "192.0.2.7",
        **body: Any,
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self._app, client=(who, 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
            return await client.request(method, path, headers=headers, **body)

    async def status(self, *args: Any, **kwargs: Any) -> int:
        return (await self.ask(*args, **kwargs)).status_code


def basic(password: str, user: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


PATHS = (
    "/",
    "/live",
    "/people/101",
    "/static/page.js",
    "/metrics",
    "/api/people",
    "/api/people/101",
    "/api/matching",
    "/api/events",
    "/nothing/of/the/kind",
    "//livez",
    "/livez/",
    "/readyz/..",
    "/Livez",
    "/readyz%2f",
)


@pytest.mark.parametrize("path", PATHS)
async def test_without_the_token_nothing_is_told(path):
    answer = await Door(TOKEN).ask(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")  # so that a browser asks for it
    assert answer.json() == {"error": "the operator's token is needed"}


@pytest.mark.parametrize(
    "path", ["/api/people/101/pause", "/api/people/101/resume", "/api/refresh", "/livez"]
)
async def test_without_the_token_nothing_is_ordered(path):
    door = Door(TOKEN)
    assert await door.status(path, method="POST", json={}) == 401
    assert door.site.orders == []


@pytest.mark.parametrize("headers", [RIGHT, basic(TOKEN), basic(TOKEN, "any:body"[:3])])
async def test_with_the_token_everything_is(headers):
    door = Door(TOKEN)
    for path in ("/", "/metrics", "/api/people"):
        assert await door.status(path, headers) == 200
    assert await door.status("/api/people/101/pause", headers, method="POST", json={}) == 204
    assert "graph: down: a reason" in (await door.ask("/readyz", headers)).text


WRONG: list[Any] = [
    {"Authorization": "Bearer " + TOKEN[:-1]},
    {"Authorization": "Bearer " + TOKEN.upper()},
    {"Authorization": "Bearer " + TOKEN + "x"},
    {"Authorization": "Bearer"},
    {"Authorization": TOKEN},
    {"Authorization": "Digest " + TOKEN},
    {"Authorization": "Basic " + TOKEN},
    {"Authorization": "Basic " + "ä"},
    {"Authorization": "Basic " + base64.b64encode(TOKEN.encode()).decode()},
    {"Authorization": "Basic " + base64.b64encode(TOKEN.encode() + b":").decode()},
    [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")],
    {"X-Forwarded-User": "admin"},
    {"Cookie": f"token={TOKEN}"},
]


@pytest.mark.parametrize("headers", WRONG)
async def test_anything_else_is_not_the_token(headers):
    if isinstance(headers, dict):
        headers = {name: value.encode() for name, value in headers.items()}
    assert await Door(TOKEN).status("/api/people", headers) == 401
    assert await Door(TOKEN).status(f"/api/people?token={TOKEN}", headers) == 401


async def test_probes_need_no_token_and_tell_no_detail():
    door = Door(TOKEN)
    assert (await door.ask("/livez")).text == "ok\n"
    ready = await door.ask("/readyz")
    assert (ready.status_code, ready.text) == (503, "not ready\n")
    assert "a reason" in (await Door().ask("/readyz")).text  # where no token is wanted, as always


async def test_tokens_can_be_tried_only_now_and_then():
    door = Door(TOKEN)
    wrong = basic("a guess of somebody")
    assert [await door.status("/", wrong) for _ in range(12)] == [401] * 10 + [429] * 2
    assert await door.status("/", RIGHT) == 429  # or it would tell which guess was right
    assert await door.status("/", RIGHT, who="192.0.2.8") == 200  # nobody else is locked out
    assert (await door.ask("/", RIGHT)).headers["retry-after"] == "60"
    door.now += 61
    assert await door.status("/", RIGHT) == 200


async def test_who_has_many_addresses_of_a_network_has_one():
    door = Door(TOKEN)
    for number in range(10):
        assert await door.status("/", basic("x"), who=f"2001:db8::{number:x}") == 401
    assert await door.status("/", basic("x"), who="2001:db8::ffff:1") == 429
    assert await door.status("/", basic("x"), who="2001:db8:0:1::1") == 401


async def test_the_memory_of_wrong_tokens_is_bounded(monkeypatch):
    monkeypatch.setattr(guard, "_MOST_ADDRESSES", 5)
    tries = guard._WrongTokens(lambda: 0.0)
    for number in range(100):
        for _ in range(20):
            tries.count(str(number))
    assert len(tries._times) == 5
    assert {len(times) for times in tries._times.values()} == {10}
    assert tries.are_too_many("99")


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://localhost.evil.example:8080"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8080"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_pages_of_others_give_no_orders(token, headers):
    door = Door(token)
    allowed = basic(TOKEN) if token else {}  # as a browser adds it by itself
    headers = headers | allowed
    for path in ("/api/people/101/pause", "/api/people/101/resume", "/api/refresh"):
        assert await door.status(path, headers, method="POST", json={}) == 403
    assert door.site.orders == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_what_a_form_can_send_is_no_order(kind):
    door = Door()
    headers = {"Content-Type": kind}
    assert await door.status("/api/refresh", headers, method="POST", content=b"{}") == 400
    assert door.site.orders == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}],
)
async def test_the_page_itself_and_programs_give_orders(headers):
    door = Door()
    assert await door.status("/api/refresh", headers, method="POST", json={}) == 202


async def test_pages_of_others_open_no_streams_but_their_links_work():
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert await Door().status("/api/people", embedded) == 403
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert await Door().status("/", framed) == 403
    followed = framed | {"Sec-Fetch-Dest": "document"}
    assert await Door().status("/", followed) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "localhost@evil.example",
        "",
        "[",
        "a b",
        "::1",
    ],
)
async def test_a_name_that_is_not_ours_is_refused(host):
    answer = await Door().ask("/", {"Host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1",
        "192.0.2.1:8080",
        "[::1]",
        "[2001:db8::1]:8080",
        "Bridge.lan",
    ],
)
async def test_names_of_ours_and_addresses_are_good(host):
    assert await Door(hosts=("localhost", "bridge.lan")).status("/", {"Host": host}) == 200


async def test_two_names_at_once_are_none():
    assert await Door().status("/", [("Host", "localhost"), ("Host", "evil.example")]) == 400


@pytest.mark.parametrize(
    "path", ["/", "/people/101", "/static/page.css", "/api/people", "/metrics", "/livez", "/nothing"]
)
@pytest.mark.parametrize("token", ["", TOKEN])
async def test_every_answer_says_how_it_may_be_used(path, token):
    headers = (await Door(token).ask(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert policy["base-uri"] == "'none'"
    assert "access-control-allow-origin" not in headers
    assert "set-cookie" not in headers


ORDERS: dict[str, bytes] = {
    "too long": b'{"seconds": ' + b" " * 20_000 + b"1}",
    "too deep": b"[" * 9000,
    "a list": b"[]",
    "no text": b'{"seconds": "\xff"}',
    "nothing": b"",
    "true": b'{"seconds": true}',
    "no number": b'{"seconds": NaN}',
}


@pytest.mark.parametrize("body", ORDERS.values(), ids=ORDERS)
async def test_an_order_that_is_none_is_refused(body):
    door = Door()
    headers = {"Content-Type": "application/json"}
    assert await door.status("/api/people/101/pause", headers, method="POST", content=body) == 400
    assert door.site.orders == []


def test_the_page_needs_nothing_that_its_policy_forbids():
    folder = resources.files("presencebridge.web")
    for template in (folder / "templates").iterdir():
        text = template.read_text("utf-8")
        assert "style=" not in text
        assert "|safe" not in text.replace(" ", "")
        assert " on" + "click" not in text
        for script in text.split("<script")[1:]:
            assert script.startswith(' src="{{ root }}static/')
