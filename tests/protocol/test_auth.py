"""Sign-in: as the app and as a watcher; what is kept, what is told, and what never is."""

import asyncio
import contextlib
import json
import re
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from presencebridge import files
from presencebridge.emulators.graph import RunningGraph
from presencebridge.emulators.world import User, Watcher, World
from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.files import FolderFiles
from presencebridge.graph import auth
from presencebridge.graph.auth import AppTokens, SignIn, WatcherTokens, certificate_credential
from presencebridge.graph.keys import make_key

TENANT = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
CLIENT = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"
SECRET = "a-very-secret-secret"
GRAPH = "https://graph.microsoft.com"
WATCHER = Watcher("watcher@example.org")
ANN = User("ann@example.org")


# A sign-in that says what a test wants --------------------------------------------------------------


class Entra:
    """What msal sends, and answers by page."""

    def __init__(self) -> None:
        base = f"https://login.example.org/{TENANT}"
        document = {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "issuer": f"{base}/v2.0",
        }
        self.pages: dict[str, tuple[int, Any]] = {"openid-configuration": (200, document)}
        self.sent: list[tuple[str, dict]] = []
        self.fault: Exception | None = None
        self.sign_in = SignIn("https://login.example.org", TENANT, CLIENT, GRAPH)
        self.sign_in.http = self  # type: ignore[assignment]

    def get(self, url: str, **more: Any) -> httpx2.Response:
        return self._answer(url, more)

    def post(self, url: str, **more: Any) -> httpx2.Response:
        return self._answer(url, more)

    def _answer(self, url: str, more: dict) -> httpx2.Response:
        page = url.rpartition("/")[2]
        self.sent.append((page, dict(more.get("data") or {})))
        if self.fault:
            raise self.fault
        status, content = self.pages[page]
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        return httpx2.Response(status, content=body, request=httpx2.Request("GET", url))

    def grants(self) -> list[dict]:
        return [form for page, form in self.sent if page == "token"]


def told(error: LinkError) -> str:
    """Everything that anybody could read of an error."""
    chain: list[str] = []
    step: BaseException | None = error
    while step is not None and len(chain) < 10:
        chain += [str(step), repr(step)]
        step = step.__cause__
    return " ".join([*chain, error.cure])


GRANTED = {"token_type": "Bearer", "expires_in": 3599, "access_token": "the-token"}


async def test_the_app_signs_in_once_and_keeps_its_token():
    entra = Entra()
    entra.pages["token"] = (200, GRANTED)
    tokens = AppTokens(entra.sign_in, SECRET)
    assert [await tokens.token() for _ in range(3)] == ["the-token"] * 3
    (form,) = entra.grants()
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == f"{GRAPH}/.default"
    assert form["client_id"] == CLIENT
    assert form["client_secret"] == SECRET


async def test_a_token_that_graph_refused_is_not_given_again():
    entra = Entra()
    entra.pages["token"] = (200, GRANTED)
    tokens = AppTokens(entra.sign_in, SECRET)
    await tokens.token()
    entra.pages["token"] = (200, GRANTED | {"access_token": "another"})
    assert await tokens.token(renewed=True) == "another"
    assert await tokens.token() == "another"
    assert len(entra.grants()) == 2


