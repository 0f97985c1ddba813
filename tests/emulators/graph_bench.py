"""A bench for the Graph emulator's tests: a small tenant, clients without sockets, a subscriber."""

import asyncio
import base64
import contextlib
import datetime as dt
import functools
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import GraphEmulator
from presencebridge.emulators.world import User, Watcher, World

ANN = User("ann@example.org", "00000000-0000-4000-8000-0000000000a1", "ann@example.org", "Ann")
BEN = User("ben@example.org", "00000000-0000-4000-8000-0000000000b2", "ben.b@example.org", "Ben")
WATCHER = Watcher("watcher@example.org", "00000000-0000-4000-8000-0000000000c3")
WORLD = World(client_secret="a-secret", users=(ANN, BEN), watchers=(WATCHER,))
APP = WORLD.client_id
HOOK = "https://hook.example.com/graph?customer=7"
LIFE = "https://hook.example.com/life"
START = 1_800_000_000.0

# Else pytest-asyncio's first look at "the current loop" makes one on Python 3.11, and nobody closes it.
asyncio.set_event_loop(None)


class Subscriber:
    """A notification endpoint: answers the handshake, keeps what it is told, errs when it is told to."""

    def __init__(self) -> None:
        self.handshakes: list[str] = []
        self.bodies: list[dict] = []
        self.lifecycle: list[dict] = []
        self.status = 202
        self.echo = PlainTextResponse
        self.before_echo = None
        self.before_answer = None
        routes = [Route("/graph", self._take, methods=["POST"]), Route("/life", self._take, methods=["POST"])]
        self.app = Starlette(routes=routes)

    @property
    def items(self) -> list[dict]:
        return [item for body in self.bodies for item in body["value"]]

    async def _take(self, request: Request) -> Response:
        if (token := request.query_params.get("validationToken")) is not None:
            self.handshakes.append(request.url.path + "?" + request.url.query)
            if self.before_echo:
                await self.before_echo()
            return self.echo(token)
        body = json.loads(await request.body())
        (self.lifecycle if request.url.path == "/life" else self.bodies).append(body)
        if self.before_answer:
            await self.before_answer()
        return Response(status_code=self.status)


class Bench:
    """The emulator, a client for it, and one for its control port."""

    def __init__(self, emulator: GraphEmulator, subscriber: Subscriber) -> None:
        self.emulator = emulator
        self.subscriber = subscriber
        transport = httpx2.ASGITransport(emulator.app)
        self.graph = httpx2.AsyncClient(transport=transport, base_url="https://graph.microsoft.com")
        control = httpx2.ASGITransport(emulator.control)
        self.control = httpx2.AsyncClient(transport=control, base_url="http://127.0.0.1")

    @property
    def token_url(self) -> str:
        return f"/{self.emulator.world.tenant_id}/oauth2/v2.0/token"

    async def app_token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": APP,
            "client_secret": "a-secret",
            "scope": "https://graph.microsoft.com/.default",
        }
        answer = await self.graph.post(self.token_url, data=form)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    async def user_token(self, username: str = WATCHER.username, scope: str = "Presence.Read.All") -> str:
        return (await self.user_grant(username, scope))["access_token"]

    async def user_grant(self, username: str, scope: str = "Presence.Read.All") -> dict:
        form = {"client_id": APP, "scope": f"{scope} openid profile offline_access"}
        started = (await self.graph.post(self.token_url.replace("token", "devicecode"), data=form)).json()
        approval = {"username": username}
        answer = await self.control.post(f"/sign-ins/{started['user_code']}/approve", json=approval)
        assert answer.status_code == 200, answer.text
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": APP,
            "device_code": started["device_code"],
        }
        answer = await self.graph.post(self.token_url, data=form)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def as_app(self) -> "Caller":
        return Caller(self.graph, await self.app_token())

    async def as_user(self, username: str = WATCHER.username, scope: str = "Presence.Read.All") -> "Caller":
        return Caller(self.graph, await self.user_token(username, scope))

    async def says(self, user: User, availability: str | None, activity: str = "") -> dict:
        """What a person's Teams client reports."""
        body = availability and {"availability": availability, "activity": activity or availability}
        answer = await self.control.put(f"/users/{user.id}/client", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def shows(self, user: User) -> str:
        answer = (await self.control.get(f"/users/{user.id}")).json()
        return "/".join(answer["effective"].values())

    async def advance(self, seconds: float) -> None:
        answer = await self.control.post("/clock", json={"advance_s": seconds})
        assert answer.status_code == 200, answer.text

    async def faults(self, **change: object) -> None:
        answer = await self.control.post("/faults", json=change)
        assert answer.status_code == 200, answer.text


class Caller:
    """Graph, called with one access token."""

    def __init__(self, client: httpx2.AsyncClient, token: str) -> None:
        self._client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str) -> httpx2.Response:
        return await self._client.get("/v1.0" + path, headers=self.headers)

    async def post(self, path: str, body: object = None) -> httpx2.Response:
        more = {} if body is None else {"json": body}
        return await self._client.post("/v1.0" + path, headers=self.headers, **more)

    async def patch(self, path: str, body: object) -> httpx2.Response:
        return await self._client.patch("/v1.0" + path, headers=self.headers, json=body)

    async def delete(self, path: str) -> httpx2.Response:
        return await self._client.delete("/v1.0" + path, headers=self.headers)

    async def set_presence(
        self, user: User, availability: str, activity: str, lasting: str | None = "PT1H"
    ) -> httpx2.Response:
        body = {"sessionId": APP, "availability": availability, "activity": activity}
        if lasting:
            body["expirationDuration"] = lasting
        return await self.post(f"/users/{user.id}/presence/setPresence", body)

    async def clear_presence(self, user: User) -> httpx2.Response:
        return await self.post(f"/users/{user.id}/presence/clearPresence", {"sessionId": APP})


