"""PURE: the OData options of a list or an entity: which, in what order, how many, which properties.

`$top` has a hard limit of 100, with ASP.NET OData's words when it is exceeded: both were seen on live
systems (REDiTECH-NOC/3CX-Tools-Suite 53d19fc and others).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from presencebridge.emulators.v20.errors import invalid_query
from presencebridge.emulators.v20.odata_filter import Entity, FilterError, parsed

TOP_LIMIT = 100

_OPTIONS = {"$filter", "$orderby", "$top", "$skip", "$count", "$select", "$expand", "$search", "$format"}
_EXPANDED = re.compile(r"\s*(\w+|\*)\s*(?:\((.*)\))?\s*", re.DOTALL)


class Kind(msgspec.Struct, frozen=True):
    """A type of entities: its properties, those that show only when expanded, those `$search` looks at."""

    properties: frozenset[str]
    navigation: Mapping[str, "Kind"] = {}
    searched: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return self.properties | frozenset(self.navigation)


def named(text: str) -> frozenset[str]:
    """The names of properties, which are written apart by blanks."""
    return frozenset(text.split())


class Options(msgspec.Struct, frozen=True):
    """The options of one request."""

    given: Mapping[str, str]

    @classmethod
    def of(cls, query: Iterable[tuple[str, str]]) -> "Options":
        """Raises `ApiError` for an option that OData does not know."""
        given: dict[str, str] = {}
        for name, value in query:
            if name.startswith("$") and name not in _OPTIONS:
                raise invalid_query(f"The query parameter '{name}' is not supported.")
            # Some generators repeat a list's name for each of its items.
            given[name] = f"{given[name]},{value}" if name in given else value
        return cls(given)


def listed(
    entities: list[Entity], kind: Kind, options: Options, default_size: int | None = None
) -> tuple[list[Entity], int | None]:
    """The page that is asked for, and the count of all if that is asked for. Raises `ApiError`."""
    given = options.given
    top, skip = _whole("$top", given), _whole("$skip", given) or 0
    if top is not None and top > TOP_LIMIT:
        raise invalid_query(
            f"The limit of '{TOP_LIMIT}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'."
        )
    if "$filter" in given:
        try:
            passes = parsed(given["$filter"], kind.names)
            entities = [entity for entity in entities if passes(entity)]
        except (FilterError, AttributeError, TypeError) as error:
            raise invalid_query(str(error)) from error
    if words := given.get("$search", "").strip('" ').casefold():
        entities = [
            entity
            for entity in entities
            if any(words in str(entity.get(name) or "").casefold() for name in kind.searched)
        ]
    for item in reversed([item for item in given.get("$orderby", "").split(",") if item.strip()]):
        name, _, direction = item.strip().partition(" ")
        if name not in kind.properties or direction.strip() not in {"", "asc", "desc"}:
            raise invalid_query(f"Could not find a property named '{name}'.")
        entities = sorted(entities, key=_order(name), reverse=direction.strip() == "desc")
    count = len(entities) if given.get("$count", "").casefold() == "true" else None
    size = top if top is not None else default_size
    page = entities[skip:] if size is None else entities[skip : skip + size]
    return [shaped(entity, kind, options) for entity in page], count


def shaped(entity: Entity, kind: Kind, options: Options) -> Entity:
    """The entity with the properties that are asked for. Raises `ApiError`."""
    selected = _names(options.given.get("$select", ""))
    wanted = {name.partition("/")[0] for name in selected}
    for name in wanted - kind.names - {"*"}:
        raise invalid_query(f"Could not find a property named '{name}'.")
    if not wanted or "*" in wanted:
        wanted = set(kind.properties)
    shown = {name: value for name, value in entity.items() if name in wanted and name in kind.properties}
    for name in wanted & set(shown):
        inner = [path.partition("/")[2] for path in selected if path.startswith(f"{name}/")]
        if inner and name not in selected and isinstance(shown[name], dict):
            shown[name] = {each: shown[name][each] for each in inner if each in shown[name]}
    return shown | _expanded(entity, kind, options.given.get("$expand", ""))


def context_of(options: Options) -> str:
    """What stands in parentheses behind the name in `@odata.context`."""
    selected = _names(options.given.get("$select", ""))
    parts = selected + [f"{name}()" for name, _ in _expansions(options.given.get("$expand", ""))]
    return f"({','.join(parts)})" if parts else ""


def _expanded(entity: Entity, kind: Kind, text: str) -> Entity:
    """What `$expand` adds: each of them in the shape that its own options in parentheses give it."""
    shown: Entity = {}
    for name, options in _expansions(text):
        for each in kind.navigation if name == "*" else (name,):
            if each not in kind.navigation:
                raise invalid_query(f"Could not find a property named '{each}'.")
            value = entity.get(each)
            if isinstance(value, list):
                value, _ = listed(value, kind.navigation[each], options)
            elif value is not None:
                value = shaped(value, kind.navigation[each], options)
            shown[each] = value
    return shown


def _expansions(text: str) -> list[tuple[str, Options]]:
    """Each name with its options, as in `Groups($select=Name;$expand=Rights),Phones`."""
    found = []
    for part in _split(text, ","):
        match = _EXPANDED.fullmatch(part)
        if match is None:
            raise invalid_query(f"Syntax error in '{text}'.")
        pairs = (option.partition("=") for option in _split(match[2] or "", ";"))
        found.append((match[1], Options.of((name.strip(), value) for name, _, value in pairs)))
    return found


def _split(text: str, mark: str) -> list[str]:
    """The parts between the marks that are in no parentheses and no text."""
    parts, depth, start, is_text = [], 0, 0, False
    for at, char in enumerate(text):
        is_text ^= char == "'"
        if is_text:
            continue
        depth += (char == "(") - (char == ")")
        if char == mark and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _whole(name: str, given: Mapping[str, str]) -> int | None:
    if name not in given:
        return None
    if not given[name].isdecimal():
        raise invalid_query(f"Invalid value '{given[name]}' for {name} query option found.")
    return int(given[name])


def _order(name: str) -> Any:
    """Null comes first, as OData has it."""
    return lambda entity: (entity.get(name) is not None, entity.get(name))
