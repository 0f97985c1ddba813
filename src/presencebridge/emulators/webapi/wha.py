"""PURE: the dialect `wha`, a bridge of its own making for V20: status only, in JSON.

Source: Wharfs/3CXStatusWebApi (Extensions.cs, ProfileMapping.cs, ApiKeyMiddleware.cs, the endpoints).
Every outcome is HTTP 200 with a word in `status`; what the routing itself refuses (unknown path, other
method, wrong key) is ASP.NET's: a bare status. With the PBX link down it throws, so ASP.NET says 500.
"""

from datetime import UTC, datetime
from urllib.parse import unquote

import msgspec

from presencebridge.emulators.webapi.pbx import Pbx
from presencebridge.emulators.webapi.steps import Answered, Request, Step

_CODES = {
    "available": "Available",
    "away": "Away",
    "out_of_office": "Out of office",
    "custom1": "Custom 1",
    "custom2": "Custom 2",
}


def respond_wha(
    request: Request,
    pbx: Pbx,
    now: float,
    *,
    api_key: str | None = None,
    connected: bool = True,
    ignores_set: bool = False,
) -> Step:
    if api_key and request.api_key != api_key:
        return Answered((), "", status=401)
    parts = [unquote(part) for part in request.raw_url.partition("?")[0].split("/") if part]
    match [part.lower() if place in {0, 1, 3} else part for place, part in enumerate(parts)]:
        case ["status", "extension", number]:
            act = _Act(pbx, number=number)
        case ["status", "extension", number, "profile", code]:
            act = _Act(pbx, number=number, code=code, ignores_set=ignores_set)
        case ["status", "extensions", profile, _] if profile.lower() == "profile":
            act = _Act(pbx, code=parts[3], ignores_set=ignores_set)
        case _:
            return Answered((), "", status=404)
    if request.method != "GET":
        return Answered((), "", status=405)
    if not connected:
        return Answered((), "", status=500)
    message, status = act.done()
    return Answered((), _json(message, status, now), "application/json")


class _Act(msgspec.Struct):
    """Read (no code), set one, or set all (no number)."""

    pbx: Pbx
    number: str | None = None
    code: str | None = None
    ignores_set: bool = False

    def done(self) -> tuple[str, str]:
        """(message, status word)"""
        profile = _CODES.get(self.code) if self.code is not None else None
        if self.code is not None and profile is None:
            return f"unknown profile short-code: {self.code}", "BAD_REQUEST"
        if self.number is None:
            return self._set_all(profile or ""), "OK"
        extension = self.pbx.extensions.get(self.number)
        if extension is None:
            return f"extension {self.number} not found", "NOT_FOUND"
        if profile is None:
            return extension.status, "OK"
        if not self._set(self.number, profile):
            return f"profile '{profile}' not configured on extension {self.number}", "NOT_FOUND"
        return profile, "OK"

    def _set_all(self, profile: str) -> str:
        applied = sum(self._set(number, profile) for number in self.pbx.extensions)
        return f"{profile} (applied to {applied}, skipped {len(self.pbx.extensions) - applied})"

    def _set(self, number: str, profile: str) -> bool:
        extension = self.pbx.extensions[number]
        if profile not in extension.profiles:
            return False
        if not self.ignores_set:
            extension.status = profile
        return True


def _json(message: str, status: str, now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "+00:00"
    text = msgspec.json.encode({"message": message, "status": status, "timeStamp": stamp}).decode()
    # System.Text.Json's default encoder writes an apostrophe so.
    return text.replace("'", "\\u0027")
