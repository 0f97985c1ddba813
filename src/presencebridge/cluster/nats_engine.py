"""The engine on NATS JetStream: one stream for state, one for notifications, both replicated by Raft.

No consumers and no watchers, so a server that goes takes nothing with it that would have to be made anew:
reads are requests that any replica answers ("direct get", https://github.com/nats-io/nats-architecture-and-design,
ADR-31), and plain messages tell that there is something to read. Fences are the header
`Nats-Expected-Last-Subject-Sequence-Subject` (server 2.11), all-or-nothing is an atomic batch (ADR-50, 2.12).
"""

import asyncio
import contextlib
import itertools
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BadRequestError, NotFoundError

from presencebridge.cluster.engine import EngineError, Entry, Fence, Message, Stale
from presencebridge.cluster.records import place_in
from presencebridge.ending import ended

_log = structlog.get_logger()

_WITHIN_S: Final = 3.0
"""For one request. While the replicas elect a leader (4 to 9 s) none answers, and it is asked again."""
_CONNECT_WITHIN_S: Final = 5.0
_CLOSE_WITHIN_S: Final = 2.0
"""A peer that says nothing is not waited for: TLS would give it half a minute to say goodbye."""
_MOST_TROUBLE: Final = 3
_WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
_PAGE: Final = 500
_MOST_IN_A_BATCH: Final = 500
"""The server takes 1,000: https://docs.nats.io, JetStream limits."""
_NOTICES_KEPT_S: Final = 3600
_NOTICES_BYTES: Final = 1_000_000_000
"""On each server: 300,000 notifications of one item."""
_SAME_WITHIN_S: Final = 120
_LAGS_S: Final = 0.02
_LONGEST_TOLD: Final = 256
"""Of what a server says."""

_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_OF: Final = "Nats-Expected-Last-Subject-Sequence-Subject"

_FAILS: Final = (nats.errors.Error, TimeoutError, OSError)


class Access:
    """How the servers are reached, and what shows who we are."""

    def __init__(
        self,
        servers: Sequence[str],
        *,
        credentials: Path | None = None,
        tls: ssl.SSLContext | None = None,
        prefix: str = "presencebridge",
        replicas: int = 3,
    ) -> None:
        self.servers, self.credentials, self.tls = list(servers), credentials, tls
        self.prefix, self.replicas = prefix, replicas


def _says_more(record: logging.LogRecord) -> bool:
    """False for a warning of asyncio's that says nothing, at each end of a connection by TLS.

    nats-py turns TLS on after it has connected, so the protocol beneath does not know of it.
    """
    return record.getMessage() != "returning true from eof_received() has no effect when using ssl"


