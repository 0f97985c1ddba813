"""What the pages say that the code knows better is what the code says."""

import ast
import importlib.util
import re
from pathlib import Path

import msgspec
import pytest

from presencebridge.cluster import nats_engine
from presencebridge.core import model
from presencebridge.graph.subscriptions import Held
from presencebridge.runtime import day, journal, matching, people
from presencebridge.store import sqlite
from presencebridge.web import operator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert _spec
assert _spec.loader
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


def test_what_is_generated_is_as_the_code_has_it() -> None:
    parts = generate.generated()
    placed: set[str] = set()
    for page in DOCS.rglob("*.md"):
        text = page.read_text("utf-8")
        placed.update(re.findall(r"<!-- begin ([\w-]+) -->", text))
        assert generate.renewed(text, parts) == text, f"{page.name} is not up to date: make reference"
    assert placed == set(parts)


def test_no_problem_of_the_config_is_left_out() -> None:
    """The reader of the code finds as many as there are, by another way of counting."""
    code = "".join(file.read_text("utf-8") for file in (ROOT / "src/presencebridge/config").glob("*.py"))
    calls = [
        node
        for node in ast.walk(ast.parse(code.replace("from __future__", "#")))
        if isinstance(node, ast.Call)
    ]
    made = [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) == "Problem"]
    read = [said for said in generate.said_in(generate.SOURCE / "config") if said.kind == "Problem"]
    assert len(read) == len(made) > 40


# Privacy ----------------------------------------------------------------------------------------------

KEPT = [
    model.State,
    model.TeamsClaim,
    model.StatusClaim,
    model.Spell,
    model.Released,
    model.Write,
    people.Member,
    journal.Entry,
    matching.Served,
    matching.Left,
    day.Stretch,
]
"""All that is kept of a person."""


@pytest.mark.parametrize("page", ["data.md", "data.de.md"])
@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.__name__)
def test_every_field_that_is_kept_of_a_person_is_told(kept: type[msgspec.Struct], page: str) -> None:
    text = (DOCS / "privacy" / page).read_text("utf-8")
    for field in msgspec.structs.fields(kept):
        assert f"`{field.name}`" in text, (
            f"{kept.__name__}.{field.name} is kept, and privacy/{page} does not say so"
        )


@pytest.mark.parametrize("page", ["data.md", "data.de.md"])
def test_what_is_on_the_disk_is_told_with_its_end(page: str) -> None:
    text = (DOCS / "privacy" / page).read_text("utf-8")
    columns = re.findall(r"(\w+) (?:TEXT|BLOB|INTEGER|REAL)", " ".join(sqlite._SCHEMA))
    tables = re.findall(r"TABLE (\w+)", " ".join(sqlite._SCHEMA))
    assert columns
    for name in (*columns, *tables):
        assert f"`{name}`" in text
    on_disk = text[re.search(r"## (What is on the disk|Was auf der Platte steht)", text).end() :].partition(
        "\n## "
    )[0]
    durable = ("spell", "teams_claim", "status_claim", "released", "paused", "paused_until", "user")
    assert len(model.State().durable()) == len(durable)
    for name in durable:
        assert f"`{name}`" in on_disk
    code = "".join(file.read_text("utf-8") for file in (ROOT / "src/presencebridge").rglob("*.py"))
    for file in re.findall(r'(?:dir|folder|_folder) / f"([a-z]+(?:-[a-z]+)*-)\{', code):
        assert f"`{file}" in on_disk, file
    assert Held.__struct_fields__[:2] == ("id", "client_state")


def test_how_long_notifications_lie_in_a_cluster_is_told() -> None:
    assert nats_engine._NOTICES_KEPT_S == 3600
    assert "After an hour they are gone" in (DOCS / "privacy" / "data.md").read_text("utf-8")


@pytest.mark.parametrize("page", ["index", "data", "record", "works-agreement", "review"])
def test_the_privacy_pages_are_there_in_both_languages_and_alike(page: str) -> None:
    english = (DOCS / "privacy" / f"{page}.md").read_text("utf-8")
    german = (DOCS / "privacy" / f"{page}.de.md").read_text("utf-8")
    for form in (r"^\| ", r"^#+ ", r"^\d+\. ", r"^\* "):
        assert len(re.findall(form, english, re.MULTILINE)) == len(re.findall(form, german, re.MULTILINE)), (
            form
        )


def test_the_privacy_pages_say_that_they_are_no_legal_advice() -> None:
    for page in (DOCS / "privacy").glob("*.md"):
        text = page.read_text("utf-8")
        if not page.name.startswith("data"):
            assert "legal advice" in text or "Rechtsberatung" in text, page.name


# Matching and the HTTP API ----------------------------------------------------------------------------


def test_every_reason_not_to_be_matched_is_explained() -> None:
    text = (DOCS / "matching.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {
        reason.value for reason in matching.Reason
    }


PAGES_OWN = {"/live", "/static/{name}", "/{path}"}


def test_every_route_of_the_operators_listener_is_documented() -> None:
    text = (DOCS / "http-api.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(?:GET|POST) ([^`?]+)`", text, re.MULTILINE))
    code = "".join(file.read_text("utf-8") for file in Path(operator.__file__).parent.glob("*.py"))
    routes = {path.replace(":path", "") for path in re.findall(r"Route\(\s*\"([^\"]+)\"", code)}
    assert routes - documented <= PAGES_OWN
    assert documented <= routes
