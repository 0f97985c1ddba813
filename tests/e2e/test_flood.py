"""Far more than one process can do, on the webhook: what is lost is refused, the rest goes on."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from e2e_programs import free_port, until
from e2e_sites import FREE, Site
from notice_kit import b64
from test_strangers import Recorder

SECONDS = float(os.environ.get("FLOOD_SECONDS", "6"))
_ROOM = 350_000_000
"""Bytes that the service may grow by: what waits, what is on its way, and what Python makes of that."""


class Forger:
    """Makes notifications as good as Graph's: with our secret, for our key, and a token of Graph's."""

    def __init__(self, genuine: dict[str, Any], state: Path) -> None:
        self._genuine = genuine
        pem = next(state.glob("notification-key-*.pem")).read_bytes()
        self._key = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :]).public_key()

    def items(self, count: int, activity: str) -> bytes:
        """A body of so many items; no two of them are alike."""
        item = self._genuine["value"][0]
        user = item["resourceData"]["id"]
        plain = json.dumps({"id": user, "availability": "Available", "activity": activity}).encode()
        padder = PKCS7(128).padder()
        padded = padder.update(plain) + padder.finalize()
        return json.dumps(
            self._genuine | {"value": [item | self._sealed(padded) for _ in range(count)]}
        ).encode()

    def _sealed(self, padded: bytes) -> dict[str, Any]:
        key = secrets.token_bytes(32)
        encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        data = encryptor.update(padded) + encryptor.finalize()
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - as documented
        content = {
            "data": b64(data),
            "dataSignature": b64(hmac.digest(key, data, hashlib.sha256)),
            "dataKey": b64(self._key.encrypt(key, oaep)),  # type: ignore[union-attr]
        }
        return {"encryptedContent": self._genuine["value"][0]["encryptedContent"] | content}


class Flood:
    """Senders that never stop, and what they were answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: dict[str, dict[str, int]] = {"good": {}, "bad": {}}
        self._over = False

    @property
    def refused(self) -> int:
        """Answers that make Graph come again."""
        return sum(answers.get("503", 0) for answers in self.answers.values())

    async def _send(self, kind: str, bodies: list[bytes]) -> None:
        for number in range(10**9):
            if self._over:
                return
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                answer = await self._post(bodies[number % len(bodies)])
                self.answers[kind][answer] = self.answers[kind].get(answer, 0) + 1

    async def _post(self, body: bytes) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = "POST /presence-hook HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.read()
            return answer.split(b" ", 2)[1].decode() if answer else "cut"
        finally:
            writer.transport.abort()

    async def _idle(self) -> None:
        """Connects, sends half a head, and waits; when it is cut, it comes again."""
        while not self._over:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(b"POST /presence-hook HTTP/1.1\r\nHost: a\r\nX-")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2):
                        await reader.read()
                writer.transport.abort()

    async def run(self, good: Callable[[], bytes], bad: list[bytes], watch: Callable[[], None]) -> None:
        """For some seconds; `watch` is called again and again, beside it."""

        async def send_good() -> None:
            while not self._over:
                with contextlib.suppress(OSError):
                    answer = await self._post(await asyncio.to_thread(good))
                    self.answers["good"][answer] = self.answers["good"].get(answer, 0) + 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(send_good())
            for _ in range(24):
                tasks.create_task(self._send("bad", bad))
            for _ in range(150):
                tasks.create_task(self._idle())
            begun = time.monotonic()
            while time.monotonic() < begun + SECONDS:
                await asyncio.to_thread(watch)
            self._over = True


def _memory(site: Site) -> int:
    assert site.service.process is not None
    status = Path(f"/proc/{site.service.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def _worked_through(site: Site) -> float:
    """Items that were believed, and those that a newer one of the same person had overtaken by then."""
    counted = r'notifications_total\{outcome="(?:believed|superseded)",site="\w+"\} ([\d.]+)'
    return sum(map(float, re.findall(counted, site.page("/metrics").text)))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder(free_port())
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.timeout(SECONDS + 180)
def test_a_flood_costs_nothing_that_was_taken_in(new_site: Callable[..., Site], recorder: Recorder) -> None:
    site = new_site(hook_port=recorder.server_port)
    recorder.behind = f"http://127.0.0.1:{site.ports['hook']}"
    site.start_service()
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.client(1, FREE)
    site.until_status(1, "Available")
    site.until_at_rest()
    until("a notification is kept", lambda: bool(recorder.bodies))
    forger = Forger(json.loads(recorder.bodies[0]), site.folder / "state")
    before, rss_before = _worked_through(site), _memory(site)

    garbage = json.dumps(
        {"value": [json.loads(recorder.bodies[0])["value"][0] | {"clientState": "x"}] * 999}
    ).encode()
    bad = [b"{" + b'"a":[' * 300_000, b'{"value":[' + b"{}," * 500_000 + b"{}]}", garbage, b"x" * 5_000_000]
    flood = Flood(site.ports["hook"])
    pages, rss = [], []

    def watch() -> None:
        begun = time.monotonic()
        assert site.page("/").status_code == 200
        pages.append(time.monotonic() - begun)
        rss.append(_memory(site))

    asyncio.run(flood.run(lambda: forger.items(20, "Available"), bad, watch))
    sys.stdout.write(
        f"answers {flood.answers} ({flood.refused} refused), pages {len(pages)}, slowest {max(pages):.2f} s\n"
        f"memory {rss_before / 1e6:.0f} MB, at most {max(rss) / 1e6:.0f}, then {_memory(site) / 1e6:.0f} MB\n"
    )

    taken = flood.answers["good"].get("202", 0) * 20
    assert taken > 0, "nothing good came through at all"
    assert len(pages) >= 3
    assert max(rss) - rss_before < _ROOM
    until("what was taken in is worked through", lambda: _worked_through(site) >= before + taken, 90)

    assert site.page("/readyz").status_code == 200
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    assert "Traceback" not in site.service.log
    assert len(site.service.log) < 100_000, "strangers do not fill the disk"
