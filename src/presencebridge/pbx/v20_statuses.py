"""I/O: statuses on 3CX V20, by the XAPI."""

import asyncio
from collections.abc import Callable
from typing import Final

from presencebridge.errors import Gone
from presencebridge.pbx import v20
from presencebridge.pbx.answers import StatusChange
from presencebridge.pbx.v20_client import V20Client

_LOOK_AGAIN_S: Final = 1.0
"""A change that does not show at once is looked for once more, so much later, before it counts as ignored."""
_NAMES_EVERY_S: Final = 600.0
"""How often we ask for names when somebody's status has a name that we don't know."""


class V20Statuses:
    """Reads and sets forwarding profiles of users."""

    def __init__(self, client: V20Client, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._renamed: dict[str, str] = {}
        self._own_names: dict[str, dict[str, str]] = {}
        """What single extensions call their statuses, where that had to be asked for."""
        self._names_asked_at = float("-inf")

    async def all_statuses(self) -> dict[str, str]:
        """Everybody's status, as far as it can be told, by extension. Raises `LinkError`."""
        found: dict[str, str] = {}
        async for users in self._client.pages(v20.statuses_path, v20.parse_statuses):
            for user in users:
                status = self._named(user)
                if status is not None:
                    found[user.number] = status
        return found

    async def status(self, extension: str) -> str:
        """The status of one extension. Raises `LinkError`."""
        return await self._status_of(await self._user(extension))

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        """Read the status; if it is one of `expected`, write `wanted` and read back. Raises `LinkError`.

        Whether 3CX carries out the PATCH depends on its version: an ignored one is found by the read.
        """
        user = await self._user(extension)
        before = await self._status_of(user)
        if before not in expected or before == wanted:
            return StatusChange(before, before, wrote=False)
        await self._client.ask("PATCH", v20.change_path(user.id), v20.change_body(wanted))
        after = await self.status(extension)
        if after == before:
            await asyncio.sleep(_LOOK_AGAIN_S)
            after = await self.status(extension)
        return StatusChange(before, after, wrote=True)

    async def _user(self, extension: str) -> v20.User:
        return v20.parse_user(extension, await self._client.ask("GET", v20.user_path(extension)))

    async def _status_of(self, user: v20.User) -> str:
        """By its internal name. Raises `Malformed` for a name that is none of the five's."""
        status, name = self._named(user), user.current_profile_name
        if status is None and name:
            await self._learn_names()
            status = self._named(user)
        if status is None and name:
            own = v20.parse_profiles(await self._client.ask("GET", v20.profiles_path(user.id)))
            self._own_names[user.number] = own
            status = self._named(user)
        if status is None:
            raise v20.unknown_status(user.number, name)
        return status

    def _named(self, user: v20.User) -> str | None:
        own = self._own_names.get(user.number, {})
        return v20.status_named(user.current_profile_name, {**self._renamed, **own})

    async def _learn_names(self) -> None:
        """What the operator calls the custom statuses."""
        if self._now() < self._names_asked_at + _NAMES_EVERY_S:
            return
        self._names_asked_at = self._now()
        try:
            self._renamed = v20.parse_system_names(await self._client.ask("GET", v20.NAMES_PATH))
        except Gone:
            return  # a version without them