@pytest.mark.parametrize("page", ["openid-configuration", "token"])
@pytest.mark.parametrize("answer", [(500, "busy"), (503, "<html>"), (429, "{}"), (200, "<html>CORP</html>")])
async def test_a_sign_in_that_is_unwell_may_be_well_later(page, answer):
    entra = Entra()
    entra.pages["token"] = (200, GRANTED)
    whole, entra.pages[page] = entra.pages[page], answer
    tokens = AppTokens(entra.sign_in, SECRET)
    with pytest.raises(LinkError) as raised:
        await tokens.token()
    if answer[0] != 429:
        assert type(raised.value) is TryAgain
    assert SECRET not in told(raised.value)
    assert "CORP" not in told(raised.value)
    entra.pages[page] = whole
    fresh = AppTokens(entra.sign_in, SECRET)
    assert await fresh.token() == "the-token"


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        *[("openid-configuration", odd) for odd in ({}, [], None, 5, {"authorization_endpoint": 1})],
        *[("token", odd) for odd in ([], None, "x", GRANTED | {"expires_in": None}, GRANTED | {"scope": 5})],
        *[("token", GRANTED | {"access_token": odd}) for odd in (None, "€", "a\nb", 5)],
    ],
)
async def test_a_sign_in_that_answers_nonsense_ends_nothing(page, answer):
    entra = Entra()
    entra.pages["token"] = (200, GRANTED)
    whole, entra.pages[page] = entra.pages[page], (200, answer)
    with pytest.raises(LinkError):
        await AppTokens(entra.sign_in, SECRET).token()
    entra.pages[page] = whole
    assert await AppTokens(entra.sign_in, SECRET).token() == "the-token"


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "piece", "says"),
    [
        (HEAD, b" " * 100_000, "the answer has no end"),
        (HEAD, b" ", "no whole answer within 0.5 s"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", "no whole answer within 0.5 s"),
        (b"", b"", "no whole answer within 0.5 s"),
    ],
    ids=["flood", "drip", "head that drips", "nothing"],
)
async def test_an_answer_without_end_is_given_up_and_so_is_its_thread(begin, piece, says, monkeypatch):
    if "within" in says:
        monkeypatch.setattr(auth, "_TIMEOUT_S", 0.5)
    is_over = threading.Event()

    class Endless(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10_000)
            with contextlib.suppress(OSError):
                self.request.sendall(begin)
                while not is_over.wait(0.01):  # a trickle, so that the loop of the client is not starved
                    self.request.sendall(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tokens = AppTokens(SignIn(f"http://127.0.0.1:{server.server_address[1]}", TENANT, CLIENT, GRAPH), "x")
        try:
            async with asyncio.timeout(60):
                with pytest.raises(TryAgain, match=f"can't be reached: {says}"):
                    await tokens.token()
            for thread in threading.enumerate():
                if thread.name == "sign-in":
                    thread.join(10)
                    assert not thread.is_alive()
        finally:
            is_over.set()
            server.shutdown()


def test_a_sign_in_that_hangs_does_not_hold_the_stop():
    entra, release = Entra(), threading.Event()
    entra.sign_in.http = type("Hangs", (), {"get": lambda *_, **__: release.wait(20), "close": print})()

    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await AppTokens(entra.sign_in, SECRET).token()

    begun = time.monotonic()
    asyncio.run(main())
    took = time.monotonic() - begun
    release.set()
    assert took < 5


@pytest.mark.parametrize(
    "fault",
    [
        httpx2.ConnectError("[Errno 111] Connection refused"),
        httpx2.ReadTimeout(""),
        httpx2.DecodingError("bad gzip"),
        httpx2.TooManyRedirects("Exceeded maximum allowed redirects."),
    ],
)
async def test_a_sign_in_that_can_not_be_reached_may_be_later(fault):
    entra = Entra()
    entra.fault = fault
    with pytest.raises(TryAgain, match=r"^Entra's sign-in can't be reached: .+") as raised:
        await AppTokens(entra.sign_in, SECRET).token()
    assert "[teams] ca_file" in raised.value.cure
    entra.fault = None
    entra.pages["token"] = (200, GRANTED)
    assert await AppTokens(entra.sign_in, SECRET).token() == "the-token"


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error", "request_timeout"])
async def test_what_entra_calls_passing_passes(error):
    entra = Entra()
    entra.pages["token"] = (400, {"error": error, "error_description": "x"})
    with pytest.raises(TryAgain):
        await AppTokens(entra.sign_in, SECRET).token()


async def test_a_refusal_says_what_entra_said_without_its_traces_and_what_to_check():
    entra = Entra()
    description = "AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2"
    entra.pages["token"] = (401, {"error": "invalid_client", "error_description": description})
    with pytest.raises(Refused) as raised:
        await AppTokens(entra.sign_in, SECRET).token()
    assert str(raised.value) == (
        "Entra refused the sign-in: invalid_client AADSTS7000215: Invalid client secret provided."
    )
    assert "secret (and its expiry)" in raised.value.cure
    assert SECRET not in told(raised.value)


async def test_a_tenant_that_is_none_is_named_as_the_trouble():
    entra = Entra()
    entra.pages["openid-configuration"] = (400, {"error": "invalid_tenant", "password": "x"})
    with pytest.raises(Refused) as raised:
        await AppTokens(entra.sign_in, SECRET).token()
    assert raised.value.cure == "check tenant_id"
    assert "password" not in told(raised.value)


def test_plain_http_is_for_an_emulator_and_nobody_else():
    plain = SignIn("http://127.0.0.1:8080", "t", "c", GRAPH)
    assert plain.authority == "https://127.0.0.1:8080/t"
    assert plain.discovery is False
    for address in ("https://login.microsoftonline.com", "https://login.microsoftonline.us"):
        real = SignIn(address, "t", "c", GRAPH)
        assert (real.authority, real.discovery) == (f"{address}/t", True)


# The app's certificate ----------------------------------------------------------------------------

_KEY = make_key(datetime(2026, 1, 1, tzinfo=UTC))
_PEM = _KEY.to_pem()
_PRIVATE, _CERTIFICATE = _PEM[: _PEM.index("-----BEGIN CERT")], _PEM[_PEM.index("-----BEGIN CERT") :]


def pem_of(key: rsa.RSAPrivateKey, password: bytes | None = None) -> str:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return raw.decode()


@pytest.mark.parametrize("pem", [_PRIVATE + _CERTIFICATE, _CERTIFICATE + _PRIVATE, "# mine\n" + _PEM])
def test_key_and_certificate_may_stand_in_either_order(pem):
    credential = certificate_credential(pem)
    assert credential["public_certificate"] + "\n" == _CERTIFICATE
    assert serialization.load_pem_private_key(credential["private_key"].encode(), None)
    assert "thumbprint" not in credential  # msal takes one for SHA-1, which is on its way out


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("", "."),
        ("nonsense", "."),
        (_PRIVATE, "."),
        (_CERTIFICATE, "not its private key"),
        (pem_of(_KEY.key, b"password") + _CERTIFICATE, "is encrypted"),
        (pem_of(rsa.generate_private_key(65537, 2048)) + _CERTIFICATE, "not that of the certificate"),
        (_PRIVATE[:200] + "\n-----END PRIVATE KEY-----\n" + _CERTIFICATE, "."),
    ],
)
def test_a_file_that_can_not_sign_us_in_is_found_before_it_is_used(pem, says):
    with pytest.raises(ValueError, match=says) as raised:
        certificate_credential(pem)
    assert "MII" not in str(raised.value)


