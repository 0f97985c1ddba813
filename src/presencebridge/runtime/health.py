"""PURE: whether a site is in step, and whether it makes progress; and if not, what stands in the way.

*In step* is a promise about people: who is served is known, every link works, everybody was seen on both
sides, and nobody waits for a write for longer than a minute. Left aside are people who are paused or left
alone, and those who have a trouble of their own that somebody has to mend (such as an extension that does not
exist): they are told, and one of them does not make a site unready for ever.

*Progress* is a promise about the program: its loops go round, and what is to be saved is saved or refused.
That Microsoft or 3CX lets us wait, or the disk is full, is no lack of it: a restart would mend nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from presencebridge.core.model import State
from presencebridge.runtime.links import LinkReport, LinkState
from presencebridge.runtime.people import Member

WAITS_AT_MOST_S: Final = 60.0
"""A write that is owed for longer means that somebody is not in step. Most are accepted within a second; a
Retry-After, or a 3CX that ignores changes, takes longer."""
NO_PROGRESS_S: Final = 120.0


def out_of_step(
    *,
    is_known: bool,
    links: Iterable[LinkReport],
    people: Sequence[tuple[Member, State]],
    owed: Mapping[str, Mapping[str, float]],
    now: float,
) -> list[str]:
    """Why the site is not in step; nothing if it is.

    `owed`: for each side, since when each person waits for a write to it.
    """
    up = (LinkState.CONNECTED, LinkState.DEGRADED)
    found = [f"{link.name} is {link.state}" for link in links if link.state not in up]
    if not is_known:
        found.append("it is not known yet who is served")
    served = [(member, state) for member, state in people if _counts(member, state)]
    if unseen := sum(not _is_seen(state) for _, state in served):
        found.append(f"{_people(unseen)} not seen yet on both sides")
    counts = {member.key for member, _ in served}
    for side, waiting in owed.items():
        late = [now - since for key, since in waiting.items() if key in counts]
        if late := [waits for waits in late if waits > WAITS_AT_MOST_S]:
            longest = f"for up to {max(late):.0f} s" if len(late) > 1 else f"for {late[0]:.0f} s"
            found.append(f"{_people(len(late))} waiting for a write to {side}, {longest}")
    return found


def _counts(member: Member, state: State) -> bool:
    return not (member.policy.excluded or state.paused or member.troubles)


def _is_seen(state: State) -> bool:
    return state.shown is not None and state.status is not None and state.legs is not None


def _people(count: int) -> str:
    return "1 person is" if count == 1 else f"{count} people are"


def stuck(beats: Mapping[str, float], now: float, longest_s: float = NO_PROGRESS_S) -> list[str]:
    """What has not moved for too long. `beats`: when each part of the program last moved."""
    return [
        f"{name} has not moved for {now - beat:.0f} s"
        for name, beat in beats.items()
        if now - beat > longest_s
    ]
