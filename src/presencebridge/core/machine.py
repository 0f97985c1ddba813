"""The rules: `step(state, event, now, policy) -> (state, commands)`.

Everything that decides lives in this file. An event is folded into the state by the one function that
`_ON` names for it; then two settlers, one for each side, compare what we hold with what the rules want
and ask for at most one write. So a rule is a level, not an edge: whatever was lost, doubled or late, the
next step asks for what is missing. The exceptions are stated where they stand, and they are three:

* A **spell** (a time in which Teams asks for the same status) is answered once, when it begins. Who then
  sets 3CX back by hand is left alone until the next spell.
* A status that is not ours is **freed** only when Teams *changes* to free while we look.
* Our own presence session **explains** what Teams shows as long as it lives. After its end a look that
  shows the same pair is looked at again before it is believed.

What Teams shows is believed of a **read** only, which is as new as its question. A notification may be
late, doubled or out of order, and carries nothing to tell, so it is a **hint**: it is acted on at once
where that can be taken back (a status is claimed, a claim is given back), and a read is asked for, which
confirms it or takes it back. So a late notification may cost two writes, and never changes where things
come to rest. Where one is late there are more of them, as after an outage: for a while then, nothing is acted
on before it was read.

`now` is in seconds, of any clock that only goes forward. `step` never raises on an event.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from presencebridge.core.backoff import doubled
from presencebridge.core.commands import (
    AnyCommand,
    ChangeStatus,
    ClearPresence,
    Note,
    ReadPresence,
    SetPresence,
)
from presencebridge.core.events import (
    AnyEvent,
    LegsLost,
    LegsSeen,
    Paused,
    PbxLost,
    PresenceSeen,
    PresenceWriteFailed,
    PresenceWritten,
    Recognized,
    Resumed,
    Source,
    Started,
    StatusSeen,
    StatusWriteFailed,
    StatusWritten,
    TeamsFound,
    TimerFired,
)
from presencebridge.core.model import (
    AVAILABLE,
    IDLE,
    Because,
    Presence,
    Released,
    Spell,
    State,
    StatusClaim,
    TeamsClaim,
    Write,
)
from presencebridge.core.policy import NO_CHANGE, Policy

_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 60.0
_DOUBT_S: Final = 3600.0
"""How long notifications are read before they are acted on, once a read has taken one back."""
_RENEW_AFTER: Final = 0.5
"""Share of the lease after which it is renewed: half of it is left for a Graph that is slow or away."""

_OFFLINE: Final = "Offline"
_GIVES_BACK: Final = (Because.TEAMS_FREE, Because.HINT_REFUTED, Because.LET_GO)
"""Why a status of ours is given back."""
_ENDS: Final = (Because.CALL_OVER, Because.STATUS_NOT_SHOWN, Because.LET_GO)
"""Why our presence session is ended."""

Say = Callable[[AnyCommand], None]


def step(state: State, event: AnyEvent, now: float, policy: Policy) -> tuple[State, tuple[AnyCommand, ...]]:
    """The state after `event`, and what is to be done about it."""
    commands: list[AnyCommand] = []
    say = commands.append
    state = _ON[type(event)](state, event, now, policy, say)
    state = _end_pause(state, now, say)
    state = _end_lease(state, now, say)
    if not state.paused:
        rules = policy.letting_go() if policy.excluded else policy
        state = _settle_status(state, now, rules, say)
        state = _settle_teams(state, now, rules, say)
    return state, tuple(commands)


def next_wake(state: State, now: float, policy: Policy) -> float | None:
    """When `TimerFired` is next wanted, None if nothing waits for the time.

    `now` is the time of the last step: what was due then has been done, so what is due is always later.
    """
    claim = state.teams_claim
    times = [state.teams_write.retry_at, state.status_write.retry_at]
    if claim:
        times += [claim.until, _renew_at(claim, policy)]
    if state.call_since is not None:
        times.append(state.call_since + policy.min_call_s)
    if state.paused_until is not None:
        times.append(state.paused_until)
    return min((time for time in times if time > now), default=None)


# What was seen ------------------------------------------------------------------------------------


def _started(state: State, _e: Started, now: float, policy: Policy, _say: Say) -> State:
    """Both sides are unknown until they are read; what is ours is from the store and may need mending."""
    return State(
        user=state.user,
        spell=state.spell,
        teams_claim=_maybe_alive(state.teams_claim, now, policy),
        status_claim=_maybe_sent(state.status_claim, now, policy),
        released=state.released and replace(state.released, at=min(state.released.at, now)),
        paused=state.paused,
        paused_until=state.paused_until,
    )


def _maybe_alive(claim: TeamsClaim | None, now: float, policy: Policy) -> TeamsClaim | None:
    """It may live as long as any: the clock may have been set since it was taken."""
    if claim is None:
        return None
    is_of_another_clock = claim.accepted_at is not None and claim.accepted_at > now
    accepted_at = None if is_of_another_clock else claim.accepted_at
    return replace(claim, until=now + policy.lease_s, accepted_at=accepted_at)


def _recognized(state: State, e: Recognized, _now: float, _policy: Policy, _say: Say) -> State:
    """If the extension was somebody else's before, only the status on 3CX that we hold there still counts."""
    if state.user in {None, e.user}:
        return replace(state, user=e.user)
    return State(
        user=e.user,
        status=state.status,
        status_mark=state.status_mark,
        legs=state.legs,
        call_since=state.call_since,
        pbx_up=state.pbx_up,
        status_claim=state.status_claim,
        teams_write=state.teams_write,
        status_write=state.status_write,
    )


