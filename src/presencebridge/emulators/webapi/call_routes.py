"""PURE: the routes that show calls and act on them.

Sources in Montesuma80/3cx-web-API: showcall.cs, getcallid.cs, getcallerid.cs, dnregs.cs, makecall.cs,
drop.cs, answer.cs, park.cs, transfer.cs, atttrans.cs, Program.cs; dexit/3cx-web-API: showcall.cs.
"""

from functools import partial

from presencebridge.emulators.pbx_model import Leg
from presencebridge.emulators.webapi.pbx import RECORDING_ACTIONS, Phone
from presencebridge.emulators.webapi.visit import (
    BAD_RECORD_ACTION,
    FailedInside,
    Pause,
    Visit,
)

_SOFT_PHONE = "3CXPhone for Windows"
_SLEEP_S = 2.5
_HEAD, _TAIL = "<html><head></head><body>", "</body></html>"


def showallcalls(visit: Visit) -> str:
    """A line for every connection of every call; each is formatted twice, for the page and for print."""
    page = _HEAD
    for call, legs in visit.pbx.calls():
        visit.say(f"Call {call}:")
        for leg in legs:
            page += _line(visit, leg) + "<br>"
            visit.say(f"    {_line(visit, leg)}")
    return page + _TAIL


def ondn(visit: Visit) -> str:
    return _call_id(visit, visit.part(2))


def getcallerid(visit: Visit) -> str:
    """The German words are the program's own. The queue's number is not forgotten from leg to leg."""
    answer, number = "idle", ""
    for leg in visit.legs(visit.part(2)):
        name = "Direkter Anruf"
        if leg.target is not None:
            number, name = visit.first_four(leg.target)
        visit.say(f"Called Number: {leg.party}")
        visit.say(f"Called Queue: {number}")
        answer = f"Queue: {name} Anrufer: {leg.party}"
    return answer


def dnregs(visit: Visit) -> str:
    dn = visit.part(2)
    visit.legs(dn)  # fails for an unknown DN
    phones = _phones(visit, dn)
    if not phones:
        return "error"
    visit.say(str(phones[0]))
    return str(phones[0])


def makecall(visit: Visit) -> Pause | str:
    return _dial(visit, visit.part(2), visit.part(3), visit.part(4))


def unpark(visit: Visit) -> Pause | str:
    return _dial(visit, visit.part(2), "*10", visit.part(3))


def drop(visit: Visit) -> str:
    """Hangs up the last connection found. The id that is printed lags one connection behind."""
    dn = visit.part(2)
    visit.say(f"ActiveConnection Number for this Extension: {dn}")
    legs = visit.legs(dn)
    visit.say(f"Call {visit.pbx.dn_id(dn)}:")
    if not legs:
        return "false"
    before = ""
    for leg in legs:
        visit.say(f"Call {leg.call}:")
        visit.say(f"ID {leg.id}:")
        visit.say("Active Connection Number is:")
        visit.say(before)
        before = str(leg.id)
    visit.pbx.hang_up(legs[-1])
    return "true"


def answer(visit: Visit) -> str:
    """Picks up the first ringing connection on a Windows soft phone, a mobile or a browser."""
    dn = visit.part(2)
    done = _answer(visit, dn)
    visit.say(f"Wert:{done}")
    return _call_id(visit, dn) if done == "true" else "null"


def record(visit: Visit) -> str:
    leg = _connected(visit, visit.part(2))
    visit.say(f"Record on Extension:{leg.id if leg else 0}")
    if leg is None:
        return "false"
    action = visit.part(3)
    if action in RECORDING_ACTIONS:
        leg.recording = action
    elif action in {"0", "1", "2", "3"}:
        leg.recording = RECORDING_ACTIONS[int(action)]
    else:
        raise FailedInside(BAD_RECORD_ACTION)
    return "true"


def transfer(visit: Visit) -> str:
    dn, destination = visit.part(2), visit.part(3)
    leg = _connected(visit, dn)
    if leg is None or not destination:
        return "false"
    visit.say(f"Transfer from:{leg.id} to{destination}")
    visit.say(f"Answering on Phone:{leg.id}")
    visit.pbx.transfer(leg, destination)
    return "true"


def park(visit: Visit) -> str:
    """What a connection prints as `Owner` is unknown; the plainest is .NET's default, its type's name."""
    legs = visit.legs(visit.part(2))
    if not legs:
        visit.say("keine offene Connection gefunden")
        return "false"
    visit.say("Owner: TCX.Configuration.ActiveConnection")
    visit.say(f"Owner Status:{legs[0].state}")
    visit.say(f"CallID: {legs[0].call}")
    visit.say("Park Position: *00")
    visit.pbx.park(legs[0])
    return "true"


