"""I/O: what the bridge does on Teams, in Graph's calls: presences, our own session, and who there is."""

import collections
import contextlib
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from presencebridge.bounded import ListLimit
from presencebridge.core.model import Presence
from presencebridge.errors import Gone, Malformed, Refused
from presencebridge.graph import calls, wire
from presencebridge.graph.client import GraphClient

T = TypeVar("T")

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_MANY_NAMES: Final = 100
"""Beyond this it is cheaper to list everybody, 999 in a request, than to ask for 7 names in a request."""
_MOST_PEOPLE, _MOST_MB = 1_000_000, 256
"""In a list over all its pages. Somebody takes some 250 bytes, and 600 with all that may be seen of them."""
_MOST_PAGES: Final = 2000
"""A list that goes on after that goes on for ever."""


class Everybody(msgspec.Struct, frozen=True):
    """The users of a tenant."""

    users: tuple[wire.User, ...]
    in_full: bool
    """Whether further addresses, disabled accounts and kinds of users could be seen."""


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

    async def find(self, names: Sequence[str]) -> dict[str, tuple[wire.User, ...]]:
        """People by user principal name, mail or object id; who is not found is not in the answer.

        A mail address may be that of several. Object ids are believed, and need no right to look anybody up.
        """
        found: dict[str, tuple[wire.User, ...]]
        found = {name: (wire.User(name),) for name in names if _GUID.fullmatch(name)}
        rest = [name for name in names if name not in found]
        if len(rest) > _MANY_NAMES:
            return found | _by_name(rest, await self._list(calls.list_users()))
        for start in range(0, len(rest), calls.NAMES_IN_ONE_FILTER):
            group = rest[start : start + calls.NAMES_IN_ONE_FILTER]
            found |= _by_name(group, await self._find(group))
        return found

    async def everybody(self) -> Everybody:
        """Everybody in the tenant, with their further addresses where the app may see them."""
        try:
            users = await self._list(calls.list_users(further=True))
        except Refused as error:
            if error.status != 403:
                raise
            return Everybody(tuple(await self._list(calls.list_users())), in_full=False)
        # An account is enabled or it is not: null for all of them means that it was not for us.
        return Everybody(tuple(users), in_full=any(user.account_enabled is not None for user in users))

    async def _list(self, first: calls.Call[wire.Users]) -> list[wire.User]:
        """All pages, or an error: half a list would look as if the others had left."""
        found: list[wire.User] = []
        seen: set[str] = set()
        limit = ListLimit(_MOST_PEOPLE, _MOST_MB)
        page = await self._graph.run(first)
        while True:
            size = sum(memoryview(one).nbytes for one in page.value) + len(page.next_link or "")
            if not limit.allows(len(page.value), size):
                what = f"Graph's list of users is longer than {_MOST_PEOPLE} people or {_MOST_MB} MB"
                cure = 'set match = "list" in [people], and name people by their object ids'
                raise Malformed(what, cure=cure)
            found += _readable(page.value, wire.User)
            if not page.next_link:
                return found
            if page.next_link in seen or len(seen) == _MOST_PAGES:
                raise Malformed("Graph's list of users has no end")
            seen.add(page.next_link)
            page = await self._graph.run(calls.more_users(page.next_link))

    async def _find(self, names: Sequence[str]) -> list[wire.User]:
        """Where Graph refuses the request as a whole, find whose name it is, so that it costs nobody else."""
        try:
            return _readable((await self._graph.run(calls.find_users(names))).value, wire.User)
        except Refused as error:
            if error.status != 400:
                raise
        half = len(names) // 2
        return [*await self._find(names[:half]), *await self._find(names[half:])] if half else []


def _by_name(names: Sequence[str], users: Sequence[wire.User]) -> dict[str, tuple[wire.User, ...]]:
    """A principal name before mail addresses; whoever has the address is told, since nobody guesses."""
    wanted = {name.casefold() for name in names}
    by_mail = collections.defaultdict[str, dict[str, wire.User]](dict)  # pages may show somebody twice
    for user in users:
        if user.mail and user.mail.casefold() in wanted:
            by_mail[user.mail.casefold()][user.id.casefold()] = user
    known = {mail: tuple(of_it[key] for key in sorted(of_it)) for mail, of_it in by_mail.items()}
    known |= {user.user_principal_name.casefold(): (user,) for user in users}
    return {name: known[name.casefold()] for name in names if name.casefold() in known}


def _readable(items: Sequence[msgspec.Raw], kind: type[T]) -> list[T]:
    found = []
    for item in items:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.append(msgspec.json.decode(item, type=kind))
    return found