def _presence_seen(state: State, e: PresenceSeen, now: float, policy: Policy, say: Say) -> State:
    if e.source is Source.NOTIFICATION:
        return _hinted(state, e.presence, now, policy, say)

    claim = state.teams_claim
    is_echo = claim is not None and _explained(e.presence, (claim.pair, *claim.instead_of))
    believable_from, doubt = state.presence_mark, Because.OVERTAKEN
    if e.sequence and state.sequence and e.sequence < state.sequence:
        believable_from += policy.settle_s  # from a part of Graph that lags behind
    if state.hint and not is_echo and not _same(state.hint, e.presence):
        # One of the two is late. What Graph tells may lag behind what it notifies, so it is asked once more.
        believable_from, doubt = state.presence_mark + policy.settle_s, Because.TO_CONFIRM
    if state.released and not is_echo and _explained(e.presence, state.released.pairs):
        believable_from, doubt = state.released.at + policy.settle_s, Because.ECHO_TO_CONFIRM
    believable_from = max(believable_from, state.presence_mark)
    if e.asked_at < believable_from:
        say(ReadPresence(doubt, max(now, believable_from)))
        return state

    if is_echo and not _same(state.shown, e.presence):
        say(Note(Because.ECHO, str(e.presence)))
    state = replace(state, shown=e.presence, presence_mark=e.asked_at, sequence=e.sequence or state.sequence)
    if is_echo:
        return replace(state, veiled=True)
    if _same(state.hint, e.presence) and state.spell and state.spell.regretted:
        # What was told last is true, so what was told before it was: it was over when it was given back.
        state = replace(state, spell=replace(state.spell, regretted=False))
    if state.hint and not _same(state.hint, e.presence):
        # It was late, or is; and seldom is it the only one.
        state = replace(state, doubted_until=now + _DOUBT_S)
    state = replace(state, hint=None)
    return _person_shows(state, e.presence, now, policy) if e.presence.is_known() else state


def _hinted(state: State, presence: Presence, now: float, policy: Policy, say: Say) -> State:
    """Fold in a notification: what it says of the person, until a read says so too or says otherwise."""
    state = replace(state, presence_mark=now)
    hint = None if _same(state.shown, presence) else presence
    if hint:
        say(ReadPresence(Because.TO_CONFIRM, now))
    session, released = state.teams_claim, state.released
    ours = (session.pair, *session.instead_of) if session else ()
    ours += released.pairs if released else ()
    if not presence.is_known() or _explained(presence, ours):
        return state
    spell, claim = state.spell, state.status_claim
    if now >= state.doubted_until and (spell is None or spell.hinted):
        target = policy.target(hint) if hint else NO_CHANGE
        if target in (AVAILABLE, NO_CHANGE) or (claim and claim.value != target):
            spell = None
        elif spell is None or spell.target != target:
            spell = Spell(target, now, hinted=True)
    if state.hint and not hint:  # it takes back what another one said, and no read has
        state = replace(state, doubted_until=now + _DOUBT_S)
    return replace(state, hint=hint, spell=spell)


