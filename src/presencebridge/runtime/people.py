"""Who is served, and what Entra and 3CX call them. People come and go while the service runs."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec
import structlog

from presencebridge.core.policy import Policy

_log = structlog.get_logger()

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Member(msgspec.Struct, gc=False):
    """A person. The key is the extension: short, unique, and no name."""

    key: str
    teams: str
    """User principal name, mail address or object id: as the config has it, else as Entra has it."""
    policy: Policy
    user: str | None = None
    """The object id in Entra, in lower case, once it is known."""
    name: str = ""
    troubles: Mapping[str, str] = _NONE
    """What is wrong with this person on either side (`teams`, `3cx`), for people."""

    def trouble(self, side: str, what: str) -> None:
        """Note what is wrong on a side; an empty text when nothing is any more."""
        if what:
            if side not in self.troubles:
                _log.warning("person in trouble", person=self.key, side=side, reason=what)
            self.troubles = {**self.troubles, side: what}
        elif side in self.troubles:
            self.troubles = {one: told for one, told in self.troubles.items() if one != side} or _NONE
            _log.info("person out of trouble", person=self.key, side=side)


class People:
    """Everybody, to be found by whatever name somebody has for them."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._by_key = {member.key: member for member in members}
        self._by_user: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        """Everybody who is served now, whoever comes or goes meanwhile."""
        return iter(tuple(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def __getitem__(self, key: str) -> Member:
        return self._by_key[key]

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def add(self, member: Member) -> None:
        """Somebody new, with a key that nobody has."""
        self._by_key[member.key] = member
        if member.user is not None:
            self._by_user[member.user] = member

    def remove(self, member: Member) -> None:
        if self.has(member):
            del self._by_key[member.key]
        if member.user is not None and self._by_user.get(member.user) is member:
            del self._by_user[member.user]

    def has(self, member: Member) -> bool:
        """Whether it is this one who is served, and not somebody else who has the extension now."""
        return self._by_key.get(member.key) is member

    def identify(self, member: Member, user: str, name: str) -> None:
        """Entra said who this is."""
        member.user, member.name = user.casefold(), name
        member.trouble("teams", "")
        self._by_user[member.user] = member

    def of_user(self, user: str) -> Member | None:
        return self._by_user.get(user.casefold())

    def users(self) -> tuple[str, ...]:
        """Object ids of everybody whose presence is to be followed."""
        return tuple(user for user, member in self._by_user.items() if not member.policy.excluded)

    def find(self, name: str) -> Member | None:
        """By extension, Teams name, object id or display name, whatever the case."""
        wanted = name.casefold()
        for member in self:
            names = (member.key, member.teams, member.user or "", member.name)
            if wanted in (known.casefold() for known in names if known):
                return member
        return None
