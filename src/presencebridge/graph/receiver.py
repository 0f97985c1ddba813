"""I/O: takes notifications in quickly, and works through them afterwards, in the order they came."""

import asyncio
import collections
import contextlib
from collections.abc import Callable, Container
from concurrent.futures import Executor
from typing import Final, TypeVar

import structlog

from presencebridge.core.model import Presence
from presencebridge.errors import LinkError
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.notices import Reject, Seen, Trust, Understood, understand
from presencebridge.graph.signing_keys import SigningKeys

_log = structlog.get_logger()

T = TypeVar("T")

_MOST_WAITING: Final = 2000
"""Bodies (about 3 kB each) that may wait; beyond that Graph is asked to send again later."""
_MOST_BYTES_WAITING: Final = 64_000_000
"""Strangers choose how large a body is, so their number alone is no bound."""
_MOST_AT_WORK: Final = 4
_MOST_REMEMBERED: Final = 50_000
"""Items remembered against replays: about a day of a company of 1,000."""
_MOST_TOKENS: Final = 64
_LOOK_AT_KEYS_EVERY_S: Final = 300.0
_WITHOUT_KEYS_S: Final = 2.0
"""How often they are tried for as long as there are none; nothing is believed until then."""


class Watched:
    """What we expect notifications of: our subscriptions' secrets, and the people we follow."""

    def __init__(self) -> None:
        self.client_states: dict[str, str] = {}
        self.people: Container[str] = frozenset()


class NoticeReceiver:
    """`offer` is called by the web listener; `on_*` are told of what can be believed."""

    def __init__(
        self,
        trust: tuple[str, str, tuple[str, ...]],
        watched: Watched,
        encryption_keys: EncryptionKeys,
        signing_keys: SigningKeys,
        executor: Executor | None,
        now: Callable[[], float],
    ) -> None:
        self._app, self._tenant, self._logins = trust
        self._watched = watched
        self._encryption_keys = encryption_keys
        self._signing_keys = signing_keys
        self._executor = executor
        self._now = now
        self._waiting: collections.deque[bytes] = collections.deque()
        self._bytes_waiting = 0
        self._arrived = asyncio.Event()
        self._stumbled = False
        self._seen: dict[str, None] = {}
        self._good_tokens: dict[str, float] = {}
        self.on_presence: Callable[[str, Presence], None] = lambda _user, _presence: None
        self.on_lifecycle: Callable[[str, str], None] = lambda _subscription, _event: None
        self.on_reject: Callable[[Reject], None] = lambda _why: None

    def offer(self, body: bytes) -> bool:
        """Take a notification in. False if too many are waiting: the sender should come again."""
        if len(self._waiting) >= _MOST_WAITING or self._bytes_waiting + len(body) > _MOST_BYTES_WAITING:
            return False
        self._waiting.append(body)
        self._bytes_waiting += len(body)
        self._arrived.set()
        return True

    async def run(self) -> None:
        """Work through what was taken in, until cancelled."""
        at_work: collections.deque[asyncio.Future[Understood] | asyncio.Task[Understood]] = (
            collections.deque()
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_keys_new(), name="signing keys")
            while True:
                while self._waiting and len(at_work) < _MOST_AT_WORK:
                    body = self._waiting.popleft()
                    self._bytes_waiting -= len(body)
                    at_work.append(tasks.create_task(self._understand(body)))
                if at_work:
                    self._tell(await at_work.popleft())
                    continue
                self._arrived.clear()
                await self._arrived.wait()

    async def _keep_keys_new(self) -> None:
        """Beside the work, so that a sign-in that hangs does not hold up who is known already."""
        while True:
            with contextlib.suppress(LinkError):
                await self._signing_keys.keys()
            await asyncio.sleep(_LOOK_AT_KEYS_EVERY_S if self._signing_keys.known else _WITHOUT_KEYS_S)

    async def _understand(self, body: bytes) -> Understood:
        try:
            understood = await self._try(body)
            if Reject.KEY in understood.rejects and await self._new_keys():
                understood = await self._try(body)
        except Exception:  # noqa: BLE001 - it is told
            # Whatever a stranger thought of and we did not: it costs this body, not the service or the log.
            if not self._stumbled:
                _log.exception("notification could not be understood", size=len(body))
            self._stumbled = True
            return Understood(rejects=[Reject.SHAPE])
        return understood

    async def _new_keys(self) -> bool:
        try:
            return await self._signing_keys.refresh()
        except LinkError:
            return False

    async def _try(self, body: bytes) -> Understood:
        trust = Trust(
            self._app,
            self._tenant,
            self._logins,
            self._watched.client_states,
            self._encryption_keys.private_keys(),
            self._signing_keys.known,
            self._watched.people,
            self._seen,
            self._good_tokens,
        )
        if self._executor is None:
            return understand(body, trust, self._now())
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, understand, body, trust, self._now())

    def _tell(self, understood: Understood) -> None:
        for why in understood.rejects:
            self.on_reject(why)
        for token, end in understood.tokens.items():
            _remember(self._good_tokens, token, end, _MOST_TOKENS)
        for subscription, event in understood.lifecycle:
            self.on_lifecycle(subscription, event)
        for seen in understood.seen:
            self._tell_seen(seen)

    def _tell_seen(self, seen: Seen) -> None:
        if seen.signature in self._seen:  # its twin was at work at the same time
            self.on_reject(Reject.REPLAYED)
            return
        _remember(self._seen, seen.signature, None, _MOST_REMEMBERED)
        self.on_presence(seen.user, seen.presence)


def _remember(memory: dict[str, T], key: str, value: T, most: int) -> None:
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
