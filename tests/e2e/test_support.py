"""The support bundle of a running service: all that helps, and nothing that says whom it is about."""

import contextlib
import getpass
import json
import re
import socket
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e_programs import Emulator, until
from e2e_sites import APP, FREE, TENANT, V20_WEBSOCKET, Site, Worlds, world_of

NAMES = {1: "Annegret Müllerschön", 2: "Bartholomäus Weiß", 3: "Cynthia O'Hara-Quist"}
UPN = "a.muellerschoen@geheimfirma.example"
SECRETS = {
    "secret": "s3cret-of-the-app-Zq81",
    "key": "k3y-of-the-pbx-Yw72",
    "operator": "operator-token-Xv63-long",
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = world_of(3)
    world["client_secret"], world["pbx_client_secret"] = SECRETS["secret"], SECRETS["key"]
    for number, name in NAMES.items():
        world["users"][number - 1]["displayName"] = world["extensions"][number - 1]["name"] = name
    world["users"][1]["mail"] = UPN
    (tmp_path / "world.json").write_text(json.dumps(world))
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(Emulator("graph", tmp_path, world, tls=True))
        pbx = stack.enter_context(Emulator("3cx-v20", tmp_path, world, tls=True))
        people = "".join(
            f'[[person]]\nteams = "{teams}"\nextension = "{number}"\n'
            for teams, number in (
                ("user1@example.org", "101"),
                (UPN, "102"),
                ("verschollen@geheimfirma.example", "109"),
            )
        )
        site = Site(Worlds(graph, pbx, V20_WEBSOCKET), tmp_path, people=people)
        site.worlds.tidy()
        stack.callback(site.close)
        more = '[operator]\ntoken_file = "operator"\nhosts = ["bridge.geheimfirma.example"]'
        text = site.config.read_text().replace("[operator]", more)
        site.config.write_text("# Annegret's own remark about the boss\n" + text)
        for file, secret in SECRETS.items():
            (tmp_path / file).touch(0o600)
            (tmp_path / file).write_text(secret)
        site._http.headers["Authorization"] = f"Bearer {SECRETS['operator']}"
        yield site


def contents(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def private(site: Site) -> list[str]:
    """All that must not be found, each as a pattern."""
    names = [part for name in NAMES.values() for part in re.split(r"[\s'-]+", name) if len(part) > 1]
    words = [*names, "muellerschoen", "geheimfirma", "user1", "verschollen", "example.org", "remark"]
    words += [TENANT, APP, *SECRETS.values(), socket.gethostname(), str(site.folder)]
    words += [f"00000000-0000-0000-0000-{100 + number:012}" for number in NAMES]
    words += [getpass.getuser()] if getpass.getuser() != "root" else []
    return [re.escape(word) for word in words] + [r"(?<![\w.])10[129](?!\w|\.\d)", r"eyJ\w+", "0301234567"]


def assert_nothing_private(site: Site, found: dict[str, str]) -> None:
    for name, text in found.items():
        for pattern in private(site):
            seen = re.search(f"(?i){pattern}", text)
            assert seen is None, (name, pattern, text[max(0, seen.start() - 60) : seen.end() + 60])


def bundle(site: Site, name: str, *more: str) -> tuple[str, dict[str, str]]:
    """What the command prints, and what it writes."""
    output = site.folder / name
    done = site.command("support", "--output", str(output), *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert str(output) in done.stdout
    assert "Nothing was sent" in done.stdout
    found = contents(output)
    for file in found:
        assert file in done.stdout
    assert_nothing_private(site, found)
    return done.stdout, found


def test_the_bundle_and_the_metrics_help_and_name_nobody(site: Site) -> None:
    told, found = bundle(site, "before.zip")
    assert "does not run" in told
    assert found.keys() == {"README.txt", "versions.json", "environment.json", "config.json", "doctor.json"}

    site.sign_in()
    site.service.start()
    until("in step", lambda: site.page("/readyz").status_code == 200)
    call = site.dial(1)
    site.until_teams(1, "Busy/InACall")
    site.hang_up(call)
    site.until_teams(1, FREE)
    site.client(2, "Busy/InAMeeting")
    site.until_status(2, "Away")
    assert_metrics_name_nobody(site)
    site.ask_pbx("POST", "/faults", {"status": 500})
    until("3CX is away", lambda: site.page("/readyz").status_code == 503)
    httpx2.post(f"http://127.0.0.1:{site.ports['hook']}/presence-hook", content=b"{")

    _, found = bundle(site, "bundle.zip")
    assert json.loads(found["config.json"])["pbx"]["kind"] == "3cx-v20"
    assert json.loads(found["versions.json"])["packages"]["httpx2"]
    assert json.loads(found["environment.json"])["disk of the state folder"]["free_mb"] > 0
    assert any(one["state"] == "wrong" for one in json.loads(found["doctor.json"]))
    assert not json.loads(found["status.json"])["ready"]
    assert 'presencebridge_link_up{link="3cx",site="site"} 0.0' in found["metrics.txt"]
    people_of_log = [line for line in json.loads(found["log.json"]) if "person" in line]
    assert people_of_log
    assert all(line["timestamp"].endswith("s ago") for line in people_of_log)
    people = json.loads(found["people.json"])
    called = next(
        one
        for one in people
        if any("In a call" in str(story) or "InACall" in str(story) for story in one["why"])
    )
    assert called["now"]["extension"].startswith("ext-")
    assert called["now"]["name"].startswith("person-")
    assert called["why"][-1]["at"].endswith("s ago")

    _, other = bundle(site, "again.zip", "--no-people")
    assert other["config.json"] == found["config.json"]  # the same stand-ins
    assert "people.json" not in other
    assert not [line for line in json.loads(other["log.json"]) if "person" in line]


def assert_metrics_name_nobody(site: Site) -> None:
    text = site.page("/metrics").text
    assert 'presencebridge_change_seconds_count{seen="calls",side="teams",site="site"}' in text
    assert 'presencebridge_hop_seconds_count{hop="understood",seen="notification",site="site"}' in text
    for line in text.splitlines():
        labels = line.partition("{")[2].rpartition("}")[0]
        for pattern in private(site):
            assert not re.search(f"(?i){pattern}", labels), line
