"""PURE: 3CXStatusWebApi, a bridge on the PBX that sets statuses on V20: its paths and answers.

github.com/Wharfs/3CXStatusWebApi. Every answer has status 200 and says in a word how it went; only a
wrong key (401) and what is outside of its routes are told by the status.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from presencebridge.core.model import AVAILABLE, AWAY, CUSTOM_1, CUSTOM_2, OUT_OF_OFFICE
from presencebridge.core.policy import canonical_status
from presencebridge.errors import Gone, LinkError, Malformed, Refused, TryAgain

WORDS: Final = {
    AVAILABLE: "available",
    AWAY: "away",
    OUT_OF_OFFICE: "out_of_office",
    CUSTOM_1: "custom1",
    CUSTOM_2: "custom2",
}


class _Answer(msgspec.Struct, frozen=True):
    message: str
    status: str


def status_path(extension: str) -> str:
    return f"/status/extension/{quote(extension, safe='')}"


def change_path(extension: str, status: str) -> str:
    return f"{status_path(extension)}/profile/{WORDS[status]}"


def parse_status(extension: str, body: bytes) -> str:
    """The extension's status, for a question and for a change. Raises `Gone`, `Malformed`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        cure = "check that the address in [pbx.bridge] url is that of 3CXStatusWebApi"
        raise Malformed(
            f"extension {extension}: the bridge's answer is not what it should be", cure=cure
        ) from error
    status = canonical_status(answer.message)
    if answer.status == "OK" and status is not None:
        return status
    if answer.status == "NOT_FOUND":
        cure = f"check that extension {extension} exists on the PBX and has all five status profiles"
        raise Gone(f"extension {extension}: the bridge does not find it: {answer.message[:80]!r}", cure=cure)
    raise Malformed(f"extension {extension}: the bridge says {answer.message[:80]!r}")


def error(status: int) -> LinkError:
    """What an answer that is no success means."""
    text = f"the bridge for statuses answered {status}"
    if status == 401:
        return Refused(text, status=status, cure="check the key in [pbx.bridge] api_key_file")
    if status >= 500:
        cure = "check that 3CXStatusWebApi is connected to the PBX"
        return TryAgain(text, status=status, cure=cure)
    return Refused(text, status=status, cure="check [pbx.bridge] kind and url")
