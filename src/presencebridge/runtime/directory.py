"""Who is who, and who is served: looked up in Entra by name, or found on both sides by mail address.

With `match = "list"` the people are those of the config, and Entra is asked again and again who has their
names: an account may be made anew, or a name go to somebody else. With `match = "email"` both lists of
users are read again and again, and people come and go by what they say. A look that does not work changes
nothing, nor does a list without anybody in it: 3CX and Entra are never empty. Who is missing, or somebody
else, is looked for a second time before they have to go, since lists that come in pages may lose somebody
for a moment.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec.structs import replace

from presencebridge.core.backoff import doubled
from presencebridge.core.policy import Policy
from presencebridge.errors import LinkError, Malformed, TryAgain
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.links import Link
from presencebridge.runtime.matching import (
    NOBODY,
    How,
    Left,
    Matching,
    Named,
    Reason,
    Served,
    in_words,
    match,
)
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.ports import Clock, PbxDirectory, TeamsDirectory, TeamsUser

_log = structlog.get_logger()

_FIRST_RETRY_S: Final = 2.0
_LONGEST_RETRY_S: Final = 60.0
_NOT_SOONER_THAN_S: Final = 1.0
"""Between two looks that were asked for."""
_SURE_AFTER_S: Final = 2.0
"""When to look again for somebody who is missing."""
_GIVE_BACK_WITHIN_S: Final = 10.0
"""For each side of somebody who goes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the config says about people."""

    named: Sequence[Named]
    exclude: Sequence[str]
    policies: Mapping[str, Policy]
    """Of those who are named, by extension."""
    policy: Policy
    """Everybody else's."""
    look_every_s: float


class Directory(ABC):
    """Looks at intervals, when asked to, and sooner again after a look that did not work."""

    def __init__(self, hub: Hub, link: Link, clock: Clock, rules: Rules) -> None:
        self._hub = hub
        self._link = link
        self._clock = clock
        self._rules = rules
        self._wanted = asyncio.Event()
        self.looked_at: float | None = None
        """When it last knew; None as long as it never did."""
        self.trouble: LinkError | None = None
        """Why the last look did not work."""
        self.in_full = True
        """False where Entra does not show us further addresses and kinds of accounts."""
        self.is_sure = False
        """Whether it is known of everybody in the store if they are served."""
        self.matching: Matching = NOBODY
        self.on_changed: Callable[[], None] = lambda: None
        """Called after a look that found other people than there were before, and after the first one."""
        self.on_joined: Callable[[Member], None] = lambda _member: None
        """Called with everybody new, so that both sides are read for them."""

    @property
    def _every_s(self) -> float:
        return self._rules.look_every_s

    def change(self, rules: Rules) -> None:
        """The config says something else from now on. Looks at once, and carries it out then."""
        self._rules = rules
        self.look()

    def look(self) -> None:
        """Look now."""
        self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        failures = 0
        while True:
            self._wanted.clear()
            try:
                again_s = await self._look()
            except LinkError as error:
                self.trouble = error
                self._failed(error)
                again_s = doubled(_FIRST_RETRY_S, failures, min(_LONGEST_RETRY_S, self._every_s))
                if isinstance(error, TryAgain):
                    again_s = max(again_s, error.after_s or 0.0)
                failures += 1
            else:
                self.trouble, self.looked_at = None, self._clock.now()
                failures = 0
            await asyncio.sleep(min(again_s, _NOT_SOONER_THAN_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, again_s - _NOT_SOONER_THAN_S)):
                    await self._wanted.wait()

    @abstractmethod
    async def _look(self) -> float:
        """Do it, and say after how many seconds to do it again. Raises `LinkError`."""

    async def _leave(self, members: Iterable[Member]) -> None:
        """Side by side."""
        async with asyncio.TaskGroup() as tasks:
            for member in members:
                _log.info("person leaves", person=member.key)
                tasks.create_task(self._hub.leave(member, _GIVE_BACK_WITHIN_S), name=f"leave {member.key}")

    def _failed(self, error: LinkError) -> None:
        self._link.failed(error)


