"""Both sides as they are, except that nothing is written: `run --dry-run` decides and tells."""

from collections.abc import Sequence

import msgspec

from presencebridge.core.model import Presence
from presencebridge.runtime.ports import Legs, Pbx, PresenceRead, StatusChange, Teams


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


class DryPbx:
    """Reads 3CX; takes writes as done, and shows what it would have written until somebody changes it."""

    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx
        self._pretended: dict[str, tuple[str, str]] = {}
        """What a status really was when we would have changed it, and to what."""

    async def legs(self) -> Legs:
        return await self._pbx.legs()

    async def status(self, extension: str) -> str:
        really = await self._pbx.status(extension)
        was, pretended = self._pretended.get(extension, ("", ""))
        if really == was:
            return pretended
        self._pretended.pop(extension, None)
        return really

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        before = await self.status(extension)
        if before not in expected:
            return _Change(before, before, wrote=False)
        self._pretended[extension] = (await self._pbx.status(extension), wanted)
        return _Change(before, wanted, wrote=True)
