"""Who may speak to the operator's listener: by name, from its own pages, and with the token if there is one.

What each check is against, and the test that shows it, is in docs/security.md.
"""

import base64
import binascii
import collections
import hmac
import ipaddress
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IS_TRUSTED: Final = "presencebridge.trusted"
"""In the scope of a request: whether the sender may see details. Only the probes let in others."""

MAY_SEE: Final = "presencebridge.sites"
"""In the scope of a request: the names of the sites that it may concern; None for all of them."""

_PROBES: Final = ("/livez", "/readyz")
_MOST_WRONG: Final = 10
"""Wrong tokens that an address may send within `_WINDOW_S`; beyond that none of its tokens is looked at."""
_WINDOW_S: Final = 60.0
_MOST_ADDRESSES: Final = 1000

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Stands before an application, and lets through what may pass.

    `hosts` are the names under which it may be addressed. An address in digits is always good: against DNS
    rebinding it is names that have to be known, since a browser sends the name that it was lured with.
    With an empty `token` nobody is asked for one. `limited` are further tokens, each with the names of the
    sites that its holders may see.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        token: str,
        now: Callable[[], float],
        limited: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._token = b""
        self._sites: tuple[tuple[bytes, frozenset[str] | None], ...] = ()
        self.let_in(token, limited or {})
        self._wrong = _WrongTokens(now)

    def let_in(self, token: str, limited: Mapping[str, Collection[str]]) -> None:
        """These tokens count from now on."""
        self._token = token.encode()
        self._sites = (
            (self._token, None),
            *((one.encode(), frozenset(sites)) for one, sites in limited.items()),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _refuse(send_with_headers, *refusal)

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Why the request may not pass."""
        headers = Headers(scope=scope)
        if not self._is_known(headers.getlist("host")):
            what = "this name is not known here: add it to hosts in [operator], if it should be"
            return HTTPStatus.BAD_REQUEST, what
        if _is_from_elsewhere(scope["method"], headers):
            return HTTPStatus.FORBIDDEN, "only pages of this service may ask that"
        scope[IS_TRUSTED], scope[MAY_SEE] = not self._token, None
        if self._token:
            refusal = self._without_token(scope, headers)
            is_probe = scope["path"] in _PROBES and scope["method"] in ("GET", "HEAD")
            if refusal is not None and not is_probe:
                return refusal
            scope[IS_TRUSTED] = refusal is None
        return None

    def _is_known(self, named: list[str]) -> bool:
        if len(named) != 1:
            return False
        try:
            host = urlsplit(f"//{named[0]}").hostname or ""
        except ValueError:
            return False
        return host in self._hosts or _is_address(host)

    def _without_token(self, scope: Scope, headers: Headers) -> tuple[HTTPStatus, str] | None:
        """What is wrong with the token, None if nothing is."""
        sent = headers.getlist("authorization")
        if not sent:
            return HTTPStatus.UNAUTHORIZED, "the operator's token is needed"
        who = _network(scope)
        if self._wrong.are_too_many(who):
            return HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens: wait a minute"
        # All of them are compared, so that the time that it takes tells nothing.
        token = _token_in(sent[0])
        found = [sites for known, sites in self._sites if hmac.compare_digest(token, known)]
        if len(sent) == 1 and found:
            scope[MAY_SEE] = found[0]
            return None
        self._wrong.count(who)
        return HTTPStatus.UNAUTHORIZED, "that is not the operator's token"


class _WrongTokens:
    """When each address sent wrong tokens; the address that was heard of longest ago is forgotten first."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._times: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def are_too_many(self, who: str) -> bool:
        times = self._times.get(who)
        return times is not None and len(times) == _MOST_WRONG and times[0] > self._now() - _WINDOW_S

    def count(self, who: str) -> None:
        self._times.setdefault(who, collections.deque(maxlen=_MOST_WRONG)).append(self._now())
        self._times.move_to_end(who)
        if len(self._times) > _MOST_ADDRESSES:
            self._times.popitem(last=False)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_from_elsewhere(method: str, headers: Headers) -> bool:
    """Whether a page of another site made the browser ask. What sends no such headers is no browser.

    https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    """
    looks = method in ("GET", "HEAD")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        # A link that somebody followed is no harm.
        followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return not (looks and followed)
    origins = headers.getlist("origin")
    ours = headers.get("host", "").casefold()
    return any(origin.casefold().partition("://")[2] != ours for origin in origins)


def _token_in(header: str) -> bytes:
    """The token out of `Bearer <token>`, or the password out of `Basic`; empty if there is none."""
    scheme, _, rest = header.partition(" ")
    if scheme.casefold() == "bearer":
        return rest.strip().encode("latin-1", "replace")
    if scheme.casefold() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _network(scope: Scope) -> str:
    """Who asks. With IPv6 a household has a /64 to choose from."""
    client = scope.get("client")
    host = client[0] if client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


async def _refuse(send: Send, status: HTTPStatus, what: str) -> None:
    body = msgspec.json.encode({"error": what})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the request is of no interest
    ]
    if status is HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Basic realm="presencebridge", charset="UTF-8"'))
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        headers.append((b"retry-after", str(int(_WINDOW_S)).encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
