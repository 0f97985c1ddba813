"""Both sides as they are, except that nothing is written: `run --dry-run` decides and tells."""

from collections.abc import Mapping, Sequence

import msgspec

from presencebridge.core.model import Presence
from presencebridge.runtime.ports import PresenceRead, StatusChange, Statuses, Teams


class DryTeams:
    """Reads Teams; takes writes as done."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams

    async def presences(self, users: Sequence[str]) -> Sequence[PresenceRead]:
        return await self._teams.presences(users)

    async def set_presence(self, user: str, pair: Presence, seconds: int) -> None:
        """Write nothing."""

    async def clear_presence(self, user: str) -> None:
        """Write nothing."""


class _Change(msgspec.Struct, frozen=True):
    before: str
    after: str
    wrote: bool


class DryStatuses:
    """Reads 3CX; takes writes as done, and shows what it would have written until somebody changes it."""

    def __init__(self, statuses: Statuses) -> None:
        self._statuses = statuses
        self._pretended: dict[str, tuple[str, str]] = {}
        """What a status really was when we would have changed it, and to what."""

    async def all_statuses(self) -> Mapping[str, str]:
        really = await self._statuses.all_statuses()
        return {extension: self._shown(extension, status) for extension, status in really.items()}

    async def status(self, extension: str) -> str:
        return self._shown(extension, await self._statuses.status(extension))

    def _shown(self, extension: str, really: str) -> str:
        was, pretended = self._pretended.get(extension, ("", ""))
        if really == was:
            return pretended
        self._pretended.pop(extension, None)
        return really

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        before = await self.status(extension)
        if before not in expected:
            return _Change(before, before, wrote=False)
        self._pretended[extension] = (await self._statuses.status(extension), wanted)
        return _Change(before, wanted, wrote=True)
