"""The real service with a few gauges put in from outside, and without signing in.

    python benchmarks/kit/service.py SITE.toml

What it measures it says on its standard output, a line of JSON for each line on its standard input. Nothing
of the service is replaced but the tokens, which would be Entra's; the private keys are wrapped, so that the
time inside of `decrypt` is known: the thread's CPU time, not the wall's. By its environment:

RECEIVE_ONLY  notifications are taken in and thrown away
NO_BUDGET     Graph's limit of requests is not kept, to see what there is beyond it
SIGN_IN       tokens are Entra's after all
PLAIN_LOOP    asyncio's own loop and not uvloop's
"""

import asyncio
import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
import uvloop

from presencebridge.adapters import Outside
from presencebridge.cli import service
from presencebridge.core.events import PresenceSeen, Source
from presencebridge.graph import client
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.receiver import NoticeReceiver
from presencebridge.node import node
from presencebridge.quick_http import _Exchange as Exchange
from presencebridge.runtime.hub import Hub

MB = 1_000_000


class Gauges:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rsa_s = 0.0
        self.decrypted = 0
        self.decided = 0
        self.decided_at = 0.0
        self.saved = 0
        self.longest_pause_s = 0.0
        self._pause_from = 0.0
        self._asking = 0
        self._asking_from = 0.0
        self.asked_s = 0.0
        """While at least one request to the outside was not answered."""

    def asks(self) -> None:
        with self._lock:
            if not self._asking:
                self._asking_from = time.monotonic()
            self._asking += 1

    def is_answered(self) -> None:
        with self._lock:
            self._asking -= 1
            if not self._asking:
                self.asked_s += time.monotonic() - self._asking_from

    def rsa(self, seconds: float) -> None:
        with self._lock:
            self.rsa_s += seconds
            self.decrypted += 1

    def collector(self, phase: str, _info: Mapping[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._pause_from = now
        else:
            self.longest_pause_s = max(self.longest_pause_s, now - self._pause_from)

    def read(self) -> dict[str, Any]:
        return {
            "cpu_s": time.process_time(),
            "rsa_s": self.rsa_s,
            "decrypted": self.decrypted,
            "decided": self.decided,
            "decided_at": self.decided_at,
            "saved": self.saved,
            "longest_pause_s": self.longest_pause_s,
            "asked_s": self.asked_s,
        }


GAUGES = Gauges()


class TimedKey:
    """A private key, and a gauge on what it costs."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def decrypt(self, *arguments: Any) -> bytes:
        begun = time.thread_time()
        try:
            found: bytes = self._key.decrypt(*arguments)
        finally:
            GAUGES.rsa(time.thread_time() - begun)
        return found


class StaticTokens:
    async def token(self, *, renewed: bool = False) -> str:  # noqa: ARG002
        return "token"


class BesideEntra(Outside):
    def app_tokens(self, _config: Any) -> StaticTokens:
        return StaticTokens()

    def watcher_tokens(self, _config: Any, _name: str) -> StaticTokens:
        return StaticTokens()


def put_in_gauges() -> None:
    private_keys: Callable[[EncryptionKeys], Mapping[str, Any]] = EncryptionKeys.private_keys
    timed: dict[str, TimedKey] = {}

    def wrapped(keys: EncryptionKeys) -> Mapping[str, Any]:
        for name, key in private_keys(keys).items():
            if name not in timed:
                timed[name] = TimedKey(key)
        return timed

    EncryptionKeys.private_keys = wrapped
    done = Hub._done

    def counted(hub: Hub, decided: Any) -> None:
        done(hub, decided)
        if type(decided.event) is PresenceSeen and decided.event.source is Source.NOTIFICATION:
            GAUGES.decided += 1
            GAUGES.decided_at = time.monotonic()

    Hub._done = counted
    save = Hub._save

    async def saved(hub: Hub, decided: Mapping[str, Any]) -> None:
        await save(hub, decided)
        GAUGES.saved += len(decided)

    Hub._save = saved
    enter, leave = Exchange.__aenter__, Exchange.__aexit__

    async def entered(exchange: Exchange) -> Any:
        GAUGES.asks()
        try:
            return await enter(exchange)
        except BaseException:
            GAUGES.is_answered()
            raise

    async def left(exchange: Exchange, *error: Any) -> None:
        GAUGES.is_answered()
        await leave(exchange, *error)

    Exchange.__aenter__, Exchange.__aexit__ = entered, left
    signed_in = requests.Session.send

    def sent(session: Any, *arguments: Any, **more: Any) -> Any:
        GAUGES.asks()
        try:
            return signed_in(session, *arguments, **more)
        finally:
            GAUGES.is_answered()

    requests.Session.send = sent
    gc.callbacks.append(GAUGES.collector)


def answer_questions() -> None:
    for line in sys.stdin:
        if line.strip() == "forget":
            GAUGES.longest_pause_s = 0.0
        elif line.strip() == "collect":
            gc.collect()
        found = GAUGES.read()
        if line.strip() == "memory":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            found["rss_mb"] = pages * resource.getpagesize() / MB
        print(json.dumps(found), flush=True)


def main() -> None:
    if os.environ.get("RECEIVE_ONLY"):
        NoticeReceiver.offer = lambda _self, _body: True
    if os.environ.get("NO_BUDGET"):
        client.BUDGET_PER_S["presence"] = 100_000
    if not os.environ.get("SIGN_IN"):
        node.Outside = BesideEntra
    if os.environ.get("PLAIN_LOOP"):
        uvloop.new_event_loop = asyncio.new_event_loop
    put_in_gauges()
    threading.Thread(target=answer_questions, daemon=True).start()
    service.run(config=Path(sys.argv[1]))


if __name__ == "__main__":
    main()
