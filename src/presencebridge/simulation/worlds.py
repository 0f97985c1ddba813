"""PURE: what an ideal bridge may know and want of one person, as far as a fair onlooker can tell.

Nobody sees into the service. What it has seen and when is guessed: a `World` is one guess that fits what
happened so far, and `fair` keeps all of them. The rules are those of docs/config.md, written a second time.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

Preset = Literal["seed", "calls-only", "mirror"]

AVAILABLE: Final = "Available"
OFFLINE: Final = "Offline/Offline"
"""What Teams shows of who has no session at all."""
NO_CHANGE: Final = "no change"
CALL_PAIR: Final = "Busy/InACall"
OUT_PAIR: Final = "DoNotDisturb/Presenting"
"""What `mirror` shows in Teams of an `Out of office` that is not ours."""

_FREE: Final = frozenset({"Available", "AvailableIdle"})
_SEED_BUSY: Final = frozenset({"Busy", "BusyIdle", "DoNotDisturb", "BeRightBack"})
_ON_A_CALL: Final = frozenset({"InACall", "InAConferenceCall", "Presenting"})
_MIRRORED: Final = {
    "Busy": "Away",
    "BeRightBack": "Away",
    "Away": "Away",
    "DoNotDisturb": "Out of office",
    "Focusing": "Out of office",
    "OutOfOffice": "Custom 2",
}
_IN_A_CALL: Final = frozenset({"Dialing", "Connected", "Hold", "Held"})
_RANK: Final = {"DoNotDisturb": 2, "Busy": 1, "BusyIdle": 1}
"""As far as our own pairs can win or lose: everything else is below them."""


class World(msgspec.Struct, frozen=True):
    """One guess. It is an ideal bridge: whatever it wants, it writes as soon as it can.

    `wish` is what Teams asked of 3CX when it was last seen: a status, `NO_CHANGE`, or None if it never was.
    `claim` is the status of ours, `goal` the status that is still to be written. `looking` says how Teams was
    watched since: all the time; not all the time; or not at all since the service started.
    """

    wish: str | None = None
    claim: str | None = None
    goal: str | None = None
    looking: Literal["always", "gap", "start"] = "start"
    frees: frozenset[str] = frozenset()
    """Statuses that it sets to Available although they are not ours, when Teams becomes Available."""

    def settled(self, status: str) -> bool:
        """Whether it wants nothing more, and knows what 3CX shows."""
        return self.goal is None and self.claim in {None, status}


def freed(preset: Preset, manual_wins: bool) -> frozenset[str]:
    """Somebody's own statuses that rule 2 acts on."""
    if manual_wins or preset == "calls-only":
        return frozenset()
    return frozenset({"Away"} if preset == "seed" else {"Away", "Out of office"})


def wish_of(preset: Preset, pair: str) -> str:
    """What a person's own pair in Teams asks of 3CX: a status, or `NO_CHANGE`.

    Availability decides, but for `calls-only`: so Available/OutOfOffice is Available in `mirror` too.
    """
    availability, _, activity = pair.partition("/")
    if preset == "calls-only":
        return "Away" if activity in _ON_A_CALL else AVAILABLE
    if preset == "mirror" and availability in _MIRRORED:
        return _MIRRORED[availability]
    if preset == "seed" and availability in _SEED_BUSY:
        return "Away"
    return AVAILABLE if availability in _FREE else NO_CHANGE


def in_a_call(legs: Iterable[str], busy_while_ringing: bool) -> bool:
    return any(leg in _IN_A_CALL or (busy_while_ringing and leg == "Ringing") for leg in legs)


def seen_of_person(
    client: str, client_since: float, ours: str | None, ours_since: float, chosen: str | None = None
) -> str | None:
    """The person's own pair, as far as it can be seen beside our session; None: our session hides it.

    What they have chosen goes before all sessions, and counts while there is any. Graph shows the higher of
    two sessions, and of two that are as high the newer one. Where it shows exactly our pair, that says
    nothing of the person.
    """
    if chosen is not None and (client != OFFLINE or ours is not None):
        return chosen if chosen != ours else None
    if ours is None:
        return client
    own, mine = (_RANK.get(pair.partition("/")[0], 0) for pair in (client, ours))
    on_top = own > mine or (own == mine and client_since > ours_since)
    return client if on_top and client != ours else None


