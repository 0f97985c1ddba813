"""What goes into the bundle: gathered from this machine, and from the running service if there is one."""

import contextlib
import datetime as dt
import importlib.metadata
import json
import locale
import os
import platform
import pwd
import re
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from presencebridge import __version__
from presencebridge.config import Config, Operator, parse_listen, secret
from presencebridge.support.pseudonyms import Pseudonyms

_TIMEOUT_S: Final = 10.0
_STORIES_A_PERSON: Final = 20
_MOST_PEOPLE_IN_FULL: Final = 200
_OURS: Final = "presencebridge"
_STATUS: Final = ("ready", "out_of_step", "dry_run", "links", "expiring")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Files = dict[str, Any]
"""The bundle's files by name, before the stand-ins: a text, or a value as of JSON."""


# This machine -------------------------------------------------------------------------------------


def versions() -> dict[str, Any]:
    """Ours, Python's and those of everything that we stand on."""
    needs = importlib.metadata.requires(_OURS) or []
    names = sorted(
        {need.partition(";")[0].partition(">")[0].strip() for need in needs if "extra" not in need}
    )
    return {
        "presencebridge": __version__,
        "python": sys.version,
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "packages": {name: _version(name) for name in names},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def environment(config: Config) -> dict[str, Any]:
    """Operating system, time, disk, and how the service finds its way out."""
    folder = config.state.dir
    there = next(one for one in (folder, *folder.parents) if one.exists())
    usage = shutil.disk_usage(there)
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        system = ""
    return {
        "system": system,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "load": _first_line(Path("/proc/loadavg")),
        "time zone": time.tzname[0],
        "time kept by the network": _said("timedatectl", "show", "--property=NTPSynchronized", "--value"),
        "language": locale.getlocale()[0],
        "runs as root": os.geteuid() == 0,
        "disk of the state folder": {"free_mb": usage.free // 1_000_000, "of_mb": usage.total // 1_000_000},
        "state folder": _listed(folder),
        "proxies in the environment": [name for name in os.environ if name.casefold() in _PROXIES],
        "secrets in the environment": [name for name in os.environ if name.startswith("PRESENCEBRIDGE_")],
        "systemd": {
            "notify": "NOTIFY_SOCKET" in os.environ,
            "credentials": "CREDENTIALS_DIRECTORY" in os.environ,
        },
    }


def _first_line(file: Path) -> str:
    try:
        return file.read_text("utf-8").partition("\n")[0]
    except OSError:
        return ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "not known"
    return done.stdout.strip() or "not known"


def _listed(folder: Path) -> list[str]:
    """Name, mode and size of the files of the state folder; nothing of what is in them."""
    try:
        found = sorted(folder.iterdir())
        return [f"{one.name} {stat.filemode(one.stat().st_mode)} {one.stat().st_size}" for one in found]
    except OSError as error:
        return [f"can't be read: {error.strerror}"]


def config_file(file: Path) -> dict[str, Any]:
    """What the config says, without its comments; of a path only its end."""
    return {name: _plain(one) for name, one in tomllib.loads(file.read_text("utf-8-sig")).items()}


def _plain(value: Any, word: str = "") -> Any:
    match value:
        case dict():
            return {name: _plain(one, name) for name, one in value.items()}
        case list():
            return [_plain(one, word) for one in value]
        case str() if word.endswith("_file") or word == "dir":
            return f".../{Path(value).name}"
        case str() | bool() | int() | float():
            return value
        case _:
            return str(value)


# The running service ------------------------------------------------------------------------------


class Service:
    """What the running service says of itself; nothing of it where none runs."""

    def __init__(self, http: httpx2.Client, prefix: str, name: str, now: float) -> None:
        """`prefix` leads to the site called `name`, where there are several."""
        self._http = http
        self._prefix = prefix
        self._name = name
        self._now = now
        self.overview: dict[str, Any] = self._json("/api/people") or {}
        self.matching: dict[str, Any] = self._json("/api/matching") or {}

    def files(self, *, with_people: bool) -> Files:
        """By name; empty where no service answers."""
        if not self.overview:
            return {}
        status = {name: self.overview.get(name) for name in _STATUS}
        conditions = [str(one.get("condition")) for one in self.overview.get("people", [])]
        status["people"] = {name: conditions.count(name) for name in sorted(set(conditions))}
        readyz = self._text(f"{self._prefix}/readyz")
        status |= {"livez": self._text("/livez"), "readyz": readyz}
        found: Files = {"status.json": status, "metrics.txt": self._metrics()}
        if with_people:
            found["people.json"] = self._people()
        log = self._json("/api/log") or []
        log = [line for line in log if with_people or "person" not in line]
        found["log.json"] = [self._ago(line) if "person" in line else line for line in log]
        return found

    def _metrics(self) -> str:
        """Without those of other sites."""
        lines = self._text("/metrics").splitlines()
        ours = f'site="{self._name}"'
        return "".join(f"{line}\n" for line in lines if line.startswith("#") or ours in line)

    def _people(self) -> list[dict[str, Any]]:
        """Everybody as they stand, and what was decided last; times only as so many seconds ago."""
        found = []
        people = self.overview.get("people", [])
        people = sorted(people, key=lambda one: one.get("condition") != "trouble")
        for one in people[:_MOST_PEOPLE_IN_FULL]:
            page = self._json(f"/api/people/{one['extension']}") or {}
            stories = page.get("why", [])[-_STORIES_A_PERSON:]
            found.append({"now": self._ago(one), "why": self._ago(stories)})
        return found

    def _ago(self, value: Any) -> Any:
        match value:
            case dict():
                return {name: self._ago(one) for name, one in value.items()}
            case list():
                return [self._ago(one) for one in value]
            case str():
                return _ago(value, self._now)
            case _:
                return value

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._text(f"{self._prefix}{path}"))
        except ValueError:
            return None

    def _text(self, path: str) -> str:
        try:
            answer = self._http.get(path)
        except httpx2.HTTPError:
            return ""
        return answer.text if answer.status_code in {200, 503} else ""


def client(operator: Operator) -> httpx2.Client:
    """Asks the service that runs with this section."""
    host, port = parse_listen(operator.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens everywhere
    token = secret("operator-token", operator.token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return httpx2.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S, trust_env=False)


def _ago(text: str, now: float) -> str:
    """`312 s ago` instead of a time; any other text as it is."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", text):
        return text
    seconds = now - dt.datetime.fromisoformat(text).timestamp()
    return f"{seconds:.0f} s ago" if seconds >= 0 else f"in {-seconds:.0f} s"


# What is private ----------------------------------------------------------------------------------


def learn(hidden: Pseudonyms, config: Config, service: Service) -> None:
    """Tell the stand-ins of all that is known to be private: secrets, people, ids, hosts, this machine."""
    for text in _secrets(config):
        hidden.secret(text)
    for one in config.person:
        hidden.person(one.extension, [one.teams])
    for one in service.overview.get("people", []):
        hidden.person(one["extension"], [one["teams_name"], one["name"]])
    for one in [*service.matching.get("matched", []), *service.matching.get("left", [])]:
        hidden.person(one["extension"], [one["name"], one.get("teams_name", ""), one.get("address", "")])
    for word in config.people.exclude:
        hidden.person(word if word.isdigit() else "", [] if word.isdigit() else [word])
    _learn_names(hidden, config)


def _learn_names(hidden: Pseudonyms, config: Config) -> None:
    teams, pbx, hook = config.teams, config.pbx, config.teams.webhook
    hidden.hide("tenant", teams.tenant_id)
    hidden.hide("app", teams.client_id)
    hidden.hide("client", pbx.client_id)
    for url in (config.graph_url, config.login_url, pbx.url, pbx.bridge.url if pbx.bridge else ""):
        hidden.hide_address(url)
    for host in config.operator.hosts:
        hidden.hide("host", host)
    if hook:
        hidden.hide_address(hook.public_url)
        hidden.hide("path", urlsplit(hook.public_url).path.strip("/"))
        for name in hook.watchers:
            hidden.hide("watcher", name)
    for machine in {socket.gethostname(), socket.getfqdn()}:
        hidden.hide("machine", machine)
    account = pwd.getpwuid(os.geteuid()).pw_name
    if account not in {"root", _OURS}:
        hidden.person("", [account])


def _secrets(config: Config) -> Iterator[str]:
    """Those of the config, so that not even a piece of a library's error can hold one."""
    teams, pbx, bridge = config.teams, config.pbx, config.pbx.bridge
    for name, file in (
        ("teams-client-secret", teams.client_secret_file),
        ("pbx-client-secret", pbx.client_secret_file),
        ("pbx-bridge-api-key", bridge.api_key_file if bridge else None),
        ("operator-token", config.operator.token_file),
    ):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield secret(name, file) or ""
