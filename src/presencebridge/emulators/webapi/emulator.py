"""The emulator as a whole: one phone system, the bridge before it, and the control port beside it."""

import asyncio
from collections.abc import Callable

import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.webapi import dialects
from presencebridge.emulators.webapi.control import control_app
from presencebridge.emulators.webapi.dialects import DEFAULT_PORT, DIALECTS, ORIGINAL, WHA
from presencebridge.emulators.webapi.faults import Faults
from presencebridge.emulators.webapi.pbx import Pbx
from presencebridge.emulators.webapi.routes import first_lines, respond
from presencebridge.emulators.webapi.server import BridgeApp, Seen
from presencebridge.emulators.webapi.steps import Answered, Cut, Hung, Request, Step
from presencebridge.emulators.webapi.wha import respond_wha
from presencebridge.emulators.world import World


class WebApiEmulator:
    """`app` is the bridge and `control` its control port, both ASGI applications.

    It waits by the event loop's time alone, so it works in process and under a virtual clock.

    - `out` is given whatever the bridge prints, one `Console.WriteLine` a call.
    - `api_key` is what the dialect `wha` wants in `X-API-Key`; None: nothing.
    - `clock` dates answers and requests; without one it is the event loop's.
    - `cut_with` makes the exception that a client in process gets for a connection that is cut.

    Raises `ValueError` for an unknown dialect.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default that will do
        self,
        world: World,
        *,
        dialect: str = "original",
        out: Callable[[str], None] | None = None,
        port_shown: int = DEFAULT_PORT,
        api_key: str | None = None,
        clock: Clock | None = None,
        cut_with: Callable[[str], Exception] = ConnectionResetError,
    ) -> None:
        if dialect not in dialects.NAMES:
            raise ValueError(f"no dialect {dialect!r}; use one of: {', '.join(dialects.NAMES)}")
        self.pbx = Pbx(world.extensions)
        self.faults = Faults()
        self.clock = clock or Clock.of_loop()
        self.stopped = asyncio.Event()
        """Set when the bridge was told to end, by /stop."""
        self.speaks_listener = dialect != WHA
        self._dialect = DIALECTS.get(dialect, ORIGINAL)
        self._out = out or _nowhere
        self._port = port_shown
        self._api_key = api_key
        self._running = True
        self.app = BridgeApp(self, cut_with)
        self.control = control_app(self)

    @property
    def requests(self) -> list[Seen]:
        """Every request to the bridge so far."""
        return self.app.seen

    def start(self, port: int | None = None) -> None:
        """The program starts (again): prints what it prints then, and takes requests."""
        self._running = True
        self.stopped.clear()
        if self.speaks_listener:
            for line in dialects.starting_lines(self._port if port is None else port):
                self.say(line)

    def shut(self) -> None:
        """The program is gone: whoever still waits is cut off, and new requests are too."""
        self._running = False
        self.app.let_go()

    # What the server asks

    def cuts(self, raw_url: str) -> bool:
        return not self._running or (self.faults.refuse and self.faults.hits(raw_url))

    def work(self, request: Request) -> Step:
        faults = self.faults
        if not self._running:
            return Cut()
        if faults.hang and faults.hits(request.raw_url):
            return Hung(tuple(first_lines(request, self._dialect)) if self.speaks_listener else ())
        step = self._respond(request)
        if isinstance(step, Answered) and step.ends:
            self._running = False
        return step

    def delay(self) -> float:
        return self.faults.latency_s

    def altered(self, answer: Answered, raw_url: str) -> Answered:
        if self.faults.garbage is None or not self.faults.hits(raw_url):
            return answer
        return msgspec.structs.replace(answer, body=self.faults.garbage)

    def say(self, line: str) -> None:
        self._out(line)

    def close_after(self) -> float | None:
        return self.faults.close_after_s

    def has_ended(self) -> None:
        self.app.let_go()
        self.stopped.set()

    def _respond(self, request: Request) -> Step:
        connected, ignores_set = not self.faults.not_connected, self.faults.ignore_set
        if self.speaks_listener:
            return respond(request, self.pbx, self._dialect, connected=connected, ignores_set=ignores_set)
        return respond_wha(
            request,
            self.pbx,
            self.clock.base(),
            api_key=self._api_key,
            connected=connected,
            ignores_set=ignores_set,
        )


def _nowhere(line: str) -> None:
    pass
