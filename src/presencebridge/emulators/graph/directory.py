"""PURE: the tenant's users, and the few OData questions that may be asked about them.

learn.microsoft.com/graph/api/user-list and user-get; learn.microsoft.com/graph/query-parameters.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from presencebridge.emulators.graph.errors import GraphError, bad_request, user_not_found
from presencebridge.emulators.world import User, World

# learn.microsoft.com/graph/api/resources/user: what is returned without $select.
_DEFAULT = (
    *("businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation"),
    *("preferredLanguage", "surname", "userPrincipalName", "id"),
)
_ON_REQUEST = (
    *("accountEnabled", "city", "companyName", "country", "createdDateTime", "department", "employeeId"),
    *("imAddresses", "mailNickname", "otherMails", "proxyAddresses", "state", "usageLocation", "userType"),
)
_ALL = frozenset((*_DEFAULT, *_ON_REQUEST))
# What User.ReadBasic.All lets an app see, by learn.microsoft.com/graph/permissions-reference; the photo and
# the securityIdentifier, which belong to it too, are not here.
_BASIC = frozenset(("displayName", "givenName", "id", "mail", "surname", "userPrincipalName"))
_PAGE, _PAGE_AT_MOST = 100, 999

_TOKEN = re.compile(r"\s*(?:(?P<mark>[(),])|'(?P<text>(?:[^']|'')*)'|(?P<word>[A-Za-z][\w.]*))")


class Directory:
    """Who is in the tenant: the users of the world, and the watchers, who are accounts too."""

    def __init__(self, world: World) -> None:
        known = {user.user_principal_name.casefold() for user in world.users}
        watchers = [
            User(watcher.username, watcher.id)
            for watcher in world.watchers
            if watcher.username.casefold() not in known
        ]
        self._by_id: dict[str, User] = {}
        self._by_key: dict[str, User] = {}
        for user in (*world.users, *watchers):
            self.put(user)

    @property
    def users(self) -> tuple[User, ...]:
        return tuple(self._by_id.values())

    def find(self, key: str) -> User:
        """By object id or user principal name. Raises Graph's 404."""
        try:
            return self._by_key[key.casefold()]
        except KeyError:
            raise user_not_found(key) from None

    def put(self, user: User) -> None:
        """Somebody new, or what is now known of somebody. Raises `ValueError` if the name is another's."""
        other = self._by_key.get(user.user_principal_name.casefold())
        if other is not None and other.id != user.id:
            raise ValueError(f"{user.user_principal_name} is the name of somebody else; give another")
        if user.id in self._by_id:
            del self._by_key[self._by_id[user.id].user_principal_name.casefold()]
        self._by_id[user.id] = user
        self._by_key |= {key.casefold(): user for key in (user.id, user.user_principal_name)}

    def remove(self, user: User) -> None:
        """The account is deleted."""
        del self._by_id[user.id]
        for key in (user.id, user.user_principal_name):
            self._by_key.pop(key.casefold(), None)


def page_of_users(
    users: Sequence[User], query: Mapping[str, str], next_link: Callable[[int], str], *, in_full: bool
) -> dict[str, Any]:
    """The answer to a listing, without its context: rows, and the link to the rest.

    Without the right to see users in full, more than the basic profile comes as null or empty, and a filter
    on it is refused: github.com/microsoftgraph/msgraph-sdk-dotnet/issues/471 and
    github.com/microsoftgraph/microsoft-graph-toolkit/issues/2602.
    """
    unknown = set(query) - {"$filter", "$select", "$top", "$count", "$skiptoken", "$orderby"}
    if unknown:
        raise bad_request(f"Unrecognized query parameter '{min(unknown)}'.")
    rows = [_row(user, in_full=in_full) for user in users]
    if "$filter" in query:
        accepts = filtered(query["$filter"], _ALL if in_full else _BASIC)
        rows = [row for row in rows if accepts(row)]
    top, start = _whole(query, "$top", _PAGE), _whole(query, "$skiptoken", 0)
    if not 0 < top <= _PAGE_AT_MOST:
        raise bad_request(
            f"Invalid page size specified: '{top}'. Must be between 1 and {_PAGE_AT_MOST} inclusive."
        )
    answer: dict[str, Any] = {}
    if query.get("$count") == "true":
        answer["@odata.count"] = len(rows)
    if start + top < len(rows):
        answer["@odata.nextLink"] = next_link(start + top)
    answer["value"] = [selected(row, query.get("$select")) for row in rows[start : start + top]]
    return answer


def user_row(user: User, select: str | None, *, in_full: bool) -> dict[str, Any]:
    return selected(_row(user, in_full=in_full), select)


def denied() -> GraphError:
    return GraphError(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )


