"""Entra's routes: discovery, keys, tokens, device codes, admin consent.

learn.microsoft.com/entra/identity-platform/v2-protocols-oidc and the pages named in `signin.py`. The
addresses in the discovery document are those of the request's own host, so that a client keeps to it.
"""

import base64
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from presencebridge.emulators.graph import wire
from presencebridge.emulators.graph.errors import GraphError
from presencebridge.emulators.graph.refusals import SignInError
from presencebridge.emulators.graph.signin import DEVICE_CODE_LIFE_S, DEVICE_INTERVAL_S

if TYPE_CHECKING:
    from presencebridge.emulators.graph.emulator import GraphEmulator

_REAL = "https://login.microsoftonline.com"


def routes(emulator: "GraphEmulator") -> list[Route]:
    entra = _Entra(emulator)
    return [
        Route("/common/discovery/instance", entra.guarded(entra.instance)),
        Route("/devicelogin", entra.guarded(entra.device_page), methods=["GET", "POST"]),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", entra.guarded(entra.discovery_v2)),
        Route("/{tenant}/.well-known/openid-configuration", entra.guarded(entra.discovery_v1)),
        Route("/{tenant}/discovery/v2.0/keys", entra.guarded(entra.keys_v2)),
        Route("/{tenant}/discovery/keys", entra.guarded(entra.keys_v1)),
        Route("/{tenant}/oauth2/v2.0/token", entra.guarded(entra.token), methods=["POST"]),
        Route("/{tenant}/oauth2/token", entra.guarded(entra.token_v1), methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/devicecode", entra.guarded(entra.device_code), methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/authorize", entra.guarded(entra.authorize)),
        Route("/{tenant}/adminconsent", entra.guarded(entra.admin_consent)),
        Route("/{tenant}/v2.0/adminconsent", entra.guarded(entra.admin_consent)),
    ]


