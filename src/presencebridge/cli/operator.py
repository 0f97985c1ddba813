"""`status`, `people`, `why`, `pause`, `resume`, `refresh` and `watch`: they talk to the running service."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx2
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.table import Table

from presencebridge import words
from presencebridge.cli.saying import say
from presencebridge.cli.watching import Board, local, story_lines
from presencebridge.cli.which import running
from presencebridge.config import secret
from presencebridge.errors import BridgeError
from presencebridge.printable import printable

_TIMEOUT_S = 10
_SILENT_S = 60
"""The service sends a sign of life every 15 s."""
_TABLE_WIDTH = 130
_NOT_US = (
    "what answers at {address} is not presencebridge\n"
    "    cure: name the config of the running service, or give its [operator] listen another port"
)


def status(*, config: Path, site: str = "", as_json: bool = False, probe: bool = False) -> int:
    """How every link and everybody is. Exit status 0 if every link works and nobody is in trouble, else 1.

    Parameters
    ----------
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    as_json
        Print what the service says as it is.
    probe
        Ask only whether the service makes progress, for health checks: exit status 0, or 1 if it does not.
    """
    asked = running(config, site)
    if asked.is_folder and not asked.site and not probe:
        return _status_of_sites(config, as_json=as_json)
    with _service(config, site) as service:
        if probe:
            return _probed(service)
        overview = _ask(service, "GET", "/api/people")
    if as_json:
        print(json.dumps(overview, indent=2))
        return _exit_status(overview)
    if overview["dry_run"]:
        say("dry run: this is how it would be; nothing is written")
    for link in overview["links"]:
        name = words.link_name(link["name"])
        say(f"{name:<24} {link['state']:<10} since {local(link['since'])}  {link['reason']}")
        if link["cure"]:
            say(f"{'':<24} cure: {link['cure']}")
    for why_not in overview.get("out_of_step", []):
        say(f"not in step: {why_not}")
    for note in overview.get("expiring", []):
        say(f"warning: {note['what']}")
        say(f"{'':<24} cure: {note['cure']}")
    _print_table(
        ("ext.", "person", "Teams", "3CX", "calls", "we hold", "condition"),
        [
            (
                person["extension"],
                person["name"],
                person["teams"] or "-",
                person["status"] or "-",
                "?" if person["legs"] is None else ", ".join(person["legs"]) or "-",
                person["holding"],
                person["condition"],
            )
            for person in overview["people"]
        ],
    )
    for person in overview["people"]:
        for trouble in person["trouble"]:
            say(f"{person['extension']}: {trouble}")
    return _exit_status(overview)


def _status_of_sites(config: Path, *, as_json: bool) -> int:
    with _service(config) as service:
        found = _ask(service, "GET", "/api/sites")
    sites = found["sites"]
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        if found["trouble"]:
            say(f"node: {found['trouble']}")
        rows = [(one["name"], "yes" if one["in_step"] else "no", one["text"]) for one in sites]
        _print_table(("site", "in step", "how it stands"), rows)
        for line in _cluster_lines(found.get("cluster")):
            say(line)
    trouble = found["trouble"] or (found.get("cluster") or {}).get("trouble")
    return 0 if all(one["in_step"] for one in sites) and not trouble else 1


def _cluster_lines(cluster: dict[str, Any] | None) -> list[str]:
    if cluster is None:
        return []
    lines = [f"cluster: {cluster['trouble']}"] if cluster["trouble"] else []
    for node in cluster["nodes"]:
        lines.append(f"node {node['name']}{' (this one)' if node['is_this'] else ''}: {node['sites']} sites")
    for site, node in cluster["elsewhere"].items():
        lines.append(f"site {site}: {f'on {node}' if node else 'nobody has it just now'}")
    return lines


def _print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, _TABLE_WIDTH)
    console.print(table)


def _exit_status(overview: dict[str, Any]) -> int:
    in_trouble = any(person["condition"] == "trouble" for person in overview["people"])
    return 0 if overview["ready"] and not in_trouble else 1


def people(
    *,
    config: Path,
    site: str = "",
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Who was matched with whom, who was not and why, and who is double.

    Exit status 0 if both lists of users could be read the last time, else 1.

    Parameters
    ----------
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    as_json
        Print what the service says as it is.
    """
    with _service(config, site) as service:
        found = _ask(service, "GET", "/api/matching")
    if as_json:
        print(json.dumps(found, indent=2))
        return 1 if found["trouble"] else 0
    if found["looked_at"]:
        doubles = sum(one["double"] for one in found["left"])
        say(
            f"{len(found['matched'])} matched, {len(found['left'])} not ({doubles} double), "
            f"as of {local(found['looked_at'])}"
        )
    else:
        say("still looking for who is who")
    for note in filter(None, [found["trouble"], *found["notes"]]):
        say(note["what"])
        if note["cure"]:
            say(f"    cure: {note['cure']}")
    _print_table(
        ("ext.", "person", "Teams", "by"),
        [(one["extension"], one["name"], one["teams_name"], one["by"]) for one in found["matched"]],
    )
    for one in found["left"]:
        say(f"{one['extension']} {one['name'] or one['address']}: {one['why']}")
        if one["cure"]:
            say(f"    cure: {one['cure']}")
    return 1 if found["trouble"] else 0