@contextlib.asynccontextmanager
async def nats_engine(access: Access, name: str) -> AsyncIterator["NatsEngine"]:
    """Connected and with its streams, once the block is entered. Raises `EngineError` where it can't be."""
    options: dict[str, Any] = {"reconnect_time_wait": 0.25}
    if access.credentials is not None:
        options["user_credentials"] = str(access.credentials)
    if access.tls is not None:
        options["tls"] = access.tls
        logging.getLogger("asyncio").addFilter(_says_more)
    trouble: dict[str, None] = {}
    """What was in the way, each thing once: the last one alone says little."""

    async def on_error(error: Exception) -> None:
        """Connections come and go; who asks for something is told."""
        _log.debug("nats", error=_in_words(error))
        if len(trouble) < _MOST_TROUBLE:
            trouble[_in_words(error)] = None

    client = Client()
    try:
        try:
            connecting = client.connect(
                access.servers,
                name=name,
                error_cb=on_error,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                connect_timeout=2,
                ping_interval=2,
                max_outstanding_pings=2,
                **options,
            )
            await _within(_CONNECT_WITHIN_S, connecting)
        except _FAILS as error:
            why = "; ".join(trouble) or _in_words(error)
            raise EngineError(f"no NATS server can be reached: {why}") from error
        engine = NatsEngine(client, access)
        await engine.set_up()
        yield engine
    finally:
        with contextlib.suppress(*_FAILS, AssertionError):  # nats-py's, where `connect` has not got far
            await _within(_CLOSE_WITHIN_S, client.close())


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Raises `TimeoutError`, and what the work raises.

    nats-py now and then swallows the cancellation of a timeout, and would go on for as long as no server lets
    it in; so it is told until it has ended.
    """
    task = asyncio.create_task(work)  # noqa: TID251 - it has ended when this has
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimeoutError
        task.result()
    finally:
        await ended([task])


class NatsEngine:
    def __init__(self, client: Client, access: Access) -> None:
        self.client = client
        self._js: JetStreamContext = client.jetstream(timeout=_WITHIN_S)
        self._access = access
        self._state = f"{access.prefix}-state"
        self._notices = f"{access.prefix}-notices"
        self._inbox = client.new_inbox()
        self._asked: dict[str, asyncio.Queue[Msg]] = {}
        """By the address for the answers, those that have come."""
        self._questions = itertools.count()

    @property
    def connected_to(self) -> str:
        """The server that we talk to just now, without what authenticates us; empty: none."""
        url = self.client.connected_url
        return f"{url.hostname}:{url.port}" if url is not None and self.client.is_connected else ""

    async def set_up(self) -> None:
        """Make the two streams, unless they are there. What an operator has set on them stays."""
        try:
            await self.client.subscribe(f"{self._inbox}.*", cb=self._answered)
        except _FAILS as error:
            raise EngineError(_in_words(error)) from error
        prefix, replicas = self._access.prefix, self._access.replicas
        await self._stream(
            api.StreamConfig(
                name=self._state,
                description="presencebridge: who owns which site, claims, sealed files",
                subjects=[f"{prefix}.state.>"],
                num_replicas=replicas,
                max_msgs_per_subject=1,
                discard=api.DiscardPolicy.NEW,
                duplicate_window=_SAME_WITHIN_S,
                allow_direct=True,
                allow_atomic=True,
            )
        )
        await self._stream(
            api.StreamConfig(
                name=self._notices,
                description="presencebridge: notifications that the owner of their site has yet to read",
                subjects=[f"{prefix}.notices.>"],
                num_replicas=replicas,
                max_age=_NOTICES_KEPT_S,
                max_bytes=_NOTICES_BYTES,
                discard=api.DiscardPolicy.NEW,  # full: refused, and so answered with 503
                duplicate_window=_SAME_WITHIN_S,
                allow_direct=True,
            )
        )

    async def _stream(self, config: api.StreamConfig) -> None:
        try:
            try:
                await self._js.stream_info(str(config.name))
            except NotFoundError:
                await self._js.add_stream(config)
        except _FAILS as error:
            raise EngineError(f"NATS has no stream {config.name}: {_in_words(error)}") from error

    # Values

    async def get(self, key: str) -> Entry | None:
        found, _ = await self._page(self._state, {"last_by_subj": self._subject(key)})
        return self._entry(found[0]) if found and found[0].data else None

    async def last(self, key: str) -> int:
        """The key's revision, also where its value is empty; 0 if there is none."""
        found, _ = await self._page(self._state, {"last_by_subj": self._subject(key)})
        return found[0].sequence if found else 0

    async def put(self, key: str, value: bytes, expected: int) -> int:
        subject = self._subject(key)
        try:
            done = await self._js.publish(subject, value, headers={_EXPECTED: str(expected)})
        except BadRequestError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise Stale(f"{key} has changed meanwhile") from error
            raise EngineError(_in_words(error)) from error
        except _FAILS as error:
            raise EngineError(_in_words(error)) from error
        return done.seq

    async def write(self, fence: Fence, changes: Mapping[str, bytes]) -> None:
        items = list(changes.items())
        for begin in range(0, len(items), _MOST_IN_A_BATCH):
            await self._batch(fence, items[begin : begin + _MOST_IN_A_BATCH])

    async def _batch(self, fence: Fence, items: list[tuple[str, bytes]]) -> None:
        fencing = {_EXPECTED: str(fence.revision), _EXPECTED_OF: self._subject(fence.key)}
        batch = f"{random.getrandbits(128):032x}"
        try:
            for number, (key, value) in enumerate(items[:-1], 1):
                headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                await self.client.publish(
                    self._subject(key), value, headers=headers | (fencing if number == 1 else {})
                )
            key, value = items[-1]
            headers = fencing if len(items) == 1 else {}
            if len(items) > 1:
                headers = {
                    "Nats-Batch-Id": batch,
                    "Nats-Batch-Sequence": str(len(items)),
                    "Nats-Batch-Commit": "1",
                }
            answer = await self.client.request(
                self._subject(key), value, timeout=_WITHIN_S, headers=dict(headers)
            )
        except _FAILS as error:
            raise EngineError(_in_words(error)) from error
        check_written(answer.data)

    async def under(self, prefix: str, at_least: int = 0) -> dict[str, Entry]:
        pattern = self._subject(prefix + ">" if prefix.endswith(".") else prefix)
        found: dict[str, Entry] = {}
        after, newest = 0, 0
        while True:
            page, more = await self._page(
                self._state, {"seq": after + 1, "next_by_subj": pattern, "batch": _PAGE}
            )
            for message in page:
                entry = self._entry(message)
                after = newest = max(after, entry.revision)
                found[entry.key] = entry
            # A replica that lags behind has all that was there when it fell back, so going on is enough.
            if more or (page and newest < at_least):
                continue
            if newest >= at_least:
                return {key: entry for key, entry in found.items() if entry.value}
            await asyncio.sleep(_LAGS_S)

    def _subject(self, key: str) -> str:
        return f"{self._access.prefix}.state.{key}"

    def _entry(self, message: "_Found") -> Entry:
        return Entry(
            message.subject.removeprefix(f"{self._access.prefix}.state."), message.data, message.sequence
        )

    # Messages

    async def publish(self, subject: str, body: bytes, message_id: str) -> int:
        try:
            done = await self._js.publish(
                f"{self._access.prefix}.notices.{subject}", body, headers={"Nats-Msg-Id": message_id}
            )
        except _FAILS as error:
            raise EngineError(_in_words(error)) from error
        return done.seq

    async def messages(self, subject: str, after: int, most: int) -> Sequence[Message]:
        full = f"{self._access.prefix}.notices.{subject}"
        page, _ = await self._page(self._notices, {"seq": after + 1, "next_by_subj": full, "batch": most})
        return [Message(found.sequence, found.data) for found in page]

    async def nudge(self, subject: str, number: int = 0) -> None:
        with contextlib.suppress(*_FAILS):
            await self.client.publish(f"{self._access.prefix}.nudge.{subject}", b"%d" % number)

    @contextlib.asynccontextmanager
    async def listening(self, subject: str, on_nudge: Callable[[int], None]) -> AsyncIterator[None]:
        async def heard(message: Msg) -> None:
            on_nudge(place_in(message.data))

        try:
            subscription = await self.client.subscribe(f"{self._access.prefix}.nudge.{subject}", cb=heard)
        except _FAILS as error:
            raise EngineError(_in_words(error)) from error
        try:
            yield
        finally:
            with contextlib.suppress(*_FAILS):
                await subscription.unsubscribe()

    # Direct get

    async def _page(self, stream: str, question: dict[str, Any]) -> tuple[list["_Found"], bool]:
        """One page of messages, and whether there are more. Raises `EngineError`."""
        inbox = f"{self._inbox}.{next(self._questions)}"
        answers = self._asked[inbox] = asyncio.Queue()
        found: list[_Found] = []
        try:
            await self.client.publish(
                f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(question), reply=inbox
            )
            while True:
                async with asyncio.timeout(_WITHIN_S):
                    message = await answers.get()
                headers = message.headers or {}
                if "Nats-Sequence" not in headers:
                    return found, _more(headers)
                found.append(_Found(headers, message.data))
                if "batch" not in question:
                    return found, False
        except (*_FAILS, ValueError, KeyError) as error:
            raise EngineError(f"NATS does not answer: {_in_words(error)}") from error
        finally:
            del self._asked[inbox]

    async def _answered(self, message: Msg) -> None:
        """One subscription for all: each of its own would be told to all servers, twice for each question."""
        answers = self._asked.get(message.subject)
        if answers is not None:
            answers.put_nowait(message)


