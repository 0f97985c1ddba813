"""I/O: calls on 3CX V20: Call Control's websocket, whole reads beside it, and what is left without them.

The socket tells that something has changed, not what, and never what was missed. So an extension is read when
an event names it, and everything is read after each connect, after a gap, and at intervals.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from presencebridge.core.backoff import doubled
from presencebridge.core.model import LegState
from presencebridge.errors import BridgeError, Gone, LinkError, Malformed, Refused
from presencebridge.metrics import Metrics
from presencebridge.pbx import v20_calls
from presencebridge.pbx.answers import Legs
from presencebridge.pbx.v20_client import V20Client

_log = structlog.get_logger()

_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0
_REFUSED_AGAIN_S: Final = 60.0
"""A right that is missing may be given some day."""

_RIGHT, _SOCKET = "call control", "websocket"


class SocketEnded(BridgeError):
    """There is nothing more to be heard on this socket; the text says why."""


class Socket(Protocol):
    """A websocket, as far as it is listened to."""

    async def recv(self) -> str | bytes:
        """The next message. Raises `SocketEnded`."""

    async def close(self) -> None: ...


Dial = Callable[[str], Awaitable[Socket]]
"""Opens a socket with a token. Raises `LinkError`."""


class V20Calls:
    """Reads the calls of all extensions, and follows them while it runs.

    Without the right to Call Control, or its licence, the list of active calls takes its place.
    """

    def __init__(
        self,
        client: V20Client,
        dial: Dial | None,
        is_wanted: Callable[[str], bool],
        now: Callable[[], float],
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics or Metrics()
        self._dial = dial
        """None: Call Control is not to be used."""
        self._now = now
        self._picture = v20_calls.Picture(is_wanted)
        self._call_control_from = float("-inf") if dial else float("inf")
        self._due: dict[str, None] = {}
        self._has_due = asyncio.Event()
        self._found_silent = asyncio.Event()
        self._is_away = False
        self._is_back = asyncio.Event()
        self.is_live = False
        """Whether changes are told as they happen."""
        self.on_legs: Callable[[str, tuple[LegState, ...]], None] = lambda _extension, _legs: None
        """Called with an extension and all its legs when an event changed them."""
        self.on_gap: Callable[[], None] = lambda: None
        """Called when everything should be read now."""
        self.on_note: Callable[[str, str, str], None] = lambda _about, _what, _cure: None
        """Called with what does not work, and its cure; with empty texts when it works again."""

    async def legs(self) -> Legs:
        """All legs. Raises `LinkError`."""
        if self._now() >= self._call_control_from:
            mark = self._picture.mark()
            try:
                found = v20_calls.parse_call_control(await self._client.ask("GET", v20_calls.CALLS_PATH))
            except LinkError as error:
                self._is_away = not _is_withheld(error)
                if self._is_away:
                    raise
                self._call_control_withheld(error)
            else:
                if self.is_live and self._picture.is_silent():
                    self._found_silent.set()
                if self._is_away:
                    self._is_away = False
                    self._is_back.set()
                self._picture.whole(found, mark)
                self.on_note(_RIGHT, "", "")
                return self._picture.legs()
        return v20_calls.parse_active_calls(await self._client.ask("GET", v20_calls.ACTIVE_CALLS_PATH))

    def _call_control_withheld(self, error: LinkError) -> None:
        self._call_control_from = self._now() + _REFUSED_AGAIN_S
        self.on_note(
            _RIGHT,
            f"calls come from the list of active calls, which is slower and does not tell hold ({error})",
            "tick Call Control API Access for the API client (it needs the Enterprise licence), or set "
            '[pbx] calls_via = "active-calls"',
        )

    async def run(self) -> None:
        """Keep a socket open until cancelled."""
        if self._dial is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_due(), name="read participants")
            failures = 0
            while True:
                try:
                    await self._stay_connected(self._dial)
                except (LinkError, SocketEnded) as error:
                    failures = 0 if self.is_live else failures + 1
                    self._disconnected(error)
                    if isinstance(error, LinkError) and _is_withheld(error):
                        await asyncio.sleep(_REFUSED_AGAIN_S)
                        continue
                await self._rest(doubled(_FIRST_RETRY_S, failures, _LONGEST_RETRY_S))

    async def _rest(self, seconds: float) -> None:
        """Until the next try; a 3CX that is back is tried at once."""
        self._is_back.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_back.wait()

    # The socket

    async def _stay_connected(self, dial: Dial) -> None:
        """One socket after another, each open before the one before it is closed.

        Whether a socket outlives its token is not known, so it is replaced with it. Raises `SocketEnded` and
        `LinkError`.
        """
        socket: Socket | None = None
        try:
            while True:
                token, new = await self._open(dial)
                old, socket = socket, new
                self._connected()
                if old is not None:
                    await old.close()
                await self._listen(socket, token)
        finally:
            if socket is not None:
                await socket.close()

    async def _open(self, dial: Dial) -> tuple[str, Socket]:
        token = await self._client.token()
        try:
            return token, await dial(token)
        except Refused as error:
            if error.status != 401:
                raise
        token = await self._client.token(refused=token)
        return token, await dial(token)

    async def _listen(self, socket: Socket, token: str) -> None:
        """Until the token has been replaced. Raises `SocketEnded` where nothing more is to be heard."""
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear(socket))
            silence = tasks.create_task(self._found_silent.wait())
            replaced = tasks.create_task(self._client.replaced(token))
            ends = {hearing, silence, replaced}
            done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
        if hearing in done:
            raise SocketEnded(hearing.result())
        if silence in done:
            self._metrics.call_events.labels("missing").inc()
            self._metrics.drift.labels("3cx").inc()
            raise SocketEnded("calls changed, and it did not tell")

    async def _hear(self, socket: Socket) -> str:
        """Fold in what is told until the socket ends. Returns why it did."""
        expected: int | None = None
        while True:
            try:
                event = v20_calls.parse_event(await socket.recv())
            except SocketEnded as error:
                return str(error)
            except Malformed:
                self._metrics.call_events.labels("unreadable").inc()
                self.on_gap()
                continue
            if expected is not None and event.sequence != expected:
                self._metrics.call_events.labels("gap").inc()
                self.on_gap()
            expected = event.sequence + 1
            self._metrics.call_events.labels(event.told.name.lower()).inc()
            if self._picture.event(event):
                self._due[event.dn] = None
                self._has_due.set()
            elif event.told is v20_calls.Told.REMOVED:
                if self._picture.hides(event.dn):
                    self.on_gap()
                elif not self._picture.is_due(event.dn):  # else the read tells: another call may have begun
                    self.on_legs(event.dn, self._picture.legs_of(event.dn))

    def _connected(self) -> None:
        self._picture.connected()
        self._found_silent.clear()
        self._call_control_from = float("-inf")
        self.is_live = True
        self.on_note(_SOCKET, "", "")
        self.on_gap()

    def _disconnected(self, error: LinkError | SocketEnded) -> None:
        self.is_live = False
        cure = error.cure if isinstance(error, LinkError) else ""
        self.on_note(_SOCKET, f"calls are polled, since no websocket tells of them ({error})", cure)
        self.on_gap()

    # Extensions that events named

    async def _read_due(self) -> None:
        """Side by side; an extension that changes while it is read is read again."""
        reading: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._has_due.wait()
                self._has_due.clear()
                for dn in self._due.keys() - reading:
                    reading.add(dn)
                    tasks.create_task(self._read_until_done(dn, reading), name=f"participants of {dn}")

    async def _read_until_done(self, dn: str, reading: set[str]) -> None:
        while dn in self._due:
            del self._due[dn]
            await self._read(dn)
        reading.discard(dn)

    async def _read(self, dn: str) -> None:
        mark = self._picture.mark()
        try:
            body = await self._client.ask("GET", v20_calls.participants_path(dn))
            self._picture.one(dn, v20_calls.parse_participants(body), mark)
        except Gone:
            self._picture.one(dn, {}, mark)
        except LinkError as error:
            if error.status == 403:
                self._picture.hide(dn)
            self.on_gap()  # the whole read finds out, or says what is wrong
            return
        self.on_legs(dn, self._picture.legs_of(dn))


def _is_withheld(error: LinkError) -> bool:
    """Whether the licence, the right or the version is missing."""
    return error.status in (403, 404)