class ListedPeople(Directory):
    """`match = "list"`: the people are there; who they are in Entra is found out."""

    def __init__(
        self, people: People, hub: Hub, teams: TeamsDirectory, rules: Rules, link: Link, clock: Clock
    ) -> None:
        super().__init__(hub, link, clock, rules)
        self.is_sure = True
        self._people = people
        self._teams = teams
        self._others: dict[str, str] = {}
        """Who seemed to be somebody else at the last look, and who."""
        self._why: dict[str, Left] = {}
        """Why somebody was not found by the last look that asked, by extension."""
        self._has_news = False
        """Whether anybody came, went or was found since others were last told."""

    async def _look(self) -> float:
        self._has_news |= await self._come_and_go(self._rules)
        named = [one for one in self._people if "@" in one.teams and not one.policy.excluded]
        try:
            # By object id first: who is given so is served even where nobody may be looked up by name.
            await self._look_up([one for one in self._missing if "@" not in one.teams])
            await self._look_up(named)
        except LinkError:
            if self._tell():
                self.on_changed()
            raise
        self._link.note("names", "")
        if self._tell() or self.looked_at is None:
            self.on_changed()
        return min(_SURE_AFTER_S, self._every_s) if self._others else self._every_s

    @property
    def _missing(self) -> list[Member]:
        """Whose account is not known."""
        return [one for one in self._people if one.user is None and not one.policy.excluded]

    async def _look_up(self, members: Sequence[Member]) -> None:
        """Find out who they are in Entra, or why it can't be told. Raises `LinkError`."""
        found = await self._teams.find([member.teams for member in members]) if members else {}
        await self._replace(members, found)
        asked = {member.key for member in members}
        missing = [member for member in self._missing if member.key in asked]
        for member in missing:
            users = found.get(member.teams, ())
            if len(users) == 1 and self._people.of_user(users[0].id) is None:
                self._people.identify(member, users[0].id, users[0].display_name or "")
                self._why.pop(member.key, None)
                self._has_news = True
                self._hub.recognized(member)
                self.on_joined(member)
        for member in missing:
            if member.user is None:
                one = self._why[member.key] = self._left(member, found.get(member.teams, ()))
                member.trouble("teams", in_words(one)[0])

    async def _replace(self, members: Sequence[Member], found: Mapping[str, Sequence[TeamsUser]]) -> None:
        """Whose name is another account's by now is somebody else.

        An account that is not found changes nothing, nor does a name of several: it may be so for a moment.
        """
        known = {one.key: one for one in members if one.user is not None}
        by_name = {key: found.get(one.teams, ()) for key, one in known.items()}
        ids = {key: users[0].id.casefold() for key, users in by_name.items() if len(users) == 1}
        others = {key: user for key, user in ids.items() if user != known[key].user}
        sure = [known[key] for key, user in others.items() if user == self._others.get(key)]
        if known:
            self._others = {key: user for key, user in others.items() if known[key] not in sure}
        anew = [Member(one.key, one.teams, one.policy) for one in sure]
        await self._leave(sure)
        for member in anew:
            self._join(member)
            self._has_news = True

    def _tell(self) -> bool:
        """Tell who is served and who is not. Returns whether there is news since the last time."""
        served = [Served(m.key, m.teams, m.user, m.name, How.BY_HAND) for m in self._people]
        why = ((one, self._why.get(one.key)) for one in self._missing)
        left = tuple(known for one, known in why if known is not None and known.address == one.teams)
        is_news, self._has_news = self._has_news or left != self.matching.left, False
        self.matching = Matching(tuple(served), left)
        return is_news

    def _failed(self, error: LinkError) -> None:
        if not self._people.users():
            super()._failed(error)
        elif self._missing or not isinstance(error, TryAgain):  # else who reads presence tells of it
            self._link.note("names", f"who is who can't be looked up by name: {error}", error.cure)

    async def _come_and_go(self, rules: Rules) -> bool:
        """Serve those whom the config names. Returns whether there are others than before."""
        wanted = {one.extension: one for one in rules.named}
        gone = {one.key: one for one in self._people if not _is_meant(one, wanted.get(one.key))}
        await self._leave(gone.values())
        for one in wanted.values():
            policy = rules.policies[one.extension]
            if one.extension in self._people:
                self._people[one.extension].teams = one.teams
                self._hub.change_policy(self._people[one.extension], policy)
                continue
            member = Member(one.extension, one.teams, policy)
            old = gone.get(one.extension)
            if old is not None and _is_same_name(old.teams, one.teams) and old.user is not None:
                member.user, member.name = old.user, old.name
            self._join(member)
            gone[member.key] = member
        return bool(gone)

    def _join(self, member: Member) -> None:
        _log.info("person joins", person=member.key)
        self._hub.join(member)
        self.on_joined(member)

    def _left(self, member: Member, users: Sequence[TeamsUser]) -> Left:
        if len(users) > 1:
            names = tuple(user.user_principal_name or user.id for user in users)
            return Left(member.key, "", member.teams, Reason.SEVERAL, names)
        other = self._people.of_user(users[0].id) if users else None
        if other is None:
            return Left(member.key, "", member.teams, Reason.NAME_UNKNOWN)
        return Left(member.key, "", member.teams, Reason.TAKEN, (member.teams, other.key))


