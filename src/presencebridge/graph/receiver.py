"""I/O: takes notifications in, and has them opened by worker threads.

What can be told without a key is told when a notification arrives: it costs less than handing it over would.
What is left waits by person, and the newest of a person's items is all that is opened.
"""

import asyncio
import collections
import contextlib
from collections.abc import Callable, Container
from concurrent.futures import Executor
from typing import Final, TypeVar, TypeVarTuple

import structlog

from presencebridge.core.model import Presence
from presencebridge.errors import LinkError
from presencebridge.graph import wire
from presencebridge.graph.client_states import ClientStates
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.notices import (
    Letter,
    Opened,
    Reject,
    Rejected,
    Trust,
    are_known,
    check_tokens,
    named_in_clear,
    not_worth_opening,
    open_newest,
    sort_out,
)
from presencebridge.graph.signing_keys import SigningKeys

_log = structlog.get_logger()

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

WORKERS: Final = 2
"""Threads that decrypt; RSA leaves the interpreter's lock alone meanwhile."""

_MOST_WAITING: Final = 20_000
"""Items (about 3 kB each) that may wait; beyond that Graph is asked to send again later."""
_MOST_BYTES_WAITING: Final = 64_000_000
"""Strangers choose how large a body is, so their number alone is no bound."""
_MOST_AT_A_TIME: Final = 20
"""People whose items are handed to a worker together: a hand-over costs a fifth of a decryption."""
_MOST_REMEMBERED: Final = 50_000
"""Items remembered against replays: about a day of a company of 1,000."""
_MOST_TOKENS: Final = 64
_LOOK_AT_KEYS_EVERY_S: Final = 300.0
_WITHOUT_KEYS_S: Final = 2.0
"""How often they are tried for as long as there are none; nothing is believed until then."""


