"""The config file: everything that can be wrong with it, each with its cure."""

import os
import re
import textwrap
from pathlib import Path

import pytest

from presencebridge.config import Config, advise, check, is_loopback, load, parse_listen, secret
from presencebridge.core.model import AVAILABLE, AWAY, CUSTOM_1, Presence
from presencebridge.core.policy import NO_CHANGE, PRESETS
from presencebridge.errors import Misconfigured

GUID = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"

TEAMS = {"tenant_id": GUID, "client_id": GUID, "client_secret_file": "secret"}
PBX = {"kind": "3cx-web-api", "url": "http://127.0.0.1:8889"}
V20 = {"kind": "3cx-v20", "url": "https://pbx.example.com:5001", "client_id": "bridge"}
PEOPLE = [{"teams": "ann@example.org", "extension": "101"}]


@pytest.fixture(autouse=True)
def no_secrets_around(monkeypatch):
    for name in (
        "PRESENCEBRIDGE_TEAMS_CLIENT_SECRET",
        "PRESENCEBRIDGE_PBX_CLIENT_SECRET",
        "CREDENTIALS_DIRECTORY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path: Path):
    """A config of these sections over a good one; None leaves one out. Returns its path."""
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "secret").chmod(0o600)

    def written(persons: list[dict] | None = PEOPLE, **sections: dict | None) -> Path:
        whole = {"teams": TEAMS, "pbx": PBX} | sections
        text = "".join(_table(f"[{name}]", words) for name, words in whole.items() if words is not None)
        text += "".join(_table("[[person]]", person) for person in persons or ())
        (tmp_path / "site.toml").write_text(text)
        return tmp_path / "site.toml"

    return written


def _table(head: str, words: dict) -> str:
    plain = {name: value for name, value in words.items() if not isinstance(value, dict)}
    inner = {name: value for name, value in words.items() if isinstance(value, dict)}
    text = f"{head}\n" + "".join(f"{_toml(name)} = {_toml(value)}\n" for name, value in plain.items())
    return text + "".join(_table(f"[{head.strip('[]')}.{name}]", value) for name, value in inner.items())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def wrong(path: Path) -> dict[str, tuple[str, str]]:
    """Every problem of a file: where -> what and cure."""
    with pytest.raises(Misconfigured) as raised:
        load(path)
    problems = raised.value.problems
    assert len({(problem.where, problem.what) for problem in problems}) == len(problems)
    assert all(problem.cure and str(problem) in str(raised.value) for problem in problems)
    return {problem.where: (problem.what, problem.cure) for problem in problems}


# A good file --------------------------------------------------------------------------------------


def test_a_small_file_is_enough(write, tmp_path):
    config = load(write())
    assert check(config) == []
    assert config.graph_url == "https://graph.microsoft.com"
    assert config.login_url == "https://login.microsoftonline.com"
    assert config.teams.client_secret_file == tmp_path / "secret"
    assert config.operator.listen == "127.0.0.1:8080"
    assert config.policy_of(config.person[0]) == PRESETS["seed"]


def test_the_documented_file_is_good(tmp_path):
    (tmp_path / "app.pem").write_text("x")
    text = f"""
    [teams]
    tenant_id = "{GUID}"
    client_id = "{GUID}"
    certificate_file = "app.pem"
    delivery = "webhook"
    poll_every_s = 5
    reconcile_every_s = 300
    cloud = "global"
    [teams.webhook]
    public_url = "https://pbx.example.com/presence-hook"
    listen = "127.0.0.1:8765"
    [pbx]
    kind = "3cx-web-api"
    url = "http://127.0.0.1:8889"
    poll_every_s = 2
    [people]
    match = "list"
    exclude = ["925"]
    [[person]]
    teams = "user1@example.org"
    extension = "101"
    [policy]
    preset = "seed"
    manual_wins = false
    [operator]
    listen = "127.0.0.1:8080"
    [state]
    dir = "/var/lib/presencebridge"
    """
    (tmp_path / "site.toml").write_text(textwrap.dedent(text))
    config = load(tmp_path / "site.toml")
    assert config.state.dir == Path("/var/lib/presencebridge")