# Against the emulator -----------------------------------------------------------------------------


def running(**more: Any) -> RunningGraph:
    world = World(
        tenant_id=TENANT, client_id=CLIENT, client_secret=SECRET, users=(ANN,), watchers=(WATCHER,), **more
    )
    return RunningGraph(world, seed=1)


def approving(graph: RunningGraph, username: str = WATCHER.username) -> Callable[[str], None]:
    """What the person does who reads the code."""

    def show(message: str) -> None:
        found = re.search(r"enter the code (\S+)", message)
        assert found
        address = f"{graph.control_url}/sign-ins/{found[1]}/approve"
        assert httpx2.post(address, json={"username": username}).status_code == 200

    return show


def watcher_of(graph: RunningGraph, folder: Path, name: str = "default") -> WatcherTokens:
    return WatcherTokens(SignIn(graph.url, TENANT, CLIENT, GRAPH), FolderFiles(folder), name)


def kept(folder: Path, kind: str, name: str = "default") -> list[str]:
    cache = json.loads((folder / f"watcher-{name}.json").read_text())
    return [one["secret"] for one in cache.get(kind, {}).values()]


async def test_the_app_signs_in_with_a_secret():
    async with running() as graph:
        tokens = AppTokens(SignIn(graph.url, TENANT, CLIENT, GRAPH), SECRET)
        assert (await tokens.token()).count(".") == 2
        with pytest.raises(Refused, match="AADSTS7000215") as raised:
            await AppTokens(SignIn(graph.url, TENANT, CLIENT, GRAPH), "wrong-guess").token()
        assert "wrong-guess" not in told(raised.value)


async def test_the_app_signs_in_with_a_certificate(tmp_path):
    world = World(tenant_id=TENANT, client_id=CLIENT, client_certificates=(_CERTIFICATE,))
    async with RunningGraph(world, tls_dir=tmp_path) as graph:
        trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        sign_in = SignIn(graph.url, TENANT, CLIENT, GRAPH, trust)
        assert (await AppTokens(sign_in, certificate_credential(_PEM)).token()).count(".") == 2


async def test_a_watcher_signs_in_with_a_code_and_stays_signed_in_over_a_restart(tmp_path):
    async with running() as graph:
        assert await watcher_of(graph, tmp_path).sign_in(approving(graph)) == WATCHER.username
        file = tmp_path / "watcher-default.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert [one.name for one in tmp_path.iterdir()] == [file.name]
        token = await watcher_of(graph, tmp_path).token()
        assert token in kept(tmp_path, "AccessToken")


