"""Every problem of a config at once, whatever else is wrong with it, each with its line."""

import datetime as dt
import textwrap
import tomllib
from pathlib import Path

import pytest

from presencebridge.config import load
from presencebridge.config.draft import Draft, Unread
from presencebridge.config.lines import Lines
from presencebridge.config.sections import Config, Pbx, Teams
from presencebridge.errors import Misconfigured, Problem

GOOD = """\
[teams]
tenant_id = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
client_id = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
client_secret_file = "secret"
delivery = "webhook"
poll_every_s = 5
reconcile_every_s = 300
cloud = "global"
graph_url = "https://graph.example.com"
login_url = ""
on_stop = "clear"
[teams.webhook]
public_url = "https://pbx.example.com/hook"
listen = "127.0.0.1:8765"
watchers = ["default"]
[pbx]
kind = "3cx-v20"
url = "https://pbx.example.com"
poll_every_s = 2
status_every_s = 30
timeout_s = 5
ca_file = "secret"
client_id = "bridge"
client_secret_file = "secret"
status_via = ["xapi", "bridge"]
calls_via = "call-control"
[pbx.bridge]
kind = "3cx-status-web-api"
url = "http://127.0.0.1:8889"
api_key_file = "secret"
[people]
match = "list"
look_every_s = 600
exclude = ["101"]
[[person]]
teams = "ann@example.org"
extension = "101"
preset = "mirror"
exclude = false
[policy]
preset = "seed"
manual_wins = true
direction = "both"
busy_while_ringing = false
min_call_s = 0
lease_s = 300
[policy.teams_to_3cx]
"Busy" = "Custom 1"
[policy.threecx_to_teams]
call = "Busy/InACall"
[operator]
listen = "127.0.0.1:8080"
[state]
dir = "here"
"""


@pytest.fixture
def problems(tmp_path: Path):
    """The problems of a text as (line, where); none if it is good."""
    (tmp_path / "secret").write_text("hush\n")

    def found(text: str) -> list[tuple[int | None, str]]:
        (tmp_path / "site.toml").write_bytes(text.encode())
        try:
            load(tmp_path / "site.toml")
        except Misconfigured as error:
            return [(problem.line, problem.where) for problem in error.problems]
        return []

    return found


def words_of(text: str) -> list[tuple[int, str, str]]:
    """Line, section and word of each word of a text that is as simple as the one above."""
    section, found, persons = "", [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("[["):
            persons += 1
            section = f"{line} {persons}"
        elif line.startswith("["):
            section = line
        else:
            found.append((number, section, line.partition(" = ")[0]))
    return found


def test_the_good_file_is_good(problems):
    assert problems(GOOD) == []


@pytest.mark.parametrize(("line", "section", "word"), words_of(GOOD))
def test_a_word_that_can_not_be_read_is_one_problem_and_hides_no_other(problems, line, section, word):
    lines = GOOD.splitlines()
    lines[line - 1] = f"{word} = {dt.date(2026, 10, 1)}"
    where = f"{section} {word}"
    if section.startswith("[policy."):  # rows are read as one table
        line, where = GOOD.splitlines().index(section) + 1, f"[policy] {section[8:-1]}"
    assert problems("\n".join(lines)) == [(line, where)]
    lines += ["[colours]", "[[person]]", 'teams = "ann@example.org"', 'extension = "x"', "a = 1"]
    found = problems("\n".join(lines))
    assert {(line, where), (len(lines) - 4, "[colours]"), (len(lines), "[[person]] 2 a")} < set(found)
    assert (len(lines) - 1, "[[person]] 2 extension") in found
    twice = (len(lines) - 2, "[[person]] 2 teams") in found
    assert twice == (where != "[[person]] 1 teams")  # who can't be read may be anybody


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ("[teams]", "tenant_id"),
        ("[teams]", "client_id"),
        ("[teams.webhook]", "public_url"),
        ("[pbx]", "kind"),
        ("[pbx]", "url"),
        ("[pbx.bridge]", "url"),
        ("[[person]] 1", "teams"),
        ("[[person]] 1", "extension"),
    ],
)
def test_a_word_that_is_missing_is_told_with_the_line_of_its_section(problems, section, word):
    (place,) = [at for at in words_of(GOOD) if at[1:] == (section, word)]
    lines = GOOD.splitlines()
    del lines[place[0] - 1]
    head = lines.index(section.partition(" ")[0]) + 1
    assert problems("\n".join(lines)) == [(head, f"{section} {word}")]


@pytest.mark.parametrize("section", ["teams", "pbx", "people", "policy", "operator", "state"])
def test_a_section_that_is_none_hides_nothing_of_the_others(problems, section):
    lines = [f"{section} = 5"]
    keep = True
    for line in GOOD.splitlines():
        if line.startswith("["):
            keep = not line.strip("[").startswith((f"{section}]", f"{section}."))
        if keep:
            lines.append(line)
    assert problems("\n".join(lines)) == [(1, f"[{section}]")]
    lines = [line.replace('"101"', '"1o1"') for line in lines]
    assert problems("\n".join(lines))[1:] == [
        (lines.index('extension = "1o1"') + 1, "[[person]] 1 extension")
    ]


