"""PURE: what can be made to go wrong, as data, and its merge-update."""

from typing import Any

import msgspec

from presencebridge.emulators.mishaps import overlaid
from presencebridge.emulators.pbx_model import PROFILES


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with the bridge or the phone system just now.

    - `latency_s`: every request takes that much longer (and, the bridge having one thread, so do the
      ones behind it).
    - `hang`: requests are never answered. `refuse`: the connection is cut without an answer.
      `garbage`: this text instead of the answer.
    - `path`: limits `hang`, `refuse` and `garbage` to URLs that contain it.
    - `close_after_s`: an unanswered request's connection is closed after that time, not left open.
    - `not_connected`: the bridge has lost the phone system.
    - `ignore_set`: a status is answered as set, but stays what it was.
    - `status_override`: extension -> profile that somebody set "temporarily". It hides the extension's
      own one from callers; the bridge neither shows it nor clears it.
    """

    latency_s: float = 0.0
    hang: bool = False
    refuse: bool = False
    garbage: str | None = None
    path: str = ""
    close_after_s: float | None = None
    not_connected: bool = False
    ignore_set: bool = False
    status_override: dict[str, str] = {}

    def hits(self, raw_url: str) -> bool:
        return self.path in raw_url


def merged(faults: Faults, change: dict[str, Any], extensions: set[str]) -> Faults:
    """The faults with a change (JSON merge patch, RFC 7396: null resets). Raises `ValueError`."""
    plain = overlaid(msgspec.to_builtins(faults), change, "status_override")
    try:
        found = msgspec.convert(plain, Faults)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}; the faults are: {', '.join(Faults.__struct_fields__)}") from error
    if found.latency_s < 0 or (found.close_after_s or 0) < 0:
        raise ValueError("latency_s and close_after_s are seconds: give 0 or more")
    for number, profile in found.status_override.items():
        if number not in extensions:
            raise ValueError(f"status_override: there is no extension {number}; name one of the world file")
        if profile not in PROFILES:
            raise ValueError(f"status_override: no status {profile!r}; use one of: {', '.join(PROFILES)}")
    return found
