"""The emulator as a whole: its parts, put together, and the work it does as time goes by."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import api, control, notices, subscriptions
from presencebridge.emulators.graph.background import Background
from presencebridge.emulators.graph.board import Board
from presencebridge.emulators.graph.delivery import RETRY_FOR_S, Delivery, Parcel
from presencebridge.emulators.graph.directory import Directory
from presencebridge.emulators.graph.faults import Faults
from presencebridge.emulators.graph.gate import Gate, masked_form
from presencebridge.emulators.graph.keys import SigningKeys
from presencebridge.emulators.graph.outgoing import Outgoing
from presencebridge.emulators.graph.presence import Pair, Presence
from presencebridge.emulators.graph.signin import SignIn
from presencebridge.emulators.graph.subscriptions import Subscription
from presencebridge.emulators.graph.throttle import Throttle
from presencebridge.emulators.graph.tokens import Tokens
from presencebridge.emulators.request_log import RequestLog
from presencebridge.emulators.world import User, World


class GraphEmulator:
    """Microsoft Graph and Entra sign-in for one tenant.

    `app` is what clients see (sign-in and Graph on one origin), `control` plays the people. Inside
    `async with emulator:` presence fades, subscriptions expire and notifications go out; they go over
    `transport`, or to real addresses, whose certificates must then be valid by the public authorities
    or by `notification_ca`. With the same `seed` the same chances fall. `keys` may be shared with others.
    """

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        seed: int | None = None,
        notification_ca: Path | None = None,
        keys: SigningKeys | None = None,
    ) -> None:
        self.world = world
        self.clock = clock or Clock()
        self.chance = random.Random(seed)  # noqa: S311 - ids and faults, no secrets
        self.faults = Faults()
        self.log = RequestLog(masked_form)
        self.keys = keys or SigningKeys()
        self.directory = Directory(world)
        self.throttle = Throttle()
        self.tokens = Tokens(world, self.keys, self.clock, self.chance)
        self.sign_in = SignIn(world, self.tokens, self.clock, self.chance)
        user_ids = [user.id for user in self.directory.users]
        self.board = Board(user_ids, self.clock.now(), self._announce)
        self.subscriptions: dict[str, Subscription] = {}
        self._held_back: dict[str, list[tuple[float, str, Pair]]] = {}
        self._outgoing = Outgoing(transport, notification_ca)
        self.delivery = Delivery(
            self.clock,
            self._outgoing,
            self.chance,
            lambda: self.faults.notifications,
            self._validation_token,
            lambda subscription_id: subscription_id in self.subscriptions,
        )
        self.app = Gate(api.routes(self), self.clock, lambda: self.faults, self.log, self.chance)
        self.control = control.routes(self)
        self._background = Background()

    async def __aenter__(self) -> Self:
        await self._outgoing.__aenter__()
        await self._background.__aenter__()
        self.delivery.start(self._background)
        self._background.spawn(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.delivery.stop()
        try:
            await self._background.__aexit__(kind, error, trace)
        finally:
            await self._outgoing.__aexit__(None, None, None)

    # -- time

    def settle(self) -> None:
        """Does everything that is due by the clock, each thing at its own moment, in order."""
        now = self.clock.now()
        while (due := self._next_due()) is not None and due <= now:
            self._do_due(due)

    def _next_due(self) -> float | None:
        return min(self._dues(), default=None)

    def _dues(self) -> Iterator[float]:
        if (turn := self.board.next_turn) is not None:
            yield turn
        every_s = self.faults.notifications.lifecycle_every_s
        for held in self.subscriptions.values():
            yield held.expires
            moment = subscriptions.next_lifecycle(held, every_s)
            if moment is not None:
                yield moment

    def _do_due(self, moment: float) -> None:
        every_s = self.faults.notifications.lifecycle_every_s
        for held in list(self.subscriptions.values()):
            if held.expires <= moment:
                self.drop_subscription(held.subscription_id)
            elif subscriptions.next_lifecycle(held, every_s) == moment:
                self.subscriptions[held.subscription_id] = msgspec.structs.replace(
                    held, lifecycle_last=moment
                )
                self.send_lifecycle(held, "reauthorizationRequired")
        if self.board.next_turn == moment:
            self.board.turn()

    async def _tick(self) -> None:
        while True:
            self.settle()
            await self.clock.wait(self._next_due())

    def put_faults(self, changed: Faults) -> None:
        """Other faults from now on; what was due until now happens under the ones before."""
        self.settle()
        before, self.faults = self.faults, changed
        if before.notifications.lifecycle_every_s != changed.notifications.lifecycle_every_s:
            now = self.clock.now()
            for held in list(self.subscriptions.values()):
                self.subscriptions[held.subscription_id] = msgspec.structs.replace(held, lifecycle_last=now)
        self.clock.nudge()

    # -- people

    def put_user(self, user: User) -> None:
        """Somebody new, or what is now known of somebody. Raises `ValueError` if the name is another's."""
        self.directory.put(user)
        if user.id not in self.board:
            self.board.add(user.id, self.clock.now())

    def remove_user(self, user: User) -> None:
        """The account is deleted, and its presence with it."""
        self.directory.remove(user)
        self.board.remove(user.id)

    # -- presence

    def put_presence(self, user: User, changed: Presence) -> None:
        """Takes what is now said about a user; whoever watches them is told."""
        self.board.put(user.id, changed, self.clock.now())
        self.clock.nudge()

    def _announce(self, user_id: str, pair: Pair) -> None:
        for held in self.subscriptions.values():
            if user_id.casefold() not in held.watched:
                continue
            if held.authorized:
                self._notify(held, user_id, pair)
            else:
                self._held_back.setdefault(held.subscription_id, []).append((self.clock.now(), user_id, pair))

    def _notify(self, held: Subscription, user_id: str, pair: Pair) -> None:
        faults = self.faults.notifications
        if faults.silent_stop:
            return
        if faults.legacy_payload:
            item = notices.legacy_change(held, self.world.tenant_id, user_id, pair, self.clock)
        else:
            item = notices.change(held, self.world.tenant_id, user_id, pair, self.clock, self.chance)
        audience = (held.audience or held.app_id) if "encryptedContent" in item else None
        self.delivery.send(Parcel(held.notification_url, item, held.subscription_id, audience))

    def _validation_token(self, audience: str) -> str:
        now, version = self.clock.base(), self.faults.notifications.token_version
        claims = notices.token_claims(self.world.tenant_id, audience, version, now, self.new_id())
        return self.keys.sign(claims, now)

    # -- subscriptions

    async def check_endpoint(self, url: str) -> None:
        await self._outgoing.check(url)

    def put_subscription(self, held: Subscription) -> None:
        """Holds a new or renewed subscription, and sends what was held back for it."""
        self.subscriptions[held.subscription_id] = held
        if held.authorized:
            for moment, user_id, pair in self._held_back.pop(held.subscription_id, []):
                if moment + RETRY_FOR_S > self.clock.now():
                    self._notify(held, user_id, pair)
        self.clock.nudge()

    def drop_subscription(self, subscription_id: str) -> None:
        self.subscriptions.pop(subscription_id, None)
        self._held_back.pop(subscription_id, None)

    def send_lifecycle(self, held: Subscription, event: str) -> bool:
        """Sends a lifecycle event; False where the subscription has no address for one."""
        if not held.lifecycle_url:
            return False
        item = notices.lifecycle(held, self.world.tenant_id, event, self.clock)
        self.delivery.send(Parcel(held.lifecycle_url, item, held.subscription_id, kind="lifecycle"))
        return True

    def revoke(self, user: User) -> int:
        """The user's consent ends: refresh tokens die, and their subscriptions wait for a new one."""
        for held in list(self.subscriptions.values()):
            if held.owner_id == user.id:
                self.subscriptions[held.subscription_id] = msgspec.structs.replace(held, authorized=False)
                self.send_lifecycle(held, "reauthorizationRequired")
        return self.sign_in.revoke(user)

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
