"""`status` and the listener that it asks: on whatever loopback address, and whatever people are called."""

import contextlib
import socket
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from presencebridge.cli import operator
from presencebridge.errors import BridgeError
from presencebridge.node import Node, OneFile

CONFIG = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:9"
[[person]]
teams = "user1@example.org"
extension = "101"
[operator]
listen = "[::1]:9"
[state]
dir = "state"
"""


def site(folder: Path) -> Path:
    (folder / "site.toml").write_text(CONFIG)
    (folder / "secret").write_text("x")
    return folder / "site.toml"


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_the_page_is_there_under_the_ipv6_loopback_address(tmp_path, monkeypatch):
    monkeypatch.setattr("presencebridge.node.node.parse_listen", lambda _text: ("::1", 0))
    node = Node(OneFile(site(tmp_path)))
    async with contextlib.AsyncExitStack() as stack:
        await node._listen_to_operators(stack)
        async with httpx2.AsyncClient(base_url=node.operator_url, trust_env=False) as client:
            assert (await client.get("/static/page.js")).status_code == 200
            evil = {"Host": "evil.example"}
            assert (await client.get("/static/page.js", headers=evil)).status_code == 400


@pytest.mark.parametrize("name", ["Ann [extern]", "Ann [/x]"])
def test_a_name_is_shown_as_it_is(name, tmp_path, monkeypatch, capsys):
    person = {"extension": "101", "name": name, "teams": None, "status": None, "legs": None}
    person |= {"holding": "nothing", "condition": "in step", "trouble": []}
    overview = {"ready": True, "dry_run": False, "links": [], "people": [person]}
    monkeypatch.setattr(operator, "_service", lambda *_: contextlib.nullcontext(SimpleNamespace()))
    monkeypatch.setattr(operator, "_ask", lambda *_: overview)
    monkeypatch.setattr(operator, "running", lambda *_: SimpleNamespace(is_folder=False, site=""))
    operator.status(config=tmp_path)
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "status"), [((200, "ok\n"), 0), ((503, "no progress\n"), 1)])
def test_a_probe_asks_whether_there_is_progress_and_nothing_else(
    answer, status, tmp_path, monkeypatch, capsys
):
    asked = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        return httpx2.Response(answer[0], text=answer[1])

    client = httpx2.Client(transport=httpx2.MockTransport(respond), base_url="http://service")
    monkeypatch.setattr(operator, "_service", lambda *_: client)
    assert operator.status(config=tmp_path, probe=True) == status
    assert asked == ["/livez"]
    assert capsys.readouterr().out == answer[1]


def test_a_probe_of_a_service_that_is_away_fails(tmp_path, monkeypatch):
    with pytest.raises(BridgeError, match="nothing answers"):
        operator.status(config=site(tmp_path), probe=True)
