"""Sign-in to Entra through msal: as the app itself, and as an account that owns presence subscriptions."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import msal
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.files import Files
from presencebridge.threads import LooseThreads
from presencebridge.unreadable import UNREADABLE

T = TypeVar("T")

_TIMEOUT_S: Final = 20.0
"""For a request and its answer as a whole, from the name look-up to the last byte."""
_LONGEST_ANSWER: Final = 1_000_000
WATCHER_SCOPE: Final = "Presence.Read.All"
"""All that a watcher needs; Graph refuses subscriptions to tokens that can write.
https://learn.microsoft.com/graph/api/subscription-post-subscriptions"""


class SignIn:
    """Where to sign in, and how to get there."""

    def __init__(self, login_url: str, tenant: str, client: str, graph: str, verify: Any = True) -> None:
        parts = urlsplit(login_url)
        # msal takes https authorities only. Plain http is for an emulator on loopback (the config's check
        # sees to that), so msal is told https and its requests are turned back.
        self.authority = f"https://{parts.netloc}/{tenant}"
        self.client = client
        self.graph = graph
        self.discovery = parts.netloc.startswith("login.microsoftonline.")
        self.http = _Http(plain=parts.netloc if parts.scheme == "http" else None, verify=verify)


class _Http:
    """The little of an HTTP client that msal asks for, over ours. It blocks, as msal does.

    Within, it is a loop of its own: only so an answer has an end as a whole, however its pieces drip in. A
    client that blocks counts the silence between two of them, and a thread can't be cut short from outside.
    """

    def __init__(self, plain: str | None, verify: Any) -> None:
        self._plain = plain
        self._verify = verify

    def get(self, url: str, **kwargs: Any) -> httpx2.Response:
        response = self._send("GET", url, **kwargs)
        if self._plain is None:
            return response
        # A discovery document names plain addresses, and msal takes https there too.
        text = response.text.replace(f"http://{self._plain}/", f"https://{self._plain}/")
        return httpx2.Response(response.status_code, text=text, request=response.request)

    def post(self, url: str, data: Any = None, **kwargs: Any) -> httpx2.Response:
        if isinstance(data, dict):  # a client assertion comes as bytes, which httpx2 would send as b'...'
            data = {word: text.decode() if isinstance(text, bytes) else text for word, text in data.items()}
        return self._send("POST", url, data=data, **kwargs)

    def _send(self, method: str, url: str, **kwargs: Any) -> httpx2.Response:
        kwargs.pop("timeout", None)
        kwargs.pop("verify", None)
        if self._plain and url.startswith(f"https://{self._plain}/"):
            url = url.replace("https://", "http://", 1)
        with asyncio.Runner() as runner:
            runner.get_loop().set_default_executor(LooseThreads())  # a name look-up that hangs is left behind
            return runner.run(self._exchange(method, url, kwargs))

    async def _exchange(self, method: str, url: str, kwargs: dict[str, Any]) -> httpx2.Response:
        # A client for each: once an hour, a connection that waits for that long serves nobody.
        body = bytearray()
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                httpx2.AsyncClient(verify=self._verify, timeout=None) as client,
                client.stream(method, url, **kwargs) as response,
            ):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LONGEST_ANSWER:
                        raise httpx2.ReadError("the answer has no end", request=response.request)
        except TimeoutError:  # which is an OSError, as those of the disk are
            raise httpx2.ReadTimeout(f"no whole answer within {_TIMEOUT_S:g} s") from None
        return httpx2.Response(response.status_code, content=bytes(body), request=response.request)


class AppTokens:
    """Tokens of the app itself (client credentials), with a certificate or a secret."""

    def __init__(self, sign_in: SignIn, credential: str | dict[str, str]) -> None:
        self._sign_in = sign_in
        self._credential = credential
        self._app: msal.ConfidentialClientApplication | None = None
        self._one_at_a_time = asyncio.Lock()

    async def token(self, *, renewed: bool = False) -> str:
        """Raises `Refused` where Entra refuses the app, `TryAgain` where it can't be reached."""
        async with self._one_at_a_time:
            return await _aside(self._acquire, renewed)

    def _acquire(self, renewed: bool) -> str:
        def ask() -> dict[str, Any]:
            if self._app is None:
                self._app = msal.ConfidentialClientApplication(
                    self._sign_in.client,
                    authority=self._sign_in.authority,
                    client_credential=self._credential,
                    instance_discovery=self._sign_in.discovery,
                    http_client=self._sign_in.http,
                )
            if renewed:
                self._app.remove_tokens_for_client()
            answer: dict[str, Any] = self._app.acquire_token_for_client([f"{self._sign_in.graph}/.default"])
            return answer

        cure = "check client_id, tenant_id and the app's certificate or secret (and its expiry) in Entra"
        return _token(_asked(ask), cure)


