"""This machine: the config's advice, the app's credential, the state folder, the addresses we listen on."""

import contextlib
import datetime as dt
import errno
import os
import shutil
import socket
from pathlib import Path
from typing import Final

from cryptography import x509

from presencebridge.adapters import servers_deadlines
from presencebridge.config import Config, Teams, advise, parse_listen
from presencebridge.doctor.account import needed
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import State, Verdict, fine, warning, wrong
from presencebridge.doctor.site import Site
from presencebridge.errors import Misconfigured
from presencebridge.runtime.expiry import in_words, of_config, soon

_DAY_S: Final = 86_400
_SOON_DAYS: Final = 30
_FULL: Final = 10_000_000
_NEARLY_FULL: Final = 200_000_000
"""The state of 10,000 people is some megabytes; the log of a bad day may be more."""


async def config(site: Site) -> Verdict:
    """It was read and is whole, and the service can read it too; what is left is advice."""
    account = site.account
    for file in needed(site.config, site.file) if account else ():
        if account and not account.may_read(file):
            what = f"the service's account {account.name} may not read {file}"
            return wrong(Fault.KEPT_FROM_SERVICE, what, file=str(file))
    found = advise(site.config)
    if found:
        what = "; ".join(f"{one.where}: {one.what}" for one in found)
        return warning(Fault.ADVICE, what, advice="; ".join(one.cure for one in found))
    return fine(f"{site.file} is whole")


async def credential(site: Site) -> Verdict:
    """Whether the app's certificate or secret can be used, and until when."""
    try:
        site.outside.app_tokens(site.config)
    except Misconfigured as error:
        what = error.problems[0].what.removeprefix("the credential can't be used: ")
        return wrong(Fault.CREDENTIAL_UNUSABLE, f"the app's credential can't be used: {what}", init=site.init)
    file = site.config.teams.certificate_file
    if file is None:
        return secret_verdict(site.config.teams, site.outside.clock().wall())
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    return certificate_verdict(file, begins, ends, site.outside.clock().wall(), site.init)


def secret_verdict(teams: Teams, now: float) -> Verdict:
    """What there is to say of the client secret, which does not tell its end: the config does."""
    ends = teams.client_secret_expires
    if ends is None:
        what = "a client secret; when it ends only Entra knows (Certificates & secrets): write the day into"
        return fine(f"{what} client_secret_expires, and you are warned")
    days = (ends - dt.datetime.fromtimestamp(now, dt.UTC).date()).days
    if days < _SOON_DAYS:
        how = f"ends in {days} days" if days > 0 else "has ended"
        what = f"the client secret {how}, as client_secret_expires says ({ends})"
        return warning(Fault.SECRET_ENDS_SOON, what, file=str(teams.client_secret_file or "its place"))
    return fine(f"client secret until {ends}, as client_secret_expires says")


def certificate_verdict(file: Path, begins: dt.datetime, ends: dt.datetime, now: float, init: str) -> Verdict:
    """What there is to say of the app's certificate by its days."""
    days = int((ends.timestamp() - now) // _DAY_S)
    words = {"file": str(file), "init": init}
    if now < begins.timestamp():
        what = f"{file} is valid from {begins:%Y-%m-%d} on only"
        return wrong(Fault.APP_CERTIFICATE_NOT_YET, what, **words)
    if now >= ends.timestamp():
        return wrong(Fault.APP_CERTIFICATE_ENDED, f"{file} ended on {ends:%Y-%m-%d}", **words)
    if days < _SOON_DAYS:
        return warning(Fault.APP_CERTIFICATE_ENDS_SOON, f"{file} ends in {days} days", **words)
    return fine(f"certificate until {ends:%Y-%m-%d}")


_HAS_A_PROBE: Final = {"app certificate", "client secret", "3CX licence"}


async def expiry(site: Site) -> Verdict:
    """All else that ends on a day of its own: authorities, servers' certificates, sign-ins."""
    now = site.outside.clock().wall()
    found = [one for one in of_config(site.config) if one.kind not in _HAS_A_PROBE]
    for look in servers_deadlines(site.config, site.outside):
        with contextlib.suppress(OSError, TimeoutError):  # the way there has probes of its own
            found += await look()
    if near := soon(found, now):
        cure = "; ".join(dict.fromkeys(one.cure for one in near))
        return warning(Fault.EXPIRES_SOON, "; ".join(one.what for one in near), expiry_cure=cure)
    first = min(found, key=lambda one: one.ends_at, default=None)
    return fine(f"first {in_words(first, now)}" if first else "nothing else that ends on a day of its own")


async def state_folder(site: Site) -> Verdict:
    """Whether the state can be kept: the folder, its rights, and room on its disk."""
    folder = site.config.state.dir
    if trouble := _unusable(folder):
        return wrong(Fault.STATE_FOLDER_UNUSABLE, trouble, folder=str(folder))
    there = next(one for one in (folder, *folder.parents) if one.exists())
    found = room_verdict(folder, shutil.disk_usage(there).free)
    if folder.is_dir() and folder.stat().st_uid != os.geteuid() and found.state is State.FINE:
        return fine(f"{found.what}; it is {folder.owner()}'s: better run doctor as that account")
    return found


def _unusable(folder: Path) -> str:
    """Why the service could not use it; empty if it could. It is made by the service if need be."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        who = "this account" if there == folder else f"this account, which would have to make {folder},"
        return f"{who} may not write to {there}"
    for file in folder.glob("*") if there == folder else ():
        if not os.access(file, os.R_OK | os.W_OK):
            return f"this account may not use {file}"
    return ""


def room_verdict(folder: Path, free: int) -> Verdict:
    """`free`: bytes that are left on the disk of the folder."""
    left = f"{free // 1_000_000} MB left on the disk of {folder}"
    if free < _FULL:
        return wrong(Fault.DISK_FULL, left, folder=str(folder))
    if free < _NEARLY_FULL:
        return warning(Fault.DISK_NEARLY_FULL, left, folder=str(folder))
    return fine(left)


def taken(listen: str) -> str:
    """Why we could not listen there; empty if we could."""
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(1)  # only this tells, where somebody else has it with SO_REUSEADDR too
        except OSError as error:
            return os.strerror(error.errno or errno.EIO)
    return ""


async def listeners(site: Site) -> Verdict:
    """Whether the addresses of the config can be had, while the service does not run."""
    config = site.config
    wanted = {"[operator] listen": config.operator.listen} | webhook_listen(config)
    if site.service is not None:
        return fine("the running service has them")
    for word, listen in wanted.items():
        if why := taken(listen):
            port = str(parse_listen(listen)[1])
            return wrong(
                Fault.PORT_TAKEN, f"{listen} can't be had: {why}", port=port, word=f"{word} in {site.file}"
            )
    return fine(" and ".join(wanted.values()) + " can be had")


def webhook_listen(config: Config) -> dict[str, str]:
    hook = config.teams.webhook
    return {"[teams.webhook] listen": hook.listen} if config.teams.delivery == "webhook" and hook else {}
