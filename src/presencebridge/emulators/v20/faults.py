"""PURE: V20's ugly facts and what can go wrong, as data, and its merge-update."""

from typing import Any, Literal

import msgspec

from presencebridge.emulators.mishaps import Mishaps, Refuse, Strike, overlaid
from presencebridge.emulators.pbx_model import PROFILES


class Faults(Mishaps, forbid_unknown_fields=True):
    """What is wrong, or ugly, just now. The defaults are V20 at its plainest.

    - `refuse`: connections are cut without an answer, as where nobody listens; open sockets too.
    - `unauthorized_body`: a 401 of XAPI explains itself.
    - `patch_profile`: what a PATCH of CurrentProfileName does; `ignored` still answers 204.
    - `profile_names`: whether CurrentProfileName tells the internal name, or the label of a renamed one.
    - `token_life_s`; `expires_in`: the unit in which it is told; `old_tokens`: what becomes of a
      client's token when it asks for another.
    - `forbidden`: parts of XAPI paths that the API client's role may not see (403).
    - `default_page_size`: what a list without `$top` is cut down to.
    - `active_calls_lag_s`: how far ActiveCalls is behind.
    - `hold_shown`: the word for a leg on hold. `several_participants`: a ringing extension shows one for
      each device and one for the signalling.
    - `event_delay_s`, `drop_events`, `duplicate_events` (probabilities): the socket's events.
    - `refuse_sockets`: no new socket (503). `sockets_end_with_token`: a socket is closed (4401) once the
      token that opened it holds no more.
    - `status_override`: extension -> status that somebody set "temporarily". It hides the extension's own
      from callers. `override_shown`: XAPI's CurrentProfileName tells it.
    """

    refuse: Strike | bool | None = None
    unauthorized_body: bool = False
    patch_profile: Literal["applied", "ignored", "error"] = "applied"
    profile_names: Literal["internal", "shown"] = "internal"
    token_life_s: float = 3600.0
    expires_in: Literal["by-version", "minutes", "seconds"] = "by-version"
    old_tokens: Literal["refused", "kept"] = "refused"
    forbidden: tuple[str, ...] = ()
    default_page_size: int | None = None
    active_calls_lag_s: float = 0.0
    hold_shown: Literal["Connected", "own"] = "Connected"
    several_participants: bool = True
    event_delay_s: float = 0.0
    drop_events: float | bool = 0.0
    duplicate_events: float | bool = 0.0
    refuse_sockets: bool = False
    sockets_end_with_token: bool = False
    status_override: dict[str, str] = msgspec.field(default_factory=dict)
    override_shown: bool = False


def merged(faults: Faults, change: dict[str, Any], extensions: set[str]) -> Faults:
    """The faults with a change (JSON merge patch, RFC 7396: null resets). Raises `ValueError`."""
    plain = overlaid(msgspec.to_builtins(faults), change, "status_override")
    try:
        found = msgspec.convert(plain, Faults)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}; the faults are: {', '.join(Faults.__struct_fields__)}") from error
    if isinstance(found.status, int):
        found.status = Refuse(found.status)
    _check(found, extensions)
    return found


def _check(faults: Faults, extensions: set[str]) -> None:
    if faults.status is not None and not 400 <= _code(faults.status) < 600:
        raise ValueError("status: give an HTTP error status, 400 to 599")
    if min(faults.latency_s, faults.event_delay_s, faults.active_calls_lag_s, faults.token_life_s) < 0:
        raise ValueError("times are seconds: give 0 or more")
    if faults.default_page_size is not None and faults.default_page_size < 1:
        raise ValueError("default_page_size: give 1 or more, or null for everything")
    for number, profile in faults.status_override.items():
        if number not in extensions:
            raise ValueError(f"status_override: there is no extension {number}; name one (GET /extensions)")
        if profile not in PROFILES:
            raise ValueError(f"status_override: no status {profile!r}; use one of: {', '.join(PROFILES)}")


def _code(status: Refuse | int) -> int:
    return status.code if isinstance(status, Refuse) else status
