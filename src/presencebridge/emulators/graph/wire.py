"""PURE: how Graph writes dates, durations and bodies."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import Any

import msgspec

from presencebridge.emulators.graph.errors import GraphError, bad_request

_DURATION = re.compile(
    r"(?P<sign>-)?P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_MOMENT = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<rest>\.\d{1,12})?(?P<zone>Z|[+-]\d\d:\d\d)?", re.IGNORECASE
)


def duration_s(text: str) -> float | None:
    """Seconds of an ISO 8601 duration in Edm.Duration's form (days to seconds); None if it is none."""
    match = _DURATION.fullmatch(text)
    if not match or text.endswith(("P", "T")):
        return None
    parts = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    seconds = sum(float(match[name] or 0) * factor for name, factor in parts.items())
    return -seconds if match["sign"] else seconds


def epoch(text: str) -> float | None:
    """Epoch seconds of a date and time; None if it is none. Without a zone it is UTC."""
    match = _MOMENT.fullmatch(text)
    if not match:
        return None
    zone = (match["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        whole = dt.datetime.fromisoformat(match["whole"] + zone).timestamp()
    except ValueError:
        return None
    return whole + float(match["rest"] or 0)


def moment(seconds: float, digits: int = 7) -> str:
    """Graph's form of a date and time: `2026-11-23T11:00:00.0000000Z`."""
    when = dt.datetime.fromtimestamp(round(seconds, 6), dt.UTC)
    rest = f"{when.microsecond:06d}0"[:digits]
    return f"{when:%Y-%m-%dT%H:%M:%S}" + (f".{rest}Z" if digits else "Z")


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def json_object(body: bytes) -> dict[str, Any]:
    """The body of a request; raises Graph's 400 when it is no JSON object."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise bad_request(
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of "
            "valid JSON format."
        )
    return value


def parameters(body: Mapping[str, Any], operation: str, known: Iterable[str]) -> dict[str, Any]:
    """An action's parameters. OData's types are closed: an unknown one is refused."""
    wanted = set(known)
    given = {name: value for name, value in body.items() if "@" not in name}
    for name in given:
        if name not in wanted:
            raise bad_request(
                f"The parameter '{name}' in the request payload is not a valid parameter for the operation "
                f"'{operation}'."
            )
    return given


def text_of(given: Mapping[str, Any], name: str) -> str | None:
    """A parameter that is a string, or absent."""
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise GraphError(
            400, "BadRequest", f"Cannot convert the value of '{name}' to the expected type 'Edm.String'."
        )
    return value


def in_zone(seconds: float, zone: dt.tzinfo) -> float:
    """A date and time that was read as UTC, meant in that time zone."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=zone).timestamp()
