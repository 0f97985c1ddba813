"""The way to each side: name, connection, certificate, proxy, and what time it is there."""

import asyncio
import contextlib
import datetime as dt
import email.utils
import socket
import ssl
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2
from cryptography import x509

from presencebridge.config import is_loopback
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import Verdict, fine, not_tried, warning, wrong
from presencebridge.doctor.site import Site
from presencebridge.unreadable import UNREADABLE

_PATIENCE_S: Final = 10.0
_NO_NAME: Final = "another name"
_TOLERATED_S: Final = 30.0
_TOO_FAR_S: Final = 240.0
"""What the app signs to sign in is good for 5 to 10 minutes from now, by our clock:
https://learn.microsoft.com/entra/identity-platform/certificate-credentials"""


@dataclass(frozen=True)
class Target:
    """One address of the config."""

    name: str
    url: str
    ca_file: Path | None
    section: str
    word: str
    path: str = "/"
    """What may be asked of it by anybody."""

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def words(self) -> dict[str, str]:
        return {
            "host": self.host,
            "port": str(self.port),
            "word": f"{self.section} {self.word}",
            "section": self.section,
        }


def proxy_for(url: str) -> str:
    """The environment's proxy for an address; empty if there is none, as always for loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all") or ""
    return found if "://" in found or not found else f"http://{found}"


async def name(target: Target) -> Verdict:
    """Whether the host's name is known."""
    if proxy := proxy_for(target.url):
        return fine(f"{target.host} is looked up by the proxy {_plain(proxy)}")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return wrong(
            Fault.NAME_UNKNOWN, f"nobody says within {_PATIENCE_S:g} s what {target.host} is", **target.words
        )
    except (OSError, UnicodeError) as error:
        return wrong(Fault.NAME_UNKNOWN, f"{target.host}: {_said(error)}", **target.words)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    return fine(f"{target.host} is {', '.join(addresses[:3])}")


async def connection(target: Target) -> Verdict:
    """Whether somebody takes a connection there, or at the proxy on the way."""
    proxy = proxy_for(target.url)
    host, port = target.host, target.port
    if proxy:
        parts = urlsplit(proxy)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return _unconnected(target, f"{host}:{port}", error, through_proxy=bool(proxy))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return fine(f"{host}:{port} takes connections" + (" (the proxy)" if proxy else ""))


def _unconnected(target: Target, where: str, error: Exception, *, through_proxy: bool) -> Verdict:
    if through_proxy:
        return wrong(
            Fault.PROXY_UNREACHABLE, f"the proxy {where} can't be reached: {_said(error)}", **target.words
        )
    if isinstance(error, ConnectionRefusedError):
        return wrong(Fault.PORT_CLOSED, f"nothing listens at {where}", **target.words)
    if isinstance(error, TimeoutError):
        return wrong(Fault.NO_ANSWER, f"{where} does not answer within {_PATIENCE_S:g} s", **target.words)
    return wrong(Fault.NO_ANSWER, f"{where} can't be reached: {_said(error)}", **target.words)


async def answer(site: Site, target: Target) -> Verdict:
    """Whether it speaks HTTP, with a certificate that can be believed; and what time it is there."""
    wall = site.outside.clock().wall()
    try:
        async with (
            asyncio.timeout(_PATIENCE_S),
            site.outside.probe_http(target.url, target.ca_file) as http,
            http.stream("GET", target.path) as got,
        ):
            date, status = got.headers.get("date", ""), got.status_code
    except Exception as error:  # noqa: BLE001 - whatever the way there can do wrong is told apart below
        return await unanswered(target, error)
    if (there := _time_of(date)) is not None:
        site.dates[target.name] = there - wall
    if status == 407:
        return wrong(Fault.PROXY_REFUSES, "the proxy wants a user name and a password", **target.words)
    how = "the certificate is good" if target.is_secure else "plain HTTP, without a certificate"
    return fine(f"it answers; {how}")


