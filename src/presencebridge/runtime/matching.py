"""PURE: who on 3CX is who in Entra, by mail address; and of everybody else, why not.

* What the config names by hand wins, and takes both its extension and its Teams user out of the matching.
* An address leads to the Teams user whose mail address or principal name it is; only if it is nobody's, to
  whoever has it as a further address. Case does not matter.
* Nobody guesses: an address that leads to two Teams users, or two extensions that lead to one, match nobody.
  Only if one of the two extensions leads there by the user's own address and the other by a further one, the
  former counts.
* Who is excluded, switched off on 3CX, not allowed to sign in, or a guest, is left out before anything is
  called double: so to exclude one of two is a cure.
"""

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from presencebridge.errors import cut
from presencebridge.runtime.ports import PbxUser, TeamsUser


class Reason(StrEnum):
    """Why somebody was not matched; `in_words` says it, with the cure."""

    EXCLUDED = "excluded"
    OFF_ON_3CX = "off_on_3cx"
    NO_ADDRESS = "no_address"
    UNKNOWN = "unknown"
    """Nobody in Entra has the address."""
    NAME_UNKNOWN = "name_unknown"
    """Nobody in Entra has the name that a [[person]] gives."""
    SHARED = "shared"
    """Other extensions have the same address."""
    SEVERAL = "several"
    """The address, or a name given by hand, is that of several Teams users."""
    CONTESTED = "contested"
    """Other extensions, with other addresses, lead to the same Teams user."""
    TAKEN = "taken"
    """The Teams user is served with another extension."""
    DISABLED = "disabled"
    """The account in Entra may not sign in."""
    GUEST = "guest"


DOUBLE: Final = frozenset({Reason.SHARED, Reason.SEVERAL, Reason.CONTESTED})


class How(IntEnum):
    """What the match rests on; more is stronger."""

    FURTHER = 1
    ADDRESS = 2
    BY_HAND = 3


class Named(msgspec.Struct, frozen=True, gc=False):
    """Somebody whom the config names by hand."""

    extension: str
    teams: str
    """Principal name, mail address or object id."""
    excluded: bool = False


class Served(msgspec.Struct, frozen=True, gc=False):
    """Somebody who is served, or would be if Entra knew them: then `user` is None."""

    extension: str
    teams: str
    user: str | None
    """The object id in Entra, in lower case."""
    name: str
    how: How
    excluded: bool = False


class Left(msgspec.Struct, frozen=True, gc=False):
    """Somebody on 3CX, or in the config, who was not matched."""

    extension: str
    name: str
    address: str
    """The mail address on 3CX, or the name in the config."""
    why: Reason
    others: tuple[str, ...] = ()
    """Whom it is about beside them: extensions (SHARED, CONTESTED), Teams names (SEVERAL, DISABLED, GUEST),
    or a Teams name and its extension (TAKEN)."""


class Matching(msgspec.Struct, frozen=True, gc=False):
    """Everybody, matched or not, by extension."""

    served: tuple[Served, ...] = ()
    left: tuple[Left, ...] = ()
    unused: tuple[str, ...] = ()
    """Words of `exclude` that fit nobody."""

    @property
    def matched(self) -> int:
        """How many have both sides."""
        return sum(one.user is not None for one in self.served)


def match(
    pbx: Iterable[PbxUser], teams: Iterable[TeamsUser], named: Sequence[Named], exclude: Iterable[str]
) -> Matching:
    """Match everybody. The order of the lists does not matter, that of `named` does: the first one wins."""
    extensions = {user.number: user for user in pbx}  # a list in pages may show somebody twice
    entra = _Entra(teams)
    words = {_folded(word): word for word in exclude if _folded(word)}
    left_alone = _LeftAlone(frozenset(words), frozenset().union(*map(entra.called, words)))
    named = [
        replace(one, excluded=one.excluded or left_alone.has_named(one, extensions, entra)) for one in named
    ]
    served, left, taken = _by_hand(named, entra)

    hands = {one.extension for one in named}
    contenders = {}
    for number, user in extensions.items():
        if number in hands:
            continue
        if why := _unfit(user, left_alone):
            left.append(_left(user, why))
        else:
            contenders[number] = user
    matched, unmatched = _by_address(contenders, entra, left_alone.users, taken)

    known = {*hands, *extensions} | {_folded(user.email) for user in extensions.values()}
    known |= {_folded(one.teams) for one in named}
    return Matching(
        tuple(sorted([*served, *matched], key=lambda one: _by_number(one.extension))),
        tuple(sorted([*left, *unmatched], key=lambda one: _by_number(one.extension))),
        tuple(word for folded, word in words.items() if folded not in known and not entra.called(folded)),
    )