def _trusted_hint(state: State, now: float) -> Presence | None:
    """What was notified and is acted on before it was read."""
    return state.hint if now >= state.doubted_until else None


def _person_shows(state: State, presence: Presence, now: float, policy: Policy) -> State:
    """Fold in what Teams shows of the person, less our session: spells begin and end here."""
    target = policy.target(presence)
    before = None if state.person is None else policy.target(state.person)

    spell, claim = state.spell, state.status_claim
    if claim and claim.hinted and claim.value == target:
        claim = replace(claim, hinted=False)
    if target == AVAILABLE or (target == NO_CHANGE and not (spell and spell.regretted)):
        spell = None
    elif target != NO_CHANGE:
        spell = replace(spell, hinted=False) if spell and spell.target == target else Spell(target, now)

    # The first look after our own session says nothing about a *change* of the person.
    became_free = before not in (None, AVAILABLE) and not state.veiled
    may_free = target == AVAILABLE and claim is None and not state.paused
    return replace(
        state,
        person=presence,
        veiled=False,
        spell=spell,
        status_claim=claim,
        free_wanted=may_free and bool(policy.freeable()) and (became_free or state.free_wanted),
    )


def _status_seen(state: State, e: StatusSeen, now: float, policy: Policy, say: Say) -> State:
    if e.asked_at < state.status_mark or state.status_write.doing:
        return state
    state = replace(
        _pbx_found(state),  # also where the calls of this extension can't be seen
        status=e.status,
        status_mark=e.asked_at,
        free_wanted=state.free_wanted and e.status in policy.freeable(),
    )
    claim, spell = state.status_claim, state.spell
    if claim is None:
        return state
    if e.status == claim.value and claim.value in claim.ours:
        return state if claim.confirmed else _taken(state, claim, say)
    if e.asked_at < claim.unsure_at + policy.settle_s and not claim.confirmed:
        return state  # ours may still arrive
    claim = _as_shown(claim, e.status)
    still_to_come = not claim.confirmed and spell is not None and not spell.done
    hint = _trusted_hint(state, now)
    if not claim.ours and still_to_come and hint and policy.target(hint) != claim.value:
        return replace(
            state, status_claim=None
        )  # nothing of it is there; if the spell goes on it is taken anew
    if claim.ours or still_to_come:
        return replace(state, status_claim=claim)
    say(Note(Because.STATUS_CHANGED_BY_HAND, e.status))
    return replace(state, status_claim=None, spell=_answered(spell, claim))


def _legs_seen(state: State, e: LegsSeen, now: float, policy: Policy, _say: Say) -> State:
    since = None
    if any(policy.counts(leg) for leg in e.legs):
        since = state.call_since
        if since is None:
            claim = state.teams_claim
            told = state.legs is None and claim is not None and claim.why is Because.IN_CALL
            since = now - policy.min_call_s if told else now  # it was long enough before a restart
    return replace(_pbx_found(state), legs=e.legs, call_since=since)


def _legs_lost(state: State, _e: LegsLost, _now: float, _policy: Policy, _say: Say) -> State:
    """As if the link were down for the calls alone: nothing is renewed, and the lease ends by itself."""
    return replace(state, legs=None)


def _pbx_found(state: State) -> State:
    """3CX answers. If it did not before, what waited for its next try need not wait longer."""
    if state.pbx_up:
        return state
    return replace(state, pbx_up=True, status_write=_at_once(state.status_write))