def pair_wanted(preset: Preset, status: str, calling: bool, world: World) -> str | None:
    """What our session in Teams should be. A call goes before a status."""
    if calling:
        return CALL_PAIR
    if preset == "mirror" and status == "Out of office" and world.claim != status:
        return OUT_PAIR
    return None


# What may happen to a world -----------------------------------------------------------------------------


def sees_teams(world: World, wish: str) -> set[World]:
    """It looks at Teams."""
    seen = replace(world, wish=wish, looking="always")
    if wish == world.wish:
        return {_levelled(seen)}
    if wish == NO_CHANGE:  # what was wanted and not yet done may be done or dropped
        return {seen, replace(seen, goal=None)}
    if wish != AVAILABLE:  # a spell begins
        return {replace(seen, goal=None if world.claim == wish else wish)}
    idle = _levelled(replace(seen, goal=None))
    if idle.claim or not world.frees or world.wish is None or world.looking == "start":
        return {idle}
    frees = replace(seen, goal=AVAILABLE)
    return {frees} if world.looking == "always" else {frees, idle}


def reads_status(world: World, status: str, lossy: bool) -> set[World]:
    """It reads the status: what was changed by hand is not ours any more, and not to be written over.

    `lossy`: answers get lost, so that a status it was about to write may be taken for its own.
    """
    if world.goal and status in _expected(world):
        return {world}
    claim = world.claim if world.claim == status else None
    after = {_levelled(replace(world, claim=claim, goal=None))}
    if lossy and world.goal == status != AVAILABLE:
        after.add(_levelled(replace(world, claim=status, goal=None)))
    return after


def writes(world: World, before: str, after: str, raced: bool, lossy: bool) -> set[World]:
    """It writes the status; empty if this world had no reason to.

    `raced`: somebody set it by hand in the very moment, so `before` may be anything.
    """
    if world.goal != after or not (raced or before in _expected(world)):
        return set()
    ours = None if after == AVAILABLE else after
    done = {_levelled(replace(world, claim=ours, goal=None))}
    if lossy:  # it may never hear of it
        done.add(replace(world, claim=ours or world.claim))
    return done


def takes_for_own(world: World) -> World:
    """What it has written was there before too, and nothing tells whether the write has arrived."""
    return replace(world, claim=None)


def follows_hint(world: World, before: str, after: str, hinted: Iterable[str]) -> set[World]:
    """It acts on an old notification, which told of one of the wishes `hinted`; empty if it had none such.

    Only what can be taken back: take a status, and give one of ours back.
    """
    if after not in hinted:
        return set()
    if after != AVAILABLE and before == AVAILABLE and world.claim is None:
        return {_levelled(replace(world, claim=after, goal=None))}
    if after == AVAILABLE and before == world.claim:
        again = before if world.wish == before else None
        return {replace(world, claim=None, goal=again)}
    return set()


def starts_again(world: World) -> World:
    """Claims, the spell and what follows from them are on the disk."""
    return replace(world, looking="start")


def resumes(world: World) -> set[World]:
    """After a pause: what was seen meanwhile may be answered now or never; a claim stands."""
    missed = replace(world, looking="gap")
    return {missed, _levelled(replace(missed, goal=None))}


def forgets(world: World) -> World:
    """Nothing was kept: what was ours is now somebody's own."""
    return World(frees=world.frees)


def gives_back(world: World, before: str, after: str) -> set[World]:
    """It serves the person no longer; empty if it holds nothing of that sort."""
    return {forgets(world)} if after == AVAILABLE and before == world.claim else set()


def interrupted(world: World) -> World:
    """Teams can't be watched all the time."""
    return replace(world, looking="gap") if world.looking == "always" else world


def closure(worlds: Iterable[World], ways: Iterable[Callable[[World], set[World]]]) -> set[World]:
    """Every world that can come about in these ways, in any order, or not at all."""
    ways = tuple(ways)
    known = set(worlds)
    fresh = list(known)
    while fresh:
        world = fresh.pop()
        for way in ways:
            new = way(world) - known
            known |= new
            fresh.extend(new)
    return known


def _expected(world: World) -> frozenset[str]:
    """What it writes over."""
    if world.claim and world.claim != world.goal:
        return frozenset({world.claim})
    return world.frees if world.goal == AVAILABLE else frozenset({AVAILABLE})


def _levelled(world: World) -> World:
    """Rule 2 is a level for what is ours."""
    return replace(world, goal=AVAILABLE) if world.claim and world.wish == AVAILABLE else world
