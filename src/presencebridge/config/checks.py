"""Everything that can be wrong with what the sections say, each with its cure.

Each check is a generator that looks at one matter. Where a word could not be read, the check stops when it
comes to that word: its problem is told already, and what hangs on it can't be judged.
"""

import os
import re
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from presencebridge.config.addresses import is_loopback, parse_listen
from presencebridge.config.cluster_section import problems_of
from presencebridge.config.draft import Unread
from presencebridge.config.node_file import NodeConfig
from presencebridge.config.policy_section import PolicySection, session_pair
from presencebridge.config.secret_sources import secret
from presencebridge.config.sections import (
    CLOUDS,
    NO_PRESENCE,
    Config,
    Operator,
    Pbx,
    PbxBridge,
    Person,
    Teams,
)
from presencebridge.core.model import AVAILABLE, STATUSES
from presencebridge.core.policy import AVAILABILITIES, NO_CHANGE, SESSION_PAIRS, canonical_status
from presencebridge.errors import Problem

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXTENSION: Final = re.compile(r"[0-9]{1,12}")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LONGEST_DAY_H: Final = 24
_LEAST_TOKEN: Final = 16
_HOW_TO_MAKE: Final = (
    f"write {_LEAST_TOKEN} or more letters and digits into it, mode 0600: openssl rand -hex 32"
)

_UNFIT: Final = "the token is too short, or holds other characters"
_WATCHER: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MOST_WATCHED: Final = 650
"""People one account can watch: https://learn.microsoft.com/graph/changenotifications-for-presence"""

Problems = Iterator[Problem]
_T = TypeVar("_T")


def check(config: Config) -> list[Problem]:
    """Every problem with its cure; an empty list means that the service can start."""
    return list(chain.from_iterable(_as_far_as_read(one) for one in _as_far_as_read(_matters(config))))


def check_node(node: NodeConfig) -> list[Problem]:
    """The same for `node.toml`."""
    return list(chain.from_iterable(_as_far_as_read(one) for one in _as_far_as_read(_node_matters(node))))


def _node_matters(node: NodeConfig) -> Iterator[Problems]:
    yield _listen("[operator] listen", node.operator.listen)
    yield _operator_token(node.operator)
    yield _operator_hosts(node.operator)
    yield _listen("[webhook] listen", node.webhook.listen)
    yield _two_ports(node.operator.listen, node.webhook.listen)
    yield _accesses(node)
    yield iter(problems_of(node.cluster) if node.cluster else ())


def _as_far_as_read(found: Iterator[_T]) -> Iterator[_T]:
    try:
        yield from found
    except Unread:
        return


def _matters(config: Config) -> Iterator[Problems]:
    teams, pbx, policy = config.teams, config.pbx, config.policy
    yield _guid(teams, "tenant_id")
    yield _guid(teams, "client_id")
    yield _credential(teams)
    yield _ca("[teams] ca_file", teams)
    yield _cloud(teams, "graph_url")
    yield _cloud(teams, "login_url")
    yield _at_least("[teams] poll_every_s", teams, 1.0)
    yield _at_least("[teams] reconcile_every_s", teams, 5.0)

    yield _delivery(config)
    yield _public_url(teams)
    yield _watchers(teams)
    yield _enough_watchers(config)

    yield _pbx_url(pbx)
    yield _api_client_id(pbx)
    yield _api_client_key(pbx)
    yield _ca("[pbx] ca_file", pbx)
    yield _at_least("[pbx] poll_every_s", pbx, 0.2)
    yield _at_least("[pbx] status_every_s", pbx, 1.0)
    yield _at_least("[pbx] timeout_s", pbx, 0.5)
    yield _status_via(pbx)
    yield _bridge_is_meant(pbx)
    yield _bridge_url(pbx)
    yield _bridge_key(pbx)
    yield _bridge_ca(pbx)

    yield _at_least("[policy] min_call_s", policy, 0.0)
    yield _lease(policy)
    yield _status_rows(policy)
    yield _pair_rows(policy)

    yield _operator_listen(config)
    yield _operator_day(config)
    yield _operator_token(config.operator)
    yield _operator_hosts(config.operator)
    yield _webhook_listen(teams)
    yield _own_port(config)

    yield _match(config)
    yield _at_least("[people] look_every_s", config.people, 10.0)
    yield _way_back(config)
    yield _named_once(config, "teams")
    yield _named_once(config, "extension")
    for number, person in enumerate(config.person, 1):
        yield _extension(f"[[person]] {number} extension", person)
        yield _teams_name(f"[[person]] {number} teams", person)


