"""The German of troubles and cures stands apart from the code that makes the English: held together here."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import presencebridge
from presencebridge.reasons import GERMAN, reason

SOURCE = Path(presencebridge.__file__).parent
SOURCES = [
    file
    for place in (
        "graph",
        "pbx",
        "runtime",
        "node",
        "web/views.py",
        "adapters.py",
        "unreachable.py",
        "bounded.py",
    )
    for file in ([SOURCE / place] if place.endswith(".py") else sorted((SOURCE / place).glob("*.py")))
]
MAKES = {
    "TryAgain",
    "Refused",
    "Gone",
    "Conflict",
    "Malformed",
    "NeverAnswered",
    "degraded",
    "note",
    "Note",
    "on_note",
}
NAMES = {"what", "cure", "text"}
OF_OUTSIDE = {
    "{}: {} {}",  # what a request was answered, in Graph's words
    "{} {}: {} {}",  # likewise in 3CX's
    "{}:{} can't be had: {}",  # the service does not start: no page tells of it
    "stop what uses it (another presencebridge?), or name another address or port",
    "3CX's answer to {}",  # what of: not yet a sentence
    "name a PEM file with certificate and private key, or a file with the client secret",  # likewise
}
"""What is no sentence of the page's."""


def spelled(node: ast.expr) -> str | None:
    """A text with `{}` for whatever is filled in; None if it is none."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{\w+\}", "{}", text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case _:
            return None


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text in the code, and parts of a text that are joined by `+=`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (text := spelled(node)):
            yield text


def told(tree: ast.AST) -> Iterator[str]:
    """What the code tells of troubles: in an error, in a note, or by the names it has for such texts."""
    for node in ast.walk(tree):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found = [one.value for one in node.keywords if one.arg == "cure"]
            found += node.args[-2 if called in {"note", "on_note"} else 0 :] if called in MAKES else []
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            found = [node.value] if names & NAMES else []
        yield from (text for one in found if (text := spelled(one)) and " " in text)


TREES = [ast.parse(file.read_text("utf-8")) for file in SOURCES]
TOLD = sorted({text for tree in TREES for text in told(tree)} - OF_OUTSIDE)


@pytest.mark.parametrize("text", TOLD)
def test_what_is_told_has_a_german(text: str):
    assert reason(text.replace("{}", "Ann") + "Ann" * text.endswith(" "), "de").language == "de"


def test_no_german_is_of_something_that_is_told_no_more():
    code = "\n".join(text for tree in TREES for text in texts(tree))
    filled_in = r"\{\w+\}|name the extension and the Teams user in a \[\[person\]\]"
    pieces = {piece.strip() for english in GERMAN for piece in re.split(filled_in, english)}
    assert [piece for piece in pieces if piece not in code] == []


def test_both_have_the_same_to_be_filled_in():
    for english, german in GERMAN.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", german)), english


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("Graph did not answer within 10 s", "Graph hat binnen 10 s nicht geantwortet"),
        (
            "statuses can't be read: 3CX did not answer /xapi within 5 s",
            "der Status ist nicht lesbar: 3CX hat auf /xapi binnen 5 s nicht geantwortet",
        ),
        (
            "3CX accepts changes of a status and does not carry them out; Graph has asked us to wait",
            "3CX nimmt Änderungen des Status an und führt sie nicht aus; Graph hat uns zu warten gebeten",
        ),
        (
            "extension 101: 3CX has no such user (check tenant_id)",
            "Nebenstelle 101: in 3CX gibt es diesen Benutzer nicht (tenant_id prüfen)",
        ),
        (
            "app certificate app.pem ends in 12 days, on 2027-03-01",
            "das Zertifikat app.pem der App endet in 12 Tagen, am 2027-03-01",
        ),
        (
            "Entra refused the sign-in: AADSTS7000215 {x}",
            "Entra hat die Anmeldung abgewiesen: AADSTS7000215 {x}",
        ),
    ],
)
def test_what_is_filled_in_stays_unless_it_is_ours_too(english: str, german: str):
    assert reason(english, "de") == (german, "de")


def test_what_is_not_ours_stays_as_it_came():
    for text in ("", "a page of a proxy", "GET /Users: 418 I am a teapot"):
        assert reason(text, "de") == (text, "en")
        assert reason(text, "en") == (text, "en")


KNOWN = "ended on "
LONG = "everybody is read every s instead of every s: "


@pytest.mark.parametrize(
    "text",
    [
        "GET /xapi/v1/Users: 500 x; " + KNOWN * 24,
        "nobody in Entra has the address " + KNOWN * 28,
        "nobody in Entra has the address " + LONG * 350,
        "nobody in Entra has the address " + KNOWN * 210,
        "a can't be reached: b; " * 86,
        "double: a is an address of b; " * 66,
        "statuses can't be read: " * 80 + "(" * 50,
        "; " * 900,
    ],
    ids=lambda text: f"{text[:24]} {len(text)}",
)
def test_who_knows_our_sentences_can_not_make_them_costly(text: str):
    """What others write into an error is read as sentences of ours; each once doubled the work."""
    begun = time.process_time()
    reason(text, "de")
    assert time.process_time() - begun < 0.5


def test_what_is_longer_than_any_of_ours_is_not_looked_at():
    text = "Entra refused the sign-in: " + "x" * 2000
    assert reason(text, "de") == (text, "en")