def atttrans(visit: Visit) -> str:
    """Joins the two calls, if there is a Windows soft phone; the answer is `true` without one as well."""
    dn = visit.part(2)
    legs = visit.legs(dn)
    visit.say(str(len(legs)))
    if len(legs) != 2:
        return "false"
    joined = False
    for phone in _phones(visit, dn):
        line = f"{phone.user_agent}-{phone.contact}-{phone.id}"
        visit.say(line)
        if _SOFT_PHONE in line and not joined:
            visit.pbx.join(legs[0], legs[1])
            joined = True
    return "true"


def _line(visit: Visit, leg: Leg) -> str:
    number, name = "null", "Direkter Anruf"
    if leg.target is not None and visit.dialect.queue_before_dot:
        number = leg.target.split(".")[0]
        name = visit.pbx.queues.get(number, "unidentifyable")
    elif leg.target is not None:
        number, name = visit.first_four(leg.target)
    return (
        f"ID={leg.id};S={leg.state};DN={leg.dn};Queue_Name={name};Queue_Nummer={number}"
        f";EP={visit.external_party(leg)};REC={leg.recording}"
    )


def _call_id(visit: Visit, dn: str) -> str:
    """HistoryIDOfTheCall of the last connection. Its form is unknown; here it is the call's number."""
    found = "0"
    for leg in visit.legs(dn):
        found = str(leg.call)
        visit.say(f"CallID: {found}")
        visit.say(f"CallID_v16: {leg.call}")
    return found


def _phones(visit: Visit, dn: str) -> tuple[Phone, ...]:
    extension = visit.pbx.extensions.get(dn)
    return extension.phones if extension else ()


def _dial(visit: Visit, number: str, destination: str, kind: str) -> Pause | str:
    """Calls on the first phone that fits, of any extension whose number begins so (`all`: of any)."""
    visit.say(f"From Extension: {number}")
    visit.say(f"To Destination {destination}")
    visit.say(f"Phone {kind}")
    prefix = "" if number == "all" else number
    for extension in visit.pbx.extensions.values():
        if not extension.number.startswith(prefix):
            continue
        for phone in extension.phones:
            visit.say(f"DNReg {phone}")
            if not _fits(phone, kind):
                visit.say("next")
                continue
            if kind != "Soft":
                visit.say(kind)
            visit.pbx.make_call(extension, destination)
            return Pause(_SLEEP_S, partial(_call_id, visit, number))
    return "null"


def _fits(phone: Phone, kind: str) -> bool:
    text = str(phone)
    return {"Soft": _SOFT_PHONE in text, "Web": "3CX" in text, "Desktop": "3CX" not in text}.get(kind, False)


def _answer(visit: Visit, dn: str) -> str:
    """Which device a connection is on (attached data `devcontact`) is nowhere said.

    Here it is the extension's first registration, or a browser (at 127.0.0.1) where there is none.
    """
    phones = _phones(visit, dn)
    soft = next((phone.contact for phone in reversed(phones) if _SOFT_PHONE in phone.user_agent), "")
    device = phones[0].contact if phones else f"sip:{dn}@127.0.0.1:5063"
    for leg in visit.legs(dn):
        # The array of registrations is printed as such, so its type's name stands there.
        visit.say(
            f"ID={leg.id}:CCID={visit.pbx.order_in_call(leg)}:S={leg.state}:DN={leg.dn}"
            ":EP=TCX.Configuration.RegistrarRecord[]"
        )
        visit.say(device)
        if leg.state == "Ringing" and (device == soft or "127.0.0.1" in device):
            visit.pbx.pick_up(leg)
            if device != soft:
                visit.say("Active Connection Type is Mobilephone or WebRTC")
            return "true"
        visit.say("next")
    return "null"


def _connected(visit: Visit, dn: str) -> Leg | None:
    """The last connected connection, told line by line as record and transfer do."""
    found = None
    for leg in visit.legs(dn):
        visit.say(f"Call {leg.call}:")
        visit.say(visit.colon_line(leg))
        if leg.state == "Connected":
            found = leg
            visit.say("Active Connection Number is:")
            visit.say(str(leg.id))
        else:
            visit.say("Active Connection Number is unknown")
    return found
