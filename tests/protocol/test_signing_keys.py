"""The public keys of the sign-in: read, kept for a day, read again, and never from a stranger's address."""

import asyncio
import contextlib

import httpx2
import jwt
import pytest
from notice_kit import rsa_key

from presencebridge.errors import Malformed, TryAgain
from presencebridge.graph.signing_keys import SigningKeys

pytestmark = pytest.mark.looptime

LOGIN = "https://login.microsoftonline.com"
V2 = "/common/v2.0/.well-known/openid-configuration"
V1 = "/common/.well-known/openid-configuration"
V2_KEYS = f"{LOGIN}/common/discovery/v2.0/keys"
V1_KEYS = f"{LOGIN}/common/discovery/keys"


def jwk(kid: str, **other: object) -> dict:
    found = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key("entra").public_key(), as_dict=True)
    return found | {"kid": kid, "use": "sig"} | other


class Entra:
    """Discovery and keys; what is not there is answered with 404."""

    def __init__(self) -> None:
        self.pages: dict[str, object] = {
            LOGIN + V2: {"jwks_uri": V2_KEYS, "issuer": "x"},
            LOGIN + V1: {"jwks_uri": V1_KEYS},
            V2_KEYS: {"keys": [jwk("a"), jwk("b")]},
            V1_KEYS: {"keys": [jwk("b"), jwk("c")]},
        }
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.busy_s = 0
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))
        self.keys = SigningKeys(http, LOGIN)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        if self.fault:
            raise self.fault
        if self.busy_s:
            return httpx2.Response(429, headers={"Retry-After": str(self.busy_s)})
        page = self.pages.get(str(request.url))
        if isinstance(page, bytes):
            return httpx2.Response(200, content=page)
        return httpx2.Response(404) if page is None else httpx2.Response(200, json=page)


async def test_the_keys_of_both_versions_are_read_together():
    entra = Entra()
    assert set(await entra.keys.keys()) == {"a", "b", "c"}
    assert entra.asked == [LOGIN + V2, V2_KEYS, LOGIN + V1, V1_KEYS]


async def test_they_are_kept_for_a_day_and_then_read_again():
    entra = Entra()
    await entra.keys.keys()
    await asyncio.sleep(24 * 3600 - 1)
    await entra.keys.keys()
    assert len(entra.asked) == 4
    entra.pages[V2_KEYS] = {"keys": [jwk("new")]}
    await asyncio.sleep(2)
    assert set(await entra.keys.keys()) == {"new", "b", "c"}


async def test_after_a_failure_they_are_read_soon_and_then_ever_later():
    entra = Entra()
    entra.fault = httpx2.ConnectError("nobody there")
    begun, tries = asyncio.get_running_loop().time(), []
    while asyncio.get_running_loop().time() - begun < 300:
        before = len(entra.asked)
        with contextlib.suppress(TryAgain):
            await entra.keys.keys()
        if len(entra.asked) > before:
            tries.append(round(asyncio.get_running_loop().time() - begun))
        await asyncio.sleep(1)
    assert tries == [0, 2, 6, 14, 30, 62, 122, 182, 242]
    entra.fault = None
    await asyncio.sleep(10)
    assert set(await entra.keys.keys()) == {"a", "b", "c"}


async def test_what_the_sign_in_asks_for_is_waited_for():
    entra = Entra()
    entra.busy_s = 18
    with pytest.raises(TryAgain):
        await entra.keys.keys()
    entra.busy_s = 0
    await asyncio.sleep(17)
    assert not await entra.keys.keys()
    assert len(entra.asked) == 1
    await asyncio.sleep(2)
    assert await entra.keys.keys()


async def test_a_stranger_makes_us_look_once_a_minute_at_the_most():
    entra = Entra()
    await entra.keys.keys()
    for _ in range(10):
        assert await entra.keys.refresh() is False
    assert len(entra.asked) == 4
    await asyncio.sleep(60)
    entra.pages[V2_KEYS] = {"keys": [jwk("new")]}
    assert await asyncio.gather(*(entra.keys.refresh() for _ in range(5))) == [True, *[False] * 4]
    assert len(entra.asked) == 8


async def test_the_same_keys_again_are_no_news():
    entra = Entra()
    await entra.keys.keys()
    await asyncio.sleep(60)
    assert await entra.keys.refresh() is False
    assert len(entra.asked) == 8