# [teams] ------------------------------------------------------------------------------------------


def _guid(teams: Teams, word: str) -> Problems:
    if not teams.login_url and not _GUID.fullmatch(getattr(teams, word)):
        cure = "copy it from the app registration's overview page in Entra"
        yield Problem(f"[teams] {word}", "is not a GUID", cure)


def _credential(teams: Teams) -> Problems:
    if teams.certificate_file and teams.client_secret_file:
        cure = "keep certificate_file and delete client_secret_file"
        yield Problem("[teams]", "both a certificate and a client secret are named", cure)
    elif teams.certificate_file:
        yield from _secret_file("[teams] certificate_file", teams.certificate_file)
    elif teams.client_secret_file:
        yield from _secret_file("[teams] client_secret_file", teams.client_secret_file)
    elif secret("teams-client-secret") is None:
        cure = (
            "name a certificate_file or a client_secret_file, or set PRESENCEBRIDGE_TEAMS_CLIENT_SECRET, "
            "or load the systemd credential teams-client-secret"
        )
        yield Problem("[teams]", "no credential of the app is given", cure)


def _cloud(teams: Teams, word: str) -> Problems:
    url = getattr(teams, word)
    if url:
        yield from _url(f"[teams] {word}", url)
        if (_parts(url)[1] or "").endswith(".chinacloudapi.cn"):
            yield Problem(f"[teams] {word}", *NO_PRESENCE)


def _delivery(config: Config) -> Problems:
    teams = config.teams
    if teams.delivery != "webhook":
        return
    if teams.webhook is None:
        cure = 'add [teams.webhook] with public_url, or use delivery = "poll"'
        yield Problem("[teams] delivery", "webhook needs a public_url", cure)
    named = next((name for name, (graph, _) in CLOUDS.items() if graph == config.graph_url), teams.cloud)
    for cloud in dict.fromkeys((teams.cloud, named)):
        if cloud != "global":
            what = f"Microsoft offers no presence subscriptions in the cloud {cloud}"
            yield Problem("[teams] delivery", what, 'use delivery = "poll"')


# [teams.webhook] ----------------------------------------------------------------------------------


def _public_url(teams: Teams) -> Problems:
    if teams.delivery == "webhook" and teams.webhook:
        yield from _url("[teams.webhook] public_url", teams.webhook.public_url)


def _watchers(teams: Teams) -> Problems:
    if teams.delivery != "webhook" or not teams.webhook:
        return
    where, names = "[teams.webhook] watchers", teams.webhook.watchers
    if not names or len(set(names)) != len(names):
        cure = 'give each account a name of its own, such as watchers = ["default"]'
        yield Problem(where, "must be names that differ", cure)
    for name in dict.fromkeys(names):
        if not _WATCHER.fullmatch(name):
            cure = "use letters, digits, - and _; the name becomes part of a file name"
            yield Problem(where, f"{name!r} can't be used", cure)


def _enough_watchers(config: Config) -> Problems:
    teams = config.teams
    if teams.delivery != "webhook" or not teams.webhook:
        return
    watchers = len(teams.webhook.watchers)
    watched = sum(not config.is_excluded(person) for person in config.person)
    if watchers and watched > _MOST_WATCHED * watchers:
        what = f"{watched} people, and {watchers} watcher(s) can watch {_MOST_WATCHED * watchers}"
        yield Problem("[teams.webhook] watchers", what, f"name one more watcher per {_MOST_WATCHED} people")


# [pbx] --------------------------------------------------------------------------------------------


