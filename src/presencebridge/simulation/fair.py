"""PURE: judges a chronicle as a fair person would who knows the rules and not the service.

The judge follows each person through the day with a set of worlds (`worlds`): everything that an ideal bridge
may have seen, and want, given what truly happened. What nobody can know splits the set:

* The bridge looks when it likes, so each thing that happens may have been seen or not yet, in any order. What
  was over before the bridge had to look may never have been seen.
* Where all was calm for `teams_s`, Teams was looked at and what follows was written, for `calls_s` the calls;
  after `status_s` a change of the status by hand was noticed. Then one world is left, and it must be the real
  one.
* Trouble stops that clock for whom it concerns, and so does a while after it (`heal_s`, `heal_notices_s`). It
  never stops the rules: what is written and what is shown at rest must be what some world wanted.
* While our session hides somebody, the bridge learns nothing of Teams. What changed to Available unseen
  (hidden, in trouble, while paused) may or may not free an Away that is not ours; after a start it may not.
* In trouble a change may cost more writes than one, but never more than four on a side.
* While notifications are in trouble, and for `late_s` where they are late at all times, an old one may take a
  status, and give one of ours back, nothing else; so a change may cost two writes there.
* Answers get lost while 3CX is in trouble, and at a crash: then what was written may be written once more. A
  write under way may be overtaken by a hand for `race_s`, and in such trouble for `under_way_s`.
* Whose status was just what the bridge writes, and whose write is not answered: it may take it for their own.
* Whoever sets by hand what the bridge has changed that very moment, before it has read back, looks like a 3CX
  that has ignored the change: it may be made once more.
* Whoever is stopped in good order may end our sessions.
* While nothing can be known of 3CX our session is not renewed.
* Who is to be served no more is served until `people_s` after it; then what is ours has been given back, and
  nothing is written.
* Who was forgotten with the database begins anew. A session of ours that nobody knows of any more lasts until
  its lease ends, and until then it may be taken for the person's own.
* A pause is kept from `race_s` after it, in trouble from `under_way_s`. What was missed meanwhile may be
  taken up at its end, or left.

No more is said of notifications that come late, doubled or not at all: rule 6 is rule 1 in such weather.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from presencebridge.simulation import worlds as w
from presencebridge.simulation.chronicle import (
    AnyHappening,
    AtRest,
    Chose,
    ClientShows,
    Forgotten,
    Glance,
    House,
    LegsAre,
    Owns,
    PausedByOperator,
    PutBack,
    ResumedByOperator,
    Shown,
    StatusByHand,
    TakenOut,
    Trouble,
    Violation,
    Wrote,
)
from presencebridge.simulation.weather import Bounds, Weather

_SLACK_S: Final = 2.0
"""Of clocks and answers, where a lease is measured."""
_READ_BACK_S: Final = 1.0
"""From a write to 3CX until it is looked whether it was carried out."""
_MOST_FLIPS: Final = 4
"""Changes of ours on one side in any weather, while nothing else happens."""
_LONG_AGO: Final = float("-inf")


def judge(house: House, chronicle: Sequence[AnyHappening], bounds: Bounds | None = None) -> list[Violation]:
    """What was not right, in the order of time; empty if a fair person finds nothing.

    Who is not told of shows nothing in Teams, `Available` on 3CX, and is in no call.
    """
    bounds = bounds or Bounds()
    told = sorted(chronicle, key=lambda happening: happening.at)
    if not told:
        return []
    found: list[Violation] = []
    for person in sorted(_people(told)):
        if person in house.excluded:
            found += _left_alone(person, told)
        else:
            found += _Onlooker(house, bounds, person, told).watch(told)
    return sorted(found, key=lambda violation: violation.at)


def _people(told: Iterable[AnyHappening]) -> set[str]:
    people: set[str] = set()
    for happening in told:
        match happening:
            case AtRest() | Glance():
                people |= happening.shown.keys()
            case Trouble() | Owns():
                pass
            case _:
                people.add(happening.person)
    return people


def _left_alone(person: str, told: Iterable[AnyHappening]) -> list[Violation]:
    """Who is excluded gets no write, ever."""
    found = []
    for happening in told:
        match happening:
            case Wrote() if happening.person == person:
                found.append(Violation(7, happening.at, person, f"is excluded, and {_in_words(happening)}"))
            case AtRest() if (shown := happening.shown.get(person)) and shown.our_session:
                what = f"is excluded, and we hold {shown.our_session} in Teams"
                found.append(Violation(7, happening.at, person, what))
            case _:
                pass
    return found


class _Onlooker:
    """Follows one person. `judge` says by which rules."""

    def __init__(self, house: House, bounds: Bounds, person: str, told: Sequence[AnyHappening]) -> None:
        self._house, self._bounds, self._person = house, bounds, person
        self._weather = Weather(bounds, house.lease_s, person, told)
        self._found: list[Violation] = []
        self._now = told[0].at
        # What is true
        self._client, self._client_since = w.OFFLINE, _LONG_AGO
        self._chosen: str | None = None
        self._session: str | None = None
        self._session_since = self._session_told = _LONG_AGO
        self._is_orphan = False
        """Whether nobody knows of our session any more."""
        self._lease_over: float | None = None
        """When the lease of a session that was not renewed ended."""
        self._status, self._status_since = w.AVAILABLE, self._now
        """And when we last wrote it."""
        self._by_hand: float | None = None
        self._wrote = (_LONG_AGO, "", "")
        """Our last write to 3CX: when, and from what to what."""
        """Since when the status is as somebody set it; None: as we did."""
        self._legs: tuple[str, ...] = ()
        self._paused: float | None = None
        self._pause_ends: float | None = None
        self._out: float | None = None
        """Since when the person is to be served no more."""
        self._let_go = False
        """Whether it was looked at that everything was given back."""
        self._back_since = _LONG_AGO
        self._dead = False
        # When it last changed
        self._changed = self._teams_changed = self._calls_changed = self._now
        """`_calls_changed`: whether they are in a call, or our session."""
        self._credit: dict[str, list[float]] = {"teams": [], "3cx": []}
        """Outside changes, by the side on which they were not yet answered."""
        self._flips = {"teams": 0, "3cx": 0}
        """Changes of ours since the last one from outside."""
        self._writes_each = 2 if bounds.late_s else 1
        """What a notification that is late took back or took, the read that it asks for undoes."""
        # What may be thought of it
        self._frees = w.freed(house.preset, house.manual_wins)
        self._worlds = {w.World(frees=self._frees)}
        self._wished: dict[str, float] = {}
        """When Teams last asked for what."""
        self._resumed_at = self._now
        self._was_calling: dict[bool, float] = {}
        self._was_status: dict[str, float] = {}
        """When it was last so."""
        self._told_of = False
        """That all is not as it should be was told, and nothing has changed since."""

    def watch(self, told: Sequence[AnyHappening]) -> list[Violation]:
        edges = [(death.at, True) for death in self._weather.deaths]
        edges += [(death.until, False) for death in self._weather.deaths]
        edges.sort()
        for happening in told:
            while edges and edges[0][0] <= happening.at:
                self._dies_or_starts(*edges.pop(0))
            if self._concerns(happening):
                self._pass(happening.at)
                self._take_in(happening)
        return self._found

    def _concerns(self, happening: AnyHappening) -> bool:
        match happening:
            case AtRest() | Glance():
                return self._person in happening.shown
            case Trouble() | Owns():
                return False
            case _:
                return happening.person == self._person

    # Time passes

    def _pass(self, until: float) -> None:
        """Until then, with what happens by itself on the way."""
        while True:
            lease = self._session_told + self._house.lease_s if self._session else None
            own = [moment for moment in (lease, self._pause_ends) if moment is not None and moment <= until]
            if not own:
                break
            moment = min(own)
            self._stand_in_all_weathers(moment)
            if moment == lease:
                self._session, self._lease_over = None, moment
                self._change(teams=True)
                self._calls_changed = moment
            else:
                self._resumed()
        self._stand_in_all_weathers(until)

    def _stand_in_all_weathers(self, until: float) -> None:
        for turn in self._weather.turns(self._now, until):
            self._stand(turn)
        self._stand(until)

    def _stand(self, until: float) -> None:
        """Nothing changed until then: what may the bridge have seen, and what must it have done?"""
        begun, self._now = self._now, until
        self._was_calling[self._calling()] = self._was_status[self._status] = until
        seen = self._seen()
        if seen is not None:  # also while it is dead: what Graph told then, it tells again
            self._wished[seen] = until
        if self._dead:
            return
        if seen is None or self._paused is not None or self._weather.is_rough(begun, until):
            self._worlds = {w.interrupted(world) for world in self._worlds}
        self._worlds = self._all_that_may_be(seen, self._weather.is_lossy(begun, until))
        if self._paused is None:
            self._must_have_acted(seen)
            self._must_have_let_go()

    def _must_have_acted(self, seen: str | None) -> None:
        calm_s, bounds = self._weather.calm_s, self._bounds
        if seen is not None and calm_s(self._teams_changed, self._now) >= bounds.teams_s:
            self._worlds = {
                world for world in self._worlds if world.wish == seen and world.looking == "always"
            }
        quiet_s = calm_s(self._changed, self._now)
        if quiet_s >= bounds.status_s:
            self._must_be_settled()
            return
        if quiet_s >= bounds.teams_s:
            self._must_be_settled(noticed=False)
        calls_s = min(calm_s(self._calls_changed, self._now), calm_s(self._resumed_at, self._now))
        if calls_s >= bounds.calls_s and (self._session == w.CALL_PAIR) != self._calling():
            wanted = w.CALL_PAIR if self._calling() else "none, or another"
            self._unsettled(4, self._what_is_wrong(wanted))

    def _what_is_wrong(self, wanted: str) -> str:
        legs = ", ".join(self._legs) or "no call"
        return f"our session is {self._session or 'none'}, and should be {wanted} ({legs})"

    def _must_be_settled(self, noticed: bool = True) -> None:
        """`noticed`: also that the status was set by hand."""
        if self._told_of:
            return
        settled = {
            world
            for world in self._worlds
            if (world.settled(self._status) if noticed else world.goal is None)
        }
        if not settled:
            wishes = sorted({world.goal or f"to let go of {world.claim}" for world in self._worlds})
            what = f"3CX shows {self._status}, and should become {' or '.join(wishes)}"
            self._unsettled(1, what)
            return
        fitting = {world for world in settled if self._session_fits(world, noticed)}
        if not fitting:
            wanted = " or ".join(sorted(pair or "none" for pair in self._pairs_wanted()))
            self._unsettled(4, self._what_is_wrong(wanted))
            return
        self._worlds = fitting

    def _unsettled(self, rule: int, what: str) -> None:
        if self._told_of:
            return
        others = [
            trouble
            for trouble in self._weather.of_others
            if trouble.at <= self._now and trouble.until >= self._changed
        ]
        if others:
            rule, what = 8, f"{what}; {others[0].person} is in trouble: {others[0].what}"
        elif self._is_left_by_a_death(rule):
            rule, what = 5, f"{what}; it is from before the bridge died"
        self._say(rule, what)
        self._told_of = True

    def _outlived_a_death(self, since: float) -> bool:
        return any(death.at <= self._now and death.until >= since for death in self._weather.deaths)

    def _is_left_by_a_death(self, rule: int) -> bool:
        """Not if it was long due to be changed when the bridge died: then it was wrong before."""
        since, due = (
            (self._session_since, self._calls_changed)
            if rule == 4
            else (self._status_since, self._teams_changed)
        )
        return any(
            death.at <= self._now and death.until >= since and due > death.at - self._bounds.status_s
            for death in self._weather.deaths
        )

    def _session_fits(self, world: w.World, noticed: bool) -> bool:
        """Calls have a bound of their own; what else our session may show follows from the status."""
        return not noticed or self._session == self._pair_wanted(world)

    def _all_that_may_be(self, seen: str | None, lossy: bool) -> set[w.World]:
        status = self._status
        ways = [lambda world: w.reads_status(world, status, lossy)]
        if seen is not None:
            ways.append(lambda world: w.sees_teams(world, seen))
        elif self._is_orphan and self._session is not None:
            taken_for = w.wish_of(self._house.preset, self._session)
            ways.append(lambda world: w.sees_teams(world, taken_for))
        return w.closure(self._worlds, ways)

    def _seen(self) -> str | None:
        """What Teams asks of 3CX, as far as it can be seen; None: it is hidden."""
        pair = w.seen_of_person(
            self._client, self._client_since, self._session, self._session_since, self._chosen
        )
        return None if pair is None else w.wish_of(self._house.preset, pair)

    def _calling(self) -> bool:
        return w.in_a_call(self._legs, self._house.busy_while_ringing)

    def _pair_wanted(self, world: w.World) -> str | None:
        return w.pair_wanted(self._house.preset, self._status, self._calling(), world)

    def _pairs_wanted(self) -> set[str | None]:
        return {self._pair_wanted(world) for world in self._worlds}

    def _pairs_lately_wanted(self) -> set[str | None]:
        """By who has not yet seen what changed last."""
        calm_s, preset, bounds = self._weather.calm_s, self._house.preset, self._bounds
        lately = [
            calling
            for calling, last in self._was_calling.items()
            if calm_s(last, self._now) <= bounds.calls_s
        ]
        wanted = {
            w.pair_wanted(preset, status, calling, world)
            for world in self._worlds
            for calling in lately
            for status, last in self._was_status.items()
            if calm_s(last, self._now) <= bounds.status_s
        }
        # What a call has brought goes with it, whether the status is known by then or not.
        over = self._session == w.CALL_PAIR and False in lately
        return wanted | {None} if over else wanted

    # Things happen

    def _take_in(self, happening: AnyHappening) -> None:  # noqa: C901, PLR0912 - one case each
        match happening:
            case ClientShows():
                self._client_shows(happening.pair or w.OFFLINE)
            case Chose():
                if happening.pair != self._chosen:
                    self._chosen = happening.pair
                    self._change(teams=True)
            case StatusByHand():
                self._set_by_hand(happening.status)
            case LegsAre():
                self._legs_are(happening.legs)
            case PausedByOperator():
                if self._paused is None:
                    self._paused = self._now
                self._pause_ends = happening.until
                self._change()
            case ResumedByOperator():
                self._resumed()
            case TakenOut():
                self._out, self._let_go = self._now, False
            case PutBack():
                self._put_back()
            case Forgotten():
                self._resumed()
                self._is_orphan = self._session is not None
                self._worlds |= {w.forgets(world) for world in self._worlds}
                self._change(teams=True)
            case Wrote(side="teams"):
                self._wrote_teams(happening)
            case Wrote():
                self._wrote_3cx(happening)
            case Glance():
                self._lease_is_kept(happening.shown[self._person].our_session)
            case AtRest():
                self._at_rest(happening.shown[self._person])
            case Trouble() | Owns():
                pass

    def _client_shows(self, pair: str) -> None:
        if pair != self._client:
            self._client, self._client_since = pair, self._now
            self._change(teams=True)

    def _set_by_hand(self, status: str) -> None:
        """Who sets what is there already changes nothing that could be seen."""
        if status != self._status:
            self._status, self._by_hand = status, self._now
            self._change()

    def _legs_are(self, legs: tuple[str, ...]) -> None:
        before = self._calling()
        self._legs = legs
        if self._calling() != before:
            self._calls_changed = self._now
            self._change()

    def _resumed(self) -> None:
        if self._paused is None:
            return
        self._paused = self._pause_ends = None
        self._resumed_at = self._now
        self._worlds = {new for world in self._worlds for new in w.resumes(world)}
        self._change(teams=True)

    def _put_back(self) -> None:
        """Perhaps it was never noticed that they had gone."""
        if self._out is None:
            return
        anew = {w.forgets(world) for world in self._worlds}
        self._worlds = anew if self._has_gone else self._worlds | anew
        self._out, self._back_since = None, self._now
        self._change(teams=True)

    @property
    def _has_gone(self) -> bool:
        """Whether it must be known that the person is to be served no more."""
        if self._out is None:
            return False
        return self._weather.calm_s(self._out, self._now, but_absent=True) > self._bounds.people_s

    def _seems_out(self) -> bool:
        """Whether it may serve them no longer: they are out, or were when it was last looked."""
        return self._out is not None or self._now - self._back_since <= self._race_s()

    def _is_only_told(self) -> bool:
        """Whether what only a notification had asked for may just have been taken back by another one."""
        return self._now - self._teams_changed <= self._bounds.race_s and self._weather.is_unread(self._now)

    def _race_s(self) -> float:
        """How long what was read is relied on: in trouble as long as a write may be under way."""
        lossy = self._weather.is_lossy(self._now, self._now)
        return self._bounds.under_way_s if lossy else self._bounds.race_s

    def _must_have_let_go(self) -> None:
        """Once, when it is certain that they have gone."""
        in_trouble = self._weather.is_rough(self._now, self._now, but_absent=True)
        if not self._has_gone or self._let_go or in_trouble:
            return
        self._let_go = True
        if self._session is not None:
            self._say(4, f"is served no more, and our {self._session} is still in Teams")
        if self._status != w.AVAILABLE and all(world.claim == self._status for world in self._worlds):
            self._say(1, f"is served no more, and our {self._status} is still on 3CX")

    def _dies_or_starts(self, at: float, dies: bool) -> None:
        self._pass(at)
        if dies and not self._dead:
            self._worlds = {w.starts_again(world) for world in self._worlds}
        self._dead = dies

    def _change(self, teams: bool = False, by_us: bool = False) -> None:
        self._changed = self._now
        self._told_of = False
        if teams:
            self._teams_changed = self._now
        if not by_us:
            self._flips = {"teams": 0, "3cx": 0}
            self._credit["teams"].append(self._now)
            self._credit["3cx"] += [self._now] * self._writes_each

    # We write

    def _wrote_teams(self, wrote: Wrote) -> None:
        self._lease_is_kept(wrote.before)
        if wrote.before is None and wrote.after is None:
            return
        self._not_while_paused(wrote)
        after, renewal = wrote.after, wrote.before == wrote.after
        if self._has_gone:
            self._say(7, f"is served no more, and {_in_words(wrote)}")
            return
        asked = after in self._pairs_lately_wanted() or (
            after is None and (self._seems_out() or self._weather.is_the_end(self._now))
        )
        if after == w.CALL_PAIR and self._weather.is_blind(self._now):
            self._say(5, f"{_in_words(wrote)}, while nothing could be known of 3CX")
        if self._paused is None and not asked:
            self._say(4, f"{_in_words(wrote)}, which nothing asked for")
        elif renewal:
            self._renewed_in_time()
        else:
            self._answers_something(wrote)
        self._session_told = self._now
        self._is_orphan = False
        if not renewal or self._session is None:
            if self._chosen is not None and self._client == w.OFFLINE:
                # What was chosen shows from now on, or no longer: that is no change of the person's.
                self._worlds = {w.interrupted(world) for world in self._worlds}
                self._credit["3cx"].append(self._now)
            self._session, self._session_since = after, self._now
            self._change(teams=True, by_us=True)
            self._calls_changed = self._now

    def _renewed_in_time(self) -> None:
        after_s = self._now - self._session_told
        early_s = self._house.lease_s / 2 - after_s
        all_calm = self._weather.calm_s(self._session_told, self._now) == after_s
        if early_s > _SLACK_S and all_calm:
            self._say(2, f"our session was renewed {early_s:.0f} s before half of its lease")

    def _wrote_3cx(self, wrote: Wrote) -> None:
        before, after = wrote.before or "", wrote.after or ""
        self._not_while_paused(wrote)
        if self._has_gone:
            self._say(7, f"is served no more, and {_in_words(wrote)}")
        lossy = self._weather.is_lossy(self._now, self._now)
        within_s = self._race_s()
        raced = self._by_hand is not None and self._now - self._by_hand <= within_s
        fitting: set[w.World] = set()
        for world in self._worlds:
            fitting |= w.writes(world, before, after, raced, lossy)
        may_be_unread = not fitting or self._weather.is_unread(self._now)
        if may_be_unread and (since := self._weather.hints_since(self._now)) is not None:
            hinted = {wish for wish, last in self._wished.items() if last >= since}
            for world in self._worlds:
                fitting |= w.follows_hint(world, before, after, hinted)
        if not fitting and (self._seems_out() or self._is_only_told()):
            for world in self._worlds:
                fitting |= w.gives_back(world, before, after)
        moment_s = within_s if lossy else _READ_BACK_S
        if not fitting and raced and self._seems_ignored(before, after, moment_s):
            fitting = {world for world in self._worlds if (world.claim or w.AVAILABLE) == after}
        if lossy and self._was_lately(after):
            fitting |= {w.takes_for_own(world) for world in fitting}
        self._wrote = self._now, before, after
        if before == after:  # in vain: it shows only in what the bridge believes
            self._worlds |= fitting
            return
        answers = self._answers_something(wrote, told=bool(fitting))
        if not fitting and self._paused is None:
            self._unasked(wrote, answers)
        self._worlds = fitting or self._anybodys_guess(after)
        self._status, self._status_since, self._by_hand = after, self._now, None
        self._change(by_us=True)

    def _was_lately(self, status: str) -> bool:
        """Whether the bridge may have seen this status, and nothing of what came after it."""
        since = self._was_status.get(status)
        return since is not None and self._weather.calm_s(since, self._now) <= self._bounds.status_s

    def _seems_ignored(self, before: str, after: str, within_s: float) -> bool:
        """Whether the same was written just before somebody set by hand what was there."""
        at, *same = self._wrote
        return same == [before, after] and self._by_hand is not None and self._by_hand - at <= within_s

    def _unasked(self, wrote: Wrote, answers: bool) -> None:
        if self._house.manual_wins and self._by_hand is not None:
            self._say(3, f"set {wrote.before} by hand, and {_in_words(wrote)}")
        else:
            orphaned = self._session is not None and self._outlived_a_death(self._session_since)
            self._say(5 if orphaned else 1 if answers else 2, f"{_in_words(wrote)}, which nothing asked for")

    def _anybodys_guess(self, status: str) -> set[w.World]:
        """After what should not have been done, so that it is told once: it is ours, or it is not."""
        seen = self._seen()
        ours = None if status == w.AVAILABLE else status
        return {w.World(seen, frees=self._frees), w.World(seen, claim=ours, frees=self._frees)}

    def _not_while_paused(self, wrote: Wrote) -> None:
        if self._paused is None:
            return
        is_rough = self._weather.is_rough(self._paused, self._now)
        if self._now - self._paused > (self._bounds.under_way_s if is_rough else self._bounds.race_s):
            self._say(7, f"is paused, and {_in_words(wrote)}")

    def _answers_something(self, wrote: Wrote, told: bool = True) -> bool:
        """Whether there was an outside change for it; each one is good for one write on each side.

        In trouble for some more, but not without end.
        """
        self._flips[wrote.side] += 1
        if self._flips[wrote.side] == _MOST_FLIPS + 1:
            self._say(
                2, f"{_in_words(wrote)}, the {_MOST_FLIPS + 1}th change of ours, and nothing else changed"
            )
        if self._told_of or self._weather.is_rough(self._now, self._now):
            return True
        credit = self._credit[wrote.side]
        while credit and self._weather.calm_s(credit[0], self._now) > self._bounds.status_s:
            credit.pop(0)
        if credit:
            credit.pop(0)
            return True
        if told:
            self._say(2, f"{_in_words(wrote)}, and nothing had changed but by us")
        return False

    # We look

    def _lease_is_kept(self, ours: str | None) -> None:
        """Rule 5. What Teams has is the truth from here on."""
        if ours == self._session:
            return
        if ours is not None and self._session is None and self._lease_over is not None:
            late_s = self._now - self._lease_over
            if late_s > _SLACK_S:
                self._say(5, f"our {ours} in Teams has outlived its lease by {late_s:.0f} s")
        self._session, self._session_since = ours, self._now
        self._session_told = self._now
        self._lease_over = None
        self._change(teams=True, by_us=True)
        self._calls_changed = self._now

    def _at_rest(self, shown: Shown) -> None:
        self._lease_is_kept(shown.our_session)
        self._legs_are(shown.legs)
        if shown.status != self._status:
            self._say(1, f"3CX shows {shown.status}; the last that was told is {self._status}")
            self._status = shown.status
            self._worlds = self._anybodys_guess(shown.status)
        if self._paused is not None or self._out is not None:
            return
        seen = self._seen()
        self._worlds = self._all_that_may_be(seen, lossy=False)
        if seen is not None:
            self._worlds = {
                world for world in self._worlds if world.wish == seen and world.looking == "always"
            }
        self._must_be_settled()
        if shown.our_session is None and shown.effective != shown.without_us:
            self._say(4, f"Teams shows {shown.effective}, and would show {shown.without_us} without us")

    def _say(self, rule: int, what: str) -> None:
        self._found.append(Violation(rule, self._now, self._person, what))


def _in_words(wrote: Wrote) -> str:
    side = "Teams" if wrote.side == "teams" else "3CX"
    return f"we changed {side} from {wrote.before or 'nothing'} to {wrote.after or 'nothing'}"