async def test_the_newest_refresh_token_is_kept_and_used(tmp_path):
    async with running() as graph:
        tokens = watcher_of(graph, tmp_path)
        await tokens.sign_in(approving(graph))
        seen = kept(tmp_path, "RefreshToken")
        for _ in range(3):
            access = await tokens.token(renewed=True)
            assert kept(tmp_path, "AccessToken") == [access]
            (newest,) = kept(tmp_path, "RefreshToken")
            assert newest not in seen
            seen.append(newest)
        again = watcher_of(graph, tmp_path)
        assert await again.token(renewed=True) != access


async def test_a_sign_in_that_died_names_its_cure(tmp_path):
    async with running() as graph:
        tokens = watcher_of(graph, tmp_path, "second")
        await tokens.sign_in(approving(graph))
        secrets = kept(tmp_path, "RefreshToken", "second") + kept(tmp_path, "AccessToken", "second")
        owner = graph.emulator.directory.find(WATCHER.username)
        graph.emulator.revoke(owner)
        for _ in range(2):
            with pytest.raises(Refused) as raised:
                await tokens.token(renewed=True)
            assert raised.value.cure == "presencebridge login --config FILE --watcher second"
            assert not any(secret in told(raised.value) for secret in secrets)
        await tokens.sign_in(approving(graph))
        assert await tokens.token()


async def test_signing_in_as_somebody_else_replaces_the_account(tmp_path):
    async with running() as graph:
        tokens = watcher_of(graph, tmp_path)
        await tokens.sign_in(approving(graph))
        assert await tokens.sign_in(approving(graph, ANN.user_principal_name)) == ANN.user_principal_name
        cache = json.loads((tmp_path / "watcher-default.json").read_text())
        assert [one["username"] for one in cache["Account"].values()] == [ANN.user_principal_name]


async def test_two_watchers_have_files_of_their_own(tmp_path):
    async with running() as graph:
        first, second = watcher_of(graph, tmp_path, "one"), watcher_of(graph, tmp_path, "two")
        await first.sign_in(approving(graph))
        with pytest.raises(Refused, match="nobody is signed in as watcher two"):
            await second.token()


async def test_a_code_that_is_declined_leaves_the_old_sign_in_as_it_was(tmp_path):
    async with running() as graph:
        tokens = watcher_of(graph, tmp_path)
        await tokens.sign_in(approving(graph))
        before = (tmp_path / "watcher-default.json").read_bytes()

        def decline(message: str) -> None:
            code = message.partition("enter the code ")[2].partition(" ")[0]
            graph.emulator.sign_in.decide(code, None)

        with pytest.raises(Refused):
            await tokens.sign_in(decline)
        assert (tmp_path / "watcher-default.json").read_bytes() == before


async def test_nobody_signed_in_is_told_with_the_cure(tmp_path):
    tokens = WatcherTokens(Entra().sign_in, FolderFiles(tmp_path), "default")
    with pytest.raises(Refused, match="nobody is signed in") as raised:
        await tokens.token()
    assert raised.value.cure == tokens.cure


@pytest.mark.parametrize("torn", [b"", b"{", b"\xff\xfe"])
async def test_a_torn_file_means_that_nobody_is_signed_in(tmp_path, torn):
    (tmp_path / "watcher-default.json").write_bytes(torn)
    with pytest.raises(Refused, match="nobody is signed in"):
        await WatcherTokens(Entra().sign_in, FolderFiles(tmp_path), "default").token()


@pytest.mark.parametrize("odd", ["null", "[]", "5", '{"Account": []}', '{"Account": {"a": 5}}'])
async def test_an_odd_file_ends_nothing(tmp_path, odd):
    (tmp_path / "watcher-default.json").write_text(odd)
    with pytest.raises(LinkError):
        await WatcherTokens(Entra().sign_in, FolderFiles(tmp_path), "default").token()


async def test_a_disk_that_is_full_is_told_as_such(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with running() as graph:
        tokens = watcher_of(graph, tmp_path)
        await tokens.sign_in(approving(graph))
        monkeypatch.setattr(files, "write_private", full)
        with pytest.raises(TryAgain, match="No space left") as raised:
            await tokens.token(renewed=True)
        assert "free the disk" in raised.value.cure
