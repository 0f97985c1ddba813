"""3CXStatusWebApi: literal answers in, statuses out; and its client."""

import json

import httpx2
import pytest

from presencebridge.errors import Gone, Malformed, Refused, TryAgain
from presencebridge.pbx import status_web_api
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.status_web_api_client import StatusWebApiClient


def answer(message: str, status: str = "OK") -> bytes:
    stamp = "2026-04-01T10:00:00+00:00"
    return json.dumps({"message": message, "status": status, "timeStamp": stamp}).encode()


def test_paths():
    assert status_web_api.status_path("101") == "/status/extension/101"
    assert status_web_api.change_path("101", "Out of office") == "/status/extension/101/profile/out_of_office"


def test_answers():
    assert status_web_api.parse_status("101", answer("Out of office")) == "Out of office"
    with pytest.raises(Gone, match="extension 101"):
        status_web_api.parse_status("101", answer("extension 101 not found", "NOT_FOUND"))
    for body in (answer("Fishing"), answer("no such word", "BAD_REQUEST"), b"idle", b"{}", b"\xff"):
        with pytest.raises(Malformed, match="extension 101"):
            status_web_api.parse_status("101", body)


@pytest.mark.parametrize(("status", "kind"), [(401, Refused), (404, Refused), (500, TryAgain)])
def test_what_an_error_means(status, kind):
    assert type(status_web_api.error(status)) is kind


class Bridge:
    """Keeps one extension's status."""

    def __init__(self, status: str) -> None:
        self.status, self.asked = status, []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if request.headers.get("X-API-Key") != "k3y":
            return httpx2.Response(401)
        if "/profile/away" in request.url.path:
            self.status = "Away"
        return httpx2.Response(200, content=answer(self.status))

    def client(self, key: str = "k3y") -> StatusWebApiClient:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self), base_url="http://pbx:8889")
        return StatusWebApiClient(http, key, 5)


async def test_a_change_is_compare_and_set_with_a_read_back():
    bridge = Bridge("Available")
    change = await bridge.client().change_status("101", ("Available",), "Away")
    assert change == StatusChange("Available", "Away", wrote=True)
    assert len(bridge.asked) == 3
    change = await bridge.client().change_status("101", ("Available",), "Custom 1")
    assert change == StatusChange("Away", "Away", wrote=False)


async def test_a_wrong_key_is_told_with_its_cure_and_without_the_key():
    with pytest.raises(Refused) as caught:
        await Bridge("Away").client("wr0ng").change_status("101", ("Available",), "Away")
    assert "api_key_file" in caught.value.cure
    assert "wr0ng" not in str(caught.value)


async def test_a_bridge_that_is_not_there():
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(refuse), base_url="http://pbx:8889")
    with pytest.raises(TryAgain, match="can't be reached"):
        await StatusWebApiClient(http, "", 5).change_status("101", ("Available",), "Away")