class MatchedPeople(Directory):
    """`match = "email"`: the people are whoever both lists of users have, and they come and go."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands on, each once
        self,
        people: People,
        hub: Hub,
        teams: TeamsDirectory,
        pbx: PbxDirectory,
        rules: Rules,
        link: Link,
        clock: Clock,
    ) -> None:
        super().__init__(hub, link, clock, rules)
        self._people = people
        self._teams = teams
        self._pbx = pbx
        self._missing: set[str] = set()
        """Who was not found by the last look, and is still served."""

    async def _look(self) -> float:
        users = await self._pbx.users()
        if not users:
            raise _empty("3CX", "check what the role of the API client in 3CX may see")
        everybody = await self._teams.everybody()
        if not everybody.users:
            raise _empty("Entra", "check the permissions of the app in Entra")
        rules = self._rules
        matching = match(users, everybody.users, rules.named, rules.exclude)
        changed = await self._come_and_go({one.extension: one for one in matching.served})
        self.matching, self.in_full = matching, everybody.in_full
        by_hand = {one.extension for one in rules.named}
        for one in matching.left:
            if one.extension in by_hand and one.why is not Reason.EXCLUDED:
                member = self._people[one.extension]
                if member.user is None:  # else it is not yet sure
                    member.trouble("teams", in_words(one)[0])
        if changed or self.looked_at is None:
            self.on_changed()
        if changed:
            _log.info("people", matched=matching.matched, not_matched=len(matching.left))
        if matching.matched:
            self._link.connected()
        else:
            what = f"none of {len(users)} users of 3CX could be matched with anybody in Entra"
            self._link.degraded(what, "presencebridge people --config FILE says why")
        unsure = bool(self._missing)
        if self.looked_at is None:
            unsure |= self._hub.has_strangers
        else:
            self.is_sure = True
            await self._hub.part_with_strangers()
        return min(_SURE_AFTER_S, self._every_s) if unsure else self._every_s

    async def _come_and_go(self, wanted: Mapping[str, Served]) -> bool:
        """Who has gone goes, who is new comes. Returns whether anybody did."""
        gone = {member.key for member in self._people if not self._is_still(member, wanted.get(member.key))}
        sure = [member for member in self._people if member.key in gone & self._missing]
        self._missing = gone - {member.key for member in sure}
        await self._leave(sure)
        changed = bool(sure)
        for one in wanted.values():
            changed |= self._come(one)
        return changed

    def _is_still(self, member: Member, one: Served | None) -> bool:
        if one is None or member.policy.excluded != self._policy_of(one).excluded:
            return False
        return member.user is None or member.user == one.user

    def _come(self, one: Served) -> bool:
        """Serve them, or take over what is new about them. Returns whether others may want to know."""
        other = self._people.of_user(one.user) if one.user else None
        if one.extension not in self._people:
            if other is not None:
                return False  # it is still served with the extension from before
            member = Member(one.extension, one.teams, self._policy_of(one), one.user, one.name)
            if self.looked_at is not None:  # at the start everybody does
                _log.info("person joins", person=member.key, how=one.how.name.lower())
            self._hub.join(member)
            self.on_joined(member)
            return True
        member = self._people[one.extension]
        if member.policy.excluded == self._policy_of(one).excluded:  # else they are about to go
            self._hub.change_policy(member, self._policy_of(one))
        if member.user is None and one.user is not None and other is None:
            self._people.identify(member, one.user, one.name)
            self._hub.recognized(member)
            self.on_joined(member)
            return True
        if member.user is not None and member.user == one.user:
            member.teams, member.name = one.teams, one.name
        return False

    def _policy_of(self, one: Served) -> Policy:
        policy = self._rules.policies.get(one.extension, self._rules.policy)
        return replace(policy, excluded=True) if one.excluded else policy

    def _failed(self, error: LinkError) -> None:
        if self.looked_at is None:
            self._link.failed(error)
        else:  # whoever is served is served; only news are missed
            self._link.degraded(f"who is new or has gone can't be seen: {error}", error.cure)


def _is_meant(member: Member, one: Named | None) -> bool:
    """Whether it is still the same person. Who is to be left alone from now on goes first, and comes anew."""
    return (
        one is not None and member.policy.excluded == one.excluded and _is_same_name(member.teams, one.teams)
    )


def _is_same_name(one: str, other: str) -> bool:
    """Entra's names have no case."""
    return one.casefold() == other.casefold()


def _empty(side: str, cure: str) -> Malformed:
    return Malformed(f"{side} names no users at all, which is not believed", cure=cure)
