"""What a service manager is told: ready, reloading, stopping, how things stand, and that progress is made.

The protocol of sd_notify(3), https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html:
datagrams of lines `NAME=value` to the socket that $NOTIFY_SOCKET names. Where it names none, nothing is told.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

_WITHOUT_WATCHDOG_S: Final = 10.0
_LONGEST_TEXT: Final = 200


class Standing(NamedTuple):
    """How things stand."""

    alive: bool
    """Whether progress is made: the watchdog is fed with it, and with nothing else."""
    text: str
    """One line for people, such as "in step, 52 people"."""


class Notifier:
    """One service manager, or none: the words are the same."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the first byte of an abstract name, which is zero.
        address = "\0" + name[1:] if name.startswith("@") else name
        self._address = address if address.startswith(("/", "\0")) else ""
        self._watchdog_s = _watchdog_s(environment)
        self._text = ""
        self._ended = False

    def ready(self) -> None:
        """It listens, and has loaded what it needs; also once a reload is done."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The config is read anew; `ready` ends it. The time is how systemd tells two reloads apart."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._ended = True
        self._tell("STOPPING=1\nSTATUS=stopping")

    def keep_told(self, look: Callable[[], Standing]) -> None:
        """From now on tell how things stand, and feed the watchdog as long as progress is made.

        It hangs on the running event loop's timer: a loop that hangs feeds nobody.
        """
        if self._address and not self._ended:
            self._stand(look())
            every_s = self._watchdog_s / 3 if self._watchdog_s else _WITHOUT_WATCHDOG_S
            asyncio.get_running_loop().call_later(every_s, self.keep_told, look)

    def _stand(self, standing: Standing) -> None:
        lines = ["WATCHDOG=1"] if standing.alive and self._watchdog_s else []
        text = " ".join((standing.text if standing.alive else f"no progress; {standing.text}").split())
        text = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."
        if text != self._text:
            lines.append(f"STATUS={text}")
            self._text = text
        if lines:
            self._tell("\n".join(lines))

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            # A service manager that is away or overrun is no reason to wait, or to fail.
            with contextlib.suppress(OSError):
                mouth.sendto(message.encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """What $WATCHDOG_USEC asks for, if it is meant for this process."""
    meant_for = environment.get("WATCHDOG_PID", "")
    every = environment.get("WATCHDOG_USEC", "")
    if not every.isdecimal() or int(every) == 0 or meant_for not in ("", str(os.getpid())):
        return None
    return int(every) / 1e6
