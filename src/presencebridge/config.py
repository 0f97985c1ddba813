"""The config file: what it may say, how it is read, and everything that can be wrong with it."""

import ipaddress
import os
import re
import stat
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from presencebridge.core.model import AVAILABLE, STATUSES, Presence, parse_pair
from presencebridge.core.policy import (
    AVAILABILITIES,
    NO_CHANGE,
    PRESETS,
    SESSION_PAIRS,
    Policy,
    canonical_status,
)
from presencebridge.errors import Misconfigured, Problem

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXTENSION: Final = re.compile(r"[0-9]{1,12}")

CLOUDS: Final = {
    "global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
    "usgov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
    "dod": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
}
"""Graph and sign-in hosts of the clouds that have presence: https://learn.microsoft.com/graph/deployments"""

Direction = Literal["both", "teams-to-3cx", "3cx-to-teams"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: a word that is not known is an error, not a silence."""


class Webhook(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    public_url: str
    """Where Microsoft reaches us; https, except on loopback."""
    listen: str = "127.0.0.1:8765"
    watchers: tuple[str, ...] = ("default",)
    """Names of the signed-in accounts that own presence subscriptions; each watches up to 650 people."""


class Teams(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant_id: str
    client_id: str
    certificate_file: Path | None = None
    """PEM with the app's certificate and its private key."""
    client_secret_file: Path | None = None
    delivery: Literal["poll", "webhook"] = "poll"
    poll_every_s: float = 5.0
    """How often everybody's presence is read with delivery "poll"."""
    reconcile_every_s: float = 300.0
    """How often everything is read from both sides, whatever was notified."""
    cloud: Literal["global", "usgov", "dod"] = "global"
    graph_url: str = ""
    login_url: str = ""
    ca_file: Path | None = None
    on_stop: Literal["clear", "leave"] = "clear"
    """What an orderly stop does with our presence sessions: end them, or leave them to their lease."""
    webhook: Webhook | None = None


class Pbx(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["3cx-web-api", "3cx-v20"]
    url: str
    poll_every_s: float = 2.0
    """How often calls are read."""
    status_every_s: float = 30.0
    """How often everybody's status is read, as far as the bridge keeps up."""
    timeout_s: float = 5.0
    """After this long a request counts as never answered."""
    ca_file: Path | None = None
    client_id: str = ""
    client_secret_file: Path | None = None


class People(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    match: Literal["list", "email"] = "list"
    exclude: tuple[str, ...] = ()
    """Extensions or Teams names that are left alone."""


class PolicySection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    preset: Literal["seed", "calls-only", "mirror", "custom"] = "seed"
    manual_wins: bool = False
    direction: Direction = "both"
    busy_while_ringing: bool = False
    min_call_s: float = 0.0
    lease_s: int = 300
    teams_to_3cx: dict[str, str] = {}
    """Rows laid over the preset's: "Busy" or "Busy/InAMeeting" or "*/InACall" = a status or "no change"."""
    threecx_to_teams: dict[str, str] = {}
    """Rows laid over the preset's: "call" or a status = "Busy/InACall" or "no change"."""


class Person(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    teams: str
    extension: str
    preset: Literal["seed", "calls-only", "mirror", "custom"] | None = None
    manual_wins: bool | None = None
    direction: Direction | None = None
    exclude: bool = False


class Operator(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8080"


class StateSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dir: Path = Path("/var/lib/presencebridge")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One site: an Entra tenant and a PBX."""

    teams: Teams
    pbx: Pbx
    person: tuple[Person, ...]
    people: People = People()
    policy: PolicySection = PolicySection()
    operator: Operator = Operator()
    state: StateSection = StateSection()

    @property
    def graph_url(self) -> str:
        return (self.teams.graph_url or CLOUDS[self.teams.cloud][0]).rstrip("/")

    @property
    def login_url(self) -> str:
        return (self.teams.login_url or CLOUDS[self.teams.cloud][1]).rstrip("/")

    def policy_of(self, person: Person) -> Policy:
        """The rules for one person: their own words over the site's."""
        section = self.policy
        site = {name: getattr(section, name) for name in ("preset", "manual_wins", "direction")}
        own = {name: getattr(person, name) for name in site if getattr(person, name) is not None}
        policy = _policy(msgspec.structs.replace(section, **{**site, **own}))
        return replace(policy, excluded=self.is_excluded(person))

    def is_excluded(self, person: Person) -> bool:
        left_alone = {name.casefold() for name in self.people.exclude}
        return person.exclude or bool(left_alone & {person.teams.casefold(), person.extension.casefold()})


_SECRETS: Final = ("client_secret", "secret", "password")

_SECTIONS: Final[dict[str, type[_Section]]] = {
    "teams": Teams,
    "pbx": Pbx,
    "people": People,
    "person": Person,
    "policy": PolicySection,
    "operator": Operator,
    "state": StateSection,
}


def load(path: Path) -> Config:
    """Read and check a config file. Raises `Misconfigured` with every problem that was found."""
    raw = _read(path)
    problems: list[Problem] = []
    sections: dict[str, Any] = {}
    for name in raw:
        if name not in _SECTIONS:
            known = ", ".join(_SECTIONS)
            problems.append(Problem(f"[{name}]", "no such section", f"known sections: {known}"))
    for name, kind in _SECTIONS.items():
        if name in raw and name == "person":
            sections[name] = _people(raw[name], problems)
        elif name in raw:
            sections[name] = _section(name, raw[name], kind, problems)
        elif name in {"teams", "pbx"}:
            problems.append(Problem(f"[{name}]", "the section is missing", f"add [{name}]; see the README"))
        elif name == "person":
            sections[name] = ()
    if problems:
        raise Misconfigured(problems)
    config = _beside(Config(**sections), path.resolve().parent)
    problems = check(config)
    if problems:
        raise Misconfigured(problems)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        problem = Problem(str(path), "the file is not there", "name the config file with --config")
    except UnicodeDecodeError as error:
        problem = Problem(str(path), f"is not UTF-8: {error}", "save the file in the encoding UTF-8")
    except OSError as error:
        problem = Problem(str(path), f"can't be read: {error.strerror}", "mend the file's permissions")
    except tomllib.TOMLDecodeError as error:
        cure = "mend that line: texts stand in straight quotes, and each person is a [[person]]"
        problem = Problem(str(path), f"is not TOML: {error}", cure)
    raise Misconfigured([problem])


_S = TypeVar("_S", bound=_Section)


def _section(name: str, raw: Any, kind: type[_S], problems: list[Problem]) -> _S | None:
    """One section as its struct, or None with a problem for each word that is wrong."""
    return _struct(f"[{name}]", raw, kind, problems)


def _people(raw: Any, problems: list[Problem]) -> tuple[Person | None, ...]:
    if not isinstance(raw, list):
        problems.append(
            Problem("[person]", "is not a list", "each person is a [[person]], in double brackets")
        )
        return ()
    return tuple(_struct(f"[[person]] {number}", one, Person, problems) for number, one in enumerate(raw, 1))


def _struct(where: str, raw: Any, kind: type[_S], problems: list[Problem]) -> _S | None:
    if not isinstance(raw, dict):
        problems.append(Problem(where, "is not a section", f"write {where} and its words below it"))
        return None
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found: dict[str, Any] = {}
    known_problems = len(problems)
    for word, value in raw.items():
        if word in _SECRETS:
            cure = "write it into a file of mode 0600 and name that with client_secret_file"
            problems.append(Problem(f"{where} {word}", "a secret stands in the config", cure))
        elif word not in fields:
            cure = f"known words here: {', '.join(fields)}"
            problems.append(Problem(f"{where} {word}", "no such word", cure))
        elif kind is Teams and word == "webhook":
            found[word] = _struct("[teams.webhook]", value, Webhook, problems)
        else:
            try:
                found[word] = msgspec.convert(value, fields[word].type, str_keys=True, dec_hook=_path)
            except msgspec.ValidationError as error:
                what = str(error).partition(" - at `")[0]
                problems.append(Problem(f"{where} {word}", what, _cure(fields[word].type)))
    for word, field in fields.items():
        if field.required and word not in raw:
            problems.append(Problem(f"{where} {word}", "is missing", f"add a line {word} = ..."))
    return kind(**found) if len(problems) == known_problems else None


def _cure(kind: Any) -> str:
    """What a value of this kind looks like."""
    if typing.get_origin(kind) is types.UnionType:
        return _cure(next(one for one in typing.get_args(kind) if one is not type(None)))
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return 'a list of texts, such as ["one", "two"]'
    looks = {
        bool: "true or false, without quotes",
        str: "a text in quotes",
        Path: "a path in quotes",
        float: "a number, without quotes",
        int: "a whole number, without quotes",
    }
    return looks.get(kind, "mend the value")


def _path(kind: type, value: object) -> object:
    if kind is not Path:
        raise NotImplementedError(kind)  # how a hook tells msgspec that the type is not its business
    if not isinstance(value, str):
        raise ValueError("a path is a text in quotes")  # noqa: TRY004 - what msgspec takes for invalid
    return Path(value)


def _beside(config: Config, folder: Path) -> Config:
    """Paths in the file are relative to the file, so that a site's folder can be moved as a whole."""

    def absolute(path: Path | None) -> Path | None:
        return folder / path if path is not None else None

    teams, pbx = config.teams, config.pbx
    return replace(
        config,
        teams=replace(
            teams,
            ca_file=absolute(teams.ca_file),
            certificate_file=absolute(teams.certificate_file),
            client_secret_file=absolute(teams.client_secret_file),
        ),
        pbx=replace(pbx, ca_file=absolute(pbx.ca_file), client_secret_file=absolute(pbx.client_secret_file)),
        state=replace(config.state, dir=folder / config.state.dir),
    )


# What can be wrong --------------------------------------------------------------------------------


def check(config: Config) -> list[Problem]:
    """Every problem with its cure; an empty list means that the service can start."""
    return [
        *_check_teams(config),
        *_check_webhook(config),
        *_check_pbx(config),
        *_check_people(config),
        *_check_policy(config),
        *_check_addresses(config),
    ]


def advise(config: Config) -> list[Problem]:
    """What works and is still worth mending."""
    found = []
    teams, pbx = config.teams, config.pbx
    for path in (teams.certificate_file, teams.client_secret_file, pbx.client_secret_file):
        if path and path.is_file() and path.stat().st_mode & stat.S_IROTH:
            found.append(Problem(str(path), "everybody on this machine can read it", f"chmod 0600 {path}"))
    host = parse_listen(config.operator.listen)[0]
    if not is_loopback(host):
        cure = 'listen = "127.0.0.1:8080", and a reverse proxy with a password in front of it'
        found.append(Problem("[operator] listen", "the page shows everybody's presence to the network", cure))
    if any(pair.availability == "Away" for pair in _policy(config.policy).pair_for.values()):
        what = "Teams never shows an Away of ours while a Teams client of the person is active"
        found.append(Problem("[policy.threecx_to_teams]", what, 'map it to "no change"'))
    return found


def _check_teams(config: Config) -> list[Problem]:
    teams, problems = config.teams, []
    for name in ("tenant_id", "client_id") if not teams.login_url else ():
        if not _GUID.fullmatch(getattr(teams, name)):
            cure = "copy it from the app registration's overview page in Entra"
            problems.append(Problem(f"[teams] {name}", "is not a GUID", cure))
    if teams.certificate_file and teams.client_secret_file:
        cure = "keep certificate_file and delete client_secret_file"
        problems.append(Problem("[teams]", "both a certificate and a client secret are named", cure))
    elif teams.certificate_file:
        problems += _check_secret_file("[teams] certificate_file", teams.certificate_file)
    elif teams.client_secret_file:
        problems += _check_secret_file("[teams] client_secret_file", teams.client_secret_file)
    elif secret("teams-client-secret") is None:
        cure = (
            "name a certificate_file or a client_secret_file, or set PRESENCEBRIDGE_TEAMS_CLIENT_SECRET, "
            "or load the systemd credential teams-client-secret"
        )
        problems.append(Problem("[teams]", "no credential of the app is given", cure))
    problems += _check_ca("[teams] ca_file", teams.ca_file)
    for name in ("graph_url", "login_url"):
        url = getattr(teams, name)
        if url:
            problems += _check_url(f"[teams] {name}", url)
    for name, least in (("poll_every_s", 1.0), ("reconcile_every_s", 5.0)):
        problems += _check_least(f"[teams] {name}", getattr(teams, name), least)
    return problems


def _check_webhook(config: Config) -> list[Problem]:
    teams, hook = config.teams, config.teams.webhook
    if teams.delivery != "webhook":
        return []
    if hook is None:
        cure = 'add [teams.webhook] with public_url, or use delivery = "poll"'
        return [Problem("[teams] delivery", "webhook needs a public_url", cure)]
    problems = _check_url("[teams.webhook] public_url", hook.public_url)
    if teams.cloud != "global":
        cure = 'use delivery = "poll"'
        what = f"Microsoft offers no presence subscriptions in the cloud {teams.cloud}"
        problems.append(Problem("[teams] delivery", what, cure))
    if not hook.watchers or len(set(hook.watchers)) != len(hook.watchers):
        cure = 'give each account a name of its own, such as watchers = ["default"]'
        problems.append(Problem("[teams.webhook] watchers", "must be names that differ", cure))
    for name in hook.watchers:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
            cure = "use letters, digits, - and _; the name becomes part of a file name"
            problems.append(Problem("[teams.webhook] watchers", f"{name!r} can't be used", cure))
    allowed = 650 * len(hook.watchers)
    watched = sum(not config.is_excluded(person) for person in config.person)
    if hook.watchers and watched > allowed:
        what = f"{watched} people, and {len(hook.watchers)} watcher(s) can watch {allowed}"
        problems.append(Problem("[teams.webhook] watchers", what, "name one more watcher per 650 people"))
    return problems


def _check_pbx(config: Config) -> list[Problem]:
    pbx = config.pbx
    problems = []
    if pbx.kind == "3cx-v20":
        problems += _check_api_client(pbx)
    parts = urlsplit(pbx.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        cure = 'such as url = "http://127.0.0.1:8889"'
        problems.append(Problem("[pbx] url", "is not an http or https address", cure))
    elif parts.path.strip("/") or parts.query:
        cure = f'only the address: url = "{parts.scheme}://{parts.netloc}"'
        problems.append(Problem("[pbx] url", f"has a path ({parts.path}) that does not belong there", cure))
    problems += _check_ca("[pbx] ca_file", pbx.ca_file)
    for name, least in (("poll_every_s", 0.2), ("status_every_s", 1.0), ("timeout_s", 0.5)):
        problems += _check_least(f"[pbx] {name}", getattr(pbx, name), least)
    return problems


def _check_api_client(pbx: Pbx) -> list[Problem]:
    problems = []
    if not pbx.client_id:
        cure = "make an API client in 3CX under Integrations > API, and give its client id"
        problems.append(Problem("[pbx] client_id", "is missing", cure))
    if pbx.client_secret_file:
        problems += _check_secret_file("[pbx] client_secret_file", pbx.client_secret_file)
    elif secret("pbx-client-secret") is None:
        cure = (
            "write the API client's key into a file and name that with client_secret_file, "
            "or set PRESENCEBRIDGE_PBX_CLIENT_SECRET, or load the systemd credential pbx-client-secret"
        )
        problems.append(Problem("[pbx]", "the API client's key is missing", cure))
    return problems + _check_url("[pbx] url", pbx.url)


def _check_people(config: Config) -> list[Problem]:
    problems = []
    if config.people.match == "email":
        cure = 'use match = "list" and name everybody in a [[person]]'
        what = "nobody can be found by mail address yet"
        problems.append(Problem("[people] match", what, cure))
    elif not config.person:
        cure = 'add [[person]] with teams = "name@example.org" and extension = "101"'
        problems.append(Problem("[[person]]", "nobody is named", cure))
    for field in ("teams", "extension"):
        seen: set[str] = set()
        for person in config.person:
            name = getattr(person, field).casefold()
            if name in seen:
                cure = "one Teams user belongs to one extension: delete the second entry"
                problems.append(Problem(f"[[person]] {field}", f"{name} is named twice", cure))
            seen.add(name)
    for person in config.person:
        if not _EXTENSION.fullmatch(person.extension):
            cure = 'extensions are digits in quotes, such as extension = "101"'
            what = f"{person.extension!r} is not an extension number"
            problems.append(Problem("[[person]] extension", what, cure))
        if not (_GUID.fullmatch(person.teams) or "@" in person.teams):
            cure = "give the user principal name, the mail address or the object id"
            problems.append(Problem("[[person]] teams", f"{person.teams!r} is not a Teams user", cure))
    return problems


def _check_policy(config: Config) -> list[Problem]:
    section = config.policy
    problems = []
    if not 300 <= section.lease_s <= 14400:
        cure = "Graph takes 300 to 14400 seconds (5 minutes to 4 hours)"
        problems.append(Problem("[policy] lease_s", f"{section.lease_s} is out of range", cure))
    problems += _check_least("[policy] min_call_s", section.min_call_s, 0.0)
    for row, status in section.teams_to_3cx.items():
        where = f"[policy.teams_to_3cx] {row!r}"
        word = row.partition("/")[0]
        if word != "*" and word.casefold() not in {name.casefold() for name in AVAILABILITIES}:
            cure = f"Teams knows {', '.join(AVAILABILITIES)}"
            problems.append(Problem(where, f"{word!r} is not an availability", cure))
        if status != NO_CHANGE and canonical_status(status) is None:
            cure = f'use one of {", ".join(STATUSES)}, or "{NO_CHANGE}"'
            problems.append(Problem(where, f"{status!r} is not a status", cure))
    for row, pair in section.threecx_to_teams.items():
        problems += _check_pair_row(row, pair)
    if problems:
        return problems
    for preset in dict.fromkeys(
        [section.preset, *(person.preset for person in config.person if person.preset)]
    ):
        policy = _policy(replace(section, preset=preset))
        takes = {status for status in policy.status_for.values() if status not in (NO_CHANGE, AVAILABLE)}
        if takes and AVAILABLE not in policy.status_for.values():
            cure = 'add a row such as "Available" = "Available"'
            what = f"with the preset {preset}, nothing would ever take {', '.join(sorted(takes))} back"
            problems.append(Problem("[policy.teams_to_3cx]", what, cure))
    return problems


def _check_pair_row(row: str, text: str) -> list[Problem]:
    where = f"[policy.threecx_to_teams] {row!r}"
    problems = []
    if row != "call" and canonical_status(row) is None:
        cure = f'use "call" or one of {", ".join(STATUSES)}'
        problems.append(Problem(where, "is neither a call nor a status", cure))
    if text != NO_CHANGE and _session_pair(text) is None:
        cure = f'Graph takes {", ".join(map(str, SESSION_PAIRS))}; or "{NO_CHANGE}"'
        problems.append(Problem(where, f"Graph refuses the pair {text!r}", cure))
    return problems


def _check_addresses(config: Config) -> list[Problem]:
    problems = []
    listens = {"[operator] listen": config.operator.listen}
    if config.teams.webhook and config.teams.delivery == "webhook":
        listens["[teams.webhook] listen"] = config.teams.webhook.listen
    for where, text in listens.items():
        try:
            parse_listen(text)
        except ValueError as error:
            problems.append(Problem(where, str(error), 'such as listen = "127.0.0.1:8080"'))
    if len(set(listens.values())) < len(listens) and not config.operator.listen.endswith(":0"):
        cure = "strangers reach the webhook listener, so the operator's needs a port of its own"
        problems.append(Problem("[operator] listen", "is the webhook's address too", cure))
    return problems


def _check_url(where: str, url: str) -> list[Problem]:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return []
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return []
    return [Problem(where, f"{url!r} is not an https address", "https, except on loopback")]


def _check_ca(where: str, path: Path | None) -> list[Problem]:
    if path is None or path.is_file():
        return []
    return [Problem(where, f"{path} is not there", "name the authority's certificate as a PEM file")]


def _check_secret_file(where: str, path: Path) -> list[Problem]:
    if not path.is_file():
        return [Problem(where, f"{path} is not there", "write the secret into that file, mode 0600")]
    if path.stat().st_size == 0:
        return [Problem(where, f"{path} is empty", "write the secret into that file")]
    return []


def _check_least(where: str, value: float, least: float) -> list[Problem]:
    return [] if value >= least else [Problem(where, f"{value:g} is too small", f"at least {least:g}")]


# What the sections mean ---------------------------------------------------------------------------


def _policy(section: PolicySection) -> Policy:
    preset = PRESETS[section.preset]
    rows = {row.casefold(): _status(text) for row, text in section.teams_to_3cx.items()}
    call_pair, pairs = preset.call_pair, dict(preset.pair_for)
    for row, text in section.threecx_to_teams.items():
        pair = _session_pair(text)
        if row == "call":
            call_pair = pair
        elif pair:
            pairs[_status(row).casefold()] = pair
        else:
            pairs.pop(_status(row).casefold(), None)
    return replace(
        preset,
        teams_to_3cx=section.direction != "3cx-to-teams",
        threecx_to_teams=section.direction != "teams-to-3cx",
        manual_wins=section.manual_wins,
        busy_while_ringing=section.busy_while_ringing,
        min_call_s=section.min_call_s,
        lease_s=section.lease_s,
        status_for={**preset.status_for, **rows},
        call_pair=call_pair,
        pair_for=pairs,
    )


def _status(text: str) -> str:
    return canonical_status(text) or NO_CHANGE


def _session_pair(text: str) -> Presence | None:
    try:
        wanted = parse_pair(text)
    except ValueError:
        return None
    return next((pair for pair in SESSION_PAIRS if pair.same_as(wanted)), None)


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:8080` or `[::1]:8080` as host and port. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not of the form address:port")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secret(name: str, file: Path | None = None) -> str | None:
    """A secret from its file, the environment, or systemd's credentials; None if it is nowhere.

    `teams-client-secret` is PRESENCEBRIDGE_TEAMS_CLIENT_SECRET in the environment.
    """
    if file is not None:
        return file.read_text("utf-8").strip()
    variable = "PRESENCEBRIDGE_" + name.upper().replace("-", "_")
    if os.environ.get(variable):
        return os.environ[variable]
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / name).is_file():
        return (Path(folder) / name).read_text("utf-8").strip()
    return None
