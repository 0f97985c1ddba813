"""What an operation is given, and what it gives back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp

from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.errors import GraphError, bad_request
from presencebridge.emulators.graph.tokens import Access
from presencebridge.emulators.world import User

if TYPE_CHECKING:
    from presencebridge.emulators.graph.emulator import GraphEmulator


class Answer(NamedTuple):
    """A status, and a JSON body unless it is None."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class Call(NamedTuple):
    """One authenticated request."""

    emulator: "GraphEmulator"
    request: Request
    access: Access
    raw: bytes
    inner: ASGIApp

    @property
    def json(self) -> dict[str, Any]:
        return wire.json_object(self.raw)

    @property
    def origin(self) -> str:
        """Where the client believes Graph to be: its own Host header."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    def context(self, fragment: str) -> str:
        return f"{self.origin}/v1.0/$metadata#{fragment}"

    @property
    def user(self) -> User:
        """Whom the path names: a user, or the signed-in one. Raises Graph's refusal."""
        key = self.request.path_params.get("key")
        return self.me if key is None else self.emulator.directory.find(key)

    @property
    def me(self) -> User:
        if self.access.user is None:
            raise bad_request("/me request is only valid with delegated authentication flow.")
        return self.access.user

    def is_about_me(self, user: User) -> bool:
        return self.access.user is not None and self.access.user.id == user.id

    def need(self, refusal: GraphError, *, app: tuple[str, ...], delegated: tuple[str, ...]) -> None:
        """Raises that refusal unless the token holds one of the permissions for its kind."""
        if not self.access.granted & set(app if self.access.app_only else delegated):
            raise refusal