def _pbx_lost(state: State, _e: PbxLost, _now: float, _policy: Policy, _say: Say) -> State:
    """Nothing is known of 3CX: nothing is renewed, nothing is cleared, the lease ends by itself."""
    return replace(state, pbx_up=False, legs=None, status=None)


def _teams_found(state: State, _e: TeamsFound, _now: float, _policy: Policy, _say: Say) -> State:
    """What waited for its next try need not wait longer; a Retry-After is the client's to obey."""
    return replace(state, teams_write=_at_once(state.teams_write))


def _paused(state: State, e: Paused, _now: float, _policy: Policy, say: Say) -> State:
    say(Note(Because.PAUSED))
    return replace(state, paused=True, paused_until=e.until, free_wanted=False)


def _resumed(state: State, _e: Resumed, _now: float, _policy: Policy, say: Say) -> State:
    if state.paused:
        say(Note(Because.RESUMED))
    return replace(state, paused=False, paused_until=None)


def _timer_fired(state: State, _e: TimerFired, _now: float, _policy: Policy, _say: Say) -> State:
    return state


# What became of our writes ------------------------------------------------------------------------


def _presence_written(state: State, e: PresenceWritten, now: float, policy: Policy, say: Say) -> State:
    state = replace(state, teams_write=IDLE, presence_mark=now)
    claim = state.teams_claim
    if claim is None:
        return state
    if e.cleared:
        say(Note(Because.SESSION_CLEARED, str(claim.pair)))
        return _session_over(state, claim, now, say)
    if claim.accepted_at is None:
        say(Note(Because.SESSION_SET, str(claim.pair)))
        if state.person and state.person.availability == _OFFLINE:
            # What they have chosen in Teams' menu shows beside any session, and ours is no change of theirs.
            state = replace(state, veiled=True)
    released = state.released
    if claim.instead_of:
        # What the pair before it hid, this one may show, and where that is the same pair nobody tells of it.
        released = Released(claim.instead_of, now)
        say(ReadPresence(Because.SESSION_SET, now))
    claim = replace(claim, accepted_at=now, until=now + policy.lease_s, instead_of=())
    return replace(state, teams_claim=claim, released=released)


def _presence_write_failed(
    state: State, e: PresenceWriteFailed, now: float, policy: Policy, say: Say
) -> State:
    claim = state.teams_claim
    if claim and state.teams_write.doing not in _ENDS:
        claim = replace(claim, until=now + policy.lease_s)  # it may have arrived all the same
    say(Note(Because.WRITE_FAILED, e.reason))
    write = _again(state.teams_write, now, e.reason, e.retry_after_s)
    return replace(state, teams_claim=claim, teams_write=write)


def _status_written(state: State, e: StatusWritten, now: float, policy: Policy, say: Say) -> State:
    doing, attempts = state.status_write.doing, state.status_write
    state = replace(state, status=e.after, status_mark=now)
    claim = state.status_claim
    if e.wrote and e.after == e.before:
        reason = f"3CX accepted the change but still shows {e.after}"
        say(Note(Because.IGNORED_BY_PBX, e.after))
        write = _again(attempts, now, reason, None)
        # Some of them show a change seconds after it was read back: until it settles it may still come.
        return replace(state, status_claim=_unsure(claim, doing, now, policy), status_write=write)
    state = replace(state, status_write=IDLE)

    if doing is Because.TEAMS_FREE_UNCLAIMED:
        say(Note(Because.STATUS_FREED if e.wrote else Because.STATUS_LEFT_ALONE, e.after))
        return replace(state, free_wanted=False)
    if claim is None:
        return state
    if doing in _GIVES_BACK:
        outcome = Because.STATUS_GIVEN_BACK if e.wrote else Because.STATUS_CHANGED_BY_HAND
        say(Note(outcome, e.after))
        # What never was seen to be ours was not taken back by a hand: it had never arrived.
        spell = state.spell if e.wrote or not claim.confirmed else _answered(state.spell, claim)
        return replace(state, status_claim=None, spell=spell)

    if e.after == claim.value and (e.wrote or e.after in claim.ours):
        if e.wrote and e.before not in claim.ours:
            claim = replace(claim, before=e.before)
        return _taken(state, claim, say)
    say(Note(Because.STATUS_CHANGED_BY_HAND if e.wrote else Because.STATUS_LEFT_ALONE, e.after))
    return replace(state, status_claim=None, spell=_answered(state.spell, claim))


