"""PURE: judges several nodes by what docs/cluster.md promises, without knowing how they come to it.

* At most one owner acts: once a request of one epoch was carried out, none of an earlier one leaves. What has
  left before may arrive later.
* Nothing leaves a node whose lease is over.
* A site stays where it is unless something happens to the nodes or the engine, and is taken over in time.
* A notification that was answered with a yes reaches an owner.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from presencebridge.simulation.chronicle import AnyHappening, Owns, Trouble, Violation
from presencebridge.simulation.plan import Site
from presencebridge.simulation.weather import joined

_PACES: Final = 1.25
"""Clocks may differ in pace by a fifth."""
_BEGINS_S: Final = 15.0
"""From when a lease is over until the next owner has found that out and asks for something."""
_LEAVES_S: Final = 30.0
"""How long a node that ends waits for others to take what it has."""
_ASKS_S: Final = 65.0
"""The longest time between two requests of a site, also when none is answered."""
_READ_ON_S: Final = 30.0
"""Until a notification that was taken in is handed on, where nothing is wrong."""


class Act(msgspec.Struct):
    """A request for Teams or 3CX: when it left which node, and when it was carried out, if it was."""

    left: float
    node: str
    epoch: int
    what: str
    carried: float | None = None


class Renewal(msgspec.Struct, frozen=True):
    """A node's record was written: renewed, or ended."""

    at: float
    node: str
    is_end: bool


class Ledger(msgspec.Struct):
    """What truly happened, in the order of time."""

    acts: list[Act] = []
    renewals: list[Renewal] = []
    accepted: dict[str, float] = {}
    """When a notification was answered with a yes, by its mark."""
    handed: dict[str, float] = {}
    """When one was first handed to an owner."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster promises, in seconds."""

    lease_s: float
    takeover_s: float
    """From when an owner is gone, or the engine is back, until the next one asks for something."""
    settle_s: float
    """From when a node is well again until every site is where it belongs."""
    nodes: int

    @classmethod
    def of(cls, site: Site) -> "Terms":
        """A node that comes back waits for the lease of its earlier life, and is handed its site then."""
        lease_s = site.node_lease_s
        takeover_s = _PACES * lease_s + _BEGINS_S
        return cls(
            lease_s=lease_s,
            takeover_s=takeover_s,
            settle_s=_PACES * lease_s + _LEAVES_S + takeover_s,
            nodes=site.nodes,
        )


def judge(ledger: Ledger, chronicle: Sequence[AnyHappening], terms: Terms, ends: float) -> list[Violation]:
    """What was not as it is promised, each kind once, in the order of time."""
    troubles = [one for one in chronicle if isinstance(one, Trouble) and one.link == "nodes"]
    owned = [one for one in chronicle if isinstance(one, Owns)]
    found = (
        _overtaken(ledger.acts),
        _without_lease(ledger, terms),
        _epochs(owned),
        _moved(owned, troubles, terms),
        _unserved(ledger.acts, troubles, terms, ends),
        _lost(ledger, ends),
    )
    firsts = [next(violations, None) for violations in found]
    return sorted((one for one in firsts if one is not None), key=lambda one: one.at)


def _overtaken(acts: Iterable[Act]) -> Iterator[Violation]:
    """Requests that left after one of a later epoch had been carried out."""
    carried = sorted((act for act in acts if act.carried is not None), key=lambda act: act.carried or 0.0)
    place, newest = 0, None
    for act in sorted(acts, key=lambda act: act.left):
        while place < len(carried) and (carried[place].carried or 0.0) < act.left:
            if newest is None or carried[place].epoch > newest.epoch:
                newest = carried[place]
            place += 1
        if newest is not None and act.epoch < newest.epoch:
            what = f"{_in_words(act)} left after {_in_words(newest)} had been carried out"
            yield Violation(9, act.left, None, what)


def _without_lease(ledger: Ledger, terms: Terms) -> Iterator[Violation]:
    """Counted from when a renewal had arrived, which is later than the node itself counts from."""
    renewals = iter(ledger.renewals)
    coming = next(renewals, None)
    ends_at: dict[str, float] = {}
    for act in ledger.acts:
        while coming is not None and coming.at <= act.left:
            ends_at[coming.node] = coming.at + (0.0 if coming.is_end else terms.lease_s)
            coming = next(renewals, None)
        late_s = act.left - ends_at.get(act.node, float("-inf"))
        if late_s > 0:
            yield Violation(9, act.left, None, f"{_in_words(act)} left {late_s:.2f} s after its lease")


def _epochs(owned: Iterable[Owns]) -> Iterator[Violation]:
    newest = 0
    for one in owned:
        if one.epoch <= newest:
            what = f"{one.node} took the site up with epoch {one.epoch}, after {newest}"
            yield Violation(9, one.at, None, what)
        newest = max(newest, one.epoch)


def _moved(owned: Iterable[Owns], troubles: Sequence[Trouble], terms: Terms) -> Iterator[Violation]:
    for one in owned:
        if not any(trouble.at <= one.at <= trouble.until + terms.settle_s for trouble in troubles):
            yield Violation(9, one.at, None, f"{one.node} took the site up, and nothing had happened")


def _unserved(
    acts: Sequence[Act], troubles: Sequence[Trouble], terms: Terms, ends: float
) -> Iterator[Violation]:
    """Times in which nobody asked for anything, less those in which nobody could or had to yet."""
    excused = joined(_excuses(troubles, terms))
    moments = sorted({act.left for act in acts} | {ends})
    last = moments[0]
    for moment in moments:
        idle_s = moment - last
        if idle_s > _ASKS_S:
            idle_s -= sum(max(0.0, min(over, moment) - max(begun, last)) for begun, over in excused)
        if idle_s > _ASKS_S:
            yield Violation(9, moment, None, f"nobody served the site for {idle_s:.0f} s, and somebody could")
        last = moment


def _excuses(troubles: Sequence[Trouble], terms: Terms) -> Iterator[tuple[float, float]]:
    edges = []
    for trouble in troubles:
        yield trouble.at, trouble.at + terms.takeover_s
        yield trouble.until, trouble.until + terms.settle_s
        weight = terms.nodes if trouble.total else 1
        edges += [(trouble.at, weight), (trouble.until, -weight)]
    amiss, since = 0, 0.0
    for at, weight in sorted(edges):
        if amiss >= terms.nodes:
            yield since, at + terms.takeover_s
        amiss, since = amiss + weight, at


def _lost(ledger: Ledger, ends: float) -> Iterator[Violation]:
    for mark, at in ledger.accepted.items():
        if mark not in ledger.handed and at < ends - _READ_ON_S:
            yield Violation(6, at, None, "a notification was answered with a yes, and no owner was given it")


def _in_words(act: Act) -> str:
    return f"{act.what} of {act.node}, epoch {act.epoch},"