class WatcherTokens:
    """Tokens of a signed-in account. They are kept in a private file and renewed by themselves."""

    def __init__(self, sign_in: SignIn, files: Files, name: str) -> None:
        self._sign_in = sign_in
        self._files = files
        self._file = f"watcher-{name}.json"
        self.name = name
        self._one_at_a_time = asyncio.Lock()
        self._guard = threading.Lock()

    @property
    def cure(self) -> str:
        return f"presencebridge login --config FILE --watcher {self.name}"

    async def token(self, *, renewed: bool = False) -> str:
        """Raises `Refused` where the sign-in is missing or has died; its cure is to sign in again."""
        async with self._one_at_a_time:
            return await _aside(self._acquire, renewed)

    async def sign_in(self, show: Callable[[str], None]) -> str:
        """Sign in with a device code: `show` gets the text for the person. Returns who signed in."""
        return await _aside(self._by_device_code, show)

    def _acquire(self, renewed: bool) -> str:
        def ask() -> dict[str, Any]:
            with self._guard:
                app, cache = self._application()
                accounts = app.get_accounts()
                if not accounts:
                    raise Refused(f"nobody is signed in as watcher {self.name}", cure=self.cure)
                answer = app.acquire_token_silent_with_error(
                    self._scopes(), account=accounts[0], force_refresh=renewed
                )
                self._keep(cache)
                return answer or {"error": "no_token", "error_description": "the sign-in has ended"}

        return _token(_asked(ask), self.cure)

    def _by_device_code(self, show: Callable[[str], None]) -> str:
        def ask() -> dict[str, Any]:
            with self._guard:
                app, cache = self._application()
                flow = app.initiate_device_flow(self._scopes())
                if "user_code" not in flow:
                    return dict(flow)
                show(flow["message"])
                for account in app.get_accounts():  # one account a watcher
                    app.remove_account(account)
                answer: dict[str, Any] = app.acquire_token_by_device_flow(flow)
                if "access_token" in answer:
                    self._keep(cache)
                return answer

        cure = (
            "allow public client flows in the app registration (Authentication), and consent to "
            + WATCHER_SCOPE
        )
        answer = _asked(ask)
        _token(answer, cure)
        claims = answer.get("id_token_claims") or {}
        return str(claims.get("preferred_username") or "an account without a name")

    def _scopes(self) -> list[str]:
        return [f"{self._sign_in.graph}/{WATCHER_SCOPE}"]

    def _application(self) -> tuple[msal.PublicClientApplication, msal.SerializableTokenCache]:
        cache = msal.SerializableTokenCache()
        kept = self._files.read(self._file)
        if kept is not None:
            with contextlib.suppress(ValueError):  # torn: nobody is signed in
                text = kept.decode()
                if isinstance(json.loads(text), dict):
                    cache.deserialize(text)
        app = msal.PublicClientApplication(
            self._sign_in.client,
            authority=self._sign_in.authority,
            token_cache=cache,
            instance_discovery=self._sign_in.discovery,
            http_client=self._sign_in.http,
        )
        return app, cache

    def _keep(self, cache: msal.SerializableTokenCache) -> None:
        """Entra gives a new refresh token with each use, so the newest must outlast us."""
        if cache.has_state_changed:
            self._files.write(self._file, cache.serialize().encode())


def certificate_credential(pem: str) -> dict[str, str]:
    """Msal's form of a PEM that holds the app's certificate and private key. Raises `ValueError`."""
    try:
        certified = x509.load_pem_x509_certificate(pem.encode()).public_key()
        begin = pem.index("-----BEGIN CERTIFICATE-----")
        end = pem.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
    except UNREADABLE:  # its text quotes the file, private key and all
        raise ValueError("the file holds no certificate in PEM that can be read") from None
    private_key = (pem[:begin] + pem[end:]).strip()
    if "PRIVATE KEY-----" not in private_key:
        raise ValueError("the file holds a certificate, and not its private key")
    try:
        key = serialization.load_pem_private_key(private_key.encode(), None)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the file holds no private key in PEM that can be read") from None
    except TypeError:
        raise ValueError(
            "the private key in the file is encrypted, and nobody can type its password"
        ) from None
    if key.public_key() != certified:
        raise ValueError("the private key in the file is not that of the certificate")
    # No thumbprint: msal takes one for SHA-1, and makes that of SHA-256 itself.
    return {"private_key": private_key, "public_certificate": pem[begin:end]}


async def _aside(work: Callable[..., T], *args: object) -> T:
    """Work in a thread of its own; `asyncio.to_thread` would hold the stop until a hung sign-in is over."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(cast("T", result))
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work(*args)
        except BaseException as caught:  # noqa: BLE001 - it is raised where it is awaited
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="sign-in", daemon=True).start()
    return await done


def _asked(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except (httpx2.RequestError, msal.exceptions.MsalServiceError, json.JSONDecodeError) as error:
        raise TryAgain(
            f"Entra's sign-in can't be reached: {str(error) or type(error).__name__}",
            cure="check name resolution, the firewall, the proxy, and [teams] ca_file",
        ) from error
    except OSError as error:
        raise TryAgain(
            f"the sign-in can't be read or kept: {error}",
            cure="free the disk, or mend the state folder's rights",
        ) from error
    except RuntimeError:  # msal: an id token that does not hold; its text quotes the token
        raise Refused("Entra's answer was not believed", cure="check the clock of this machine") from None
    except ValueError as error:  # msal: an authority that is none
        if isinstance(error.__context__, json.JSONDecodeError):
            raise TryAgain("Entra's sign-in answered with something else", cure="check the proxy") from error
        raise Refused(f"Entra's sign-in can't be used: {error}", cure="check tenant_id") from error
    except LinkError:
        raise
    except Exception as error:
        # msal takes for granted what an answer and its cache look like, and trips over anything else.
        what = f"Entra's sign-in answered with something else ({type(error).__name__})"
        raise TryAgain(what, cure="check the proxy, or sign in again") from error


_PASSING: Final = {"temporarily_unavailable", "server_error", "request_timeout"}


def _token(answer: dict[str, Any], cure: str) -> str:
    token = answer.get("access_token")
    if isinstance(token, str) and token.isascii() and token.isprintable():
        return token
    error = str(answer.get("error", "unknown error"))
    said = str(answer.get("error_description", "")).partition("\r\n")[0].partition(" Trace ID")[0]
    what = f"Entra refused the sign-in: {error} {said}".rstrip()
    if error in _PASSING:
        raise TryAgain(what)
    raise Refused(what, cure=cure)
