"""Entra's grants: who may have which token.

learn.microsoft.com/entra/identity-platform: v2-oauth2-client-creds-grant-flow, v2-oauth2-device-code,
certificate-credentials, refresh-tokens. Routes are in `entra`, tokens in `tokens`.
"""

import base64
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.graph import assertion, refusals
from presencebridge.emulators.graph.keys import unpadded
from presencebridge.emulators.graph.refusals import SignInError
from presencebridge.emulators.graph.tokens import TOKEN_LIFE_S, Tokens
from presencebridge.emulators.world import User, World

DEVICE_CODE_LIFE_S = 900
DEVICE_INTERVAL_S = 5
REFRESH_LIFE_S = 90 * 86400
_OIDC_SCOPES = ("openid", "profile", "email", "offline_access")
_ANY_TENANT = ("common", "organizations")
_NO_VOWELS = "BCDFGHJKLMNPQRSTVWXYZ23456789"


class DeviceSignIn(msgspec.Struct):
    """A device-code sign-in that somebody has to approve."""

    device_code: str
    user_code: str
    scopes: tuple[str, ...]
    expires: float
    user: User | None = None
    declined: bool = False


class _Refresh(msgspec.Struct, frozen=True):
    user: User
    scopes: tuple[str, ...]
    expires: float