def _status_write_failed(state: State, e: StatusWriteFailed, now: float, policy: Policy, say: Say) -> State:
    say(Note(Because.WRITE_FAILED, e.reason))
    write = _again(state.status_write, now, e.reason, e.retry_after_s)
    claim = _unsure(state.status_claim, state.status_write.doing, now, policy)
    return replace(state, status_claim=claim, status_write=write, status_mark=now)


_ON: Final[dict[type, Callable[[State, Any, float, Policy, Say], State]]] = {
    Started: _started,
    Recognized: _recognized,
    PresenceSeen: _presence_seen,
    StatusSeen: _status_seen,
    LegsSeen: _legs_seen,
    LegsLost: _legs_lost,
    PbxLost: _pbx_lost,
    TeamsFound: _teams_found,
    Paused: _paused,
    Resumed: _resumed,
    TimerFired: _timer_fired,
    PresenceWritten: _presence_written,
    PresenceWriteFailed: _presence_write_failed,
    StatusWritten: _status_written,
    StatusWriteFailed: _status_write_failed,
}


# What time brings ---------------------------------------------------------------------------------


def _end_pause(state: State, now: float, say: Say) -> State:
    if state.paused and state.paused_until is not None and now >= state.paused_until:
        say(Note(Because.PAUSE_OVER))
        return replace(state, paused=False, paused_until=None)
    return state


def _end_lease(state: State, now: float, say: Say) -> State:
    claim = state.teams_claim
    if claim is None or now < claim.until or state.teams_write.doing:
        return state
    say(Note(Because.LEASE_ENDED, str(claim.pair)))
    return _session_over(state, claim, now, say)


# What is wanted -----------------------------------------------------------------------------------


def _settle_status(state: State, now: float, policy: Policy, say: Say) -> State:
    """Rules 1 and 2: Teams -> 3CX."""
    if not state.pbx_up or state.status_write.doing or now < state.status_write.retry_at:
        return state
    hint = _trusted_hint(state, now)
    claim, spell, person = state.status_claim, state.spell, hint or state.person
    target = policy.target(person) if person else NO_CHANGE
    free = target == AVAILABLE
    believed = person is not None and hint is None
    refuted = claim is not None and claim.hinted and believed and claim.value != target
    if refuted and spell is not None and not spell.done and spell.target == target:
        refuted = False  # another status is asked for: it takes the place of ours at once

    if claim and not claim.ours and (free or refuted or not policy.teams_to_3cx):
        say(Note(Because.STATUS_LEFT_ALONE, state.status or ""))
        claim, state = None, replace(state, status_claim=None)
    if claim and (free or refuted or not policy.teams_to_3cx):
        why = Because.TEAMS_FREE if free else Because.HINT_REFUTED if refuted else Because.LET_GO
        say(ChangeStatus(why, claim.ours, claim.before))
        state = replace(state, status_write=_doing(state.status_write, why))
        if hint is None:
            return state
        # Nobody but a notification says that it is over. If a read says that it is not, the status is taken
        # again; if it is, that read finds nothing new. What no read had asked for is not taken again.
        regretted = None if claim.hinted else Spell(claim.value, claim.since, regretted=True)
        return replace(state, spell=regretted, veiled=True)

    if not policy.teams_to_3cx:
        return state

    asked_for = spell is not None and (
        spell.target == target or (spell.regretted and believed and target == NO_CHANGE)
    )
    # Where it is not known what 3CX showed before, a write without an answer would leave it open whose it is.
    before_is_known = state.status is not None or bool(claim and claim.before)
    if spell and person and not spell.done and asked_for and before_is_known:
        if claim and claim.confirmed and claim.value == spell.target:
            say(Note(Because.STATUS_ALREADY_OURS, claim.value))
            return replace(state, spell=_answered(spell, claim))
        return _take(state, spell, person, now, policy, say)

    if state.free_wanted and free:
        say(ChangeStatus(Because.TEAMS_FREE_UNCLAIMED, policy.freeable(), AVAILABLE))
        return replace(state, status_write=_doing(state.status_write, Because.TEAMS_FREE_UNCLAIMED))
    is_open = claim is not None and not claim.confirmed  # else 3CX shows what was wanted, however it came
    wanted = is_open or (spell is not None and not spell.done) or state.free_wanted
    return replace(state, status_write=IDLE) if state.status_write.attempts and not wanted else state


