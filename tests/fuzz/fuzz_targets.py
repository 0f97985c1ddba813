"""The parsers of outside bytes, each with samples of what it understands."""

import asyncio
import base64
import contextlib
import functools
import json
import re
import sqlite3
import ssl
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import notice_kit as kit
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fuzz_kit import VALUES, Target, bent, changed, encoded, json_like, repeated, text_like
from hypothesis import strategies as st

from presencebridge import config, reasons
from presencebridge.cluster import records
from presencebridge.cluster.engine import EngineError, Entry, Stale
from presencebridge.cluster.files import Seal, SharedFiles, new_key
from presencebridge.cluster.nats_engine import check_written
from presencebridge.cluster.store import SharedStore
from presencebridge.config.lines import Lines
from presencebridge.core.model import STATUSES, Presence, State
from presencebridge.doctor.network import names_in
from presencebridge.emulators.v20 import odata_filter
from presencebridge.emulators.world import load_world
from presencebridge.errors import LinkError, Malformed, Misconfigured
from presencebridge.files import FolderFiles
from presencebridge.graph import auth, calls, notices, wire
from presencebridge.graph.auth import SignIn, WatcherTokens, certificate_credential
from presencebridge.graph.keys import EncryptionKeys, make_key
from presencebridge.graph.receiver import Watched
from presencebridge.graph.signing_keys import parse_keys
from presencebridge.graph.subscriptions import Held
from presencebridge.graph.teams import _by_name, _readable
from presencebridge.graph.watcher import Watcher
from presencebridge.metrics import Metrics
from presencebridge.pbx import status_web_api, v20, v20_calls, web_api
from presencebridge.pbx.answers import PbxUser
from presencebridge.quick_http import _Connection
from presencebridge.runtime import matching
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.plots import Plots
from presencebridge.store.sqlite import SqliteStore
from presencebridge.web import views
from presencebridge.web.door import parts_of
from presencebridge.web.node import One, operator_app
from presencebridge.web.webhook import Webhook

# Notifications --------------------------------------------------------------------------------------

_ITEM = kit.item(kit.sealed(kit.presence()))
_NOTICE = {"value": [_ITEM, kit.lifecycle()], "validationTokens": [kit.token()]}
_TRUST = kit.trust()


def _understand(body: bytes) -> None:
    found = kit.understand(body, _TRUST, kit.NOW)
    # Only what was sealed for us, by who knows our secret, is ever believed.
    assert all(one.user in (kit.ANN, kit.BEN) for one in found.seen)


_WORDS = {"alg": "RS256", "typ": "JWT", "kid": "k1"}


@st.composite
def _tokens(draw: st.DrawFn) -> str:
    """Tokens whose parts are odd, some of them rightly signed; and texts that are no tokens."""
    match draw(st.integers(0, 3)):
        case 0:
            return draw(bent(kit.token().encode())).decode("utf-8", "replace")
        case 1:
            head, claims = draw(changed(_WORDS)), draw(changed(kit.claims()))
        case 2:
            head, claims = _WORDS, draw(changed(draw(st.sampled_from([kit.claims(), kit.old_claims()]))))
        case _:
            head, claims = draw(changed(_WORDS)), kit.claims()
    depth = draw(st.sampled_from([0, 0, 0, 500, 2500]))
    text = b"[" * depth + encoded(head)
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (text, encoded(claims)))
    signature = kit.rsa_key("entra").sign(signed, kit.padding.PKCS1v15(), kit.hashes.SHA256())
    return f"{signed.decode()}.{kit._url64(signature)}"


def _check_token(token: str) -> None:
    end = notices.check_token(token, _TRUST, kit.NOW)
    assert kit.NOW - 300 < end < 1e12


@st.composite
def _sealed(draw: st.DrawFn) -> dict[str, Any]:
    """Content that is rightly sealed around something odd, or oddly sealed."""
    presence = json.loads(kit.presence())
    plain = draw(json_like(presence))
    content = kit.sealed(plain)
    return content if draw(st.booleans()) else draw(changed(content))


def _decrypt(content: Any) -> None:
    notice = msgspec.json.decode(encoded(kit.item(content)), type=wire.Notice)
    notices.open_item(notice, _TRUST)


# The webhook ----------------------------------------------------------------------------------------