def selected(row: Mapping[str, Any], select: str | None) -> dict[str, Any]:
    if not select:
        return {name: row[name] for name in _DEFAULT}
    by_name = {name.casefold(): name for name in row}
    chosen = {}
    for name in select.split(","):
        known = by_name.get(name.strip().casefold())
        if known is None:
            raise bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name.strip()}' "
                "on type 'microsoft.graph.user'."
            )
        chosen[known] = row[known]
    return chosen


def filtered(text: str, allowed: Collection[str]) -> Callable[[Mapping[str, Any]], bool]:
    """A $filter as a predicate: `eq`, `in`, `and`, `or` and brackets.

    Raises Graph's 400 for more, and its 403 for a property that is not allowed.
    """
    return _Filter(text, allowed).predicate()


class _Filter:
    """A recursive descent over the few forms that are understood."""

    def __init__(self, text: str, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._tokens: list[re.Match[str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if not match:
                raise bad_request(f"Invalid filter clause: Syntax error at position {position} in '{text}'.")
            self._tokens.append(match)
            position = match.end()

    def predicate(self) -> Callable[[Mapping[str, Any]], bool]:
        found = self._either()
        if self._tokens:
            raise _unsupported()
        return found

    def _either(self) -> Callable[[Mapping[str, Any]], bool]:
        terms = [self._both()]
        while self._take_word("or"):
            terms.append(self._both())
        return lambda row: any(term(row) for term in terms)

    def _both(self) -> Callable[[Mapping[str, Any]], bool]:
        terms = [self._one()]
        while self._take_word("and"):
            terms.append(self._one())
        return lambda row: all(term(row) for term in terms)

    def _one(self) -> Callable[[Mapping[str, Any]], bool]:
        if self._take_mark("("):
            inner = self._either()
            self._need_mark(")")
            return inner
        name = self._next("word")
        if self._take_word("eq"):
            return self._equals(name, [self._value()])
        if self._take_word("in"):
            self._need_mark("(")
            values = [self._value()]
            while self._take_mark(","):
                values.append(self._value())
            self._need_mark(")")
            return self._equals(name, values)
        raise _unsupported()

    def _equals(self, name: str, values: Sequence[str]) -> Callable[[Mapping[str, Any]], bool]:
        known = next((known for known in _ALL if known.casefold() == name.casefold()), None)
        if known is None:
            raise bad_request(
                f"Invalid filter clause: Could not find a property named '{name}' on type "
                "'microsoft.graph.user'."
            )
        if known not in self._allowed:
            raise denied()
        wanted = {value.casefold() for value in values}

        def holds(row: Mapping[str, Any]) -> bool:
            value = row[known]
            written = "null" if value is None else str(value).casefold()
            return written in wanted

        return holds

    def _value(self) -> str:
        if self._tokens and self._tokens[0]["text"] is not None:
            return self._tokens.pop(0)["text"].replace("''", "'")
        return self._next("word")

    def _next(self, kind: str) -> str:
        if not self._tokens or self._tokens[0][kind] is None:
            raise _unsupported()
        return self._tokens.pop(0)[kind]

    def _take_word(self, word: str) -> bool:
        return self._take("word", word)

    def _take_mark(self, mark: str) -> bool:
        return self._take("mark", mark)

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise _unsupported()

    def _take(self, kind: str, wanted: str) -> bool:
        if self._tokens and self._tokens[0][kind] == wanted:
            del self._tokens[0]
            return True
        return False


def _unsupported() -> GraphError:
    return GraphError(
        400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified."
    )


def _whole(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not text.isdecimal():
        raise bad_request(f"Invalid value '{text}' for the query option '{name}'.")
    return int(text)


def _row(user: User, *, in_full: bool) -> dict[str, Any]:
    name = user.display_name or user.user_principal_name.partition("@")[0]
    mailbox = (f"SMTP:{user.mail}",) if user.mail else ()
    row: dict[str, Any] = dict.fromkeys((*_DEFAULT, *_ON_REQUEST)) | {
        "id": user.id,
        "userPrincipalName": user.user_principal_name,
        "mail": user.mail,
        "displayName": name,
        "mailNickname": user.user_principal_name.partition("@")[0],
        "businessPhones": [],
        "imAddresses": [],
        "otherMails": list(user.other_mails),
        "proxyAddresses": list(mailbox if user.proxy_addresses is None else user.proxy_addresses),
        "accountEnabled": user.account_enabled,
        "userType": user.user_type,
    }
    if in_full:
        return row
    return {key: value if key in _BASIC else _nothing(value) for key, value in row.items()}


def _nothing(value: object) -> list[str] | None:
    return [] if isinstance(value, list) else None