class _Entra:
    """The users of the tenant, by all of their addresses."""

    def __init__(self, users: Iterable[TeamsUser]) -> None:
        self.by_id = {user.id.casefold(): user for user in users}
        self._own: dict[str, set[str]] = collections.defaultdict(set)
        self._further: dict[str, set[str]] = collections.defaultdict(set)
        for key, user in self.by_id.items():
            for address in (user.user_principal_name, user.mail or ""):
                self._own[_folded(address)].add(key)
            for address in user.further:
                self._further[_folded(address)].add(key)
        self._own.pop("", None)
        self._further.pop("", None)

    def of(self, address: str) -> tuple[list[str], How]:
        """Object ids of those to whom the address leads, and how."""
        own = self._own.get(_folded(address))
        if own:
            return sorted(own), How.ADDRESS
        return sorted(self._further.get(_folded(address), ())), How.FURTHER

    def of_name(self, name: str) -> list[str]:
        """Likewise for a name given by hand: an object id is believed, a principal name is before a mail."""
        if "@" not in name:
            return [name.casefold()]
        found, _ = self.of(name)
        principals = [key for key in found if _folded(self.by_id[key].user_principal_name) == _folded(name)]
        return principals or found

    def name(self, key: str) -> str:
        """What the user is called in the report."""
        user = self.by_id.get(key)
        return (user.user_principal_name or user.mail or key) if user else key

    def called(self, word: str) -> set[str]:
        """Object ids of those who have this for a name of any kind."""
        found = {word} & self.by_id.keys()
        return found | self._own.get(word, set()) | self._further.get(word, set())


class _LeftAlone(msgspec.Struct, frozen=True, gc=False):
    """Who is excluded: by the words of the config, and whom these mean in Entra."""

    words: frozenset[str]
    users: frozenset[str]

    def has(self, user: PbxUser) -> bool:
        return user.number in self.words or _folded(user.email) in self.words

    def has_named(self, one: Named, extensions: Mapping[str, PbxUser], entra: _Entra) -> bool:
        user = extensions.get(one.extension)
        on_3cx = user is not None and self.has(user)
        by_name = one.extension in self.words or _folded(one.teams) in self.words
        return on_3cx or by_name or not self.users.isdisjoint(entra.of_name(one.teams))


def _by_hand(named: Sequence[Named], entra: _Entra) -> tuple[list[Served], list[Left], dict[str, str]]:
    """The people of the config, what is wrong with them, and whose extension each Teams user is."""
    served, left, taken = [], [], dict[str, str]()
    for one in named:
        found = entra.of_name(one.teams)
        user = found[0] if len(found) == 1 else None
        why, others = _wrong_by_hand(one, found, taken, entra)
        if why:
            left.append(Left(one.extension, "", one.teams, why, others))
        if user is not None:
            taken.setdefault(user, one.extension)
        account = entra.by_id.get(user or "")
        name = (account.display_name or "") if account else ""
        user = None if why else user
        served.append(Served(one.extension, one.teams, user, name, How.BY_HAND, one.excluded))
    return served, left, taken


def _wrong_by_hand(
    one: Named, found: list[str], taken: Mapping[str, str], entra: _Entra
) -> tuple[Reason | None, tuple[str, ...]]:
    if one.excluded:
        return Reason.EXCLUDED, ()
    if not found:
        return Reason.NAME_UNKNOWN, ()
    if len(found) > 1:
        return Reason.SEVERAL, tuple(map(entra.name, found))
    if found[0] in taken:
        return Reason.TAKEN, (entra.name(found[0]), taken[found[0]])
    return None, ()


def _unfit(user: PbxUser, left_alone: _LeftAlone) -> Reason | None:
    """What 3CX alone tells."""
    if left_alone.has(user):
        return Reason.EXCLUDED
    if not user.enabled:
        return Reason.OFF_ON_3CX
    if not _folded(user.email):
        return Reason.NO_ADDRESS
    return None


