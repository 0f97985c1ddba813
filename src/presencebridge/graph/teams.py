"""I/O: what the bridge does on Teams, in Graph's calls: read presences, and our own session."""

import contextlib
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from presencebridge.core.model import Presence
from presencebridge.errors import Gone, Refused
from presencebridge.graph import calls, wire
from presencebridge.graph.client import GraphClient

T = TypeVar("T")

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class GraphTeams:
    """Presence of a tenant's people, with the app's own rights. Every method raises `LinkError`."""

    def __init__(self, graph: GraphClient, app: str) -> None:
        self._graph = graph
        self._app = app
        """The session's id has to be the app's: https://learn.microsoft.com/graph/api/presence-setpresence"""

    async def presences(self, users: Sequence[str]) -> Sequence[wire.PresenceBody]:
        """Presence of up to 650 people; who is not known, or told of in an odd way, is left out."""
        return _readable((await self._graph.run(calls.read_presences(users))).value, wire.PresenceBody)

    async def set_presence(self, user: str, pair: Presence, seconds: int) -> None:
        await self._graph.run(calls.set_presence(user, self._app, pair, seconds))

    async def clear_presence(self, user: str) -> None:
        """End our session; it is no error if there is none."""
        try:
            await self._graph.run(calls.clear_presence(user, self._app))
        except Gone:
            return

    async def set_preferred(self, user: str, pair: Presence, seconds: int) -> None:
        await self._graph.run(calls.set_preferred(user, pair, seconds))

    async def clear_preferred(self, user: str) -> None:
        await self._graph.run(calls.clear_preferred(user))

    async def find(self, names: Sequence[str]) -> dict[str, wire.User]:
        """People by user principal name, mail or object id; who is not found is not in the answer."""
        found = {name: wire.User(name) for name in names if _GUID.fullmatch(name)}
        rest = [name for name in names if name not in found]
        for start in range(0, len(rest), calls.NAMES_IN_ONE_FILTER):
            group = rest[start : start + calls.NAMES_IN_ONE_FILTER]
            users = await self._find(group)
            by_name = {user.mail.casefold(): user for user in users if user.mail}
            by_name |= {user.user_principal_name.casefold(): user for user in users}
            found |= {name: by_name[name.casefold()] for name in group if name.casefold() in by_name}
        return found

    async def _find(self, names: Sequence[str]) -> list[wire.User]:
        """Where Graph refuses the request as a whole, find whose name it is, so that it costs nobody else."""
        try:
            return _readable((await self._graph.run(calls.find_users(names))).value, wire.User)
        except Refused as error:
            if error.status != 400:
                raise
        half = len(names) // 2
        return [*await self._find(names[:half]), *await self._find(names[half:])] if half else []


def _readable(items: Sequence[msgspec.Raw], kind: type[T]) -> list[T]:
    found = []
    for item in items:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            found.append(msgspec.json.decode(item, type=kind))
    return found