class _Entra:
    def __init__(self, emulator: "GraphEmulator") -> None:
        self._emulator = emulator

    def guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                answer = await endpoint(request)
            except SignInError as error:
                answer = self._refusal(request, error)
            answer.headers["Date"] = wire.http_date(self._emulator.clock.base())
            answer.headers["Cache-Control"] = "no-store, no-cache"
            answer.headers["x-ms-request-id"] = self._emulator.new_id()
            return answer

        return guarded

    # -- discovery

    async def instance(self, request: Request) -> Response:
        host = request.url.netloc
        aliases = list(
            dict.fromkeys([host, "login.microsoftonline.com", "login.windows.net", "login.microsoft.com"])
        )
        entry = {"preferred_network": host, "preferred_cache": host, "aliases": aliases}
        return _json(
            {
                "tenant_discovery_endpoint": f"{_origin(request)}/{self._tenant_id}/v2.0/.well-known/"
                "openid-configuration",
                "api-version": "1.1",
                "metadata": [entry],
            }
        )

    async def discovery_v2(self, request: Request) -> Response:
        tenant = self._tenant(request)
        base = f"{_origin(request)}/{tenant}"
        named = "{tenantid}" if tenant in {"common", "organizations"} else self._tenant_id
        return _json(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "private_key_jwt",
                    "client_secret_basic",
                ],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                # The issuer is a name, not an address to go to: it stays Microsoft's own.
                "issuer": f"{_REAL}/{named}/v2.0",
                "request_uri_parameter_supported": False,
                "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "http_logout_supported": True,
                "frontchannel_logout_supported": True,
                "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
                "claims_supported": [
                    *("sub", "iss", "cloud_instance_name", "aud", "exp", "iat", "auth_time", "acr", "nonce"),
                    *("preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email"),
                ],
                "tenant_region_scope": None,
                "cloud_instance_name": "microsoftonline.com",
                "cloud_graph_host_name": "graph.windows.net",
                "msgraph_host": "graph.microsoft.com",
                "rbac_url": "https://pas.windows.net",
            }
        )

    async def discovery_v1(self, request: Request) -> Response:
        tenant = self._tenant(request)
        base = f"{_origin(request)}/{tenant}"
        named = "{tenantid}" if tenant in {"common", "organizations"} else self._tenant_id
        return _json(
            {
                "token_endpoint": f"{base}/oauth2/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{base}/discovery/keys",
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token", "token id_token", "token"],
                "scopes_supported": ["openid"],
                "issuer": f"https://sts.windows.net/{named}/",
                "authorization_endpoint": f"{base}/oauth2/authorize",
                "cloud_instance_name": "microsoftonline.com",
                "msgraph_host": "graph.microsoft.com",
            }
        )

    async def keys_v2(self, request: Request) -> Response:
        self._tenant(request)
        issuer = f"{_REAL}/{self._tenant_id}/v2.0"
        return _json(self._emulator.keys.published(self._emulator.clock.base(), issuer))

    async def keys_v1(self, request: Request) -> Response:
        self._tenant(request)
        return _json(self._emulator.keys.published(self._emulator.clock.base()))

    # -- grants

    async def token(self, request: Request) -> Response:
        return self._granted(request, await _credentials(request))

    async def token_v1(self, request: Request) -> Response:
        """The older endpoint names a resource where the newer one has scopes."""
        form = await _credentials(request)
        if "resource" in form and "scope" not in form:
            form["scope"] = form["resource"].rstrip("/") + "/.default"
        return self._granted(request, form)

    def _granted(self, request: Request, form: dict[str, str]) -> Response:
        tenant = request.path_params["tenant"]
        audiences = frozenset(
            f"{origin}/{name}{path}"
            for origin in (_origin(request), _REAL)
            for name in (tenant, self._tenant_id)
            for path in ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0")
        )
        return _json(self._emulator.sign_in.token(tenant, form, audiences))

    async def device_code(self, request: Request) -> Response:
        started = self._emulator.sign_in.start_device(request.path_params["tenant"], await _form(request))
        address = f"{_origin(request)}/devicelogin"
        return _json(
            {
                "user_code": started.user_code,
                "device_code": started.device_code,
                "verification_uri": address,
                "expires_in": DEVICE_CODE_LIFE_S,
                "interval": DEVICE_INTERVAL_S,
                "message": f"To sign in, use a web browser to open the page {address} and enter the code "
                f"{started.user_code} to authenticate.",
            }
        )

    async def device_page(self, request: Request) -> Response:
        """Where a person would type the code: whoever is named is signed in, no password asked."""
        said = ""
        if request.method == "POST":
            form = await _form(request)
            said = self._decided(form.get("user_code", ""), form.get("username", ""), form.get("decline", ""))
        return HTMLResponse(_page("Enter code", f"<p>{escape(said)}</p>{_DEVICE_FORM}"))

    def _decided(self, user_code: str, username: str, decline: str) -> str:
        try:
            user = None if decline else self._emulator.directory.find(username)
        except GraphError:
            return f"There is no account {username}."
        if self._emulator.sign_in.decide(user_code, user):
            return "Declined." if decline else "You are signed in. You may close this window."
        return "That code didn't work. Check the code and try again."

    async def authorize(self, _: Request) -> Response:
        text = (
            "<p>This emulator has no browser sign-in for the authorization code flow; use a device code.</p>"
        )
        return HTMLResponse(_page("Sign in", text), 400)

    async def admin_consent(self, request: Request) -> Response:
        """Consent is what the world file says; this only sends the administrator back."""
        query = request.query_params
        target = query.get("redirect_uri")
        if not target:
            return HTMLResponse(_page("Permissions", "<p>Consent is given, as the world file says.</p>"))
        said = {"admin_consent": "True", "tenant": self._tenant_id}
        if "state" in query:
            said["state"] = query["state"]
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(said)}", 302)

    # --

    @property
    def _tenant_id(self) -> str:
        return self._emulator.world.tenant_id

    def _tenant(self, request: Request) -> str:
        tenant = str(request.path_params["tenant"])
        self._emulator.sign_in.check_tenant(tenant)
        return tenant

    def _refusal(self, request: Request, error: SignInError) -> Response:
        now = self._emulator.clock.base()
        stamp = wire.moment(now, digits=0).replace("T", " ")
        trace = self._emulator.new_id()
        correlation = request.headers.get("client-request-id") or self._emulator.new_id()
        ids = f"Trace ID: {trace} Correlation ID: {correlation}"
        return _json(
            {
                "error": error.error,
                "error_description": f"{error} {ids} Timestamp: {stamp}",
                "error_codes": [error.number],
                "timestamp": stamp,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": f"{_REAL}/error?code={error.number}",
            },
            error.status,
        )


_DEVICE_FORM = """<form method="post">
<label>Code <input name="user_code" autofocus></label>
<label>Account <input name="username"></label>
<button>Next</button> <button name="decline" value="1">Cancel</button>
</form>"""


def _page(title: str, inner: str) -> str:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
    return f"{head}<h1>{title}</h1>{inner}</html>"


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


async def _credentials(request: Request) -> dict[str, str]:
    """The form, with the client's id and secret from HTTP Basic where they come that way."""
    form = await _form(request)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() == "basic":
        try:
            client_id, _, secret = base64.b64decode(given).decode().partition(":")
        except ValueError:
            return form
        form = {"client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)} | form
    return form


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json; charset=utf-8")
