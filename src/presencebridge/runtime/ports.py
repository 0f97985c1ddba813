"""What the moving parts need of the outside. Adapters fit by shape and import nothing from here."""

from collections.abc import Iterable, Sequence
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


class Pbx(Protocol):
    """Every method raises `LinkError`."""

    async def legs(self) -> Legs: ...
    async def status(self, extension: str) -> str: ...
    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange: ...


class Store(Protocol):
    def load(self) -> dict[str, State]: ...
    async def save(self, key: str, state: State) -> None: ...
    async def forget(self, keys: Iterable[str]) -> None: ...