def why(person: str, *, config: Path, site: str = "") -> None:
    """Why somebody shows what they show: what was seen, which rule, what was done, what came back.

    Parameters
    ----------
    person
        Extension, Teams name or display name.
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    """
    with _service(config, site) as service:
        page = _ask(service, "GET", f"/api/people/{quote(person, safe='')}")
    seen = page["person"]
    say(f"{seen['name']} (extension {seen['extension']}, {seen['teams_name']}): {seen['condition']}")
    legs = "unknown" if seen["legs"] is None else ", ".join(seen["legs"]) or "no call"
    say(f"  Teams shows {seen['teams'] or 'unknown'}; 3CX shows {seen['status'] or 'unknown'}; {legs}")
    say(f"  we hold: {seen['holding']}")
    if page["dry_run"]:
        say("  dry run: what is told here would be done, and nothing is written")
    for trouble in seen["trouble"]:
        say(f"  trouble: {trouble}")
    if not page["why"]:
        say("  nothing has happened since the service started")
    for story in page["why"]:
        say(f"{local(story['at'])}  {story['seen']}")
        for did in story["did"]:
            say(f"          - {did}")


def pause(person: str, *, config: Path, site: str = "", seconds: float | None = None) -> None:
    """Leave somebody alone: nothing is written for them until `resume`.

    Parameters
    ----------
    person
        Extension, Teams name or display name.
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    seconds
        End the pause by itself after this time.
    """
    with _service(config, site) as service:
        body = {} if seconds is None else {"seconds": seconds}
        _ask(service, "POST", f"/api/people/{quote(person, safe='')}/pause", body)
    say(f"{person} is paused" + (f" for {seconds:g} s" if seconds is not None else ""))


def resume(person: str, *, config: Path, site: str = "") -> None:
    """End a pause."""
    with _service(config, site) as service:
        _ask(service, "POST", f"/api/people/{quote(person, safe='')}/resume", {})
    say(f"{person} is no longer paused")


def refresh(*, config: Path, site: str = "") -> None:
    """Read everything again now, from both sides, and look who is who.

    Parameters
    ----------
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    """
    with _service(config, site) as service:
        _ask(service, "POST", "/api/refresh", {})
    say("everything is read again from both sides")


def watch(*, config: Path, site: str = "", lines: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Everybody, every link, and what is seen and decided, as it happens, until Ctrl-C.

    Parameters
    ----------
    config
        The config file of the running service, or its folder of sites.
    site
        Which of the folder's sites.
    lines
        Only what is seen and decided, line by line, as it also is where the output is no terminal.
    """
    console = Console()
    with _service(config, site) as service:
        if lines or not console.is_terminal:
            for number, (event, told) in enumerate(_events(service, "/api/events")):
                if number == 0:  # from here on nothing is missed
                    say(f"watching {service.base_url}; Ctrl-C ends it")
                if event == "decision":
                    for line in story_lines(told):
                        say(line)
        else:
            board = Board(config.stem)
            with Live(board, console=console, screen=True, refresh_per_second=4):
                for event, told in _events(service, "/api/events?people"):
                    board.hear(event, told)
    raise BridgeError("the service has stopped")


def _events(service: httpx2.Client, path: str) -> Iterator[tuple[str, Any]]:
    """What the service tells, until it ends. A silence longer than its pings counts as the end."""
    with contextlib.suppress(httpx2.TransportError):
        patient = httpx2.Timeout(_TIMEOUT_S, read=_SILENT_S)
        with service.stream("GET", path, timeout=patient) as answer:
            if answer.status_code >= 400:
                answer.read()
                raise _refused(service, answer)
            event = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and value:
                    yield event, json.loads(value)


@contextmanager
def _service(config: Path, site: str = "") -> Iterator[httpx2.Client]:
    asked = running(config, site)
    operator = asked.operator
    host, _, port = operator.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - where it listens everywhere
    token = secret("operator-token", operator.token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"http://{host}:{port}{asked.prefix}"
    with httpx2.Client(base_url=address, headers=headers, timeout=_TIMEOUT_S, trust_env=False) as client:
        yield client


def _probed(service: httpx2.Client) -> int:
    try:
        answer = service.get("/livez")
    except httpx2.TransportError as error:
        raise BridgeError(f"nothing answers at {service.base_url}") from error
    say(answer.text.strip(), lines=True)
    return 0 if answer.status_code == 200 else 1


def _ask(service: httpx2.Client, method: str, path: str, body: object = None) -> Any:
    try:
        answer = service.request(method, path, json=body)
    except httpx2.TransportError as error:
        raise BridgeError(
            f"nothing answers at {service.base_url}\n"
            "    cure: start the service (presencebridge run --config FILE), or name the config it runs with"
        ) from error
    if answer.status_code >= 400:
        raise _refused(service, answer)
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise BridgeError(_NOT_US.format(address=service.base_url)) from error


def _refused(service: httpx2.Client, answer: httpx2.Response) -> BridgeError:
    try:
        said = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        said = _NOT_US.format(address=service.base_url)
    if answer.status_code == 401:
        said += "\n    cure: name the config of the running service; a new token counts after a restart"
    return BridgeError(said)
