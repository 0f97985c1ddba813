"""PURE: calls on V20: literal answers and events in, a picture of who is on the phone out."""

import json
import random
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presencebridge.core.model import LegState
from presencebridge.errors import Malformed
from presencebridge.pbx import v20_calls
from presencebridge.pbx.v20_calls import Event, Picture, Told

C, D, R = LegState.CONNECTED, LegState.DIALING, LegState.RINGING


def test_several_participants_of_a_call_are_legs_of_their_extension():
    entries = [
        {
            "dn": "101",
            "type": "Wextension",
            "devices": [],
            "participants": [
                {"id": 1, "status": "Ringing", "dn": "101", "party_dn": "10000", "device_id": "sip:101@1"},
                {"id": 2, "status": "Connected", "dn": "101"},
                {"id": 3, "status": "Held", "dn": "101"},
                {"id": 4, "status": "Talking in tongues", "dn": "101"},
                {"id": 5, "status": "", "dn": "101"},
            ],
        },
        {"dn": "102", "type": "Wextension", "devices": [], "participants": []},
        {"dn": "103", "type": "Wextension", "participants": None},
    ]
    picture = Picture(lambda _dn: True)
    picture.whole(v20_calls.parse_call_control(json.dumps(entries).encode()), picture.mark())
    legs = picture.legs()
    assert legs.by_extension == {"101": (R, C, LegState.HELD, C)}
    assert legs.visible == {"101", "102", "103"}


def test_the_list_of_calls_has_an_extension_as_the_first_word():
    calls = [
        {"Id": 1, "Caller": "1002 tools, admin", "Callee": "101 Ann", "Status": "Talking"},
        {"Id": 2, "Caller": "102 Bob", "Callee": "0301234567", "Status": "Routing"},
        {"Id": 3, "Caller": "0307654321 Somebody", "Callee": "8003 Queue 1 of 105", "Status": "Talking"},
        {"Id": 4, "Caller": None, "Callee": "", "Status": "Talking"},
        {"Id": 5, "Caller": "103 Cyn", "Callee": "104", "Status": "Parked"},
        {"Id": 6, "Caller": "Ann 106", "Callee": "107", "Status": None},
    ]
    legs = v20_calls.parse_active_calls(json.dumps({"value": calls}).encode())
    assert legs.by_extension == {
        "1002": (C,),
        "101": (C,),
        "102": (D,),
        "0301234567": (R,),
        "0307654321": (C,),
        "8003": (C,),
    }
    assert legs.unreadable.keys() == {"103", "104", "107"}
    assert "'Parked'" in legs.unreadable["103"]
    assert legs.visible is None


def test_who_hands_on_a_call_is_in_it_until_somebody_else_is():
    calls = [{"Id": 1, "Caller": "0301234567", "Callee": "101 Ann", "Status": "Transferring"}]
    legs = v20_calls.parse_active_calls(json.dumps({"value": calls}).encode())
    assert legs.by_extension == {"0301234567": (C,), "101": (C,)}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"\xff", b"[" * 100_000, b'{"value": 1}'])
def test_an_answer_of_another_form_is_an_error(body):
    for parse in (
        v20_calls.parse_active_calls,
        v20_calls.parse_call_control,
        v20_calls.parse_participants,
        v20_calls.parse_event,
    ):
        with pytest.raises(Malformed):
            parse(body)


@pytest.mark.parametrize(
    ("event_type", "entity", "expected"),
    [
        (0, "/callcontrol/150/participants/8107", Event(18, Told.CHANGED, "150", 8107)),
        (1, "/callcontrol/150/participants/8107", Event(18, Told.REMOVED, "150", 8107)),
        (0, "/callcontrol/crm%20integration/participants/1", Event(18, Told.CHANGED, "crm integration", 1)),
        (0, "/callcontrol/150", Event(18, Told.CHANGED, "150")),
        (1, "/callcontrol/150", Event(18, Told.CHANGED, "150")),
        (0, "/callcontrol/150/devices/sip:150", Event(18, Told.NOTHING)),
        (2, "/callcontrol/150/participants/8107", Event(18, Told.NOTHING)),
        (0, "/callcontrol/150/participants/x", Event(18, Told.NOTHING)),
        (4, None, Event(18, Told.NOTHING)),
    ],
)
def test_an_event_says_what_changed(event_type, entity, expected):
    event = {"event_type": event_type, "entity": entity, "attached_data": {"Response": 1}}
    text = json.dumps({"sequence": 18, "event": event})
    assert v20_calls.parse_event(text) == expected
    assert v20_calls.parse_event(text.encode()) == expected