class _Problem(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = "refused"


class _Said(msgspec.Struct, frozen=True):
    error: _Problem | None = None


def check_written(answer: bytes) -> None:
    """What the stream says of a write. Raises `Stale`, and `EngineError` for all else that is no yes."""
    try:
        problem = msgspec.json.decode(answer, type=_Said).error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise EngineError(f"NATS answers oddly: {error}") from error
    if problem is None:
        return
    if problem.err_code in _WRONG_LAST_SEQUENCE:
        raise Stale("the site has another owner")
    raise EngineError(problem.description[:_LONGEST_TOLD])


class _Found:
    def __init__(self, headers: Mapping[str, str], data: bytes) -> None:
        self.subject, self.sequence, self.data = headers["Nats-Subject"], int(headers["Nats-Sequence"]), data


def _more(headers: Mapping[str, str]) -> bool:
    """What the end of a page says. Raises `EngineError` where it is no end of a page."""
    status = headers.get("Status", "")
    if status not in ("204", "404"):
        raise EngineError(f"NATS does not answer: status {status or 'unknown'}")
    return int(headers.get("Nats-Num-Pending", "0")) > 0


def _in_words(error: BaseException) -> str:
    if isinstance(error, APIError):
        return str(error.description)
    return str(error) or type(error).__name__