def _take(state: State, spell: Spell, person: Presence, now: float, policy: Policy, say: Say) -> State:
    """Rule 1: claim the status and ask for it to be written, from the statuses that may be replaced."""
    claim, hinted = state.status_claim, _trusted_hint(state, now) is not None
    if claim is None:
        claim = StatusClaim(spell.target, "", person, now, hinted=hinted)
    elif claim.value != spell.target:
        claim = replace(claim, value=spell.target, why=person, since=now, confirmed=False, hinted=hinted)
    if not claim.ours:
        claim = replace(claim, before=state.status or "")
    older_of_ours = tuple(status for status in claim.ours if status != claim.value)
    say(ChangeStatus(Because.TEAMS_BUSY, (*policy.takes_from, *older_of_ours), claim.value))
    return replace(state, status_claim=claim, status_write=_doing(state.status_write, Because.TEAMS_BUSY))


def _settle_teams(state: State, now: float, policy: Policy, say: Say) -> State:
    """Rules 3 and 4: 3CX -> Teams."""
    write, claim = state.teams_write, state.teams_claim
    if not state.pbx_up or state.legs is None or write.doing or now < write.retry_at:
        return state
    wish, why = _wish(state, now, policy)

    if wish is None:
        if claim is None:  # nothing is wanted any more: whatever did not work is no trouble
            return replace(state, teams_write=IDLE) if write.attempts else state
        if claim.why is not Because.IN_CALL and policy.pair_for and state.status is None:
            return state  # perhaps it shows what 3CX has
        if policy.threecx_to_teams and claim.why is Because.STATUS_SHOWN:
            why = Because.STATUS_NOT_SHOWN
        say(ClearPresence(why, claim.pair))
        # It may arrive and nobody tell us, so whoever wants the session after all sets it anew.
        return replace(state, teams_claim=maybe_over(claim), teams_write=_doing(write, why))

    if claim is None:
        claim = TeamsClaim(wish, why, now, state.shown, until=now)
    elif not claim.pair.same_as(wish):
        shown_until_then = tuple(pair for pair in (*claim.instead_of, claim.pair) if pair != wish)
        claim = replace(claim, pair=wish, why=why, since=now, accepted_at=None, instead_of=shown_until_then)
    elif claim.accepted_at is not None and now < _renew_at(claim, policy):
        return replace(state, teams_claim=replace(claim, why=why)) if claim.why is not why else state
    else:
        why = Because.LEASE_RENEWED if claim.accepted_at is not None else why
    say(SetPresence(why, wish, policy.lease_s))
    claim = replace(claim, until=max(claim.until, now + policy.lease_s))
    return replace(state, teams_claim=claim, teams_write=_doing(write, why))


def _wish(state: State, now: float, policy: Policy) -> tuple[Presence | None, Because]:
    """The presence session that 3CX calls for: a call before a status, and a status only if not ours."""
    if policy.threecx_to_teams:
        in_call = state.call_since is not None and now >= state.call_since + policy.min_call_s
        if in_call and policy.call_pair:
            return policy.call_pair, Because.IN_CALL
        claim = state.status_claim
        if state.status is not None and not (claim and state.status in claim.ours):
            wish = policy.pair_for.get(state.status.casefold())
            return wish, Because.CALL_OVER if wish is None else Because.STATUS_SHOWN
        return None, Because.CALL_OVER
    return None, Because.LET_GO


# Small words --------------------------------------------------------------------------------------