@contextlib.asynccontextmanager
async def bench(world: World = WORLD, clock: Clock | None = None, seed: int = 7) -> AsyncIterator[Bench]:
    """The clock of this bench stands still, but for what a test advances it by."""
    subscriber = Subscriber()
    transport = httpx2.ASGITransport(subscriber.app)
    clock = clock or Clock(lambda: START)
    emulator = GraphEmulator(world, clock=clock, transport=transport, seed=seed)
    async with emulator:
        yield Bench(emulator, subscriber)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@functools.cache
def rsa_key(bits: int = 2048, name: str = "") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "subscriber")])
    start = dt.datetime.fromtimestamp(START, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - dt.timedelta(days=3650))
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )


def der(found: x509.Certificate) -> str:
    return base64.b64encode(found.public_bytes(serialization.Encoding.DER)).decode()


def moment(seconds_ahead: float) -> str:
    when = dt.datetime.fromtimestamp(START + seconds_ahead, dt.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")


def wanted(*users: User, **more: object) -> dict:
    """The body of a create request, rich, for these users."""
    ids = ",".join(f"'{user.id}'" for user in users or (ANN, BEN))
    body = {
        "changeType": "updated",
        "notificationUrl": HOOK,
        "resource": f"/communications/presences?$filter=id in ({ids})",
        "expirationDateTime": moment(3600),
        "clientState": "a-client-state",
        "includeResourceData": True,
        "encryptionCertificate": der(certificate(rsa_key())),
        "encryptionCertificateId": "first",
    }
    return {name: value for name, value in (body | more).items() if value is not None}


def decrypted(content: dict, key: rsa.RSAPrivateKey) -> dict:
    """What Microsoft tells a subscriber to do, written down here on its own."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as documented
    data_key = key.decrypt(base64.b64decode(content["dataKey"]), oaep)
    data = base64.b64decode(content["data"])
    signature = hmac.new(data_key, data, hashlib.sha256).digest()
    assert signature == base64.b64decode(content["dataSignature"])
    decryptor = Cipher(algorithms.AES(data_key), modes.CBC(data_key[:16])).decryptor()
    unpadder = block_padding.PKCS7(128).unpadder()
    plain = unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    return json.loads(plain)