class Watched:
    """What we expect notifications of: our subscriptions' secrets, and the people we follow."""

    def __init__(self, states: ClientStates | None = None) -> None:
        self.states = states or ClientStates()
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
        self._waiting: dict[str, list[wire.Notice]] = {}
        """Items to be opened, by person, in the order they came."""
        self._signatures: set[str] = set()
        """Those of the items that wait."""
        self._since: dict[str, float] = {}
        """When the first of a person's items came that are not opened yet."""
        self._unproven: collections.deque[tuple[Letter, int]] = collections.deque()
        """Letters whose tokens are to be verified, with their length."""
        self._count_waiting = 0
        self._bytes_waiting = 0
        self.most_bytes_waiting = _MOST_BYTES_WAITING
        self._at_work: set[str] = set()
        self._has_unproven = asyncio.Event()
        self._has_items = asyncio.Event()
        self._seen: dict[str, None] = {}
        self._good_tokens: dict[str, float] = {}
        self._stumbled = False
        self.on_presence: Callable[[str, Presence], None] = lambda _user, _presence: None
        self.on_lifecycle: Callable[[str, str], None] = lambda _subscription, _event: None
        self.on_reject: Callable[[Reject], None] = lambda _why: None
        self.on_superseded: Callable[[int], None] = lambda _count: None
        self.on_opened: Callable[[float], None] = lambda _seconds: None
        """Called with how long the items of a person waited, and took to be opened."""

    def offer(self, body: bytes) -> bool:
        """Take a notification in. False if too many are waiting: the sender should come again."""
        if self._count_waiting >= _MOST_WAITING or self._bytes_waiting + len(body) > self.most_bytes_waiting:
            return False
        try:
            self._take_in(body)
        except Exception:  # noqa: BLE001 - it is told
            self._stumble(len(body))
        return True

    def _take_in(self, body: bytes) -> None:
        trust = self._trust()
        letter = sort_out(body, trust)
        for why in letter.rejects:
            self.on_reject(why)
        for subscription, event in letter.lifecycle:
            self.on_lifecycle(subscription, event)
        if not letter.items:
            return
        if are_known(letter.tokens, trust, self._now()):
            self._put_by(letter, trust)
        else:
            self._unproven.append((letter, len(body)))
            self._waits(len(letter.items), len(body))
            self._has_unproven.set()

    def _stumble(self, size: int) -> None:
        """Whatever a stranger thought of and we did not: it costs this body, not the service or the log."""
        if not self._stumbled:
            _log.exception("notification could not be understood", size=size)
        self._stumbled = True
        self.on_reject(Reject.SHAPE)

    def _waits(self, items: int, size: int) -> None:
        self._count_waiting += items
        self._bytes_waiting += size

    def _trust(self) -> Trust:
        return Trust(
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

    def _put_by(self, letter: Letter, trust: Trust) -> None:
        """Items of a sender who is who it should be: each waits with those of the same person."""
        for notice in letter.items:
            why = not_worth_opening(notice, trust)
            if why:
                self.on_reject(why)
                continue
            signature = _signature(notice)
            if signature in self._signatures:
                self.on_reject(Reject.REPLAYED)
                continue
            self._signatures.add(signature)
            person = named_in_clear(notice) or signature
            if person not in self._waiting:
                self._since[person] = self._now()
            self._waiting.setdefault(person, []).append(notice)
            self._waits(1, _size(notice))
        if self._waiting:
            self._has_items.set()

    async def run(self) -> None:
        """Work through what was taken in, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_keys_new(), name="signing keys")
            tasks.create_task(self._prove(), name="validation tokens")
            for number in range(WORKERS):
                tasks.create_task(self._open(), name=f"open notifications {number}")

    async def _keep_keys_new(self) -> None:
        """Beside the work, so that a sign-in that hangs does not hold up who is known already."""
        while True:
            with contextlib.suppress(LinkError):
                await self._signing_keys.keys()
            await asyncio.sleep(_LOOK_AT_KEYS_EVERY_S if self._signing_keys.known else _WITHOUT_KEYS_S)

    # Tokens

    async def _prove(self) -> None:
        """Verify tokens that were not seen before; a sender hardly ever shows a new one."""
        while True:
            await self._has_unproven.wait()
            self._has_unproven.clear()
            while self._unproven:
                letter, size = self._unproven.popleft()
                self._waits(-len(letter.items), -size)
                why = await self._verify(letter)
                if why is Reject.KEY and await self._new_keys():
                    why = await self._verify(letter)
                if why is None:
                    self._put_by(letter, self._trust())
                for _ in letter.items if why else ():
                    self.on_reject(why or Reject.KEY)

    async def _verify(self, letter: Letter) -> Reject | None:
        """Remember the letter's tokens as good, or say why they are not."""
        now = self._now()
        try:
            found = await self._do(check_tokens, letter.tokens, self._trust(), now)
        except Rejected as rejected:
            return rejected.why
        except Exception:  # noqa: BLE001 - it is told
            self._stumble(len(letter.items))
            return Reject.FORM
        for token, end in found.items():
            _remember(self._good_tokens, token, end, _MOST_TOKENS)
        return None

    async def _new_keys(self) -> bool:
        try:
            return await self._signing_keys.refresh()
        except LinkError:
            return False

    # Items

    async def _open(self) -> None:
        """Have the items of some people opened, again and again; two never work on the same person."""
        while True:
            await self._has_items.wait()
            taken = self._take()
            came_at = [self._since.pop(person) for person in taken]
            if not taken:
                self._has_items.clear()  # what is left is at work, and who has it comes back for the rest
                continue
            try:
                opened = await self._do(_open_all, list(taken.values()), self._trust())
            finally:
                self._at_work.difference_update(taken)
                if self._waiting:
                    self._has_items.set()
            for one in opened:
                self._tell(one)
            now = self._now()
            for at in came_at:
                self.on_opened(max(0.0, now - at))  # a wall clock may have been set meanwhile

    def _take(self) -> dict[str, list[wire.Notice]]:
        """Those who have waited longest, and no more than half of them: the other half is another's."""
        most = min(_MOST_AT_A_TIME, -(-len(self._waiting) // WORKERS))
        taken: dict[str, list[wire.Notice]] = {}
        for person in self._waiting:
            if len(taken) == most:
                break
            if person not in self._at_work:
                taken[person] = self._waiting[person]
        for person, notices in taken.items():
            del self._waiting[person]
            self._signatures.difference_update(map(_signature, notices))
            self._waits(-len(notices), -sum(map(_size, notices)))
        self._at_work.update(taken)
        return taken

    async def _do(self, work: Callable[[*_Ts], T], *arguments: *_Ts) -> T:
        if self._executor is None:
            return work(*arguments)
        # `run_in_executor` first looks whether it was given a coroutine function, which costs as much again.
        return await asyncio.wrap_future(self._executor.submit(work, *arguments))

    def _tell(self, opened: Opened) -> None:
        for why in opened.rejects:
            self.on_reject(why)
        if opened.superseded:
            self.on_superseded(opened.superseded)
        seen = opened.seen
        if seen is None:
            return
        if seen.signature in self._seen:  # its twin was at work when it came
            self.on_reject(Reject.REPLAYED)
            return
        _remember(self._seen, seen.signature, None, _MOST_REMEMBERED)
        self.on_presence(seen.user, seen.presence)


def _open_all(groups: list[list[wire.Notice]], trust: Trust) -> list[Opened]:
    """What a worker does: the items of some people, one hand-over for all of them."""
    return [_open_one(notices, trust) for notices in groups]


def _open_one(notices: list[wire.Notice], trust: Trust) -> Opened:
    try:
        return open_newest(notices, trust)
    except Exception:  # noqa: BLE001 - it is told
        _log.exception("items could not be understood", count=len(notices))
        return Opened(rejects=[Reject.CONTENT] * len(notices))


def _signature(notice: wire.Notice) -> str:
    return notice.encrypted_content.data_signature if notice.encrypted_content else ""


def _size(notice: wire.Notice) -> int:
    content = notice.encrypted_content
    return len(content.data) + len(content.data_key) if content else 0


def _remember(memory: dict[str, T], key: str, value: T, most: int) -> None:
    memory[key] = value
    if len(memory) > most:
        del memory[next(iter(memory))]