async def unanswered(target: Target, error: BaseException) -> Verdict:
    """What an exception of the HTTP client says about the way."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return await _disbelieved(target, cause)
        if isinstance(cause, ssl.SSLError):
            return wrong(
                Fault.TLS_FAILS,
                f"{target.host}:{target.port} speaks no TLS that we understand ({cause.reason})",
                **target.words,
            )
    for cause in causes:
        if isinstance(cause, httpx2.ProxyError):
            return wrong(
                Fault.PROXY_REFUSES, f"the proxy does not let us pass: {_said(cause)}", **target.words
            )
        if isinstance(cause, httpx2.RemoteProtocolError | httpx2.ReadError):
            return wrong(
                Fault.NOT_HTTP,
                f"{target.host}:{target.port} takes the connection and speaks no HTTP",
                **target.words,
            )
    root = causes[-1]
    return _unconnected(
        target,
        f"{target.host}:{target.port}",
        root if isinstance(root, Exception) else OSError(),
        through_proxy=False,
    )


_ENDED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers: X509_V_ERR_... in x509_vfy.h"""


async def _disbelieved(target: Target, error: ssl.SSLCertVerificationError) -> Verdict:
    match error.verify_code:
        case code if code in (_OTHER_NAME, _OTHER_ADDRESS):
            names = await _names_in_certificate(target)
            what = f"the certificate at {target.host}:{target.port} is for {names}"
            return wrong(Fault.CERTIFICATE_OF_ANOTHER, what, names=names, **target.words)
        case code if code == _ENDED:
            return wrong(Fault.CERTIFICATE_ENDED, "the certificate there has ended", **target.words)
        case code if code == _NOT_YET:
            what = "the certificate there is not valid yet, by this machine's clock"
            return wrong(Fault.CERTIFICATE_NOT_YET, what, **target.words)
    what = f"the certificate there is of an authority that nobody here knows ({error.verify_message})"
    return wrong(Fault.CERTIFICATE_UNTRUSTED, what, **target.words)


async def _names_in_certificate(target: Target) -> str:
    """For whom the certificate is, without believing it: nothing is sent over this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PATIENCE_S):
            _, writer = await asyncio.open_connection(
                target.host, target.port, ssl=context, server_hostname=target.host
            )
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    except (OSError, TimeoutError):
        return _NO_NAME
    return names_in(der or b"")


def names_in(der: bytes) -> str:
    """For whom a certificate is, of the first five."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its other faults
            certificate = x509.load_der_x509_certificate(der)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return _NO_NAME
    names = [*found.value.get_values_for_type(x509.DNSName)]
    names += [str(one) for one in found.value.get_values_for_type(x509.IPAddress)]
    return ", ".join(names[:5]) or _NO_NAME


async def clock(site: Site) -> Verdict:
    """This machine's clock beside those of the others, as their answers show them."""
    return clock_verdict(site.dates)


def clock_verdict(ahead: dict[str, float]) -> Verdict:
    """`ahead`: by how many seconds each side is ahead of us. Microsoft's clock is the one to go by."""
    if not ahead:
        return not_tried("nobody tells the time in their answers")
    pbx = ahead.get("3CX")
    theirs = [seconds for name, seconds in ahead.items() if name != "3CX"]
    if theirs:
        off = min(theirs, key=abs)
        if abs(off) > _TOO_FAR_S:
            return wrong(Fault.CLOCK_WRONG, f"this machine is {_apart(off)} Microsoft")
        if abs(off) > _TOLERATED_S:
            return warning(Fault.CLOCK_DRIFTS, f"this machine is {_apart(off)} Microsoft")
        if pbx is not None and abs(pbx - off) > _TOO_FAR_S:
            return warning(Fault.CLOCK_OF_3CX, f"3CX is {_apart(off - pbx)} Microsoft")
    elif pbx is not None and abs(pbx) > _TOO_FAR_S:
        return warning(
            Fault.CLOCK_DRIFTS, f"this machine is {_apart(pbx)} 3CX, and nobody else tells the time"
        )
    return fine("within half a minute of " + " and ".join(ahead))


def _apart(ahead: float) -> str:
    """How far we are from somebody who is so many seconds ahead."""
    seconds = abs(round(ahead))
    span = f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
    return f"{span} {'behind' if ahead > 0 else 'ahead of'}"


def _time_of(header: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header).replace(tzinfo=dt.UTC).timestamp()
    except (ValueError, TypeError):
        return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _plain(proxy: str) -> str:
    """Without its password."""
    parts = urlsplit(proxy)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _said(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)[:160]