@st.composite
def _requests(draw: st.DrawFn) -> dict[str, Any]:
    query = st.one_of(
        st.binary(max_size=60),
        bent(b"a=1&validationToken=Validation%3A+Testing%20client%2B&b=2"),
        st.sampled_from([b"validationToken=" + b"%41" * 3000, b"&" * 5000, b"validationToken=%ff%fe%00"]),
    )
    return {
        "type": "http",
        "method": draw(st.sampled_from(["POST", "POST", "GET", "post", "TRACE"])),
        "path": draw(
            st.one_of(st.sampled_from(["/hook", "/hook", "/hook/", "/HOOK", "//hook", "/./hook"]), st.text())
        ),
        "query_string": draw(query),
        "headers": draw(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5)),
        "parts": draw(st.lists(st.binary(max_size=50), min_size=1, max_size=4)),
        "leaves": draw(st.booleans()),
    }


def _webhook(request: dict[str, Any]) -> None:
    taken: list[bytes] = []
    hook = Webhook("/hook", lambda body: not taken.append(body), lambda: None)
    answer = _asked(hook, request)
    if answer is None:
        assert request["leaves"]
        return
    status, headers, body = answer
    assert status in (200, 202, 404)
    if request["method"] != "POST" or request["path"] != "/hook":
        assert (status, body, taken) == (404, b"", [])
    if status == 200:
        assert headers[b"content-type"].startswith(b"text/plain")
    else:
        assert body == b""
    assert all(body == b"".join(request["parts"]) for body in taken)


def _asked(app: Any, request: dict[str, Any]) -> tuple[int, dict[bytes, bytes], bytes] | None:
    """What an ASGI application answers; it has nothing to wait for but us."""
    parts, answer = list(request["parts"]), []

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts) or request["leaves"]}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    _loop().run_until_complete(app(dict(request), receive, send))
    if not answer:
        return None
    body = b"".join(message.get("body", b"") for message in answer[1:])
    return answer[0]["status"], dict(answer[0]["headers"]), body


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


# The operator's listener ----------------------------------------------------------------------------


class _Site:
    def __init__(self) -> None:
        self.journal, self.metrics = Journal(), Metrics()
        self.journal.close()  # so that a stream of events ends
        self.name, self.metrics = "site", Metrics()
        self.plots, self.day, self.is_dry_run = Plots(lambda: 0.0), None, False

    def now(self) -> float:
        return 0.0

    def keys(self) -> list[str]:
        return []

    def view(self, _key: str) -> None:
        return None

    def find(self, _name: str) -> None:
        return None

    def link_views(self) -> list[views.LinkView]:
        return []

    def ending(self) -> list[views.Note]:
        return []

    def stuck(self) -> list[str]:
        return []

    def measure(self) -> None: ...

    def overview(self) -> views.Overview:
        return views.Overview(ready=True, dry_run=False, links=[], people=[])

    def matching(self) -> views.MatchingView:
        return views.MatchingView("list", None, None, [], [], [])

    def person(self, _name: str) -> None:
        return None

    def pause(self, _name: str, seconds: float | None) -> bool:
        assert seconds is None or 0 < seconds < 1e9
        return True

    def resume(self, _name: str) -> bool:
        return True

    def refresh(self) -> None: ...


_PATHS = ["/", "/rows", "/static/page.js", "/livez", "/readyz", "/metrics", "/api/people", "/api/people/101"]
_PATHS += ["/api/people/101/pause", "/api/people/a/b/resume", "/api/refresh", "/api/matching", "/static/../x"]
_HEADERS: dict[bytes, list[bytes]] = {
    b"host": [b"localhost", b"localhost:8080", b"evil.example", b"[::1]", b"[", b"a@localhost", b"\xff"],
    b"authorization": [b"Bearer token", b"Basic OnRva2Vu", b"Basic \xff", b"Basic", b"Bearer"],
    b"origin": [b"http://localhost:8080", b"null", b"https://evil.example"],
    b"sec-fetch-site": [b"same-origin", b"cross-site", b"none"],
    b"content-type": [b"application/json", b"application/json; charset=x", b"text/plain"],
    b"content-length": [b"5", b"-1", b"x"],
}


