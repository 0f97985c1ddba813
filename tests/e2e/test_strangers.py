"""What strangers can send to the webhook: nothing changes, it is counted, and they learn nothing."""

import base64
import copy
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from e2e_programs import free_port, until
from e2e_sites import FREE, Site


class Recorder(http.server.ThreadingHTTPServer):
    """Stands before the webhook as a proxy does, and keeps what Graph posted."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Pass)
        self.behind = ""
        self.bodies: list[bytes] = []


class _Pass(http.server.BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = httpx2.post(
            self.server.behind + self.path,
            content=body,
            headers={"Content-Type": self.headers["Content-Type"] or ""},
        )
        if b'"encryptedContent"' in body:
            self.server.bodies.append(body)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def caught(new_site: Callable[..., Site]) -> Iterator[tuple[Site, dict[str, Any]]]:
    """A running site, and a genuine notification that says that Ann is busy, while she is free again."""
    recorder = Recorder(free_port())
    threading.Thread(target=recorder.serve_forever, daemon=True).start()
    site = new_site(hook_port=recorder.server_port)
    recorder.behind = f"http://127.0.0.1:{site.ports['hook']}"
    try:
        site.start_service()
        site.client(1, "Busy/InAMeeting")
        site.until_status(1, "Away")
        until("the notification is kept", lambda: bool(recorder.bodies))
        notification = json.loads(recorder.bodies[0])
        site.client(1, FREE)
        site.until_status(1, "Available")
        site.until_at_rest()
        yield site, notification
    finally:
        recorder.shutdown()
        recorder.server_close()


def _post(site: Site, body: bytes) -> None:
    """Post to the webhook; whatever it is, the answer is the same."""
    url = f"http://127.0.0.1:{site.ports['hook']}/presence-hook"
    answer = httpx2.post(url, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.content) == (202, b"")


def _counted(site: Site) -> dict[str, float]:
    found = re.findall(
        r'presencebridge_notifications_total\{outcome="(\w+)",site="\w+"\} ([\d.]+)',
        site.page("/metrics").text,
    )
    return {outcome: float(count) for outcome, count in found}


def _flip(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(raw).decode()


def _bend_token(token: str) -> str:
    head, claims, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    raw[len(raw) // 2] ^= 1
    return ".".join((head, claims, base64.urlsafe_b64encode(raw).decode().rstrip("=")))


def test_altered_replayed_and_forged_notifications_change_nothing(caught) -> None:
    site, genuine = caught

    def altered(**changes: Any) -> bytes:
        body = copy.deepcopy(genuine)
        body["value"][0] |= changes
        return json.dumps(body).encode()

    content = genuine["value"][0]["encryptedContent"]
    token = genuine["validationTokens"][0]
    other_token = (
        token.split(".")[0] + "." + base64.urlsafe_b64encode(b'{"aud":"me"}').decode().rstrip("=") + "."
    )
    attacks = {
        "client_state": altered(clientState="x" * 64),
        "data_signature": altered(
            encryptedContent=content | {"dataSignature": _flip(content["dataSignature"])}
        ),
        "data_key": altered(
            encryptedContent=content | {"dataKey": _flip(content["dataKey"]), "dataSignature": "AAAA"}
        ),
        "unknown_certificate": altered(
            encryptedContent=content | {"encryptionCertificateId": "mine", "dataSignature": "AAAA"}
        ),
        "unknown_subscription": altered(subscriptionId="00000000-0000-0000-0000-00000000dead"),
        "unknown_person": altered(
            resourceData={"id": "00000000-0000-0000-0000-000000000103"},
            encryptedContent=content | {"dataSignature": "BBBB"},
        ),
        "validation_token_signature": json.dumps(
            genuine | {"validationTokens": [_bend_token(token)]}
        ).encode(),
        "validation_token_form": json.dumps(genuine | {"validationTokens": ["no token"]}).encode(),
        "validation_tokens_missing": json.dumps(genuine | {"validationTokens": None}).encode(),
        "replayed": json.dumps(genuine).encode(),
        "shape": b'{"value": "everything"}',
        "size": b"[" * 4_500_000,
    }
    before = _counted(site)
    writes = [one for one in site.ask_pbx("GET", "/requests") if "/setstatus" in one["path"]]
    for attack in attacks.values():
        _post(site, attack)
    _post(site, json.dumps(genuine | {"validationTokens": [other_token]}).encode())
    _post(site, b"\xff\xfe\x00")
    until("all are counted", lambda: sum(_counted(site).values()) == sum(before.values()) + len(attacks) + 2)
    after = _counted(site)
    for why in attacks:
        assert after.get(why, 0) > before.get(why, 0), why
        assert site.service.log.count(f'"why": "{why}"') == 1, f"{why} is logged once"
    assert after["believed"] == before["believed"]

    for attack in attacks.values():
        _post(site, attack)
    until("all are counted", lambda: sum(_counted(site).values()) == sum(after.values()) + len(attacks))
    assert site.service.log.count('"why": "client_state"') == 1
    site.until_at_rest()
    assert [one for one in site.ask_pbx("GET", "/requests") if "/setstatus" in one["path"]] == writes
    assert site.status(1) == "Available"
    assert site.page("/readyz").status_code == 200


def test_the_webhook_is_one_path_and_one_method(site: Site) -> None:
    url = f"http://127.0.0.1:{site.ports['hook']}"
    for method, path in (
        ("GET", "/presence-hook"),
        ("PUT", "/presence-hook"),
        ("GET", "/"),
        ("POST", "/"),
        ("POST", "/presence-hook/more"),
        ("GET", "/metrics"),
        ("GET", "/api/people"),
    ):
        answer = httpx2.request(method, url + path)
        assert (answer.status_code, answer.content) == (404, b""), (method, path)
        assert "server" not in answer.headers
    token = "Validation: <b>of</b> a strange+token"
    answer = httpx2.post(f"{url}/presence-hook", params={"validationToken": token})
    assert (answer.status_code, answer.text) == (200, token)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_operators_listener_takes_orders_from_its_own_page_only(site: Site) -> None:
    url = f"http://127.0.0.1:{site.ports['page']}"
    assert httpx2.post(f"{url}/api/people/101/pause", content=b"{}").status_code == 400
    assert httpx2.get(f"{url}/api/people", headers={"Host": "evil.example"}).status_code == 400
    assert httpx2.get(f"{url}/api/people/101/pause").status_code == 404
    assert site.shown("/api/people/101")["person"]["condition"] == "in step"