def test_paths_are_beside_the_file_wherever_it_is_read_from(write, tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_text("x")
    path = write(
        teams=TEAMS | {"ca_file": "ca.pem"}, pbx=PBX | {"ca_file": "ca.pem"}, state={"dir": "state/here"}
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load(Path("../site.toml"))
    assert config.teams.ca_file == config.pbx.ca_file == tmp_path / "ca.pem"
    assert config.state.dir == tmp_path / "state/here"
    assert load(path).state.dir == tmp_path / "state/here"


@pytest.mark.parametrize(
    ("cloud", "graph", "login"),
    [
        ("usgov", "https://graph.microsoft.us", "https://login.microsoftonline.us"),
        ("dod", "https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
    ],
)
def test_each_cloud_has_its_hosts(write, cloud, graph, login):
    config = load(write(teams=TEAMS | {"cloud": cloud}))
    assert (config.graph_url, config.login_url) == (graph, login)


def test_an_emulator_has_addresses_of_its_own(write):
    urls = {"graph_url": "http://127.0.0.1:1/", "login_url": "https://localhost:2/", "tenant_id": "x"}
    config = load(write(teams=TEAMS | urls | {"client_id": "y"}))
    assert (config.graph_url, config.login_url) == ("http://127.0.0.1:1", "https://localhost:2")


# Files and sections -------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    assert wrong(tmp_path / "no.toml")[str(tmp_path / "no.toml")] == (
        "the file is not there",
        "name the config file with --config",
    )


@pytest.mark.parametrize(
    ("raw", "says"), [(b"[teams\n", "is not TOML"), (b"\xff\xfe", "is not UTF-8"), (b"a = 1\na = 2", "TOML")]
)
def test_a_file_that_is_no_toml_is_said_so(tmp_path, raw, says):
    (tmp_path / "x.toml").write_bytes(raw)
    ((what, _),) = wrong(tmp_path / "x.toml").values()
    assert says in what


def test_a_folder_is_no_file(tmp_path):
    ((what, _),) = wrong(tmp_path).values()
    assert "can't be read" in what


def test_an_empty_file_lacks_both_sides(tmp_path):
    (tmp_path / "x.toml").write_text("")
    assert set(wrong(tmp_path / "x.toml")) == {"[teams]", "[pbx]", "[[person]]"}


def test_unknown_sections_and_words_are_named_with_the_known_ones(write):
    found = wrong(
        write(teams=TEAMS | {"tenent": "x", "colour": 1}, telephones={"a": 1}, policy={"presets": "x"})
    )
    assert found["[telephones]"][0] == "no such section"
    assert "teams, pbx, people" in found["[telephones]"][1]
    assert found["[teams] tenent"][0] == "no such word"
    assert "tenant_id" in found["[teams] tenent"][1]
    assert "[teams] colour" in found
    assert "preset" in found["[policy] presets"][1]


def test_a_path_with_a_zero_byte_is_told_like_any_other_that_is_none(write):
    file = write(teams=TEAMS | {"client_secret_file": "no"}, pbx=PBX, state={"dir": "no"})
    file.write_text(file.read_text().replace('"no"', '"a\\u0000b"'))
    assert wrong(file)["[teams] client_secret_file"] == ("a path has no zero byte in it", "a path in quotes")
    assert "[state] dir" in wrong(file)


def test_every_word_that_is_wrong_is_told_at_once(write):
    path = write(
        [{"teams": "ann@example.org"}, {"teams": 5, "extension": 101, "x": 1}],
        teams={
            "tenant_id": 7,
            "client_id": GUID,
            "client_secret_file": 1,
            "delivery": "fax",
            "poll_every_s": "often",
            "webhook": {"public": "x", "listen": 5},
        },
        pbx={"kind": "asterisk"},
        policy={"lease_s": 1.5, "direction": "up", "teams_to_3cx": {"Busy": 1}},
    )
    assert set(wrong(path)) == {
        "[teams] tenant_id",
        "[teams] client_secret_file",
        "[teams] delivery",
        "[teams] poll_every_s",
        "[teams.webhook] public",
        "[teams.webhook] listen",
        "[teams.webhook] public_url",
        "[pbx] kind",
        "[pbx] url",
        "[policy] lease_s",
        "[policy] direction",
        "[policy] teams_to_3cx",
        "[[person]] 1 extension",
        "[[person]] 2 teams",
        "[[person]] 2 extension",
        "[[person]] 2 x",
    }


def test_a_section_that_is_none_is_said_so(tmp_path):
    (tmp_path / "x.toml").write_text('teams = 3\npbx = "x"\n[person]\nteams = "a@b"\nextension = "1"\n')
    assert set(wrong(tmp_path / "x.toml")) == {"[teams]", "[pbx]", "[person]"}


@pytest.mark.parametrize("word", ["client_secret", "secret", "password"])
@pytest.mark.parametrize("section", ["teams", "pbx"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(write, section, word):
    whole = {"teams": TEAMS, "pbx": PBX}
    path = write(**{section: whole[section] | {word: "hunter2"}})
    with pytest.raises(Misconfigured) as raised:
        load(path)
    assert "hunter2" not in str(raised.value)
    assert wrong(path)[f"[{section}] {word}"] == (
        "a secret stands in the config",
        "write it into a file of mode 0600 and name that with client_secret_file",
    )


# What the values may be ---------------------------------------------------------------------------

_HOOK = {"delivery": "webhook", "webhook": {"public_url": "https://pbx.example.com/hook"}}


def hook(**words: object) -> dict:
    return TEAMS | _HOOK | {"webhook": {**_HOOK["webhook"], **words}}


V20_READY = V20 | {"client_secret_file": "secret"}
BRIDGE = {"url": "http://127.0.0.1:8889"}


def bridged(**words: object) -> dict:
    return V20_READY | {"status_via": ["xapi", "bridge"], "bridge": BRIDGE | words}


@pytest.mark.parametrize(
    ("sections", "where", "what", "cure"),
    [
        ({"teams": TEAMS | {"tenant_id": "x"}}, "[teams] tenant_id", "not a GUID", "overview page"),
        ({"teams": TEAMS | {"client_id": ""}}, "[teams] client_id", "not a GUID", "overview page"),
        (
            {"teams": TEAMS | {"certificate_file": "secret"}},
            "[teams]",
            "both a certificate and a client secret",
            "delete client_secret_file",
        ),
        (
            {"teams": TEAMS | {"client_secret_file": "no"}},
            "[teams] client_secret_file",
            "is not there",
            "mode 0600",
        ),
        (
            {"teams": {"tenant_id": GUID, "client_id": GUID, "certificate_file": "no"}},
            "[teams] certificate_file",
            "is not there",
            "mode 0600",
        ),
        (
            {"teams": {"tenant_id": GUID, "client_id": GUID}},
            "[teams]",
            "no credential",
            "PRESENCEBRIDGE_TEAMS_CLIENT_SECRET",
        ),
        ({"teams": TEAMS | {"ca_file": "no"}}, "[teams] ca_file", "is not there", "PEM"),
        (
            {"teams": TEAMS | {"graph_url": "http://graph.example.com"}},
            "[teams] graph_url",
            "not an https address",
            "except on loopback",
        ),
        (
            {"teams": TEAMS | {"login_url": "ftp://127.0.0.1"}},
            "[teams] login_url",
            "not an https address",
            "except on loopback",
        ),
        ({"teams": TEAMS | {"poll_every_s": 0.5}}, "[teams] poll_every_s", "0.5 is too small", "at least 1"),
        ({"teams": TEAMS | {"reconcile_every_s": 0}}, "[teams] reconcile_every_s", "too small", "at least 5"),
        ({"teams": TEAMS | {"poll_every_s": float("nan")}}, "[teams] poll_every_s", "too small", "at least"),
        (
            {"teams": TEAMS | {"delivery": "webhook"}},
            "[teams] delivery",
            "needs a public_url",
            "[teams.webhook]",
        ),
        (
            {"teams": hook(public_url="http://pbx.example.com/x")},
            "[teams.webhook] public_url",
            "not an https",
            "loopback",
        ),
        ({"teams": hook(public_url="pbx")}, "[teams.webhook] public_url", "not an https", "loopback"),
        ({"teams": hook() | {"cloud": "usgov"}}, "[teams] delivery", "cloud usgov", "poll"),
        ({"teams": hook(watchers=[])}, "[teams.webhook] watchers", "names that differ", "default"),
        ({"teams": hook(watchers=["a", "a"])}, "[teams.webhook] watchers", "names that differ", "default"),
        ({"teams": hook(watchers=["../x"])}, "[teams.webhook] watchers", "can't be used", "file name"),
        ({"teams": hook(listen="8765")}, "[teams.webhook] listen", "address:port", "such as"),
        (
            {"teams": hook(listen="127.0.0.1:8080")},
            "[operator] listen",
            "webhook's address",
            "port of its own",
        ),
        (
            {"pbx": V20 | {"client_id": "", "client_secret_file": "secret"}},
            "[pbx] client_id",
            "is missing",
            "Integrations > API",
        ),
        ({"pbx": V20}, "[pbx]", "the API client's key is missing", "PRESENCEBRIDGE_PBX_CLIENT_SECRET"),
        (
            {"pbx": V20 | {"client_secret_file": "no"}},
            "[pbx] client_secret_file",
            "is not there",
            "0600",
        ),
        ({"pbx": PBX | {"url": "127.0.0.1:8889"}}, "[pbx] url", "not an http or https", "such as"),
        ({"pbx": PBX | {"url": "http://"}}, "[pbx] url", "not an http or https", "such as"),
        ({"pbx": PBX | {"ca_file": "no"}}, "[pbx] ca_file", "is not there", "PEM"),
        ({"pbx": PBX | {"poll_every_s": 0.1}}, "[pbx] poll_every_s", "too small", "at least 0.2"),
        ({"pbx": PBX | {"status_every_s": 0.1}}, "[pbx] status_every_s", "too small", "at least 1"),
        ({"pbx": PBX | {"timeout_s": 0}}, "[pbx] timeout_s", "too small", "at least 0.5"),
        ({"people": {"match": "email"}}, "[people] match", "no list of users", 'match = "list"'),
        ({"people": {"look_every_s": 9}}, "[people] look_every_s", "9 is too small", "at least 10"),
        ({"teams": TEAMS | {"cloud": "china"}}, "[teams] cloud", "no presence in Graph", '"usgov"'),
        (
            {"teams": TEAMS | {"graph_url": "https://microsoftgraph.chinacloudapi.cn"}},
            "[teams] graph_url",
            "no presence in Graph",
            "the others",
        ),
        (
            {"teams": TEAMS | {"login_url": "https://login.chinacloudapi.cn/"}},
            "[teams] login_url",
            "no presence in Graph",
            "the others",
        ),
        ({"teams": hook() | {"cloud": "dod"}}, "[teams] delivery", "cloud dod", "poll"),
        (
            {"teams": hook() | {"graph_url": "https://dod-graph.microsoft.us/"}},
            "[teams] delivery",
            "cloud dod",
            "poll",
        ),
        ({"teams": TEAMS | {"graph_url": "https://x:y"}}, "[teams] graph_url", "not an https", "loopback"),
        ({"pbx": PBX | {"url": "http://[x"}}, "[pbx] url", "not an http or https", "such as"),
        ({"pbx": PBX | {"url": "http://pbx/api"}}, "[pbx] url", "a path (/api)", 'url = "http://pbx"'),
        (
            {"pbx": V20_READY | {"url": "http://pbx.example.com"}},
            "[pbx] url",
            "not an https address",
            "except on loopback",
        ),
        ({"pbx": PBX | {"status_via": ["xapi"]}}, "[pbx] status_via", "is for 3CX V20", "delete it"),
        ({"pbx": PBX | {"calls_via": "call-control"}}, "[pbx] calls_via", "is for 3CX V20", "delete it"),
        ({"pbx": PBX | {"bridge": BRIDGE}}, "[pbx.bridge]", "is for 3CX V20", "delete it"),
        ({"pbx": V20_READY | {"status_via": []}}, "[pbx] status_via", "at least one way", '["xapi"]'),
        (
            {"pbx": V20_READY | {"status_via": ["xapi", "xapi"]}},
            "[pbx] status_via",
            "each named once",
            '["xapi", "bridge"]',
        ),
        (
            {"pbx": V20_READY | {"status_via": ["fax"]}},
            "[pbx] status_via",
            "Invalid enum value 'fax'",
            'a list, such as ["xapi", "bridge"]',
        ),
        (
            {"pbx": V20_READY | {"calls_via": "ActiveCalls"}},
            "[pbx] calls_via",
            "Invalid enum value",
            '"active-calls"',
        ),
        (
            {"pbx": V20_READY | {"status_via": ["bridge"]}},
            "[pbx] status_via",
            "there is no [pbx.bridge]",
            'url = "http://127.0.0.1:8889"',
        ),
        (
            {"pbx": V20_READY | {"bridge": BRIDGE}},
            "[pbx.bridge]",
            "nothing goes through it",
            'status_via = ["xapi", "bridge"]',
        ),
        ({"pbx": bridged(url="ftp://x")}, "[pbx.bridge] url", "not an http or https", "such as"),
        ({"pbx": bridged(url="http://x/status")}, "[pbx.bridge] url", "has a path", 'url = "http://x"'),
        ({"pbx": bridged(ca_file="no")}, "[pbx.bridge] ca_file", "is not there", "PEM"),
        ({"pbx": bridged(kind="fax")}, "[pbx.bridge] kind", "Invalid enum value", '"3cx-status-web-api"'),
        ({"pbx": bridged(port=1)}, "[pbx.bridge] port", "no such word", "api_key_file"),
        ({"pbx": bridged(api_key="x")}, "[pbx.bridge] api_key", "a secret stands", "api_key_file"),
        (
            {"pbx": bridged(api_key_file="secret")},
            "[pbx.bridge] api_key_file",
            "has no API key",
            'kind = "3cx-status-web-api"',
        ),
        (
            {"pbx": bridged(kind="3cx-status-web-api", api_key_file="no")},
            "[pbx.bridge] api_key_file",
            "is not there",
            "mode 0600",
        ),
        ({"operator": {"listen": ":8080"}}, "[operator] listen", "address:port", "such as"),
        ({"operator": {"listen": "127.0.0.1:99999"}}, "[operator] listen", "address:port", "such as"),
        ({"policy": {"lease_s": 299}}, "[policy] lease_s", "299 is out of range", "300 to 14400"),
        ({"policy": {"lease_s": 14401}}, "[policy] lease_s", "out of range", "4 hours"),
        ({"policy": {"min_call_s": -1}}, "[policy] min_call_s", "too small", "at least 0"),
        (
            {"policy": {"teams_to_3cx": {"Buzy": "Away"}}},
            "[policy.teams_to_3cx] 'Buzy'",
            "'Buzy' is not an availability",
            "BeRightBack",
        ),
        (
            {"policy": {"teams_to_3cx": {"Busy": "Lunch"}}},
            "[policy.teams_to_3cx] 'Busy'",
            "'Lunch' is not a status",
            "Custom 1",
        ),
        (
            {"policy": {"preset": "custom", "teams_to_3cx": {"Busy": "Away"}}},
            "[policy.teams_to_3cx]",
            "nothing would ever take Away back",
            '"Available" = "Available"',
        ),
        (
            {"policy": {"threecx_to_teams": {"call": "Busy/InAMeeting"}}},
            "[policy.threecx_to_teams] 'call'",
            "Graph refuses the pair",
            "Busy/InACall",
        ),
        (
            {"policy": {"threecx_to_teams": {"lunch": "Away/Away"}}},
            "[policy.threecx_to_teams] 'lunch'",
            "neither a call nor a status",
            "Custom 1",
        ),
        (
            {"policy": {"threecx_to_teams": {"Away": "Busy"}}},
            "[policy.threecx_to_teams] 'Away'",
            "Graph refuses the pair",
            "no change",
        ),
    ],
)
def test_a_value_that_can_not_be_is_told_with_its_cure(write, sections, where, what, cure):
    found = wrong(write(**sections))
    assert list(found) == [where]
    assert what in found[where][0]
    assert cure in found[where][1]


@pytest.mark.parametrize(
    ("people", "where", "what"),
    [
        ([], "[[person]]", "nobody is named"),
        ([{"teams": "ann", "extension": "101"}], "[[person]] 1 teams", "'ann' is not a Teams user"),
        (
            [{"teams": "a@b", "extension": "10a"}],
            "[[person]] 1 extension",
            "'10a' is not an extension number",
        ),
        ([{"teams": "a@b", "extension": "1/../2"}], "[[person]] 1 extension", "not an extension number"),
        ([*PEOPLE, {"teams": "ANN@example.org", "extension": "102"}], "[[person]] 2 teams", "named twice"),
        (
            [*PEOPLE, {"teams": "ben@example.org", "extension": "101"}],
            "[[person]] 2 extension",
            "named twice",
        ),
    ],
)
def test_people_who_can_not_be_are_told(write, people, where, what):
    found = wrong(write(people))
    assert list(found) == [where]
    assert what in found[where][0]


@pytest.mark.parametrize("made", [Path.touch, Path.mkdir])
def test_a_secret_file_without_a_secret_is_told(write, tmp_path, made):
    made(tmp_path / "none")
    ((what, cure),) = wrong(write(teams=TEAMS | {"client_secret_file": "none"})).values()
    assert what == f"{tmp_path / 'none'} is {'empty' if made is Path.touch else 'not there'}"
    assert "write the secret into that file" in cure


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_secret_that_this_account_may_not_read_is_not_called_missing(write, tmp_path, monkeypatch, closed):
    """The rights are played, since root, who runs tests in containers, may read anything."""
    stat = Path.stat

    def refuse(path, **how):
        if path == tmp_path / "secret":
            raise PermissionError
        return stat(path, **how)

    if closed == "folder":
        monkeypatch.setattr(Path, "stat", refuse)
    else:
        monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path / "secret")
    what, cure = wrong(write())["[teams] client_secret_file"]
    assert what == f"{tmp_path / 'secret'} can't be read by this account"
    assert "secrets/" in cure


def test_a_watcher_watches_650_people_at_the_most(write):
    people = [{"teams": f"u{n}@example.org", "extension": str(n)} for n in range(1000, 1651)]
    found = wrong(write(people, teams=hook()))
    assert found["[teams.webhook] watchers"][0] == "651 people, and 1 watcher(s) can watch 650"
    load(write(people, teams=hook(watchers=["a", "b"])))
    load(write(people[1:], teams=hook()))


def test_several_values_are_told_at_once(write):
    path = write(
        [{"teams": "ann", "extension": "x"}],
        teams=TEAMS | {"poll_every_s": 0, "graph_url": "x"},
        pbx=PBX | {"url": "x", "timeout_s": 0},
        policy={"lease_s": 1},
        operator={"listen": "x"},
    )
    assert len(wrong(path)) == 8


def test_a_persons_own_preset_needs_a_way_back_too(write):
    rows = {"teams_to_3cx": {"Busy": "Custom 1"}}
    load(write(policy=rows))
    people = [*PEOPLE, {"teams": "ben@example.org", "extension": "102", "preset": "custom"}]
    assert "with the preset custom" in wrong(write(people, policy=rows))["[policy.teams_to_3cx]"][0]


# What the words mean ------------------------------------------------------------------------------


def test_a_v20_needs_no_more_words_than_before(write):
    config = load(write(pbx=V20_READY))
    assert config.pbx.status_via == ("xapi",)
    assert config.pbx.calls_via == "call-control"
    assert config.pbx.bridge is None


def test_a_v20_has_other_ways_beside_it(write, tmp_path):
    (tmp_path / "key").write_text("k\n")
    (tmp_path / "ca.pem").write_text("x")
    words = {"kind": "3cx-status-web-api", "api_key_file": "key", "ca_file": "ca.pem"}
    pbx = load(write(pbx=bridged(**words) | {"calls_via": "active-calls"})).pbx
    assert (pbx.status_via, pbx.calls_via) == (("xapi", "bridge"), "active-calls")
    assert (pbx.bridge.kind, pbx.bridge.url) == ("3cx-status-web-api", "http://127.0.0.1:8889")
    assert (pbx.bridge.api_key_file, pbx.bridge.ca_file) == (tmp_path / "key", tmp_path / "ca.pem")
    only = load(write(pbx=bridged() | {"status_via": ["bridge"]})).pbx
    assert (only.status_via, only.bridge.kind) == (("bridge",), "3cx-web-api")


@pytest.mark.parametrize(("pbx", "every_s"), [(PBX, 30.0), (V20_READY, 10.0)])
def test_statuses_are_read_as_suits_the_kind_unless_told_otherwise(write, pbx, every_s):
    assert load(write(pbx=pbx)).pbx.statuses_every_s == every_s
    assert load(write(pbx=pbx | {"status_every_s": 7})).pbx.statuses_every_s == 7.0


@pytest.mark.parametrize("people", [[], PEOPLE])
def test_a_v20_finds_people_by_mail_address(write, people):
    config = load(write(people, pbx=V20_READY, people={"match": "email", "look_every_s": 60}))
    assert (config.people.match, config.people.look_every_s) == ("email", 60.0)
    assert [person.extension for person in config.person] == [one["extension"] for one in people]
    assert load(write()).people.look_every_s == 600.0


def policy(config: Config, extension: str = "101"):
    return config.policy_of(next(one for one in config.person if one.extension == extension))


@pytest.mark.parametrize("name", ["seed", "calls-only", "mirror"])
def test_a_preset_is_the_cores_own(write, name):
    assert policy(load(write(policy={"preset": name}))) == PRESETS[name]


def test_a_table_of_ones_own_is_laid_over_the_preset(write):
    rows = {
        "teams_to_3cx": {"busy/INAMEETING": "custom 1", "*/Presenting": "Out of office", "Busy": "no change"},
        "threecx_to_teams": {"call": "busy/inaconferencecall", "custom 2": "Away/Away"},
    }
    found = policy(load(write(policy=rows)))
    assert found.target(Presence("Busy", "InAMeeting")) == CUSTOM_1
    assert found.target(Presence("Busy", "Busy")) == NO_CHANGE
    assert found.target(Presence("DoNotDisturb", "Presenting")) == "Out of office"
    assert found.target(Presence("BeRightBack", "BeRightBack")) == AWAY
    assert found.target(Presence("Available", "Available")) == AVAILABLE
    assert found.call_pair == Presence("Busy", "InAConferenceCall")
    assert found.pair_for == {"custom 2": Presence("Away", "Away")}


def test_no_change_takes_a_row_of_the_preset_away(write):
    rows = {"preset": "mirror", "threecx_to_teams": {"Out of office": "no change", "call": "no change"}}
    found = policy(load(write(policy=rows)))
    assert found.pair_for == {}
    assert found.call_pair is None


@pytest.mark.parametrize(
    ("direction", "there", "back"),
    [("both", True, True), ("teams-to-3cx", True, False), ("3cx-to-teams", False, True)],
)
def test_a_direction_closes_the_other_one(write, direction, there, back):
    found = policy(load(write(policy={"direction": direction})))
    assert (found.teams_to_3cx, found.threecx_to_teams) == (there, back)


def test_the_other_words_go_through(write):
    words = {"manual_wins": True, "busy_while_ringing": True, "min_call_s": 3, "lease_s": 600}
    found = policy(load(write(policy=words)))
    assert {name: getattr(found, name) for name in words} == words


def test_a_persons_own_words_go_over_the_sites(write):
    people = [
        {"teams": "a@example.org", "extension": "101"},
        {"teams": "b@example.org", "extension": "102", "manual_wins": False, "direction": "both"},
        {"teams": "c@example.org", "extension": "103", "preset": "mirror"},
        {"teams": "d@example.org", "extension": "104", "exclude": True},
    ]
    site = {"manual_wins": True, "direction": "teams-to-3cx", "lease_s": 900}
    config = load(write(people, policy=site))
    assert policy(config, "101").manual_wins
    assert not policy(config, "101").threecx_to_teams
    assert not policy(config, "102").manual_wins
    assert policy(config, "102").threecx_to_teams
    assert policy(config, "103").status_for == PRESETS["mirror"].status_for
    assert policy(config, "103").manual_wins
    assert {policy(config, one).lease_s for one in ("101", "102", "103", "104")} == {900}
    assert [config.is_excluded(one) for one in config.person] == [False, False, False, True]


@pytest.mark.parametrize("name", ["101", "ann@example.org", "ANN@Example.org"])
def test_people_are_excluded_by_either_name(write, name):
    assert not policy(load(write(people={"exclude": ["102"]}))).excluded
    assert policy(load(write(people={"exclude": [name]}))).excluded


# Advice, addresses, secrets -----------------------------------------------------------------------


def test_a_secret_that_everybody_can_read_is_worth_a_word(write, tmp_path):
    config = load(write())
    assert advise(config) == []
    (tmp_path / "secret").chmod(0o644)
    (found,) = advise(config)
    assert found.cure == f"chmod 0600 {tmp_path / 'secret'}"


def test_the_key_of_the_bridge_is_kept_as_well(write, tmp_path):
    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0o644)
    words = {"kind": "3cx-status-web-api", "api_key_file": "key"}
    (open_file,) = advise(load(write(pbx=bridged(**words))))
    assert open_file.where == str(tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    assert advise(load(write(pbx=bridged(**words, url="https://pbx.example.com")))) == []
    assert advise(load(write(pbx=bridged(url="http://pbx.example.com")))) == []
    (in_clear,) = advise(load(write(pbx=bridged(**words, url="http://pbx.example.com"))))
    assert in_clear.what == "the API key goes over the network in clear"


def refused(file: Path) -> tuple:
    with pytest.raises(Misconfigured) as caught:
        load(file)
    return caught.value.problems


def test_a_page_for_the_whole_network_needs_a_token_and_is_worth_a_word(write, tmp_path, monkeypatch):
    open_to_all = {"listen": "192.0.2.1:8080"}
    (found,) = refused(write(operator=open_to_all))
    assert (found.where, "to the network" in found.what) == ("[operator] listen", True)
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)
    (found,) = advise(load(write(operator=open_to_all | {"token_file": "token"})))
    assert "in clear" in found.what
    monkeypatch.setenv("PRESENCEBRIDGE_OPERATOR_TOKEN", "0123456789abcdef")
    load(write(operator=open_to_all))
    monkeypatch.setenv("PRESENCEBRIDGE_OPERATOR_TOKEN", "x")
    (found,) = refused(write())
    assert found.where == "[operator] token_file"


@pytest.mark.parametrize("token", ["", "tooshort", "fifteen letters", "with a blank in it", "käse" * 10])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(write, tmp_path, token):
    (tmp_path / "token").write_text(token, "utf-8")
    (found,) = refused(write(operator={"token_file": "token"}))
    assert (found.where, "openssl rand" in found.cure) == ("[operator] token_file", True)
    assert token == "" or token not in str(found)


def test_a_token_file_that_is_not_there_is_refused(write):
    (found,) = refused(write(operator={"token_file": "nowhere"}))
    assert found.where == "[operator] token_file"


@pytest.mark.parametrize("host", ["", "https://a", "a:80", "a b", "*"])
def test_what_is_no_name_of_a_machine_is_refused(write, host):
    (found,) = refused(write(operator={"hosts": [host]}))
    assert found.where == "[operator] hosts"


def test_an_away_that_teams_never_shows_is_worth_a_word(write):
    (found,) = advise(load(write(policy={"threecx_to_teams": {"Away": "Away/Away"}})))
    assert "never shows an Away" in found.what


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_addresses_are_read(text, address):
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", ":", "8080", ":8080", "host:", "host:x", "host:-1", "host:65536"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_listen(text)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("192.0.2.1", False),
        ("localhost.evil", False),
    ],
)
def test_loopback_is_known(host, own):
    assert is_loopback(host) is own


