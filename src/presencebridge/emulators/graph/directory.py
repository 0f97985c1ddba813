"""PURE: the tenant's users, and the few OData questions that may be asked about them.

learn.microsoft.com/graph/api/user-list and user-get; learn.microsoft.com/graph/query-parameters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
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
        self.users: tuple[User, ...] = (*world.users, *watchers)
        self._by_key = {
            key.casefold(): user for user in self.users for key in (user.id, user.user_principal_name)
        }

    def find(self, key: str) -> User:
        """By object id or user principal name. Raises Graph's 404."""
        try:
            return self._by_key[key.casefold()]
        except KeyError:
            raise user_not_found(key) from None


def page_of_users(
    users: Sequence[User], query: Mapping[str, str], next_link: Callable[[int], str]
) -> dict[str, Any]:
    """The answer to a listing, without its context: rows, and the link to the rest."""
    unknown = set(query) - {"$filter", "$select", "$top", "$count", "$skiptoken", "$orderby"}
    if unknown:
        raise bad_request(f"Unrecognized query parameter '{min(unknown)}'.")
    rows = [_row(user) for user in users]
    if "$filter" in query:
        accepts = filtered(query["$filter"])
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


def user_row(user: User, select: str | None) -> dict[str, Any]:
    return selected(_row(user), select)


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


def filtered(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A $filter as a predicate: `eq`, `in`, `and`, `or` and brackets. Raises Graph's 400 for more."""
    return _Filter(text).predicate()


class _Filter:
    """A recursive descent over the few forms that are understood."""

    def __init__(self, text: str) -> None:
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
            return _equals(name, [self._value()])
        if self._take_word("in"):
            self._need_mark("(")
            values = [self._value()]
            while self._take_mark(","):
                values.append(self._value())
            self._need_mark(")")
            return _equals(name, values)
        raise _unsupported()

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


def _equals(name: str, values: Sequence[str]) -> Callable[[Mapping[str, Any]], bool]:
    known = {key.casefold(): key for key in (*_DEFAULT, *_ON_REQUEST)}.get(name.casefold())
    if known is None:
        raise bad_request(
            f"Invalid filter clause: Could not find a property named '{name}' on type 'microsoft.graph.user'."
        )
    wanted = {value.casefold() for value in values}

    def holds(row: Mapping[str, Any]) -> bool:
        value = row[known]
        written = "null" if value is None else str(value).casefold()
        return written in wanted

    return holds


def _unsupported() -> GraphError:
    return GraphError(
        400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified."
    )


def _whole(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, str(otherwise))
    if not text.isdecimal():
        raise bad_request(f"Invalid value '{text}' for the query option '{name}'.")
    return int(text)


def _row(user: User) -> dict[str, Any]:
    name = user.display_name or user.user_principal_name.partition("@")[0]
    row: dict[str, Any] = dict.fromkeys((*_DEFAULT, *_ON_REQUEST))
    return row | {
        "id": user.id,
        "userPrincipalName": user.user_principal_name,
        "mail": user.mail,
        "displayName": name,
        "mailNickname": user.user_principal_name.partition("@")[0],
        "businessPhones": [],
        "imAddresses": [],
        "otherMails": [],
        "proxyAddresses": [f"SMTP:{user.mail}"] if user.mail else [],
        "accountEnabled": True,
        "userType": "Member",
    }