async def test_old_keys_are_better_than_none():
    entra = Entra()
    await entra.keys.keys()
    entra.fault = httpx2.ConnectError("no route")
    await asyncio.sleep(48 * 3600)
    assert set(await entra.keys.keys()) == {"a", "b", "c"}


async def test_where_none_were_ever_read_it_is_told_and_tried_again():
    entra = Entra()
    entra.fault = httpx2.ConnectError("no route")
    with pytest.raises(TryAgain, match="public keys can't be read: no route"):
        await entra.keys.keys()
    entra.fault = None
    await asyncio.sleep(60)
    assert set(await entra.keys.keys()) == {"a", "b", "c"}


async def test_an_address_that_the_client_can_not_use_costs_what_a_read_that_fails_does():
    entra = Entra()
    await entra.keys.keys()
    entra.fault = httpx2.InvalidURL("an address begins with http:// or https:// and a host")
    await asyncio.sleep(24 * 3600 + 1)
    assert set(await entra.keys.keys()) == {"a", "b", "c"}
    with pytest.raises(TryAgain, match="public keys can't be read: an address begins"):
        await SigningKeys(entra.keys._http, LOGIN).keys()


async def test_a_sign_in_that_hangs_is_given_up():
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    keys = SigningKeys(httpx2.AsyncClient(transport=httpx2.MockTransport(hang)), LOGIN)
    with pytest.raises(TryAgain, match="within 10 s"):
        await keys.keys()
    assert asyncio.get_running_loop().time() == pytest.approx(10)


@pytest.mark.parametrize(
    ("address", "page"),
    [
        (LOGIN + V2, []),
        (LOGIN + V2, {}),
        (LOGIN + V2, {"jwks_uri": 7}),
        (LOGIN + V2, {"jwks_uri": "http://login.microsoftonline.com/keys"}),
        (LOGIN + V2, {"jwks_uri": "http://evil.example.com/keys"}),
        (LOGIN + V2, {"jwks_uri": "file:///etc/passwd"}),
        (LOGIN + V2, {"jwks_uri": "https://x:port/keys"}),
        (LOGIN + V2, {"jwks_uri": "https://x:99999/keys"}),
        (LOGIN + V2, {"jwks_uri": "https://x:0/keys"}),
        (LOGIN + V2, {"jwks_uri": "https:///keys"}),
        (LOGIN + V2, {"jwks_uri": "https://:443/keys"}),
        (V2_KEYS, []),
        (V2_KEYS, {}),
        (V2_KEYS, {"keys": []}),
        (V2_KEYS, {"keys": "x"}),
        (V2_KEYS, {"keys": [1, None, {}]}),
        (V2_KEYS, {"keys": [{"kty": "RSA", "kid": "a", "n": 7}]}),
    ],
)
async def test_documents_of_another_form_are_malformed(address, page):
    entra = Entra()
    entra.pages[address] = page
    with pytest.raises(Malformed):
        await entra.keys.keys()


@pytest.mark.parametrize("page", [None, b"<html>proxy</html>", b"\xff\xfe"])
async def test_a_page_that_is_none_may_be_one_later(page):
    entra = Entra()
    entra.pages[LOGIN + V1] = page
    with pytest.raises(TryAgain):
        await entra.keys.keys()


async def test_keys_of_another_kind_or_without_a_name_are_left_out():
    entra = Entra()
    curve = {"kty": "EC", "crv": "P-256", "kid": "ec", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}
    curve["y"] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    shared = {"kty": "oct", "kid": "hmac", "k": "c2VjcmV0"}
    entra.pages[V2_KEYS] = {"keys": [jwk("a"), jwk(""), curve, shared]}
    assert set(await entra.keys.keys()) == {"a", "b", "c"}


async def test_an_emulator_over_plain_http_keeps_to_its_own_host():
    pages = {
        "http://127.0.0.1:9" + V2: {"jwks_uri": "http://127.0.0.1:9/keys"},
        "http://127.0.0.1:9" + V1: {"jwks_uri": "http://127.0.0.2:9/keys"},
        "http://127.0.0.1:9/keys": {"keys": [jwk("a")]},
    }
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=pages[str(request.url)]))
    with pytest.raises(Malformed, match="names no place"):
        await SigningKeys(httpx2.AsyncClient(transport=transport), "http://127.0.0.1:9").keys()
