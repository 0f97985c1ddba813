"""I/O: keeps one account's presence subscription alive, and replaces it when it is gone or silent."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from presencebridge.core.backoff import doubled
from presencebridge.errors import Conflict, Gone, LinkError, Refused, TryAgain
from presencebridge.files import Files
from presencebridge.graph import calls, wire
from presencebridge.graph.client import GraphClient
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.receiver import Watched
from presencebridge.graph.subscriptions import LEAST_LIFE_S, LIFE_S, Action, Held, Wanted, next_look, plan

_MOST_PAGES: Final = 100
"""An organization has at most 10,000: https://learn.microsoft.com/graph/change-notifications-overview"""
_FIRST_RETRY_S: Final = 2.0
_LONGEST_RETRY_S: Final = 20.0
_NOT_SOONER_THAN_S: Final = 5.0
"""Between two looks that were asked for, by lifecycle notifications or by suspicion."""
_NOT_REPLACED_WITHIN_S: Final = 600.0
"""A new subscription is given time to show that it tells of changes, before it is replaced in its turn."""
_SILENT: Final = "reads found changes that Graph did not tell of; a new subscription has yet to tell of any"
_SILENT_CURE: Final = (
    "everybody is polled until it does; if it stays so, see that Microsoft reaches [teams.webhook] public_url"
)


class Link(Protocol):
    """Where the watcher says how it is."""

    def connected(self) -> None: ...
    def note(self, about: str, what: str, cure: str = "") -> None: ...
    def failed(self, error: LinkError) -> None: ...


