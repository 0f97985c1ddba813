"""Entities of XAPI that are kept and changed, without what the PBX would do with them."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from presencebridge.emulators.v20 import errors
from presencebridge.emulators.v20.errors import odata_error
from presencebridge.emulators.v20.odata import Kind, Options, context_of, listed, shaped

PREFIX = "/xapi/v1"


class Collection:
    """A set of entities. The first is made by the emulator, and stays; `dressed` adds what is reckoned."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        first: Callable[[], dict[str, Any]],
        dressed: Callable[[dict[str, Any]], dict[str, Any]] = lambda entity: entity,
    ) -> None:
        self.name = name
        self._kind = kind
        self._first = first
        self._dressed = dressed
        self._entities: dict[int, dict[str, Any]] = {}

    def list_all(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        every = [self._dressed(entity) for entity in (self._first(), *self._entities.values())]
        page, count = listed(every, self._kind, options)
        body: dict[str, Any] = {"@odata.context": context(request, self.name + context_of(options))}
        return answered({**body, **({} if count is None else {"@odata.count": count}), "value": page})

    def get(self, request: Request, options: Options, found: dict[str, str]) -> Response:
        return self._shown(request, options, self._entity(found["id"]))

    async def create(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        given = self._checked(await json_of(request))
        entity_id = max(self._entities, default=1) + 1
        number = given.get("Number") or f"{self.name[:3].upper()}{entity_id:04d}"
        taken = {entity["Number"] for entity in (self._first(), *self._entities.values())}
        if number in taken:
            raise odata_error(400, errors.ALREADY_IN_USE, "Number")
        entity = {**given, "Id": entity_id, "Number": number}
        self._entities[entity_id] = entity
        return self._shown(request, options, entity, 201)

    async def update(self, request: Request, _: Options, found: dict[str, str]) -> Response:
        entity = self._changeable(found["id"])
        change = self._checked(await json_of(request))
        if change.get("Number", entity["Number"]) != entity["Number"]:
            raise odata_error(400, errors.FORBIDDEN_CHANGE, "Number")
        entity.update({name: value for name, value in change.items() if name != "Id"})
        return Response(status_code=204)

    def delete(self, _: Request, __: Options, found: dict[str, str]) -> Response:
        del self._entities[self._changeable(found["id"])["Id"]]
        return Response(status_code=204)

    def _shown(
        self, request: Request, options: Options, entity: dict[str, Any], status: int = 200
    ) -> Response:
        told = context(request, f"{self.name}{context_of(options)}/$entity")
        return answered(
            {"@odata.context": told, **shaped(self._dressed(entity), self._kind, options)}, status
        )

    def _checked(self, change: dict[str, Any]) -> dict[str, Any]:
        return _known(change, self._kind, f"Pbx.{self.name.removesuffix('s')}")

    def _entity(self, entity_id: str) -> dict[str, Any]:
        first = self._first()
        entity = first if int(entity_id) == first["Id"] else self._entities.get(int(entity_id))
        if entity is None:
            raise odata_error(404, errors.NOT_FOUND)
        return entity

    def _changeable(self, entity_id: str) -> dict[str, Any]:
        if self._entity(entity_id)["Id"] not in self._entities:
            raise odata_error(400, errors.FORBIDDEN_CHANGE)
        return self._entities[int(entity_id)]


class Singleton:
    """Settings of which there is one of a kind. A change goes into what `kept` gives, and one level deep."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        kept: Callable[[], dict[str, Any]],
        dressed: Callable[[dict[str, Any]], dict[str, Any]] = lambda entity: entity,
    ) -> None:
        self.name = name
        self._kind = kind
        self._kept = kept
        self._dressed = dressed

    def get(self, request: Request, options: Options, _: dict[str, str]) -> Response:
        shown = shaped(self._dressed(self._kept()), self._kind, options)
        return answered({"@odata.context": context(request, self.name + context_of(options)), **shown})

    async def update(self, request: Request, _: Options, __: dict[str, str]) -> Response:
        kept = self._kept()
        for name, value in _known(await json_of(request), self._kind, f"Pbx.{self.name}").items():
            is_complex = isinstance(kept.get(name), dict) and isinstance(value, dict)
            kept[name] = {**kept[name], **value} if is_complex else value
        return Response(status_code=204)


def context(request: Request, name: str) -> str:
    """`@odata.context`: of what an answer is, as an address in the description."""
    return f"{request.url.scheme}://{request.url.netloc}{PREFIX}/$metadata#{name}"


async def json_of(request: Request) -> dict[str, Any]:
    """The body of a request. Raises `ApiError`."""
    try:
        found = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise odata_error(400, "The request body is not valid JSON.") from error
    if not isinstance(found, dict):
        raise odata_error(400, "The request body must be a JSON object.")
    return found


def answered(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json; charset=utf-8")


def _known(change: dict[str, Any], kind: Kind, type_name: str) -> dict[str, Any]:
    """The change without annotations, if the type has all that it names."""
    found = {name: value for name, value in change.items() if not name.startswith("@")}
    for name in found:
        if name not in kind.names:
            raise odata_error(400, f"The property '{name}' does not exist on type '{type_name}'.")
    return found
