"""The service with a fault put in on purpose, and the day in which each is found.

Nothing but the tests uses this. `tests/simulation/search.py` finds such days.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from presencebridge.simulation import defects
from presencebridge.simulation.defects import Patch
from presencebridge.simulation.making import Faults, plan_of
from presencebridge.simulation.plan import Plan, Trouble
from presencebridge.simulation.shrink import LEAD_S, shifted


class Mutant(msgspec.Struct, frozen=True):
    """What is wrong with it, how it is made so, and where it is found."""

    what: str
    patch: Callable[[], Patch]
    seed: int
    faults: Faults
    since: float
    until: float
    """The part of the seed's day that it takes, in hours."""
    also: Trouble | None = None
    """A trouble beside those of the seed."""
    nodes: int = 1

    def plan(self) -> Plan:
        plan = plan_between(self.seed, self.faults, self.since, self.until, self.nodes)
        if self.also is None:
            return plan
        deeds = sorted((*plan.deeds, self.also), key=lambda deed: deed.at)
        return replace(plan, deeds=tuple(deeds), rests=())


def plan_between(seed: int, faults: Faults, since: float, until: float, nodes: int = 1) -> Plan:
    """So much of a seed's first day, in hours from its begin; people begin it as if they had just come."""
    whole, begin, end = plan_of(seed, 1, faults, nodes), since * 3600, until * 3600
    deeds = tuple(deed for deed in whole.deeds if begin <= deed.at < end)
    rests = tuple(rest for rest in whole.rests if begin < rest <= end)
    plan = replace(whole, deeds=deeds, rests=rests, ends=end)
    return plan if begin <= LEAD_S else shifted(plan, begin - LEAD_S)


MUTANTS: Final = {
    "echo ignored": Mutant(
        "our own session counts as the person's", defects.echo_ignored, 1, "none", 0.18, 0.22
    ),
    "lease not renewed": Mutant(
        "the session is not renewed", defects.lease_not_renewed, 0, "none", 0.13, 0.25
    ),
    "sent before saved": Mutant(
        "a command leaves before the state is kept", defects.sent_before_saved, 1285, "all", 1.93, 2.25
    ),
    "second leg clears": Mutant(
        "the end of one of two calls clears", defects.second_leg_clears, 0, "none", 0.11, 0.24
    ),
    "claim outlives a hand": Mutant(
        "what somebody changed is still ours", defects.claim_outlives_a_hand, 0, "none", 0.5, 1.0
    ),
    "answered again": Mutant(
        "rule 1 acts more than once in a spell", defects.answered_again_and_again, 0, "none", 0.03, 0.07
    ),
    "paused is written to": Mutant(
        "a pause stops nothing", defects.paused_is_written_to, 3, "none", 2.83, 2.96
    ),
    "excluded is served": Mutant(
        "who is excluded is served", defects.excluded_is_served, 4, "none", 0.01, 0.05
    ),
    "never subscribed again": Mutant(
        "a subscription is made once, and its silence not noticed",
        defects.never_subscribed_again,
        28,
        "all",
        0.61,
        1.01,
    ),
    "written blindly": Mutant(
        "the status is not read before it is written", defects.written_blindly, 0, "none", 0.02, 0.06
    ),
    "forgets at restart": Mutant("the store is not read", defects.forgets_at_restart, 7, "all", 5.94, 6.42),
    "gives up": Mutant("a write that failed is not tried again", defects.gives_up, 78, "all", 0.39, 0.9),
    "call never ends": Mutant(
        "the end of the last call is not seen", defects.call_never_ends, 1, "none", 0.19, 0.25
    ),
    "Away of others freed": Mutant(
        "manual_wins is not heeded", defects.away_of_others_freed, 15, "none", 0.18, 0.22
    ),
    "wrong person": Mutant(
        "a call in Teams is somebody else's", defects.told_of_the_wrong_person, 0, "none", 0.02, 0.06
    ),
    "one waits for all": Mutant(
        "a write holds up everybody's", defects.one_waits_for_all, 0, "none", 0.02, 0.15
    ),
    "ringing counts": Mutant("a ringing phone is a call", defects.ringing_counts, 2, "none", 0.09, 0.13),
    "Retry-After ignored": Mutant(
        "it asks again before it may", defects.retry_after_ignored, 1, "all", 0.05, 0.09
    ),
    "socket kept": Mutant(
        "a mute websocket is never replaced", defects.socket_kept_for_ever, 34, "all", 2.81, 3.07
    ),
    "renewed blindly": Mutant(
        "a lost link counts as a call that goes on", defects.renewed_blindly, 1, "all", 6.62, 6.76
    ),
    "ignored taken for done": Mutant(
        "what 3CX accepted counts as done", defects.ignored_taken_for_done, 1, "all", 4.21, 4.34
    ),
    "pause never ends": Mutant(
        "a pause until a time has no end", defects.pause_never_ends, 9, "none", 5.5, 6.21
    ),
    "freed at start": Mutant(
        "a start counts as a change to Available", defects.freed_at_start, 16, "all", 4.87, 4.94
    ),
    "leaver kept": Mutant("who leaves is served all the same", defects.leaver_kept, 1, "none", 4.87, 4.94),
    "leaver dropped": Mutant("who leaves keeps what is ours", defects.leaver_dropped, 2, "none", 0.55, 0.68),
    "one watcher of two": Mutant(
        "the second watcher watches nobody", defects.one_watcher_of_two, 3, "none", 0.19, 0.23
    ),
    "stale poll wins": Mutant(
        "a read counts as of when it is answered", defects.stale_poll_wins, 167, "none", 0.94, 1.01
    ),
    "over at once": Mutant(
        "what our session hid is not read after it", defects.over_at_once, 14, "none", 0.0, 1.33
    ),
    "token kept": Mutant("a refused token is never renewed", defects.token_kept, 2, "all", 6.6, 6.73),
    "hold is no call": Mutant("a call on hold is none", defects.hold_is_no_call, 4, "none", 0.13, 0.18),
    "pause forgotten": Mutant("a restart ends a pause", defects.pause_forgotten, 431, "all", 1.12, 1.63),
    "sent once": Mutant(
        "a write without an answer counts as never sent", defects.sent_once, 162, "all", 4.0, 4.42
    ),
    "hint believed": Mutant(
        "a notification counts for as much as a read", defects.hint_believed, 40, "none", 2.66, 2.7
    ),
    "late ones believed again": Mutant(
        "notifications are acted on unread, however many were late",
        defects.late_ones_believed_again,
        87,
        "all",
        4.53,
        4.79,
    ),
    "never reconciled": Mutant(
        "what no notification told is never read", defects.never_reconciled, 940, "all", 0.17, 0.31
    ),
}
"""By name. Each has a seed in which the service, without the fault, does nothing wrong."""
