"""What ends on a day of its own, and is told in good time: certificates, secrets, sign-ins, the licence.

A subscription lives an hour and is renewed by itself; it is no business of this page.
"""

import asyncio
import datetime as dt
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog
from cryptography import x509

from presencebridge.config import Config
from presencebridge.errors import LinkError
from presencebridge.runtime.ports import Clock
from presencebridge.unreadable import UNREADABLE

_log = structlog.get_logger()

DAY_S: Final = 86_400.0
SOON_DAYS: Final = 30
SERVERS_SOON_DAYS: Final = 14
"""A public certificate is good for 90 days at most, and is renewed by itself 30 days before its end: what is
left over then is trouble."""
IDLE_SIGN_IN_S: Final = 90 * DAY_S
"""A refresh token that is not used for so long ends:
https://learn.microsoft.com/entra/identity-platform/refresh-tokens"""
_LOOK_EVERY_S: Final = 6 * 3600.0
_TELL_EVERY_S: Final = DAY_S

_NEW_CERTIFICATE: Final = (
    "make another one (docs/operate.md), upload it: Entra > App registrations > your app > "
    "Certificates & secrets > Certificates, and restart the service"
)
_NEW_KEY: Final = (
    "Entra > App registrations > your app > Certificates & secrets > New client secret; write its Value into "
    "the secret's file, its end into client_secret_expires, and restart the service"
)


class Deadline(msgspec.Struct, frozen=True):
    """Something that ends."""

    kind: str
    """app certificate, client secret, notification key, watcher sign-in, authority, server certificate or
    3CX licence"""
    about: str
    """Which one: a file, a watcher, a host."""
    ends_at: float
    """Seconds since 1970, by the wall's clock."""
    cure: str
    soon_days: int = SOON_DAYS

    @property
    def name(self) -> str:
        return f"{self.kind} {self.about}".rstrip()


class Warned(msgspec.Struct, frozen=True):
    """A deadline that is near, or past."""

    what: str
    cure: str
    days: int
    """Days left; negative once it is past."""


def soon(deadlines: Iterable[Deadline], now: float) -> list[Warned]:
    """What is to be warned of, the nearest first."""
    near = sorted(
        (one for one in deadlines if one.ends_at - now < one.soon_days * DAY_S), key=lambda one: one.ends_at
    )
    return [Warned(in_words(one, now), one.cure, math.floor((one.ends_at - now) / DAY_S)) for one in near]


def in_words(deadline: Deadline, now: float) -> str:
    """`app certificate app.pem ends in 12 days, on 2027-03-01`"""
    day = dt.datetime.fromtimestamp(deadline.ends_at, dt.UTC).date().isoformat()
    left = deadline.ends_at - now
    if left <= 0:
        return f"{deadline.name} ended on {day}"
    days = int(left // DAY_S)
    return f"{deadline.name} ends {f'in {days} days' if days else 'within a day'}, on {day}"


# What the config and the state folder tell ---------------------------------------------------------


def of_config(config: Config) -> list[Deadline]:
    """All that files tell. One that can't be read is somebody else's finding."""
    return [*_of_app(config), *_of_authorities(config), *_of_watchers(config)]


def _of_app(config: Config) -> Iterator[Deadline]:
    teams = config.teams
    if teams.certificate_file and (ends := _first_end(teams.certificate_file)) is not None:
        yield Deadline("app certificate", teams.certificate_file.name, ends, _NEW_CERTIFICATE)
    if teams.client_secret_expires is not None:
        end = dt.datetime.combine(teams.client_secret_expires, dt.time(), dt.UTC)
        yield Deadline("client secret", "", end.timestamp(), _NEW_KEY)


def _of_authorities(config: Config) -> Iterator[Deadline]:
    bridge = config.pbx.bridge
    files = {
        "[teams]": config.teams.ca_file,
        "[pbx]": config.pbx.ca_file,
        "[pbx.bridge]": bridge.ca_file if bridge else None,
    }
    for file in dict.fromkeys(filter(None, files.values())):
        ends = _ends(file)
        if ends:  # as long as one of them is good, the others may be left over
            sections = " and ".join(section for section, one in files.items() if one == file)
            cure = f"name the certificate of the authority that comes after it: ca_file in {sections}"
            yield Deadline("authority", file.name, max(ends), cure)


def _of_watchers(config: Config) -> Iterator[Deadline]:
    hook, folder = config.teams.webhook, config.state.dir
    if config.teams.delivery != "webhook" or hook is None:
        return
    for name in hook.watchers:
        if (used_at := _changed_at(folder / f"watcher-{name}.json")) is not None:
            cure = f"let the service run, or presencebridge login --config FILE --watcher {name}"
            yield Deadline("watcher sign-in", name, used_at + IDLE_SIGN_IN_S, cure)
    keys = [end for file in sorted(folder.glob("notification-key-*.pem")) for end in _ends(file)]
    if keys:
        cure = "it is replaced by itself every 90 days: see that the service may write to the state folder"
        yield Deadline("notification key", "", max(keys), cure)


def _ends(file: Path) -> list[float]:
    """When each certificate in a PEM file ends."""
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, *UNREADABLE):
        return []
    return [one.not_valid_after_utc.timestamp() for one in found]


def _first_end(file: Path) -> float | None:
    """The end of the first certificate of a file: the app's, whatever chain follows it."""
    return next(iter(_ends(file)), None)


def _changed_at(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


# While the service runs ---------------------------------------------------------------------------

Look = Callable[[], Awaitable[Sequence[Deadline]]]
"""Asks somebody else for their deadlines. Raises `LinkError` or `OSError`."""


class Expiry:
    """Looks at everything that ends, every six hours, and tells once a day of what is near."""

    def __init__(self, config: Config, clock: Clock, looks: Iterable[Look] = ()) -> None:
        self._config = config
        self._clock = clock
        self._looks = tuple(looks)
        self._told_at = float("-inf")
        self._of_others: dict[int, Sequence[Deadline]] = {}
        """By the number of the look: what it said last is kept while it can't be asked."""
        self.deadlines: Sequence[Deadline] = ()

    @property
    def warnings(self) -> list[Warned]:
        return soon(self.deadlines, self._clock.wall())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._look()
            now = self._clock.now()
            if now - self._told_at >= _TELL_EVERY_S:
                self._told_at = now
                for warned in self.warnings:
                    _log.warning("expiring", what=warned.what, days=warned.days, cure=warned.cure)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> None:
        self.deadlines = of_config(self._config)
        for number, look in enumerate(self._looks):
            try:
                self._of_others[number] = await look()
            except (LinkError, OSError, TimeoutError):
                continue
        self.deadlines = [*self.deadlines, *(one for told in self._of_others.values() for one in told)]
