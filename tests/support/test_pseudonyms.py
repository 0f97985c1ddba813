"""What is private is replaced wherever it stands, by the same stand-in each time."""

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from presencebridge.support.pseudonyms import Pseudonyms

KEY = b"k" * 32


def hidden() -> Pseudonyms:
    made = Pseudonyms(KEY)
    made.person("101", ["ann.miller@corp.example", "Ann Miller-Sørensen"])
    made.person("102", ["Li Wu"])
    made.person("103", ["Support Team"])
    made.hide("tenant", "11111111-2222-3333-4444-555555555555")
    made.hide_address("https://pbx.corp.example:5001")
    made.secret("hunter2!")
    return made


def test_all_that_somebody_is_called_is_the_same_person() -> None:
    made = hidden()
    told = made.text("101: Ann Miller-Sørensen <ANN.MILLER@corp.example> ann's miller; SØRENSEN")
    mark = re.findall(r"ext-(\w+)", told)[0]
    assert told.count(f"person-{mark}") == 5
    assert not re.search("(?i)ann|miller|rensen|corp|101", told.replace(mark, ""))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Li said it is likely", "person-X said it is likely"),
        ("101 and 1010 and 10.101 and 101.5", "ext-X and 1010 and 10.101 and 101.5"),
        ("extension 101: no answer", "extension ext-X: no answer"),
        ("the Support Team supports teams", "the person-X supports teams"),
        ("https://pbx.corp.example:5001/xapi", "https://host-X:5001/xapi"),
        ("https://graph.microsoft.com/v1.0/me", "https://graph.microsoft.com/v1.0/me"),
        ("got hunter2! back", "got SECRET back"),
        ("from 192.0.2.7 to 127.0.0.1:8080", "from address-X to 127.0.0.1:8080"),
        ("from 2001:db8::7 at 06:10:12", "from address-X at 06:10:12"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJhdWQi.c2ln", "token SECRET"),
        ("call +4930123456 ended", "call number-X ended"),
        ("somebody@elsewhere.example", "mail-X"),
        ("99999999-2222-3333-4444-555555555555", "id-X"),
        (
            "see site.toml and app.pem at 2026-11-28T06:10:12Z",
            "see site.toml and app.pem at 2026-11-28T06:10:12Z",
        ),
        ("name other-host.internal.example", "name host-X"),
    ],
)
def test_what_is_private_or_looks_so_is_replaced_and_nothing_else(text: str, told: str) -> None:
    assert re.sub(r"-[0-9a-f]{6}\b", "-X", hidden().text(text)) == told


def test_stand_ins_are_the_same_with_the_same_key_and_others_with_another() -> None:
    other = Pseudonyms(b"o" * 32)
    other.person("101", ["ann.miller@corp.example"])
    assert hidden().text("101") == hidden().text("101") != other.text("101")


def test_values_keep_their_shape_and_their_fields() -> None:
    told = hidden().value({"person": "101", "n": 101, "on": True, "list": ["Ann", None]})
    assert told.keys() == {"person", "n", "on", "list"}
    assert (told["n"], told["on"], told["list"][1]) == (101, True, None)
    assert "Ann" not in str(told)


WORDS = st.text("abcdefghijklmnopqrstuvwxyzäöüßéABC -'.", min_size=3, max_size=30)


@settings(deadline=None)
@given(name=WORDS, before=st.text(max_size=20), after=st.text(max_size=20))
@example(name="Jürgen Weiß", before="", after="")
def test_no_name_survives_in_any_text(name: str, before: str, after: str) -> None:
    assume(any(letter.isalnum() for letter in name.strip()) and name == name.strip())
    made = Pseudonyms(KEY)
    made.person("4711", [name])
    told = made.text(f"<{before}> {name} <{after}> 4711 ")
    assert f" {name} " not in told
    assert name.upper() not in made.text(f" {name.upper()} ")
    assert " 4711 " not in told