def _pbx_url(pbx: Pbx) -> Problems:
    problems = list(_bare_url("[pbx] url", pbx.url))
    yield from problems
    if not problems and pbx.kind == "3cx-v20":
        yield from _url("[pbx] url", pbx.url)


def _api_client_id(pbx: Pbx) -> Problems:
    if pbx.kind == "3cx-v20" and not pbx.client_id:
        cure = "make an API client in 3CX under Integrations > API, and give its client id"
        yield Problem("[pbx] client_id", "is missing", cure)


def _api_client_key(pbx: Pbx) -> Problems:
    if pbx.kind != "3cx-v20":
        return
    if pbx.client_secret_file:
        yield from _secret_file("[pbx] client_secret_file", pbx.client_secret_file)
    elif secret("pbx-client-secret") is None:
        cure = (
            "write the API client's key into a file and name that with client_secret_file, "
            "or set PRESENCEBRIDGE_PBX_CLIENT_SECRET, or load the systemd credential pbx-client-secret"
        )
        yield Problem("[pbx]", "the API client's key is missing", cure)


def _status_via(pbx: Pbx) -> Problems:
    if not pbx.status_via or len(set(pbx.status_via)) != len(pbx.status_via):
        cure = 'such as status_via = ["xapi"], or status_via = ["xapi", "bridge"]'
        yield Problem("[pbx] status_via", "must be at least one way, each named once", cure)
    if "bridge" in pbx.status_via and pbx.bridge is None:
        cure = 'add [pbx.bridge] with url = "http://127.0.0.1:8889", or take "bridge" out of status_via'
        yield Problem("[pbx] status_via", "names the bridge, and there is no [pbx.bridge]", cure)


def _bridge_is_meant(pbx: Pbx) -> Problems:
    # with the old bridge as the PBX, the whole section was refused already
    if pbx.kind == "3cx-v20" and pbx.bridge and "bridge" not in pbx.status_via:
        cure = 'use status_via = ["xapi", "bridge"] in [pbx], or delete the section'
        yield Problem("[pbx.bridge]", 'nothing goes through it: status_via does not name "bridge"', cure)


def _bridge_url(pbx: Pbx) -> Problems:
    if pbx.bridge:
        yield from _bare_url("[pbx.bridge] url", pbx.bridge.url)


def _bridge_key(pbx: Pbx) -> Problems:
    if not pbx.bridge or not pbx.bridge.api_key_file:
        return
    yield from _secret_file("[pbx.bridge] api_key_file", pbx.bridge.api_key_file)
    if pbx.bridge.kind == "3cx-web-api":
        cure = 'delete it, or set kind = "3cx-status-web-api" if that is what runs there'
        yield Problem("[pbx.bridge] api_key_file", "a bridge of the kind 3cx-web-api has no API key", cure)


def _bridge_ca(pbx: Pbx) -> Problems:
    if pbx.bridge:
        yield from _ca("[pbx.bridge] ca_file", pbx.bridge)


# [people] and [[person]] --------------------------------------------------------------------------


def _match(config: Config) -> Problems:
    if config.people.match == "list":
        if not config.person:
            cure = 'add [[person]] with teams = "name@example.org" and extension = "101"'
            yield Problem("[[person]]", "nobody is named", cure)
    elif config.pbx.kind == "3cx-web-api":
        cure = 'use match = "list" and name everybody in a [[person]]'
        what = "the bridge on the PBX has no list of users with their mail addresses"
        yield Problem("[people] match", what, cure)


def _named_once(config: Config, word: str) -> Problems:
    seen: dict[str, int] = {}
    for number, person in enumerate(config.person, 1):
        name = getattr(person, word).casefold()
        if seen.setdefault(name, number) != number:
            cure = "one Teams user belongs to one extension: delete the second entry"
            yield Problem(f"[[person]] {number} {word}", f"{name} is named twice", cure)


def _extension(where: str, person: Person) -> Problems:
    if not _EXTENSION.fullmatch(person.extension):
        cure = 'extensions are digits in quotes, such as extension = "101"'
        yield Problem(where, f"{person.extension!r} is not an extension number", cure)