def test_problems_of_every_sort_are_told_at_once_in_the_order_of_the_file(problems):
    text = """\
    colour = 1
    [teams]
    tenant_id = "x"
    client_id = 5
    certificate_file = "no.pem"
    poll_every_s = 0
    secret = "hunter2"
    [pbx]
    url = "nowhere"
    [people]
    exclude = 5
    look_every_s = 1
    [policy]
    lease_s = 1
    [policy.teams_to_3cx]
    "Buzy" = "Away"
    "Out of order" = "Away"
    [operator]
    listen = "x"
    """
    assert problems(textwrap.dedent(text)) == [
        (None, "[[person]]"),
        (1, "[colour]"),
        (3, "[teams] tenant_id"),
        (4, "[teams] client_id"),
        (5, "[teams] certificate_file"),
        (6, "[teams] poll_every_s"),
        (7, "[teams] secret"),
        (8, "[pbx] kind"),
        (9, "[pbx] url"),
        (11, "[people] exclude"),
        (12, "[people] look_every_s"),
        (14, "[policy] lease_s"),
        (16, "[policy.teams_to_3cx] 'Buzy'"),
        (17, "[policy.teams_to_3cx] 'Out of order'"),
        (19, "[operator] listen"),
    ]


def test_a_problem_says_its_line():
    assert (
        str(Problem("[pbx] url", "is odd", "mend it", 7)) == "[pbx] url (line 7): is odd\n    cure: mend it"
    )
    assert str(Problem("[pbx] url", "is odd", "mend it")) == "[pbx] url: is odd\n    cure: mend it"


# Where a word stands ------------------------------------------------------------------------------


def test_lines_are_right_however_the_toml_is_written():
    text = '''\
# a comment with [brackets] = "and quotes"
operator = { listen = "x" }
policy.preset = "seed"
person = [{ teams = "a" }, { teams = "b" }]

[ teams ]   # spaces
"tenant_id" = """
[pbx]
url = "not a word"
"""
client_id = 'x' # [people]
webhook.watchers = [
    "a",  # ]
    "b]",
    """
[state]""",
]
webhook . listen = "x"
[pbx]
\turl = "x\\"]"
[state]
dir = "["
'''
    tomllib.loads(text)
    for ending in ("\n", "\r\n"):
        lines = Lines(text.replace("\n", ending))
        assert {
            where: lines.of(where)
            for where in (
                "[operator]",
                "[operator] listen",
                "[policy] preset",
                "[[person]] 1",
                "[[person]] 2 teams",
                "[teams]",
                "[teams] tenant_id",
                "[teams] client_id",
                "[teams.webhook]",
                "[teams.webhook] watchers",
                "[teams.webhook] listen",
                "[pbx]",
                "[pbx] url",
                "[state] dir",
                "[people]",
            )
        } == {
            "[operator]": 2,
            "[operator] listen": 2,
            "[policy] preset": 3,
            "[[person]] 1": 4,
            "[[person]] 2 teams": 4,
            "[teams]": 6,
            "[teams] tenant_id": 7,
            "[teams] client_id": 11,
            "[teams.webhook]": 12,
            "[teams.webhook] watchers": 12,
            "[teams.webhook] listen": 18,
            "[pbx]": 19,
            "[pbx] url": 20,
            "[state] dir": 22,
            "[people]": None,
        }


def test_each_person_has_lines_of_their_own():
    lines = Lines('[[person]]\nteams = "a"\n\n[[person]]\nextension = "1"\nteams = "b"\n[pbx]\nurl = "x"\n')
    assert [lines.of(f"[[person]] {n}") for n in (1, 2, 3)] == [1, 4, None]
    assert (lines.of("[[person]] 1 teams"), lines.of("[[person]] 2 teams")) == (2, 6)
    assert lines.of("[[person]] 1 extension") == 1
    assert lines.of("[pbx] url") == 8


def test_what_is_missing_stands_where_it_would_belong():
    lines = Lines('[policy]\nlease_s = 1\n[policy.teams_to_3cx]\n"Out of office" = "x"\n')
    assert lines.of("[policy.teams_to_3cx] 'Out of office'") == 4
    assert lines.of("[policy.teams_to_3cx] 'Out of nowhere'") == 3
    assert lines.of("[policy.threecx_to_teams]") == 1
    assert lines.of("[policy] preset") == 1
    assert lines.of("[pbx] url") is None


# Drafts -------------------------------------------------------------------------------------------


def test_a_draft_has_what_could_be_read_and_says_what_could_not():
    teams = Draft(Teams, {"cloud": "dod", "graph_url": ""})
    pbx = Draft(Pbx, {"status_every_s": None, "kind": "3cx-v20"})
    draft = Draft(Config, {"teams": teams, "pbx": pbx})
    assert draft.graph_url == "https://dod-graph.microsoft.us"
    assert draft.pbx.statuses_every_s == 10.0
    with pytest.raises(Unread):
        _ = draft.login_url
    with pytest.raises(Unread):
        _ = draft.person
    with pytest.raises(AttributeError):
        _ = draft.colour
