"""Texts: all that can be seen and decided has its words, in both languages."""

import string
from typing import get_args

import pytest

from presencebridge import words
from presencebridge.core.commands import ChangeStatus, ClearPresence, Note, ReadPresence, SetPresence
from presencebridge.core.events import AnyEvent
from presencebridge.core.model import STATUSES, Because, LegState, Presence
from presencebridge.runtime.day import Lane
from presencebridge.runtime.links import LinkState
from presencebridge.runtime.plots import Hop
from presencebridge.setup import texts as setup_texts
from presencebridge.texts import Text
from presencebridge.web.drawing import ORDERS, TAGS
from presencebridge.web.page import preferred
from presencebridge.web.views import CONDITIONS

SAME_IN_BOTH = {"live", "3CX", "Teams", "Teams: {value}", "3CX: {value}", "Teams: {seen}", "Microsoft Graph"}
SAME_IN_BOTH |= {"Person", "Offline", "← "}


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_says_the_same_in_both_languages():
    for text in (*Text, *setup_texts.Text):
        assert text.en.strip(), text
        assert text.de.strip(), text
        assert fields(text.en) == fields(text.de), text


def test_german_is_german():
    left = [text.name for text in Text if text.en == text.de and text.en not in SAME_IN_BOTH]
    assert left == []


def test_all_that_the_page_shows_has_a_text():
    names = [f"LINK_{state.name}" for state in LinkState]
    names += [f"SHOW_{tag.upper()}" for tag in TAGS]
    names += [f"ORDER_{order.upper()}" for order in ORDERS]
    names += [f"LANE_{lane.name}" for lane in Lane]
    names += [f"HOP_WHAT_{hop.value.upper()}" for hop in Hop]
    names += [condition.upper().replace(" ", "_") for condition in CONDITIONS]
    names += [f"LEG_{state.value.upper()}" for state in LegState]
    names += [f"STATUS_{status.upper().replace(' ', '_')}" for status in STATUSES]
    assert [name for name in names if name not in Text.__members__] == []


@pytest.mark.parametrize("event", get_args(AnyEvent), ids=lambda event: event.__name__)
def test_every_event_has_its_words(event):
    told = {"PresenceSeen", "StatusSeen", "LegsSeen", "PresenceWritten", "PresenceWriteFailed"}
    told |= {"StatusWritten", "StatusWriteFailed"}
    assert event.__name__ in told or f"SEEN_{event.__name__.upper()}" in Text.__members__


@pytest.mark.parametrize("because", Because)
def test_every_cause_has_its_words(because):
    kinds = [kind for kind in ("CAUSE", "NOTE", "LOOK") if f"{kind}_{because.name}" in Text.__members__]
    assert kinds, "nobody could say why"


def test_words_that_nobody_knows_stay_as_they_are():
    assert words.presence("Busy/InAMeeting", "de") == "Beschäftigt · In einer Besprechung"
    assert words.presence("Available/Available", "en") == "Available"
    assert words.presence("Levitating/OnAir", "de") == "Levitating · OnAir"
    assert words.status("Mittagspause", "de") == "Mittagspause"


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.5", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.3,en;q=0.4", "en"),
        ("fr,de;q=0.3", "de"),
        ("de;q=0,en;q=0.1", "en"),
        ("de;q=nonsense", "en"),
        (",;=;q", "en"),
    ],
)
def test_the_first_language_that_is_spoken_here_is_taken(asked, spoken):
    assert preferred(asked) == spoken


def test_commands_are_told_in_both_languages():
    pair = Presence("Busy", "InACall")
    for command in (
        SetPresence(Because.IN_CALL, pair, 300),
        ClearPresence(Because.CALL_OVER, pair),
        ChangeStatus(Because.TEAMS_BUSY, ("Available",), "Away"),
        ReadPresence(Because.TO_CONFIRM, 0.0),
        Note(Because.STATUS_TAKEN, "Away"),
    ):
        assert words.said(command) != words.said(command, "de")