class Watcher:
    """One signed-in account and its subscription."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on, each once
        self,
        graph: GraphClient,
        keys: EncryptionKeys,
        watched: Watched,
        link: Link,
        files: Files,
        name: str,
        now: Callable[[], float],
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._graph = graph
        self._keys = keys
        self._watched = watched
        self._link = link
        self._files = files
        self._file = f"subscription-{name}.json"
        self._now = now
        self._wall = wall or now
        """The clock for what Graph compares with its own."""
        self._held = self._load()
        self._wanted_ids: tuple[str, ...] = ()
        self._url = ""
        self._look = asyncio.Event()
        self._replaced_at = float("-inf")
        self.is_doubted = False
        """Whether it was found silent, and nothing has come since."""
        self.on_gap: Callable[[], None] = lambda: None
        """Called when changes may have been missed: everything should be read again."""

    def watch(self, ids: tuple[str, ...], url: str) -> None:
        """Whom to watch from now on, and where Graph reaches us."""
        self._wanted_ids, self._url = ids, url
        self._look.set()

    def owns(self, subscription: str) -> bool:
        return self._held is not None and self._held.id == subscription

    @property
    def held(self) -> Held | None:
        """The subscription that is alive as far as we know."""
        return self._held

    def lifecycle(self, event: str) -> None:
        """Graph told us something about the subscription."""
        if event == "subscriptionRemoved":
            self._forget()
        elif self._held and event == "reauthorizationRequired":
            self._keep(replace(self._held, renewed_at=0.0))  # a renewal reauthorizes too
        self.on_gap()
        self._look.set()

    def suspect(self) -> None:
        """Reads showed changes that were never notified: replace it, and doubt it until it tells of one."""
        if self._held is None or self._now() < self._replaced_at + _NOT_REPLACED_WITHIN_S:
            return
        self._replaced_at = self._now()
        self.is_doubted = True
        self._link.note("silence", _SILENT, _SILENT_CURE)
        self._keep(replace(self._held, ids=()))
        self._look.set()

    def heard(self) -> None:
        """A notification of the subscription came."""
        self.is_doubted = False
        self._link.note("silence", "")

    async def run(self) -> None:
        """Keep the subscription alive until cancelled."""
        failures = 0
        while True:
            self._look.clear()
            try:
                await self._settle()
            except LinkError as error:
                self._link.failed(error)
                delay = doubled(_FIRST_RETRY_S, failures, _LONGEST_RETRY_S)
                if isinstance(error, TryAgain):
                    delay = max(delay, error.after_s or 0.0)
                failures += 1
            else:
                self._link.connected()
                failures = 0
                delay = max(0.1, next_look(self._held, self._now()) - self._now())
            await asyncio.sleep(min(delay, _NOT_SOONER_THAN_S))
            if delay > _NOT_SOONER_THAN_S:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay - _NOT_SOONER_THAN_S):
                        await self._look.wait()

    async def give_up(self, within_s: float) -> None:
        """Delete the subscription for good, if Graph lets us; else it ends by itself, within the hour."""
        with contextlib.suppress(LinkError, TimeoutError):
            async with asyncio.timeout(within_s):
                await self._delete()

    async def _settle(self) -> None:
        """Do what `plan` says until there is nothing left to do. Raises `LinkError`."""
        while True:
            key = self._keys.newest()
            wanted = Wanted(self._wanted_ids, self._url, key.id)
            match plan(self._held, wanted, self._now()):
                case Action.CREATE:
                    await self._create(wanted)
                case Action.RENEW:
                    await self._renew(wanted, key.certificate)
                case Action.REPLACE | Action.DELETE:
                    await self._delete()
                case Action.ASK:
                    await self._ask()
                case Action.NOTHING:
                    return

    async def create(self, ids: tuple[str, ...], url: str) -> Held:
        """Make the subscription now. Raises `LinkError`: `Conflict` if the account has one already."""
        key = self._keys.newest()
        now = self._now()
        new = calls.NewSubscription(
            ids,
            url,
            self._watched.states.new(),
            key.certificate,
            key.id,
            end_of_life(self._wall()),
        )
        made = await self._graph.run(calls.create_subscription(new))
        held = Held(made.id, new.client_state, ids, url, key.id, self._end(made, now), now)
        self._keep(held)
        return held

    async def _create(self, wanted: Wanted) -> None:
        self._forget()
        try:
            await self.create(wanted.ids, wanted.url)
        except Conflict:
            await self._clear_away()
            await self.create(wanted.ids, wanted.url)
        self.on_gap()

    async def _renew(self, wanted: Wanted, certificate: str) -> None:
        held = self._held
        if held is None:
            return
        now = self._now()
        end = end_of_life(self._wall())
        new_certificate = certificate if held.certificate_id != wanted.certificate_id else ""
        try:
            made = await self._graph.run(
                calls.renew_subscription(held.id, end, new_certificate, wanted.certificate_id)
            )
        except Gone:
            self._forget()
        except Refused as error:
            if error.status in (None, 401, 403):
                raise  # the sign-in or its rights, and not the renewal
            await self._delete()  # a renewal that Graph does not take: a new one instead
        else:
            kept = made.encryption_certificate_id if made else None
            if (kept or wanted.certificate_id) != wanted.certificate_id:
                await self._delete()  # it keeps the old key: only a new one takes the new key
                return
            self._keep(
                replace(
                    held,
                    expires_at=self._end(made, now) if made else now + LEAST_LIFE_S,
                    renewed_at=now,
                    certificate_id=wanted.certificate_id,
                )
            )

    async def _delete(self) -> None:
        if self._held:
            with contextlib.suppress(Gone):
                await self._graph.run(calls.delete_subscription(self._held.id))
        self._forget()

    async def _ask(self) -> None:
        held = self._held
        if held is None:
            return
        try:
            await self._graph.run(calls.get_subscription(held.id))
        except Gone:
            self._forget()
        else:
            self._keep(replace(held, asked_at=self._now()))

    async def _clear_away(self) -> None:
        """Another presence subscription of this account stands in the way: from a run that was lost."""
        for old in await list_all(self._graph):
            if "presences" in old.resource.casefold():
                with contextlib.suppress(Gone):
                    await self._graph.run(calls.delete_subscription(old.id))

    def _end(self, made: wire.Subscription, now: float) -> float:
        """The end by our clock. Graph's clock may differ from it, and the life it gives has known bounds."""
        life = made.expiration_date_time.timestamp() - self._wall()
        return now + min(max(life, LEAST_LIFE_S), LIFE_S)

    def _keep(self, held: Held) -> None:
        self._held = held
        self._watched.client_states[held.id] = held.client_state
        # Where it can't be kept, the next start finds it in the way and clears it away.
        with contextlib.suppress(OSError):
            self._files.write(self._file, msgspec.json.encode(held))

    def _forget(self) -> None:
        if self._held:
            self._watched.client_states.pop(self._held.id, None)
        self._held = None
        with contextlib.suppress(OSError):
            self._files.delete(self._file)

    def _load(self) -> Held | None:
        try:
            held = msgspec.json.decode(self._files.read(self._file) or b"", type=Held)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not self._watched.states.are_made_here(held.client_state):
            return None  # it is found in the way, and replaced
        self._watched.client_states[held.id] = held.client_state
        return self._by_our_clock(held)

    def _by_our_clock(self, held: Held) -> Held:
        """What a clock that was ahead noted says nothing of now: such a subscription is renewed at once.

        Else nothing would be done until the clock is there again, and Graph ends it within the hour.
        """
        now = self._now()
        if max(held.renewed_at, held.asked_at) <= now:
            return held
        return replace(held, renewed_at=0.0, asked_at=0.0, expires_at=min(held.expires_at, now + LIFE_S))


async def list_all(graph: GraphClient) -> list[wire.Subscription]:
    """Every subscription of the account, whatever pages Graph makes of them. Raises `LinkError`."""
    found: list[wire.Subscription] = []
    page = await graph.run(calls.list_subscriptions())
    found += page.value
    for _ in range(_MOST_PAGES):
        if not page.next_link:
            break
        page = await graph.run(calls.list_subscriptions(page.next_link))
        found += page.value
    return found


def end_of_life(now: float) -> datetime:
    """The furthest end that Graph gives."""
    return datetime.fromtimestamp(now + LIFE_S, UTC)
