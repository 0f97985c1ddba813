"""Access tokens of the token endpoint: a JWT by ES256, one that holds for each client.

3cx/xapi-tutorial says that only one can be active at a time, and since 1c6947c that `expires_in` is in
seconds from 20.0.9 on; before it was in minutes. Times in a token are those outside; how long it lasts
is counted by the emulator's own clock.
"""

import random
import uuid
from email.parser import BytesParser
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20 import version
from presencebridge.emulators.v20.errors import plain_error
from presencebridge.emulators.v20.faults import Faults


class Tokens:
    """Issues tokens and knows which of them hold."""

    def __init__(self, client_id: str, client_secret: str, clock: Clock, chance: random.Random) -> None:
        self.client_id = client_id
        self._secret = client_secret
        self._clock = clock
        self._chance = chance
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._live: dict[str, float] = {}
        self.last_used: float | None = None
        """When a token was last asked for, in base time."""

    def grant(self, form: dict[str, str], faults: Faults, running: str, issuer: str) -> dict[str, object]:
        """The answer to a request for a token. Raises `ApiError`."""
        if form.get("grant_type") != "client_credentials":
            raise plain_error(400, "unsupported_grant_type", "The specified 'grant_type' is not supported.")
        if form.get("client_id") != self.client_id or form.get("client_secret", "") != self._secret:
            raise plain_error(401, "unauthorized", "Invalid client credentials.")
        if faults.old_tokens == "refused":
            self._live.clear()
        token = self._issue(faults.token_life_s, issuer)
        in_seconds = faults.expires_in == "seconds" or (
            faults.expires_in == "by-version" and version.since(running, version.EXPIRES_IN_SECONDS)
        )
        life = faults.token_life_s if in_seconds else faults.token_life_s / 60
        return {
            "token_type": "Bearer",
            "expires_in": int(life),
            "access_token": token,
            "refresh_token": None,
        }

    def expires(self, token: str) -> float | None:
        """When this token ends, on the emulator's clock; None if it holds no more."""
        end = self._live.get(token)
        return end if end is not None and self._clock.now() < end else None

    def revoke_all(self) -> int:
        """No token holds any more, as after a restart or a new API key."""
        count = len(self._live)
        self._live.clear()
        return count

    def _issue(self, life_s: float, issuer: str) -> str:
        self.last_used = self._clock.base()
        moment = int(self.last_used)
        claims = {
            "iss": issuer,
            "aud": issuer,
            "sub": self.client_id,
            "iat": moment,
            "nbf": moment,
            "exp": int(moment + life_s),
            "jti": str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
        }
        token = jwt.encode(claims, self._key, "ES256")
        now = self._clock.now()
        self._live = {each: end for each, end in self._live.items() if now < end}
        self._live[token] = now + life_s
        return token


def form_of(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a form, urlencoded or multipart: 3CX's samples send the second."""
    if kind.startswith("multipart/form-data"):
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + body)
        found = {}
        for part in parts.get_payload() if parts.is_multipart() else []:
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            content = part.get_payload(decode=True)  # type: ignore[union-attr]
            if isinstance(name, str) and isinstance(content, bytes):
                found[name] = content.decode("utf-8", "replace")
        return found
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