@st.composite
def _orders(draw: st.DrawFn) -> dict[str, Any]:
    headers = [
        (name, draw(st.sampled_from(values) | bent(values[0])))
        for name, values in _HEADERS.items()
        if name == b"host" or draw(st.booleans())
    ]
    path = draw(st.one_of(st.sampled_from(_PATHS), st.text(max_size=20).map(lambda text: f"/{text}")))
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "client": draw(st.sampled_from([None, ("127.0.0.1", 1), ("::1", 1), ("fe80::1%eth0", 1), ("x", 1)])),
        "root_path": "",
        "method": draw(st.sampled_from(["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "x"])),
        "path": path,
        "raw_path": path.encode("utf-8", "replace"),
        "query_string": draw(st.binary(max_size=30)),
        "headers": headers,
        "parts": [draw(json_like({"seconds": 60}))],
        "leaves": draw(st.booleans()),
    }


def _operator(request: dict[str, Any]) -> None:
    app = operator_app(One(_Site()), ["localhost"], "token" if request["query_string"] else "")  # type: ignore[arg-type]
    answer = _asked(app, request)
    assert answer is not None
    assert answer[0] < 500
    assert b"content-security-policy" in answer[1]


# Graph ----------------------------------------------------------------------------------------------

_PRESENCE = json.loads(kit.presence())
_USER = {
    "id": kit.ANN,
    "userPrincipalName": "ann@example.org",
    "mail": "ann@example.org",
    "displayName": "Ann",
    "otherMails": ["a@example.org"],
    "proxyAddresses": ["SMTP:ann@example.org", "smtp:a.n@example.org"],
    "accountEnabled": True,
    "userType": "Member",
}
_SUBSCRIPTION = {
    "id": kit.SUBSCRIPTION,
    "resource": "/communications/presences?$filter=id in ('a')",
    "expirationDateTime": "2026-11-23T11:00:00.0000000Z",
    "notificationUrl": "https://pbx.example.com/hook",
    "applicationId": kit.APP,
    "creatorId": kit.ANN,
    "encryptionCertificateId": "ours",
}
_ERROR = {"error": {"code": "InvalidRequest", "message": "Nothing of the kind", "innerError": {"date": "x"}}}


def _presences(body: bytes) -> None:
    for one in _readable(calls.decode(calls.read_presences(["a"]), 200, {}, body).value, wire.PresenceBody):
        assert isinstance(one.availability, str)


def _users(body: bytes) -> None:
    page = calls.decode(calls.list_users(further=True), 200, {}, body)
    users = _readable(page.value, wire.User)
    for user in users:
        assert all(isinstance(one, str) for one in (*user.further, user.user_principal_name))
        assert isinstance(user.guest or user.enabled, bool)
    _by_name(["ann@example.org"], users)
    if page.next_link:
        calls.more_users(page.next_link)


def _subscriptions(body: bytes) -> None:
    calls.decode(calls.create_subscription(_NEW), 201, {}, body)


_NEW = calls.NewSubscription((kit.ANN,), "https://a/", "s", "c", "ours", datetime(2026, 11, 23, tzinfo=UTC))


def _subscription_list(body: bytes) -> None:
    page = calls.decode(calls.list_subscriptions(), 200, {}, body)
    if page.next_link:
        assert calls.list_subscriptions(page.next_link).path.startswith("/v1.0/subscriptions")


def _graph_error(told: tuple[int, str, bytes]) -> None:
    status, after, body = told
    try:
        calls.decode(
            calls.set_presence("a", "b", Presence("Busy", "InACall"), 300),
            status,
            {"retry-after": after},
            body,
        )
    except LinkError as error:
        wait = getattr(error, "after_s", None)
        assert wait is None or 0 <= wait <= 86400
        raise


@functools.cache
def _graph() -> httpx2.Client:
    return httpx2.Client(base_url="https://graph.microsoft.com", verify=False)


def _more_users(link: str) -> None:
    path = calls.more_users(link).path
    assert path.startswith("/v1.0/users?")
    url = _graph().build_request("GET", path).url
    assert url.host == "graph.microsoft.com"


def _more_subscriptions(link: str) -> None:
    path = calls.list_subscriptions(link).path
    assert path.startswith("/v1.0/subscriptions")
    url = _graph().build_request("GET", path).url
    assert url.host == "graph.microsoft.com"


def _signing_keys(body: bytes) -> None:
    document = msgspec.json.decode(body)
    if isinstance(document, dict):
        parse_keys(document)


def _sign_in(answer: Any) -> None:
    if isinstance(answer, dict):
        token = auth._token(answer, "a cure")
        assert token.isascii()


# 3CX ------------------------------------------------------------------------------------------------


def _jwt(claims: Any) -> str:
    return ".".join(kit._url64(encoded(part)) for part in ({"alg": "none"}, claims)) + ".x"


_JWT_CLAIMS = {"exp": 1795000000, "nbf": 1794996400, "iat": 1794996400}
_V20_TOKEN = {
    "token_type": "Bearer",
    "expires_in": 60,
    "access_token": _jwt(_JWT_CLAIMS),
    "refresh_token": None,
}
_V20_USER = {"Id": 12, "Number": "101", "CurrentProfileName": "Available"}
_V20_PERSON = {
    "Number": "101",
    "FirstName": "Ann",
    "LastName": "B",
    "EmailAddress": "a@example.org",
    "Enabled": True,
}
_V20_CALL = {"Id": 1, "Caller": "101 Ann", "Callee": "102 Bob", "Status": "Talking"}
_PARTICIPANT = {"id": 3, "status": "Connected", "dn": "101", "party_dn": "102"}
_ENTRY = {"dn": "101", "type": "Wextension", "devices": [], "participants": [_PARTICIPANT]}
_EVENT = {
    "sequence": 7,
    "event": {"event_type": 0, "entity": "/callcontrol/101/participants/3", "attached_data": None},
}
_SYNC = {
    "AdUsers": {
        "SetTeamsPresence": True,
        "StatusSyncConfiguration": {"PBXToM365Busy": True, "M365ToPbxBindings": []},
    }
}


def _v20_token(body: bytes) -> None:
    token, life = v20.parse_token(body)
    assert token.isascii()
    assert 0 < life < float("inf")


@st.composite
def _token_answers(draw: st.DrawFn) -> bytes:
    claims = draw(changed(_JWT_CLAIMS) | st.just({}))
    deep = kit._url64(b"[" * draw(st.sampled_from([0, 100, 3000, 50_000])) + encoded(claims))
    token = draw(st.sampled_from([_jwt(claims), f"a.{deep}.b", "a.b.c", "a.%.c", "\u00e4.b.c", "a\r\nX: y"]))
    return draw(json_like(_V20_TOKEN | {"access_token": token}))


def _v20_error(told: tuple[int, bytes]) -> None:
    raise v20.error("GET", "/xapi/v1/Users", *told)


def _picture(messages: list[bytes]) -> None:
    """Events one after another, and reads between them."""
    picture = v20_calls.Picture(lambda dn: len(dn) < 10)
    mark = picture.mark()
    for message in messages:
        try:
            picture.event(v20_calls.parse_event(message))
            picture.whole(v20_calls.parse_call_control(message), mark)
        except Malformed:
            mark = picture.mark()
    assert all(picture.legs().by_extension.values())


def _status_named(name: str) -> None:
    assert v20.status_named(name, {}) in {None, *STATUSES}


def _legs(parse: Callable[[Any], Any]) -> Callable[[Any], None]:
    def run(body: Any) -> None:
        legs = parse(body)
        assert legs.by_extension.keys().isdisjoint(legs.unreadable) or parse is v20_calls.parse_active_calls
        assert all(len(what) < 200 + len(dn) for dn, what in legs.unreadable.items())

    return run


_LEGS = "ID=7;S=Connected;DN=101;Queue_Name=;<br>ID=8;S=Ringing;DN=102;<br>"
_WEB_API_CALLS = f"<html><head></head><body>{_LEGS}</body></html>"

# Matching -------------------------------------------------------------------------------------------


@st.composite
def _directories(draw: st.DrawFn) -> tuple[list[PbxUser], list[wire.User]]:
    texts = st.sampled_from(
        ["101", "102", "a@example.org", "A@EXAMPLE.ORG", "", "9" * 5000, "\u0661", "İ@example.org"]
    )
    texts |= st.text(max_size=10)
    pbx = [
        PbxUser(draw(texts), draw(texts), draw(texts), draw(st.booleans()))
        for _ in range(draw(st.integers(0, 4)))
    ]
    teams = [
        wire.User(
            draw(texts),
            draw(texts),
            draw(st.none() | texts),
            draw(texts),
            (draw(texts),),
            (f"smtp:{draw(texts)}",),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    return pbx, teams


def _match(told: tuple[list[PbxUser], list[wire.User]]) -> None:
    pbx, teams = told
    found = matching.match(pbx, teams, [matching.Named("101", "a@example.org")], ["102", "İ"])
    assert len({one.extension for one in found.served}) == len(found.served)
    for one in found.left:
        matching.in_words(one)


# What is told in German ----------------------------------------------------------------------------


@st.composite
def _troubles(draw: st.DrawFn, depth: int = 4) -> str:
    """Sentences of ours, in whose holes others have written more of the same."""
    others = _troubles(depth - 1) if depth else st.nothing()
    pieces = re.split(r"\{\w+\}", draw(st.sampled_from(sorted(reasons.GERMAN))))
    told = pieces[0]
    for piece in pieces[1:]:
        told += draw(others | st.sampled_from(["x", "; ", " (", ")", "{why}", ""])) + piece
    return told + draw(st.sampled_from(["", "", "; ", "; x", " (x)"])) * draw(st.sampled_from([1, 1, 200]))


def _in_german(text: str) -> None:
    """The text in pieces, as the page might have one in each row."""
    reasons._kept.cache_clear()
    for start in range(0, len(text), _ROW):
        piece = text[start : start + _ROW]
        said = reasons.reason(piece, "de")
        assert said.language == "de" or said.text == piece


_ROW = 250

# What stands on the disk ----------------------------------------------------------------------------

_CONFIG = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
client_secret_file = "secret"
delivery = "webhook"
[teams.webhook]
public_url = "https://pbx.example.com/hook"
[pbx]
kind = "3cx-v20"
url = "https://pbx.example.com:5001"
client_id = "bridge"
client_secret_file = "secret"
status_via = ["xapi", "bridge"]
[pbx.bridge]
url = "http://127.0.0.1:8889"
[people]
match = "email"
exclude = ["925"]
[[person]]
teams = "user1@example.org"
extension = "101"
[policy]
preset = "seed"
lease_s = 300
[policy.teams_to_3cx]
"Busy/InAMeeting" = "no change"
[policy.threecx_to_teams]
call = "Busy/InAConferenceCall"
[operator]
listen = "127.0.0.1:8080"
hosts = ["a.example.com"]
"""


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "secret").write_text("s3cret")
    return folder


def _load_config(text: str) -> None:
    file = _folder() / "site.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config.load(file)
    except Misconfigured as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.cure for problem in problems)


@st.composite
def _configs(draw: st.DrawFn) -> str:
    lines = _CONFIG.strip().split("\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        word, equals, _ = lines[at].partition(" = ")
        match draw(st.integers(0, 3)):
            case 0:
                del lines[at]
            case 1 if equals:
                value = draw(VALUES.filter(lambda value: value is not None))
                lines[at] = f"{word} = {json.dumps(value)}"
            case 2:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case _:
                lines[at] = draw(bent(lines[at].encode())).decode("utf-8", "replace")
    return "\n".join(lines)


def _load_world(body: bytes) -> None:
    file = _folder() / "world.json"
    file.write_bytes(body)
    load_world(file)


_WORLD = {
    "tenant_id": "t",
    "users": [{"id": "a", "userPrincipalName": "a@example.org", "mail": None, "displayName": "A"}],
    "watchers": [{"username": "w@example.org", "id": "b"}],
    "extensions": [{"number": "101", "name": "A", "email": "", "status": "Available"}],
    "monitored": ["101"],
}


class _Rows(SqliteStore):
    """The store, with a row of somebody's."""

    def __init__(self, blob: bytes) -> None:
        self._path = Path("x")
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("CREATE TABLE person (key TEXT PRIMARY KEY, state BLOB NOT NULL)")
        self._connection.execute("INSERT INTO person VALUES ('101', ?)", (blob,))


def _rows(blob: bytes) -> None:
    store = _Rows(blob)
    try:
        assert all(isinstance(state, State) for state in store.load().values())
    finally:
        store._connection.close()


_HELD = Held("id", "state", ("a",), "https://a/", "cert", 1.0, 0.5)


def _held(body: bytes) -> None:
    file = _folder() / "subscription-x.json"
    file.write_bytes(body)
    watcher = Watcher(None, None, Watched(), None, FolderFiles(_folder()), "x", lambda: 0.0)  # type: ignore[arg-type]
    assert watcher.held is None or isinstance(watcher.held, Held)


@functools.cache
def _pem() -> bytes:
    return make_key(datetime(2026, 11, 23, tzinfo=UTC)).to_pem().encode()


def _key_file(body: bytes) -> None:
    folder = _folder() / "keys"
    folder.mkdir(exist_ok=True)
    (folder / "notification-key-x.pem").write_bytes(body)
    EncryptionKeys(FolderFiles(folder), lambda: 0.0).private_keys()


def _credential(body: bytes) -> None:
    certificate_credential(body.decode("utf-8", "replace"))


@functools.cache
def _server_certificate() -> bytes:
    key, name = rsa.generate_private_key(65537, 2048), x509.Name([])
    names = [x509.DNSName("pbx.example.org"), x509.IPAddress(ip_address("192.0.2.1"))]
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2028, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


_CACHE = {
    "AccessToken": {},
    "RefreshToken": {
        "x": {
            "credential_type": "RefreshToken",
            "home_account_id": "u.t",
            "environment": "login.example",
            "secret": "r",
            "client_id": "c",
        }
    },
    "Account": {
        "y": {
            "home_account_id": "u.t",
            "environment": "login.example",
            "realm": "t",
            "username": "w",
            "authority_type": "MSSTS",
        }
    },
}


class _NoNet:
    """A sign-in that nobody reaches."""

    def get(self, url: str, **_: Any) -> Any:
        raise httpx2.ConnectError("no net", request=httpx2.Request("GET", "https://login.example"))

    post = get

    def close(self) -> None: ...


_TLS = ssl.create_default_context()
"""Made once: it reads every authority of the machine."""


def _watcher_file(body: bytes) -> None:
    sign_in = SignIn("https://login.example", "t", "c", "https://graph.example", _TLS)
    sign_in.http = _NoNet()  # type: ignore[assignment]
    file = _folder() / "watcher-x.json"
    file.write_bytes(body)
    WatcherTokens(sign_in, FolderFiles(_folder()), "x")._acquire(False)


def _filter(text: str) -> None:
    try:
        passes = odata_filter.parsed(text, frozenset({"Number", "CurrentProfileName", "Groups"}))
    except odata_filter.FilterError:
        return  # it quotes the question as a whole, as OData does
    passes({"Number": "101", "CurrentProfileName": None, "Groups": [{"Number": "1"}]})


_ANSWERS = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: application/json\r\n\r\n{"value":[]}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 3\r\nConnection: close\r\n\r\nwait",
    b"HTTP/1.0 204 No Content\r\n\r\n",
)


class _Wire(asyncio.Transport):
    """Sends nothing; what comes is fed by hand."""

    def write(self, data: Any) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


def _http_answer(raw: bytes) -> None:
    """An answer of the other side in pieces, and then it hangs up: whoever asked gets an end of it."""

    async def asks() -> None:
        connection = _Connection()
        connection.connection_made(_Wire())
        asking = asyncio.ensure_future(connection.ask(b"GET / HTTP/1.1\r\n\r\n"))
        await asyncio.sleep(0)
        for start in range(0, len(raw), 53):
            connection.data_received(raw[start : start + 53])
            await asyncio.sleep(0)
        connection.connection_lost(None)
        async with asyncio.timeout(5):
            await asking
            body = b"".join([chunk async for chunk in connection.aiter_bytes()])
        assert len(body) <= len(raw)

    asyncio.run(asks())


def _sorted_by_site(body: bytes) -> None:
    parts = parts_of(body, ("one", "two"))
    assert parts.keys() <= {"one", "two"}
    if len(parts) == 1:
        assert set(parts.values()) == {body}


_MARKED = {"value": [{"clientState": "one~s", "id": 1}, {"clientState": "two~s", "id": 2}, {"id": 3}], "x": 1}
_LICENCE = {"LicenseActive": True, "ExpirationDate": "2027-01-01T00:00:00Z", "ProductCode": "3CXPSPROF"}


# What stands in the cluster's engine ----------------------------------------------------------------

_NODE = {
    "name": "a",
    "incarnation": "f00d",
    "generation": 3,
    "beat": 7,
    "lease_s": 10.0,
    "takes_sites": True,
    "version": "1",
}
_OWNER = {"epoch": 4, "node": "a", "incarnation": "f00d", "generation": 3}
_KEYS = (
    "site.one.owner",
    "sign-in.one.watcher-=2e=json",
    "site.n=c3bc=rnberg.person.101",
    "=",
    "=zz=",
    "=ff=",
)


def _node(value: bytes) -> None:
    found = records.node_in(value)
    assert found is None or (found.lease_s > 0 and found.beat >= 0 and found.generation >= 0)


def _owner(value: bytes) -> None:
    found = records.owner_in(value)
    assert found is None or (found.epoch >= 0 and found.generation >= 0)


def _key_of_the_engine(key: str) -> None:
    """Whatever is understood is exactly what we would have written."""
    with contextlib.suppress(ValueError):
        assert records.plain(records.original(key)) == key
    with contextlib.suppress(ValueError):
        assert records.owner_key(records.site_of_owner(key)).split(".")[1] == key.split(".")[1]
    with contextlib.suppress(ValueError):
        site, name = records.sign_in_of(key)
        assert records.sign_in_key(site, name).partition(".")[2] == key.partition(".")[2]


def _place(value: bytes) -> None:
    assert records.place_in(value) >= 0


def _shared_people(blob: bytes) -> None:
    found = {"site.one.person.101": Entry("site.one.person.101", blob, 1)}
    store = SharedStore("one", None, found)  # type: ignore[arg-type]
    assert all(isinstance(state, State) for state in store.load().values())


def _shared_files(value: bytes) -> None:
    async def taken() -> SharedFiles:
        keys = (f"site.one.file.{name}" for name in ("a", "=zz=", "=ff=", "a=2e=b"))
        found = {key: Entry(key, value, 1) for key in keys}
        return SharedFiles("one", None, _seal(), found)  # type: ignore[arg-type]

    files = asyncio.run(taken())
    assert set(files.names()) <= {"a"}, "what was sealed elsewhere was opened"


@functools.cache
def _seal() -> Seal:
    file = _folder() / "cluster-key"
    file.write_text(new_key())
    return Seal(file)


# All of them ----------------------------------------------------------------------------------------

_STATUSES = st.sampled_from([200, 204, 301, 400, 401, 403, 404, 409, 410, 429, 500, 503, 599])
_AFTERS = text_like("120", "Mon, 23 Nov 2026 10:00:00 GMT", "-1", "1.5", "99999999999999999999")
_LINKS = text_like(
    "https://graph.microsoft.com/v1.0/users?$skiptoken=abc&$top=999",
    "https://evil.example/v1.0/users?$skiptoken=abc",
    "https://graph.microsoft.com/v1.0/subscriptions?$skiptoken=abc",
    "https://graph.microsoft.com@evil.example/v1.0/subscriptions@evil.example/",
)

TARGETS = [
    Target(
        "notifications", _understand, json_like(_NOTICE), (), repeated(b'{"value":[', encoded(_ITEM), b"]}")
    ),
    Target("validation tokens", _check_token, _tokens(), (notices.Rejected,)),
    Target(
        "sealed content", _decrypt, _sealed(), (notices.Rejected, msgspec.DecodeError, UnicodeDecodeError)
    ),
    Target("the webhook", _webhook, _requests()),
    Target("the webhook of several sites", _sorted_by_site, json_like(_MARKED)),
    Target("HTTP answers", _http_answer, st.one_of(*map(bent, _ANSWERS)), (httpx2.RequestError,)),
    Target("V20: licence", v20.parse_licence, json_like(_LICENCE), (Malformed,)),
    Target("the operator's listener", _operator, _orders()),
    Target(
        "Graph: presences",
        _presences,
        json_like({"value": [_PRESENCE]}),
        (LinkError,),
        repeated(b'{"value":[', encoded(_PRESENCE), b"]}"),
    ),
    Target(
        "Graph: users",
        _users,
        json_like({"value": [_USER], "@odata.nextLink": "https://graph.microsoft.com/v1.0/users?a=b"}),
        (LinkError,),
        repeated(b'{"value":[', encoded(_USER), b"]}"),
    ),
    Target("Graph: a subscription", _subscriptions, json_like(_SUBSCRIPTION), (LinkError,)),
    Target("Graph: subscriptions", _subscription_list, json_like({"value": [_SUBSCRIPTION]}), (LinkError,)),
    Target("Graph: errors", _graph_error, st.tuples(_STATUSES, _AFTERS, json_like(_ERROR)), (LinkError,)),
    Target("Graph: more users", _more_users, _LINKS, (LinkError,)),
    Target("Graph: more subscriptions", _more_subscriptions, _LINKS, (LinkError, httpx2.InvalidURL)),
    Target(
        "Entra: signing keys",
        _signing_keys,
        json_like(
            {
                "keys": [
                    {
                        "kty": "RSA",
                        "kid": "a",
                        "n": "sXch",
                        "e": "AQAB",
                        "use": "sig",
                        "alg": "RS256",
                        "x5c": ["x"],
                    }
                ]
            }
        ),
        (Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError),
    ),
    Target(
        "Entra: sign-in",
        _sign_in,
        changed(
            {
                "access_token": "x",
                "error": "invalid_grant",
                "error_description": "AADSTS50076: no\r\nTrace ID: x",
            }
        )
        | VALUES,
        (LinkError,),
    ),
    Target("V20: token", _v20_token, _token_answers(), (Malformed,)),
    Target(
        "V20: a user",
        lambda body: v20.parse_user("101", body),
        json_like({"value": [_V20_USER]}),
        (LinkError,),
    ),
    Target(
        "V20: statuses",
        v20.parse_statuses,
        json_like({"value": [_V20_USER]}),
        (Malformed,),
        repeated(b'{"value":[', encoded(_V20_USER), b"]}"),
    ),
    Target(
        "V20: directory",
        v20.parse_directory,
        json_like({"value": [_V20_PERSON]}),
        (Malformed,),
        repeated(b'{"value":[', encoded(_V20_PERSON), b"]}"),
    ),
    Target(
        "V20: system names",
        v20.parse_system_names,
        json_like({"Custom1Name": "Lunch", "Custom2Name": "Trip"}),
        (Malformed,),
    ),
    Target(
        "V20: profiles",
        v20.parse_profiles,
        json_like({"value": [{"Name": "Custom 1", "CustomName": "Lunch"}]}),
        (Malformed,),
    ),
    Target("V20: own sync", v20.parse_own_sync, json_like(_SYNC), (Malformed,)),
    Target(
        "V20: errors",
        _v20_error,
        st.tuples(_STATUSES, json_like(_ERROR, {"error": "invalid_client"})),
        (LinkError,),
    ),
    Target("V20: status names", _status_named, text_like("Available", "Out of office", "custom 1")),
    Target(
        "V20: call control",
        v20_calls.parse_call_control,
        json_like([_ENTRY]),
        (Malformed,),
        repeated(b"[", encoded(_ENTRY), b"]"),
    ),
    Target("V20: participants", v20_calls.parse_participants, json_like([_PARTICIPANT]), (Malformed,)),
    Target(
        "V20: active calls",
        _legs(v20_calls.parse_active_calls),
        json_like({"value": [_V20_CALL]}),
        (Malformed,),
        repeated(b'{"value":[', encoded(_V20_CALL), b"]}"),
    ),
    Target(
        "V20: events",
        v20_calls.parse_event,
        json_like(
            _EVENT,
            _EVENT | {"event": {"event_type": 1, "entity": "/callcontrol/101/participants/" + "9" * 5000}},
        ),
        (Malformed,),
    ),
    Target("V20: the picture", _picture, st.lists(json_like(_EVENT, [_ENTRY]), max_size=6)),
    Target(
        "web-API: status",
        lambda text: web_api.parse_status("101", text),
        text_like("    CURRENT_STATUS=Away"),
        (Malformed,),
        lambda size: " " * size + "CURRENT_STATUS=",
    ),
    Target(
        "web-API: change",
        lambda text: web_api.parse_change("101", "Away", text),
        text_like("Away", "Available"),
        (Malformed,),
    ),
    Target(
        "web-API: calls",
        _legs(web_api.parse_calls),
        text_like(_WEB_API_CALLS),
        (Malformed,),
        lambda size: _WEB_API_CALLS.replace("ID=7", " " * size + "ID=7"),
    ),
    Target(
        "web-API: many calls",
        _legs(web_api.parse_calls),
        text_like(_WEB_API_CALLS),
        (Malformed,),
        lambda size: (
            "<html><head></head><body>" + "ID=7;S=Connected;DN=101;<br>" * (size // 28) + "</body></html>"
        ),
    ),
    Target(
        "web-API: no frame",
        _legs(web_api.parse_calls),
        text_like("<html><head></head><body></body></html>"),
        (Malformed,),
        lambda size: " " * size + "<html><head></head><body>" * 3,
    ),
    Target(
        "3CXStatusWebApi",
        lambda body: status_web_api.parse_status("101", body),
        json_like({"message": "Available", "status": "OK"}),
        (LinkError,),
    ),
    Target("matching", _match, _directories()),
    Target(
        "German",
        _in_german,
        _troubles() | text_like("3CX's answer to x is not what it should be: y; check tenant_id"),
        (),
        lambda size: ("x; " + "ended on " * (_ROW // 9))[:_ROW] * (size // _ROW),
    ),
    Target(
        "German: one behind the other",
        _in_german,
        st.just("double: a is an address of b"),
        (),
        lambda size: "a can't be reached: b; " * (size // 23),
    ),
    Target("config", _load_config, _configs()),
    Target(
        "config: lines",
        Lines,
        bent(_CONFIG.encode()).map(lambda raw: raw.decode("utf-8", "replace")),
        (),
        lambda size: '[[person]]\nteams = "a@b"\nextension = "1"\n' * (size // 45),
    ),
    Target("world", _load_world, json_like(_WORLD), (ValueError,)),
    Target("the store", _rows, json_like(json.loads(msgspec.json.encode(State())))),
    Target("a held subscription", _held, json_like(json.loads(msgspec.json.encode(_HELD)))),
    Target("cluster: a node", _node, json_like(_NODE)),
    Target("cluster: an owner", _owner, json_like(_OWNER)),
    Target("cluster: keys", _key_of_the_engine, text_like(*_KEYS)),
    Target(
        "cluster: a place", _place, st.one_of(bent(b"12345"), st.integers().map(lambda n: str(n).encode()))
    ),
    Target("cluster: people", _shared_people, json_like(json.loads(msgspec.json.encode(State())))),
    Target("cluster: files", _shared_files, st.deferred(lambda: bent(_seal().close("one/a", b"content")))),
    Target(
        "cluster: answers",
        check_written,
        json_like({"stream": "s", "seq": 1}, {"error": {"err_code": 10071, "description": "wrong"}}),
        (EngineError, Stale),
    ),
    Target("notification keys", _key_file, bent(_pem())),
    Target("the app's certificate", _credential, bent(_pem()), (ValueError,)),
    Target("a server's certificate", names_in, bent(_server_certificate())),
    Target("a watcher's sign-in", _watcher_file, json_like(_CACHE), (LinkError,)),
    Target(
        "addresses",
        config.parse_listen,
        text_like("127.0.0.1:8080", "[::1]:0", "localhost:65535"),
        (ValueError,),
    ),
    Target(
        "emulator: OData filter",
        _filter,
        text_like(
            "Number eq '101' and not startswith(CurrentProfileName,'a')",
            "Groups/any(g: g/Number in ('1','2'))",
            "(" * 5000,
        ),
    ),
]