def _teams_name(where: str, person: Person) -> Problems:
    if not (_GUID.fullmatch(person.teams) or "@" in person.teams):
        cure = "give the user principal name, the mail address or the object id"
        yield Problem(where, f"{person.teams!r} is not a Teams user", cure)


# [policy] -----------------------------------------------------------------------------------------


def _lease(policy: PolicySection) -> Problems:
    if not 300 <= policy.lease_s <= 14400:
        cure = "Graph takes 300 to 14400 seconds (5 minutes to 4 hours)"
        yield Problem("[policy] lease_s", f"{policy.lease_s} is out of range", cure)


def _status_rows(policy: PolicySection) -> Problems:
    for row, status in policy.teams_to_3cx.items():
        where = f"[policy.teams_to_3cx] {row!r}"
        word = row.partition("/")[0]
        if word != "*" and word.casefold() not in {name.casefold() for name in AVAILABILITIES}:
            cure = f"Teams knows {', '.join(AVAILABILITIES)}"
            yield Problem(where, f"{word!r} is not an availability", cure)
        if status != NO_CHANGE and canonical_status(status) is None:
            cure = f'use one of {", ".join(STATUSES)}, or "{NO_CHANGE}"'
            yield Problem(where, f"{status!r} is not a status", cure)


def _pair_rows(policy: PolicySection) -> Problems:
    for row, pair in policy.threecx_to_teams.items():
        where = f"[policy.threecx_to_teams] {row!r}"
        if row != "call" and canonical_status(row) is None:
            cure = f'use "call" or one of {", ".join(STATUSES)}'
            yield Problem(where, "is neither a call nor a status", cure)
        if pair != NO_CHANGE and session_pair(pair) is None:
            cure = f'Graph takes {", ".join(map(str, SESSION_PAIRS))}; or "{NO_CHANGE}"'
            yield Problem(where, f"Graph refuses the pair {pair!r}", cure)


def _way_back(config: Config) -> Problems:
    policy = config.policy
    if any(_status_rows(policy)):
        return
    for preset in dict.fromkeys([policy.preset, *(one.preset for one in config.person if one.preset)]):
        targets = set(policy.status_for(preset).values())
        takes = targets - {NO_CHANGE, AVAILABLE}
        if takes and AVAILABLE not in targets:
            cure = 'add a row such as "Available" = "Available"'
            what = f"with the preset {preset}, nothing would ever take {', '.join(sorted(takes))} back"
            yield Problem("[policy.teams_to_3cx]", what, cure)


# Listeners ----------------------------------------------------------------------------------------


def _operator_listen(config: Config) -> Problems:
    yield from _listen("[operator] listen", config.operator.listen)


def _operator_day(config: Config) -> Problems:
    if not 0 <= config.operator.day_hours <= _LONGEST_DAY_H:
        what = f"{config.operator.day_hours:g} hours are not between 0 and {_LONGEST_DAY_H}"
        yield Problem("[operator] day_hours", what, "0 keeps nothing; 8 is a working day")


def _operator_token(operator: Operator) -> Problems:
    try:
        token = secret("operator-token", operator.token_file)
    except (OSError, ValueError) as error:
        yield Problem("[operator] token_file", f"can't be read: {error}", _HOW_TO_MAKE)
        return
    if token is None:
        yield from _nobody_else_reaches(operator.listen)
    elif not _is_token(token):
        yield Problem("[operator] token_file", _UNFIT, _HOW_TO_MAKE)


def _accesses(node: NodeConfig) -> Problems:
    taken = {secret("operator-token", node.operator.token_file)}
    if node.access and taken == {None}:
        what = "limits some operators, and everybody without a token may see and do everything"
        yield Problem("[operator] token_file", what, "name a token_file for those who may")
    for number, access in enumerate(node.access, 1):
        where = f"[[operator.access]] {number}"
        try:
            token = secret("", access.token_file)
        except (OSError, ValueError) as error:
            yield Problem(f"{where} token_file", f"can't be read: {error}", _HOW_TO_MAKE)
            continue
        if token is None or not _is_token(token):
            yield Problem(f"{where} token_file", _UNFIT, _HOW_TO_MAKE)
        elif token in taken:
            cure = "each needs a token of its own, or nobody could tell them apart"
            yield Problem(f"{where} token_file", "holds a token that is used already", cure)
        taken.add(token)