def test_a_secret_comes_from_its_file_the_environment_or_systemd(tmp_path, monkeypatch):
    assert secret("teams-client-secret") is None
    (tmp_path / "teams-client-secret").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret("teams-client-secret") == "from systemd"
    monkeypatch.setenv("PRESENCEBRIDGE_TEAMS_CLIENT_SECRET", "from the environment")
    assert secret("teams-client-secret") == "from the environment"
    (tmp_path / "file").write_text(" from the file \n")
    assert secret("teams-client-secret", tmp_path / "file") == "from the file"
    assert os.environ["CREDENTIALS_DIRECTORY"]


def test_a_secret_of_systemd_or_the_environment_is_credential_enough(write, monkeypatch):
    path = write(teams={"tenant_id": GUID, "client_id": GUID})
    monkeypatch.setenv("PRESENCEBRIDGE_TEAMS_CLIENT_SECRET", "hush")
    assert load(path).teams.client_secret_file is None


def test_systemds_copy_of_a_file_goes_before_the_file(write, tmp_path, monkeypatch):
    """LoadCredential=secrets:FOLDER hands over what the account of the service can't open."""
    path = write(teams={**TEAMS, "client_secret_file": "secrets/key"})
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("on the disk")
    assert load(path).teams.client_secret_file == tmp_path / "secrets" / "key"
    handed = tmp_path / "credentials"
    handed.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert load(path).teams.client_secret_file == tmp_path / "secrets" / "key"
    (handed / "secrets_key").write_text("from systemd")
    (handed / "other_key").write_text("of another folder")
    assert secret("teams-client-secret", load(path).teams.client_secret_file) == "from systemd"
