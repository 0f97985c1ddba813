"""Access tokens and id tokens: what is in them, and which of them still hold.

learn.microsoft.com/entra/identity-platform: access-token-claims-reference, id-token-claims-reference.
Times in a token are those outside; how long it lasts is counted by the emulator's own clock.
"""

import base64
import random
import uuid
from typing import Any

import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph.errors import GraphError, unauthenticated
from presencebridge.emulators.graph.keys import SigningKeys, unpadded
from presencebridge.emulators.world import User, World

GRAPH = "https://graph.microsoft.com"
TOKEN_LIFE_S = 3600


class Access(msgspec.Struct, frozen=True):
    """What an access token allows. `user` is None for an application on its own."""

    app_id: str
    tenant_id: str
    user: User | None
    granted: frozenset[str]
    expires: float

    @property
    def app_only(self) -> bool:
        return self.user is None


class Tokens:
    """Issues tokens and remembers the live ones."""

    def __init__(self, world: World, keys: SigningKeys, clock: Clock, chance: random.Random) -> None:
        self._world = world
        self._keys = keys
        self._clock = clock
        self._chance = chance
        self._live: dict[str, Access] = {}

    def for_application(self) -> str:
        """An app-only token: its permissions are `roles`."""
        principal = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._world.tenant_id}/{self._world.client_id}"))
        roles = self._world.app_roles
        claims = {"idtyp": "app", "appidacr": "1", "roles": list(roles), "sub": principal, "oid": principal}
        return self._issue(claims, None, frozenset(roles))

    def for_user(self, user: User, granted: list[str]) -> str:
        """A delegated token: its permissions are `scp`."""
        claims = {
            "idtyp": "user",
            "appidacr": "0",
            "scp": " ".join(granted),
            "sub": self._pairwise(user.id),
            "oid": user.id,
            "upn": user.user_principal_name,
            "unique_name": user.user_principal_name,
            "name": user.display_name or user.user_principal_name,
        }
        return self._issue(claims, user, frozenset(granted))

    def id_token(self, user: User) -> str:
        tenant = self._world.tenant_id
        claims = {
            "iss": f"https://login.microsoftonline.com/{tenant}/v2.0",
            "aud": self._world.client_id,
            "sub": self._pairwise(user.id),
            "name": user.display_name or user.user_principal_name,
            "preferred_username": user.user_principal_name,
            "oid": user.id,
            "ver": "2.0",
        }
        return self._signed(claims)

    def access(self, token: str) -> Access | None:
        """What this access token allows; None if it is unknown. Its end is checked by `expired`."""
        return self._live.get(token)

    def expired(self, access: Access) -> GraphError | None:
        """The 401 for a token that is over, by the emulator's clock."""
        if self._clock.now() < access.expires:
            return None
        return unauthenticated("Lifetime validation failed, the token is expired.")

    def revoke_all(self) -> int:
        """No token holds any more, as after a revocation of the sign-in sessions."""
        count = len(self._live)
        self._live.clear()
        return count

    def _issue(self, claims: dict[str, Any], user: User | None, granted: frozenset[str]) -> str:
        # Graph's own tokens are of version 1.0: `appid`, and an issuer at sts.windows.net.
        tenant, app_id = self._world.tenant_id, self._world.client_id
        token = self._signed(
            {
                "aud": GRAPH,
                "iss": f"https://sts.windows.net/{tenant}/",
                "appid": app_id,
                "ver": "1.0",
                **claims,
            }
        )
        now = self._clock.now()
        # One that is over is kept for a while: it is answered differently from one never seen.
        self._live = {key: held for key, held in self._live.items() if now < held.expires + TOKEN_LIFE_S}
        self._live[token] = Access(app_id, tenant, user, granted, now + TOKEN_LIFE_S)
        return token

    def _signed(self, claims: dict[str, Any]) -> str:
        moment = int(self._clock.base())
        common = {
            "iat": moment,
            "nbf": moment,
            "exp": moment + TOKEN_LIFE_S,
            "tid": self._world.tenant_id,
            "uti": base64.urlsafe_b64encode(self._chance.randbytes(16)).decode().rstrip("="),
        }
        return self._keys.sign(common | claims, moment)

    def _pairwise(self, user_id: str) -> str:
        return unpadded(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._world.client_id}/{user_id}").bytes)