def _session_over(state: State, claim: TeamsClaim, now: float, say: Say) -> State:
    """Our session is gone from Teams: write it into the ledger, and look at what is left."""
    say(ReadPresence(Because.SESSION_CLEARED, now))
    return without_session(state, claim, now)


def without_session(state: State, claim: TeamsClaim, now: float) -> State:
    """The state once the session of the claim is gone from Teams."""
    released = Released((claim.pair, *claim.instead_of), now)
    return replace(state, teams_claim=None, released=released, veiled=True, presence_mark=now)


def _taken(state: State, claim: StatusClaim, say: Say) -> State:
    """3CX shows the value that we wanted, and it is ours."""
    say(Note(Because.STATUS_TAKEN, claim.value))
    claim = replace(claim, confirmed=True, ours=(claim.value,))
    return replace(state, status_claim=claim, spell=_answered(state.spell, claim))


def _maybe_sent(claim: StatusClaim | None, now: float, policy: Policy) -> StatusClaim | None:
    """A write whose end is not known may have arrived, or still arrive: its value on 3CX is then ours.

    Not so if 3CX showed a status that we do not replace: then the same value after it is somebody's own.
    """
    if claim is None or claim.confirmed or claim.before not in policy.takes_from:
        return claim
    older_of_ours = tuple(value for value in claim.ours if value != claim.value)
    return replace(claim, ours=(*older_of_ours, claim.value), unsure_at=now)


def _unsure(
    claim: StatusClaim | None, doing: Because | None, now: float, policy: Policy
) -> StatusClaim | None:
    """What is known of a claim after a write that may still arrive: it may also be given back by then."""
    claim = _maybe_sent(claim, now, policy)
    return replace(claim, confirmed=False, unsure_at=now) if claim and doing in _GIVES_BACK else claim


def _as_shown(claim: StatusClaim, status: str) -> StatusClaim:
    """What 3CX shows is all of ours that there is."""
    return replace(claim, ours=tuple(value for value in claim.ours if value == status))


def _explained(shown: Presence, ours: tuple[Presence, ...]) -> bool:
    return any(_explains(pair, shown) for pair in ours)


def _explains(ours: Presence, shown: Presence) -> bool:
    """Whether our session alone accounts for what Teams shows.

    With an out-of-office note Teams shows a call as "InACall + OOF"; how Graph spells that is not
    documented, so an activity that begins with ours and names the note counts as ours.
    https://learn.microsoft.com/graph/cloud-communications-manage-presence-state
    """
    if ours.availability.casefold() != shown.availability.casefold():
        return False
    mine, theirs = ours.activity.casefold(), shown.activity.casefold()
    if mine == theirs:
        return True
    rest = theirs.removeprefix(mine)
    return rest != theirs and ("oof" in rest or "outofoffice" in rest)


def _same(a: Presence | None, b: Presence) -> bool:
    return a is not None and a.same_as(b)


def _answered(spell: Spell | None, claim: StatusClaim) -> Spell | None:
    """The spell that the claim was made for is answered; one that asks for another status is not."""
    if spell is None or spell.target != claim.value:
        return spell
    return replace(spell, done=True, regretted=False)


def maybe_over(claim: TeamsClaim) -> TeamsClaim:
    """What is known of a session that is about to be cleared: from now on it may be gone."""
    return replace(claim, accepted_at=None)


def _renew_at(claim: TeamsClaim, policy: Policy) -> float:
    return (claim.accepted_at or 0.0) + policy.lease_s * _RENEW_AFTER


def _doing(write: Write, cause: Because) -> Write:
    return replace(write, doing=cause)


def _at_once(write: Write) -> Write:
    return replace(write, retry_at=0.0) if write.retry_at else write


def _again(write: Write, now: float, reason: str, retry_after_s: float | None) -> Write:
    """The write is tried again, later each time, and never before the other side asked for."""
    delay = doubled(_FIRST_RETRY_S, write.attempts, _LONGEST_RETRY_S)
    return Write(None, write.attempts + 1, now + max(delay, retry_after_s or 0.0), reason)
