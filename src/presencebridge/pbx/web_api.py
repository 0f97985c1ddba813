"""PURE: 3cx-web-API, the bridge for V16 and V18: its paths, and its answers understood strictly.

The bridge (github.com/Montesuma80/3cx-web-API) and its forks (the one of the blog post's author, 2023 and
2024) say the same on the routes used here; they differ in content types and in the answer to a route that
does not exist, which is `idle`, `Idle` or a small HTML page. Every answer has status 200. A request that
fails inside is never answered at all: unknown extension, unknown word, no connection to the PBX.
"""

import re
from typing import Final

from presencebridge.core.model import AVAILABLE, AWAY, CUSTOM_1, CUSTOM_2, OUT_OF_OFFICE, LegState
from presencebridge.core.policy import canonical_status
from presencebridge.errors import Malformed
from presencebridge.pbx.answers import Legs

WORDS: Final = {
    AVAILABLE: "avail",
    AWAY: "away",
    OUT_OF_OFFICE: "oof",
    CUSTOM_1: "custom1",
    CUSTOM_2: "custom2",
}
"""The bridge's word for each status, as `/setstatus` takes it (its `profile.cs`)."""

CALLS_PATH: Final = "/showallcalls"

_FRAME: Final = re.compile(r"\s*<html><head></head><body>(.*)</body></html>\s*", re.DOTALL)
_LEG: Final = re.compile(r"ID=\d+;S=(?P<state>[^;]*);DN=(?P<dn>[^;]*);")
_STATUS: Final = "CURRENT_STATUS="


def status_path(extension: str) -> str:
    return f"/showstatus/{extension}"


def change_path(extension: str, status: str) -> str:
    return f"/setstatus/{extension}/{WORDS[status]}"


def parse_status(extension: str, body: str) -> str:
    """The status out of `    CURRENT_STATUS=Away`. Raises `Malformed`."""
    word = body.strip()
    status = canonical_status(word.removeprefix(_STATUS)) if word.startswith(_STATUS) else None
    if status is None:
        raise Malformed(
            f"extension {extension}: the bridge's answer to /showstatus is no status: {shown(body)}",
            cure=f"/showstatus/{extension} should say CURRENT_STATUS=Available or another status",
        )
    return status


def parse_change(extension: str, wanted: str, body: str) -> None:
    """`/setstatus` answers with the new internal name. Raises `Malformed` for anything else."""
    if canonical_status(body) != wanted:
        raise Malformed(
            f"extension {extension}: the bridge was asked for {wanted} and answered {shown(body)}",
            cure="check that the address in [pbx] url is that of 3cx-web-API",
        )


def parse_calls(body: str) -> Legs:
    """All legs out of `/showallcalls`. Raises `Malformed` where the answer as a whole is not one.

    A leg in a state that 3CX does not have is never guessed at: it is reported for its extension.
    """
    frame = _FRAME.fullmatch(body)
    if frame is None:
        raise Malformed(
            f"the bridge's answer to /showallcalls is not its list of calls: {shown(body)}",
            cure="check that the address in [pbx] url is that of 3cx-web-API",
        )
    legs: dict[str, list[LegState]] = {}
    unreadable: dict[str, str] = {}
    for line in filter(None, map(str.strip, frame[1].split("<br>"))):
        leg = _LEG.match(line)
        if leg is None:
            raise Malformed(f"the bridge's list of calls has a line of another form: {shown(line)}")
        try:
            legs.setdefault(leg["dn"], []).append(LegState(leg["state"]))
        except ValueError:
            unreadable[leg["dn"]] = f"extension {leg['dn']}: unknown state of a call: {shown(leg['state'])}"
    return Legs({dn: tuple(states) for dn, states in legs.items() if dn not in unreadable}, unreadable)


def shown(body: str) -> str:
    """A stranger's text, short and printable. Numbers of callers are nobody's business: digits are masked."""
    return repr(re.sub(r"\d{5,}", "…", body[:80]))