def test_an_extension_that_is_of_no_interest_is_neither_read_nor_kept():
    picture = Picture({"101"}.__contains__)
    assert not picture.event(Event(1, Told.CHANGED, "102", 1))
    picture.whole({"101": {}, "102": {1: "Connected"}}, picture.mark())
    assert picture.legs().by_extension == {}
    assert picture.legs().visible == {"101", "102"}


def test_what_has_gone_is_not_remembered_without_end():
    picture, reads = Picture(lambda _dn: True), []
    older = just_before = picture.mark()
    for number in range(9 * v20_calls._MOST_REMOVED + 1):
        just_before = picture.mark()
        reads.append(picture.event(Event(number, Told.REMOVED, "101", number)))
        assert len(picture._removed["101"]) <= v20_calls._MOST_REMOVED
    assert reads[-1], "then the extension is read"
    assert sum(reads) == 9
    picture.one("101", {1: "Connected", 2000: "Connected"}, older)
    picture.one("101", {number: "Connected"}, just_before)
    assert picture.legs_of("101") == (), "what was asked before they had gone is not believed"
    assert picture.is_due("101")
    picture.one("101", {2000: "Connected"}, picture.mark())
    assert picture.legs_of("101") == (C,)
    assert not picture._removed
    assert not picture.is_due("101")


@pytest.mark.parametrize("most_removed", [v20_calls._MOST_REMOVED, 2, 0])
@given(seed=st.integers(0, 10_000))
def test_whatever_the_order_of_events_and_answers_the_picture_ends_as_the_truth(most_removed, seed):
    with mock.patch.object(v20_calls, "_MOST_REMOVED", most_removed):
        ends_as_the_truth(seed)


def ends_as_the_truth(seed: int) -> None:
    """Calls come and go; reads are answered late and in any order; every event is told once, in order."""
    dice = random.Random(seed)  # noqa: S311
    truth: dict[str, dict[int, str]] = {"101": {}, "102": {}}
    picture, sequence, under_way = Picture(lambda _dn: True), 0, []
    number = 0

    def tell(told: Told, dn: str, participant: int) -> None:
        nonlocal sequence
        sequence += 1
        if picture.event(Event(sequence, told, dn, participant)):
            ask(dn)

    def ask(dn: str | None) -> None:
        answer = {key: dict(value) for key, value in truth.items()} if dn is None else dict(truth[dn])
        under_way.append((dn, answer, picture.mark()))

    def answered() -> None:
        dn, answer, mark = under_way.pop(dice.randrange(len(under_way)))
        picture.whole(answer, mark) if dn is None else picture.one(dn, answer, mark)

    for _ in range(dice.randrange(40)):
        dn = dice.choice(["101", "102"])
        match dice.randrange(5):
            case 0:
                number += 1
                truth[dn][number] = "Ringing"
                tell(Told.CHANGED, dn, number)
            case 1 if truth[dn]:
                changed = dice.choice(list(truth[dn]))
                truth[dn][changed] = "Connected"
                tell(Told.CHANGED, dn, changed)
            case 2 if truth[dn]:
                gone = dice.choice(list(truth[dn]))
                del truth[dn][gone]
                tell(Told.REMOVED, dn, gone)
            case 3:
                ask(None)
            case 4 if under_way:
                answered()
    while under_way:
        answered()
    assert picture.legs().by_extension == {
        dn: tuple(map(LegState, words.values())) for dn, words in truth.items() if words
    }


def test_what_a_whole_read_finds_and_no_event_tells_means_that_the_socket_is_silent():
    picture = Picture(lambda _dn: True)
    picture.connected()
    picture.whole({"101": {1: "Connected"}}, picture.mark())
    picture.whole({"101": {1: "Connected"}}, picture.mark())
    assert not picture.is_silent(), "what was there before the socket is no finding"
    picture.whole({"101": {}}, picture.mark())
    assert picture.is_silent()
    assert not picture.is_silent(), "each finding counts once"


def test_an_event_that_comes_a_little_later_than_the_read_is_no_silence():
    picture = Picture(lambda _dn: True)
    picture.connected()
    picture.whole({"101": {}}, picture.mark())
    picture.whole({"101": {1: "Dialing"}}, picture.mark())
    picture.event(Event(1, Told.CHANGED, "101", 1))
    assert not picture.is_silent()


def test_a_change_that_is_being_read_already_is_no_silence():
    picture = Picture(lambda _dn: True)
    picture.connected()
    picture.whole({"101": {}}, picture.mark())
    picture.event(Event(1, Told.CHANGED, "101", 1))
    picture.whole({"101": {1: "Dialing"}}, picture.mark())
    assert not picture.is_silent()