def _is_token(text: str) -> bool:
    return len(text) >= _LEAST_TOKEN and text.isascii() and text.isprintable() and " " not in text


def _nobody_else_reaches(listen: str) -> Problems:
    try:
        host, _ = parse_listen(listen)
    except ValueError:
        return  # told already
    if not is_loopback(host):
        what = "the page would show everybody's presence to the network, and take orders from it"
        cure = 'name a token_file, or listen = "127.0.0.1:8080" and a proxy with a password before it'
        yield Problem("[operator] listen", what, cure)


def _operator_hosts(operator: Operator) -> Problems:
    for host in operator.hosts:
        if not _HOST.fullmatch(host):
            cure = 'such as hosts = ["bridge.example.com"], without scheme and port'
            yield Problem("[operator] hosts", f"{host[:80]!r} is not the name of a machine", cure)


def _webhook_listen(teams: Teams) -> Problems:
    if teams.delivery == "webhook" and teams.webhook:
        yield from _listen("[teams.webhook] listen", teams.webhook.listen)


def _own_port(config: Config) -> Problems:
    hook, listen = config.teams.webhook, config.operator.listen
    if config.teams.delivery == "webhook" and hook is not None:
        yield from _two_ports(listen, hook.listen)


def _two_ports(listen: str, hook: str) -> Problems:
    if listen == hook and not listen.endswith(":0"):
        cure = "strangers reach the webhook listener, so the operator's needs a port of its own"
        yield Problem("[operator] listen", "is the webhook's address too", cure)


# Kinds of values ----------------------------------------------------------------------------------


def _parts(url: str) -> tuple[str, str | None]:
    """Scheme and host; both empty if it is no address at all."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no port
    except ValueError:
        return "", None
    return parts.scheme, parts.hostname


def _url(where: str, url: str) -> Problems:
    scheme, host = _parts(url)
    if not (host and (scheme == "https" or (scheme == "http" and is_loopback(host)))):
        yield Problem(where, f"{url!r} is not an https address", "https, except on loopback")


def _bare_url(where: str, url: str) -> Problems:
    scheme, host = _parts(url)
    if scheme not in {"http", "https"} or not host:
        cure = 'such as url = "http://127.0.0.1:8889"'
        yield Problem(where, "is not an http or https address", cure)
        return
    parts = urlsplit(url)
    if parts.path.strip("/") or parts.query:
        cure = f'only the address: url = "{parts.scheme}://{parts.netloc}"'
        yield Problem(where, f"has a path ({parts.path}) that does not belong there", cure)


def _listen(where: str, text: str) -> Problems:
    try:
        parse_listen(text)
    except ValueError as error:
        yield Problem(where, str(error), 'such as listen = "127.0.0.1:8080"')


def _ca(where: str, section: Teams | Pbx | PbxBridge) -> Problems:
    if section.ca_file and _size(section.ca_file) is None:
        yield Problem(
            where, f"{section.ca_file} is not there", "name the authority's certificate as a PEM file"
        )


def _secret_file(where: str, path: Path) -> Problems:
    size = _size(path)
    if _kept_from_us(path):
        cure = "let the account of the service read it; with the Debian package: as root, in secrets/"
        yield Problem(where, f"{path} can't be read by this account", cure)
    elif size is None:
        yield Problem(where, f"{path} is not there", "write the secret into that file, mode 0600")
    elif size == 0:
        yield Problem(where, f"{path} is empty", "write the secret into that file")


def _kept_from_us(path: Path) -> bool:
    """Whether it is the rights of this account, of a file or a folder above it, that stand in the way."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK)


def _size(path: Path) -> int | None:
    """Bytes of a file; None if there is no such file, or nobody tells us that there is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _at_least(where: str, section: msgspec.Struct, least: float) -> Problems:
    value = getattr(section, where.rpartition(" ")[2])
    if value is not None and not value >= least:
        yield Problem(where, f"{value:g} is too small", f"at least {least:g}")