def _by_address(
    contenders: Mapping[str, PbxUser], entra: _Entra, left_alone: frozenset[str], taken: Mapping[str, str]
) -> tuple[list[Served], list[Left]]:
    """Whoever leads to one Teams user to whom nobody else leads as well."""
    served: list[Served] = []
    left: list[Left] = []
    sharing: dict[str, list[str]] = collections.defaultdict(list)
    for number, user in contenders.items():
        sharing[_folded(user.email)].append(number)

    def shared_with(number: str) -> tuple[str, ...]:
        return _others(sharing[_folded(contenders[number].email)], number)

    claims: dict[str, dict[str, How]] = collections.defaultdict(dict)
    for number, user in contenders.items():
        found, how = entra.of(user.email)
        why, others = _wrong(found, entra, left_alone, taken)
        if why is Reason.UNKNOWN and shared_with(number):
            left.append(_left(user, Reason.SHARED, shared_with(number)))
        elif why:
            left.append(_left(user, why, others))
        else:
            (key,) = others
            claims[key][number] = how

    for key, hows in claims.items():
        best = [number for number, how in hows.items() if how == max(hows.values())]
        for number, how in hows.items():
            user, rivals = contenders[number], _others(hows, number)
            if best == [number]:
                account = entra.by_id[key]
                name = account.display_name or user.name
                served.append(Served(number, entra.name(key), key, name, how))
            elif len(best) == 1:
                left.append(_left(user, Reason.TAKEN, (entra.name(key), best[0])))
            elif set(rivals) == set(shared_with(number)):
                left.append(_left(user, Reason.SHARED, rivals))
            else:
                left.append(_left(user, Reason.CONTESTED, rivals))
    return served, left


def _wrong(
    found: Sequence[str], entra: _Entra, left_alone: frozenset[str], taken: Mapping[str, str]
) -> tuple[Reason | None, tuple[str, ...]]:
    """Why none of these can be it, and who they are; or no reason, and the one who is it."""
    checks: tuple[tuple[Reason, Callable[[str], bool]], ...] = (
        (Reason.EXCLUDED, lambda key: key not in left_alone),
        (Reason.DISABLED, lambda key: entra.by_id[key].enabled),
        (Reason.GUEST, lambda key: not entra.by_id[key].guest),
        (Reason.TAKEN, lambda key: key not in taken),
    )
    if not found:
        return Reason.UNKNOWN, ()
    for why, fits in checks:
        fitting = [key for key in found if fits(key)]
        if not fitting:
            names = tuple(map(entra.name, found))
            return why, (names[0], taken[found[0]]) if why is Reason.TAKEN else names
        found = fitting
    return (Reason.SEVERAL, tuple(map(entra.name, found))) if len(found) > 1 else (None, tuple(found))


def _left(user: PbxUser, why: Reason, others: tuple[str, ...] = ()) -> Left:
    return Left(user.number, user.name, user.email.strip(), why, others)


def _others(numbers: Iterable[str], but: str) -> tuple[str, ...]:
    return tuple(sorted((number for number in numbers if number != but), key=_by_number))


def _by_number(extension: str) -> tuple[int, str]:
    return len(extension), extension


def _folded(text: str) -> str:
    return text.strip().casefold()


NOBODY: Final = Matching()

# In words ------------------------------------------------------------------------------------------

_BY_HAND: Final = "name the extension and the Teams user in a [[person]]"

_WORDS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.EXCLUDED: ("is left alone: the config excludes this person", ""),
    Reason.OFF_ON_3CX: ("is switched off on 3CX", "enable the user on 3CX"),
    Reason.NO_ADDRESS: (
        "has no e-mail address on 3CX",
        f"enter the person's on 3CX, or {_BY_HAND}; exclude the extension if nobody sits there",
    ),
    Reason.UNKNOWN: ("nobody in Entra has the address {address}", f"correct it on 3CX, or {_BY_HAND}"),
    Reason.NAME_UNKNOWN: (
        "Entra has nobody whose user principal name or mail is {address}",
        "correct teams = in the [[person]]",
    ),
    Reason.SHARED: (
        "double: extension {others} has the address {address} as well",
        f"give each an address of their own on 3CX, exclude all but one, or {_BY_HAND}",
    ),
    Reason.SEVERAL: (
        "double: {address} is an address of {others}",
        f"leave it to one of them in Entra, exclude the others, or {_BY_HAND}",
    ),
    Reason.CONTESTED: (
        "double: extension {others} leads to the same Teams user as {address}",
        f"correct the addresses on 3CX, exclude all but one, or {_BY_HAND}",
    ),
    Reason.TAKEN: (
        "{first} is with extension {second} already",
        f"exclude the extension that is not to follow, or {_BY_HAND}",
    ),
    Reason.DISABLED: (
        "{others} may not sign in: a blocked account, or a shared mailbox",
        "unblock the account in Entra, or exclude the extension",
    ),
    Reason.GUEST: (
        "{others} is a guest, whose presence belongs to another organization",
        f"exclude the extension, or {_BY_HAND} if it is to be tried all the same",
    ),
}


def in_words(left: Left) -> tuple[str, str]:
    """Why somebody was not matched, and what can be done about it."""
    what, cure = _WORDS[left.why]
    first, second = map(cut, (*left.others, "", "")[:2])
    others = cut(" and ".join(left.others))
    return what.format(address=cut(left.address), others=others, first=first, second=second), cure