class SignIn:
    """The state of the sign-in service: registered credentials, pending sign-ins, refresh tokens."""

    def __init__(self, world: World, tokens: Tokens, clock: Clock, chance: random.Random) -> None:
        self._world = world
        self._tokens = tokens
        self._clock = clock
        self._chance = chance
        self.certificates = assertion.Certificates(world.client_certificates)
        self._refresh: dict[str, _Refresh] = {}
        self._revoked: set[str] = set()
        self._devices: dict[str, DeviceSignIn] = {}

    # -- what the endpoints do

    def token(self, tenant: str, form: Mapping[str, str], audiences: frozenset[str]) -> dict[str, Any]:
        """Answers a token request. `audiences` are the endpoint's addresses, for client assertions."""
        self.check_tenant(tenant)
        grant = form.get("grant_type")
        if not grant:
            raise refusals.missing("grant_type")
        self._check_client(form)
        if grant == "client_credentials":
            self._check_credential(form, audiences)
            return self._application(tenant, form)
        if grant in {"urn:ietf:params:oauth:grant-type:device_code", "device_code"}:
            return self._device(form)
        if grant == "refresh_token":
            if "client_secret" in form or "client_assertion" in form:
                self._check_credential(form, audiences)
            return self._refreshed(form)
        raise refusals.unsupported_grant(grant)

    def start_device(self, tenant: str, form: Mapping[str, str]) -> DeviceSignIn:
        self.check_tenant(tenant)
        self._check_client(form)
        scopes = tuple(form.get("scope", "").split())
        if not scopes:
            raise refusals.missing("scope")
        user_code = "".join(self._chance.choices(_NO_VOWELS, k=9))
        expires = self._clock.now() + DEVICE_CODE_LIFE_S
        sign_in = DeviceSignIn(self._opaque("D"), user_code, scopes, expires)
        self._devices[sign_in.device_code] = sign_in
        return sign_in

    def check_tenant(self, tenant: str) -> None:
        if tenant.casefold() not in {self._world.tenant_id.casefold(), *_ANY_TENANT}:
            raise refusals.unknown_tenant(tenant)

    # -- what the control port does

    @property
    def pending(self) -> list[DeviceSignIn]:
        now = self._clock.now()
        return [
            device
            for device in self._devices.values()
            if now < device.expires and not device.user and not device.declined
        ]

    def decide(self, user_code: str, user: User | None) -> bool:
        """Somebody approves the sign-in as that user, or declines it. False: no such code pending."""
        for device in self.pending:
            if device.user_code == user_code.strip().upper():
                device.user = user
                device.declined = user is None
                return True
        return False

    def revoke(self, user: User) -> int:
        """Ends every refresh token of a user, as a password change or an administrator does."""
        ended = {token for token, held in self._refresh.items() if held.user.id == user.id}
        self._revoked |= ended
        for token in ended:
            del self._refresh[token]
        return len(ended)

    # -- grants

    def _application(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        if tenant.casefold() in _ANY_TENANT:
            raise refusals.no_tenant()
        scope = form.get("scope", "")
        if not scope:
            raise refusals.missing("scope")
        if not scope.endswith("/.default"):
            raise refusals.not_default(scope)
        if not scope.startswith("https://"):
            raise refusals.unknown_resource(scope.removesuffix("/.default"))
        # This grant has no refresh token.
        return self._answer(self._tokens.for_application())

    def _device(self, form: Mapping[str, str]) -> dict[str, Any]:
        code = form.get("device_code") or form.get("code")
        if not code:
            raise refusals.missing("device_code")
        device = self._devices.get(code)
        if device is None:
            raise refusals.unknown_device_code()
        if self._clock.now() >= device.expires:
            raise refusals.expired_device_code()
        if device.declined:
            raise refusals.declined()
        if device.user is None:
            raise refusals.pending()
        answer = self._delegated(device.user, device.scopes)
        del self._devices[code]
        return answer

    def _refreshed(self, form: Mapping[str, str]) -> dict[str, Any]:
        token = form.get("refresh_token")
        if not token:
            raise refusals.missing("refresh_token")
        if token in self._revoked:
            raise refusals.revoked()
        held = self._refresh.get(token)
        if held is None:
            raise refusals.malformed_refresh_token()
        if self._clock.now() >= held.expires:
            raise refusals.unused_refresh_token()
        scopes = tuple(form.get("scope", "").split()) or held.scopes
        # A refresh token begets another one, whether offline_access is named again or not.
        return self._delegated(held.user, tuple(dict.fromkeys([*scopes, "offline_access"])))

    def _delegated(self, user: User, asked: tuple[str, ...]) -> dict[str, Any]:
        granted = self._granted(asked)
        answer = self._answer(self._tokens.for_user(user, granted))
        answer["scope"] = " ".join([*_as_asked(asked, granted), "openid", "profile", "email"])
        if "offline_access" in asked:
            # A new one each time; the old one stays good (learn.microsoft.com/entra/identity-platform/
            # refresh-tokens: they aren't revoked when used, the client is to discard the old one).
            token = self._opaque("0.A")
            self._refresh[token] = _Refresh(user, asked, self._clock.now() + REFRESH_LIFE_S)
            answer["refresh_token"] = token
        if "openid" in asked:
            answer["id_token"] = self._tokens.id_token(user)
        info = {"uid": user.id, "utid": self._world.tenant_id}
        answer["client_info"] = unpadded(msgspec.json.encode(info))
        return answer

    def _granted(self, asked: tuple[str, ...]) -> list[str]:
        consented = {scope.casefold(): scope for scope in self._world.delegated_scopes}
        granted: list[str] = []
        for scope in asked:
            if scope in _OIDC_SCOPES:
                continue
            resource, _, name = scope.rpartition("/")
            if resource and not resource.startswith("https://"):
                raise refusals.unknown_resource(resource)
            if name == ".default":
                granted += consented.values()
            elif name.casefold() in consented:
                granted.append(consented[name.casefold()])
            else:
                raise refusals.no_consent(self._world.client_id)
        return list(dict.fromkeys(granted))

    @staticmethod
    def _answer(access_token: str) -> dict[str, Any]:
        life = TOKEN_LIFE_S - 1
        return {
            "token_type": "Bearer",
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": access_token,
        }

    # -- credentials

    def _check_client(self, form: Mapping[str, str]) -> None:
        client_id = form.get("client_id")
        if not client_id:
            raise refusals.missing("client_id")
        if client_id.casefold() != self._world.client_id.casefold():
            raise refusals.unknown_client(client_id, self._world.tenant_id)

    def _check_credential(self, form: Mapping[str, str], audiences: frozenset[str]) -> None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != assertion.TYPE:
                raise refusals.missing("client_assertion_type")
            token, now = form["client_assertion"], self._clock.base()
            refusal = self.certificates.refusal(token, self._world.client_id, audiences, now)
            if refusal:
                raise SignInError(401, "invalid_client", *refusal)
            return
        secret = form.get("client_secret")
        if not secret:
            raise refusals.no_credential()
        if secret != self._world.client_secret:
            raise refusals.wrong_secret(self._world.client_id)

    def _opaque(self, prefix: str) -> str:
        return prefix + base64.urlsafe_b64encode(self._chance.randbytes(48)).decode()


def _as_asked(asked: tuple[str, ...], granted: list[str]) -> list[str]:
    """Entra writes a scope as the client wrote it, and clients look their cache up by that."""
    named = [scope for scope in asked if scope not in _OIDC_SCOPES]
    whole = next((scope for scope in named if scope.endswith("/.default")), None)
    if whole is None:
        return named
    resource = whole.removesuffix("/.default")
    return [*(f"{resource}/{scope}" for scope in granted), whole]
