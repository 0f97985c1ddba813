"""What the moving parts need of the outside. Adapters fit by shape and import nothing from here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from presencebridge.core.model import LegState, Presence, State


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970; it only goes forward while the process lives."""

    def wall(self) -> float:
        """Seconds since 1970 as the machine has it now, for what is compared with others' clocks."""


class PresenceRead(Protocol):
    """One person's presence as Graph tells it."""

    @property
    def id(self) -> str: ...
    @property
    def availability(self) -> str: ...
    @property
    def activity(self) -> str: ...
    @property
    def sequence_number(self) -> str | None: ...


class Teams(Protocol):
    """Every method raises `LinkError`."""

    async def presences(self, users: Sequence[str]) -> Sequence[PresenceRead]: ...
    async def set_presence(self, user: str, pair: Presence, seconds: int) -> None: ...
    async def clear_presence(self, user: str) -> None: ...


class Legs(Protocol):
    @property
    def by_extension(self) -> dict[str, tuple[LegState, ...]]: ...
    @property
    def unreadable(self) -> dict[str, str]: ...
    @property
    def visible(self) -> frozenset[str] | None: ...


class StatusChange(Protocol):
    @property
    def before(self) -> str: ...
    @property
    def after(self) -> str: ...
    @property
    def wrote(self) -> bool: ...


class Calls(Protocol):
    """What is on the phones."""

    async def legs(self) -> Legs:
        """Raises `LinkError`."""


class CallFeed(Protocol):
    """Calls as they happen, beside what `Calls` reads."""

    on_legs: Callable[[str, tuple[LegState, ...]], None]
    """Called with an extension and all its legs when they changed."""
    on_gap: Callable[[], None]
    """Called when everything should be read now."""

    @property
    def is_live(self) -> bool: ...
    async def run(self) -> None: ...


class Statuses(Protocol):
    """The forwarding profiles. Every method raises `LinkError`."""

    async def all_statuses(self) -> Mapping[str, str]:
        """Everybody's status by extension, as far as 3CX tells them together; empty where it does not."""

    async def status(self, extension: str) -> str: ...
    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange: ...


class TeamsUser(Protocol):
    """Somebody in Entra. `further` are mail addresses beside `mail`."""

    @property
    def id(self) -> str: ...
    @property
    def user_principal_name(self) -> str: ...
    @property
    def mail(self) -> str | None: ...
    @property
    def display_name(self) -> str | None: ...
    @property
    def further(self) -> Sequence[str]: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def guest(self) -> bool: ...


class Everybody(Protocol):
    """The users of a tenant; not `in_full` where only their names and first addresses could be seen."""

    @property
    def users(self) -> Sequence[TeamsUser]: ...
    @property
    def in_full(self) -> bool: ...


class TeamsDirectory(Protocol):
    """Who there is in Entra. Every method raises `LinkError`; half a list is an error."""

    async def find(self, names: Sequence[str]) -> Mapping[str, Sequence[TeamsUser]]:
        """Whom a name may mean, none left out. No request is made for an object id."""

    async def everybody(self) -> Everybody: ...


class PbxUser(Protocol):
    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def enabled(self) -> bool: ...


class PbxDirectory(Protocol):
    """Who there is on 3CX. Raises `LinkError`; half a list is an error."""

    async def users(self) -> Sequence[PbxUser]: ...


class Store(Protocol):
    def load(self) -> dict[str, State]: ...
    async def save(self, states: Mapping[str, State]) -> None: ...
    async def forget(self, keys: Iterable[str]) -> None: ...
