"""PURE: presence sessions, the preferred presence, and what a user shows.

From learn.microsoft.com/graph/cloud-communications-manage-presence-state: a user has one session
for each Teams client and each application; a preferred presence outranks them; among sessions
DoNotDisturb > Busy > Available > Away; an application's Available fades after 5 minutes to
Available/AvailableInactive and after 5 more to Away/Away; a session that expires is Offline.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

CLIENT_SESSION = "client"
FADE_S = 300.0


class Pair(NamedTuple):
    """Presence as Teams says it."""

    availability: str
    activity: str


AVAILABLE = Pair("Available", "Available")
AVAILABLE_INACTIVE = Pair("Available", "AvailableInactive")
AWAY = Pair("Away", "Away")
OFFLINE = Pair("Offline", "Offline")

# learn.microsoft.com/graph/api/presence-setpresence: exactly these.
SETTABLE = frozenset(
    {
        AVAILABLE,
        Pair("Busy", "InACall"),
        Pair("Busy", "InAConferenceCall"),
        AWAY,
        Pair("DoNotDisturb", "Presenting"),
    }
)

# learn.microsoft.com/graph/api/presence-setuserpreferredpresence
PREFERABLE = frozenset(
    {
        AVAILABLE,
        Pair("Busy", "Busy"),
        Pair("DoNotDisturb", "DoNotDisturb"),
        Pair("BeRightBack", "BeRightBack"),
        AWAY,
        Pair("Offline", "OffWork"),
    }
)

# Microsoft ranks only DoNotDisturb, Busy, Available and Away. Our choice for the rest: an idle form
# stands beside its own, BeRightBack between Available and Away, Offline last.
_RANK = {
    "DoNotDisturb": 6,
    "Busy": 5,
    "BusyIdle": 5,
    "Available": 4,
    "AvailableIdle": 4,
    "BeRightBack": 3,
    "Away": 2,
    "Offline": 1,
}

AVAILABILITIES = frozenset({*_RANK, "PresenceUnknown"})
ACTIVITIES = frozenset(
    {
        *("Available", "AvailableInactive", "Away", "BeRightBack", "Busy", "DoNotDisturb", "Focusing"),
        *("InACall", "InAConferenceCall", "Inactive", "InAMeeting", "Offline", "OffWork", "OutOfOffice"),
        *("PresenceUnknown", "Presenting", "UrgentInterruptionsOnly"),
    }
)


class Session(msgspec.Struct, frozen=True):
    """What one Teams client or application says of a user.

    `since` is when the pair became what it is, `told` when it was last said. `expires` is None for a
    Teams client, whose session lives while it is signed in.
    """

    session_id: str
    pair: Pair
    since: float
    told: float
    expires: float | None = None


class Preferred(msgspec.Struct, frozen=True):
    """What the user chose by hand, in Teams or through setUserPreferredPresence."""

    pair: Pair
    expires: float | None


class Presence(msgspec.Struct, frozen=True):
    """All that is said about one user."""

    sessions: tuple[Session, ...] = ()
    preferred: Preferred | None = None


def shown(presence: Presence, now: float) -> Pair:
    """The one pair that everybody sees at that moment.

    Without any live session it is Offline, whatever is preferred
    (learn.microsoft.com/graph/api/presence-setuserpreferredpresence). Between sessions of one rank the
    page says nothing: the one whose pair is newest wins.
    """
    live = [session for session in presence.sessions if _lives(session, now)]
    if not live:
        return OFFLINE
    if (preferred := presence.preferred) and _is_ahead(preferred.expires, now):
        return preferred.pair
    top = max(live, key=lambda session: (_RANK.get(faded(session, now).availability, 0), session.since))
    return faded(top, now)


def faded(session: Session, now: float) -> Pair:
    """What a session says at that moment, its fading considered."""
    if session.session_id == CLIENT_SESSION or session.pair != AVAILABLE:
        return session.pair
    # The same sums as in `_turns`, so that a rounding rest can't fall between the two.
    if now < session.told + FADE_S:
        return AVAILABLE
    return AVAILABLE_INACTIVE if now < session.told + 2 * FADE_S else AWAY


def told(presence: Presence, session_id: str, pair: Pair, now: float, expires: float | None) -> Presence:
    """A client or an application says how the user is. Saying the same again only renews it."""
    before = session_of(presence, session_id, now)
    since = before.since if before and before.pair == pair else now
    others = [session for session in presence.sessions if not _is_named(session, session_id)]
    sessions = (*others, Session(session_id, pair, since, now, expires))
    return msgspec.structs.replace(presence, sessions=sessions)


def without_session(presence: Presence, session_id: str) -> Presence:
    kept = tuple(session for session in presence.sessions if not _is_named(session, session_id))
    return msgspec.structs.replace(presence, sessions=kept)


def preferring(presence: Presence, preferred: Preferred | None) -> Presence:
    return msgspec.structs.replace(presence, preferred=preferred)


def session_of(presence: Presence, session_id: str, now: float) -> Session | None:
    for session in presence.sessions:
        if _is_named(session, session_id) and _lives(session, now):
            return session
    return None


def pruned(presence: Presence, now: float) -> Presence:
    """Without what has expired."""
    sessions = tuple(session for session in presence.sessions if _lives(session, now))
    preferred = presence.preferred
    if preferred and not _is_ahead(preferred.expires, now):
        preferred = None
    return Presence(sessions, preferred)


def next_turn(presence: Presence, now: float) -> float | None:
    """When something will change by itself: a fade, or an expiry. None: never."""
    return min((moment for moment in _turns(presence) if moment > now), default=None)


def _turns(presence: Presence) -> Iterator[float]:
    for session in presence.sessions:
        if session.expires is not None:
            yield session.expires
        if session.session_id != CLIENT_SESSION and session.pair == AVAILABLE:
            yield session.told + FADE_S
            yield session.told + 2 * FADE_S
    if presence.preferred and presence.preferred.expires is not None:
        yield presence.preferred.expires


def _lives(session: Session, now: float) -> bool:
    return _is_ahead(session.expires, now)


def _is_ahead(moment: float | None, now: float) -> bool:
    return moment is None or now < moment


def _is_named(session: Session, session_id: str) -> bool:
    return session.session_id.casefold() == session_id.casefold()
