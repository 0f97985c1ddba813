"""I/O: the public keys that Entra signs tokens with. They change daily, so they are read again and again."""

import asyncio
from typing import Any, Final

import httpx2
import jwt
import msgspec

from presencebridge.core.backoff import doubled
from presencebridge.errors import Malformed, TryAgain
from presencebridge.graph.calls import retry_after
from presencebridge.quick_http import Http

_TIMEOUT_S: Final = 10.0
"""For all documents together."""
_LONGEST_ANSWER: Final = 1_000_000
_OLD_AFTER_S: Final = 24 * 3600.0
_NOT_SOONER_THAN_S: Final = 60.0
"""A stranger's token with an unknown key makes us look, and this is how often at the most."""

_FIRST_RETRY_S: Final = 2.0
_LAST_PORT: Final = 65535

_DOCUMENTS: Final = (
    "/common/v2.0/.well-known/openid-configuration",
    "/common/.well-known/openid-configuration",
)


class SigningKeys:
    """Keys by key id, of both token versions."""

    def __init__(self, http: Http, login_url: str) -> None:
        self._http = http
        self._login_url = login_url
        self._keys: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._again_at = float("-inf")
        self._failures = 0
        self._one_at_a_time = asyncio.Lock()

    @property
    def known(self) -> dict[str, Any]:
        """The keys as they were read last; none as long as they never were."""
        return self._keys

    async def keys(self) -> dict[str, Any]:
        """The keys; read again if they are a day old. Raises `LinkError` only where none were ever read."""
        if asyncio.get_running_loop().time() - self._read_at > _OLD_AFTER_S:
            try:
                await self.refresh()
            except (TryAgain, Malformed):
                if not self._keys:
                    raise
        return self._keys

    async def refresh(self) -> bool:
        """Read the keys again, unless that was tried just now. True if there are new ones."""
        async with self._one_at_a_time:
            now = asyncio.get_running_loop().time()
            if now < self._again_at:
                return False
            # Unless it works: soon, and then ever later.
            self._again_at = now + doubled(_FIRST_RETRY_S, self._failures, _NOT_SOONER_THAN_S)
            self._failures += 1
            try:
                async with asyncio.timeout(_TIMEOUT_S):  # notifications wait for it
                    found = await self._read()
            except TimeoutError:
                what = f"the sign-in's public keys can't be read within {_TIMEOUT_S:g} s"
                raise TryAgain(what) from None
            except TryAgain as error:
                if error.after_s is not None:
                    self._again_at = max(self._again_at, now + error.after_s)
                raise
            changed = found.keys() != self._keys.keys()
            self._keys, self._read_at = found, now
            self._again_at, self._failures = now + _NOT_SOONER_THAN_S, 0
            return changed

    async def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for document in _DOCUMENTS:
            where = (await self._json(self._login_url + document)).get("jwks_uri")
            if not isinstance(where, str) or not self._trusted(where):
                raise Malformed("the sign-in's discovery document names no place for its keys")
            found |= parse_keys(await self._json(where))
        return found

    def _trusted(self, address: str) -> bool:
        try:
            ours, theirs = httpx2.URL(self._login_url), httpx2.URL(address)
        except httpx2.InvalidURL:
            return False
        if not theirs.host or not (theirs.port is None or 0 < theirs.port <= _LAST_PORT):
            return False
        return theirs.scheme == "https" or (theirs.scheme == ours.scheme and theirs.host == ours.host)

    async def _json(self, address: str) -> dict[str, Any]:
        text = bytearray()
        try:
            async with self._http.stream("GET", address) as response:
                if response.status_code != 200:
                    what = f"the sign-in's public keys can't be read: {response.status_code}"
                    raise TryAgain(what, after_s=retry_after(response.headers.get("retry-after", "")))
                async for chunk in response.aiter_bytes():
                    text += chunk
                    if len(text) > _LONGEST_ANSWER:
                        raise Malformed("the sign-in's public keys have no end")
            found = msgspec.json.decode(text)
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,  # which is no HTTPError, and the address is a stranger's
            msgspec.DecodeError,
            UnicodeDecodeError,
            RecursionError,
        ) as error:
            raise TryAgain(
                f"the sign-in's public keys can't be read: {str(error) or type(error).__name__}"
            ) from error
        if not isinstance(found, dict):
            raise Malformed("the sign-in's public keys are not what they should be")
        return found


def parse_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The RSA keys of a JWKS by their ids; an odd one costs nobody else. Raises `Malformed` for none."""
    listed = document.get("keys")
    found = {}
    for one in listed if isinstance(listed, list) else ():
        try:
            key = jwt.PyJWK.from_dict(one)
        except Exception:  # noqa: BLE001, S112 - PyJWT takes for granted what a key looks like
            continue
        if isinstance(key.key_id, str) and key.key_id and key.key_type == "RSA":
            found[key.key_id] = key.key
    if not found:
        raise Malformed("the sign-in's public keys are not what they should be")
    return found
