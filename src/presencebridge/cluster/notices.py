"""Notifications on their way from whichever node took them in to the owner of their site.

Taken in: answered with a yes once the engine has them. Handed on: read in order by the owner, from where the
last one stopped; a few may be read twice, and each is only a hint, which a read confirms.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from presencebridge.cluster.client_states import SignedStates, worth_keeping
from presencebridge.cluster.engine import Engine, EngineError, Entry, Message, Stale
from presencebridge.cluster.files import Seal
from presencebridge.cluster.records import notices_subject, place_in, position_key
from presencebridge.cluster.writer import Writer
from presencebridge.web.door import mark_of

_log = structlog.get_logger()

_WITHIN_S: Final = 8.0
"""Graph expects an answer within 10 s:
https://learn.microsoft.com/graph/change-notifications-delivery-webhooks"""
_PAGE: Final = 100
_LOOK_EVERY_S: Final = 5.0
"""A nudge may get lost."""
_LAGS_S: Final = (0.005, 0.01, 0.03, 0.1, 0.3)
"""A replica that does not have yet what a nudge told of soon will."""
_REST_S: Final = 0.03
_LONGEST_REST: Final = 3
_KEEP_PLACE_EVERY_S: Final = 3.0
_TELL_AGAIN_S: Final = 3600.0
_REFUSED: Final = (
    "its client state is not of this cluster's making: a stranger's; if Teams changes arrive late, see that "
    "every node has the same cluster_key_file"
)
_FULL_S: Final = 0.05
_NUDGE_EVERY_S: Final = 0.03
"""As long as more of the site's are under way."""


OnRefused = Callable[[str, str, int], None]
"""Of which site, why, and how many."""


class Intake:
    """What any node does with a notification of any site."""

    def __init__(self, engine: Engine, seal: Seal, on_refused: OnRefused = lambda *_: None) -> None:
        self._engine, self._seal = engine, seal
        self._on_refused = on_refused
        self._nudges: dict[str, _Nudges] = {}
        self._told_at = float("-inf")

    async def take(self, site: str, body: bytes) -> bool:
        """True once the engine has all of it that one of us can have asked for; the rest is let fall."""
        subject = notices_subject(site)
        parts, refused = worth_keeping(body, SignedStates(self._seal, mark_of(site)))
        if refused:
            self._on_refused(site, "client_state", refused)
        if not parts:
            self._tell(site)
            return True
        nudges = self._nudges.setdefault(site, _Nudges())
        nudges.under_way += 1
        try:
            async with asyncio.timeout(_WITHIN_S):
                if len(parts) == 1:  # nearly always: a task less
                    kept = [await self._keep(site, subject, parts[0])]
                else:  # in order all the same: they leave by one connection, as they are begun
                    kept = await asyncio.gather(*(self._keep(site, subject, part) for part in parts))
        except (EngineError, TimeoutError):
            self._on_refused(site, "engine", 1)
            return False
        else:
            nudges.newest = max(nudges.newest, *kept)
            return True
        finally:
            nudges.under_way -= 1
            if nudges.are_due(asyncio.get_running_loop().time()):
                await self._engine.nudge(f"notices.{subject}", nudges.newest)

    async def _keep(self, site: str, subject: str, part: bytes) -> int:
        return await self._engine.publish(subject, part, hashlib.sha256(site.encode() + part).hexdigest())

    def _tell(self, site: str) -> None:
        """Now and then: strangers may send as many as they like."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at > _TELL_AGAIN_S:
            self._told_at = now
            _log.warning("notification refused", site=site, reason=_REFUSED)


class _Nudges:
    """One for many, where notifications of a site come thick: the last one under way tells of all."""

    def __init__(self) -> None:
        self.under_way = 0
        self.newest = 0
        self._told, self._told_at = 0, float("-inf")

    def are_due(self, now: float) -> bool:
        if self.newest == self._told or (self.under_way and now - self._told_at < _NUDGE_EVERY_S):
            return False
        self._told, self._told_at = self.newest, now
        return True


class Delivery:
    """What the owner does: reads what has come and hands it on. `offer` is False while there is no room."""

    def __init__(
        self,
        site: str,
        engine: Engine,
        writer: Writer,
        found: Mapping[str, Entry],
        offer: Callable[[bytes], bool],
    ) -> None:
        self._subject = notices_subject(site)
        self._engine, self._writer, self._offer = engine, writer, offer
        self._key = position_key(site)
        kept = found.get(self._key)
        self._at = place_in(kept.value) if kept else 0
        self._kept = self._at
        self._settled = self._at
        """Where it was when the place was last kept: what came later may not have been worked through."""
        self._told_of = 0
        """The newest one of which a nudge told."""
        self._wake = asyncio.Event()

    async def read(self) -> None:
        """Hand on what comes, until cancelled."""
        while True:
            with contextlib.suppress(EngineError):
                async with self._engine.listening(f"notices.{self._subject}", self._nudged):
                    await self._read_on()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _nudged(self, number: int) -> None:
        self._told_of = max(self._told_of, number)
        self._wake.set()

    async def _read_on(self) -> None:
        lags = iter(_LAGS_S)
        while True:
            self._wake.clear()
            found = await self._read_page()
            if found == _PAGE:
                continue
            if found:
                lags = iter(_LAGS_S)
                # The more come, the more are read at a time.
                await asyncio.sleep(_REST_S * min(found, _LONGEST_REST))
            if self._at < self._told_of and (lag_s := next(lags, None)) is not None:
                await asyncio.sleep(0.0 if found else lag_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._wake.wait()
            lags = iter(_LAGS_S)

    async def _read_page(self) -> int:
        """Hand on what has come; tell how many."""
        found: Sequence[Message] = ()
        with contextlib.suppress(EngineError):
            found = await self._engine.messages(self._subject, self._at, _PAGE)
        for message in found:
            while not self._offer(message.body):
                await asyncio.sleep(_FULL_S)
            self._at = message.sequence
        return len(found)

    async def keep_place(self) -> None:
        """Beside `read`, until cancelled."""
        while True:
            await asyncio.sleep(_KEEP_PLACE_EVERY_S)
            settled, self._settled = self._settled, self._at
            if settled > self._kept:
                with contextlib.suppress(EngineError, Stale):
                    await self._writer.write({self._key: str(settled).encode()})
                    self._kept = settled

    async def stop(self) -> None:
        """Keep the place exactly, for the next owner: all that was offered has been worked through."""
        with contextlib.suppress(EngineError, Stale):
            if self._at > self._kept:
                await self._writer.write({self._key: str(self._at).encode()})
