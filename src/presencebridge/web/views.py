"""PURE: from what is known to what a page or an API shows."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from presencebridge import words
from presencebridge.bilingual import Language
from presencebridge.core.model import Because, Presence, State, StatusClaim, TeamsClaim
from presencebridge.runtime.directory import Directory
from presencebridge.runtime.journal import Entry
from presencebridge.runtime.links import LinkReport
from presencebridge.runtime.matching import DOUBLE, How, Left, in_words
from presencebridge.runtime.people import Member

_BY: Final = {How.BY_HAND: "config", How.ADDRESS: "address", How.FURTHER: "further address"}

CONDITIONS: Final = ("in step", "working", "waiting", "trouble", "paused", "excluded")

_MOST_LEFT_ON_THE_PAGE: Final = 200


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """What we hold on one side."""

    value: str
    since: str
    until: str | None = None
    before: str | None = None
    because: str = ""
    """The cause, by the name it has in the core."""
    saw: str | None = None
    """For a status: what Teams showed that it was taken for."""
    sure: bool = True
    """False while the other side has not said that it is so."""


class PersonView(msgspec.Struct, frozen=True):
    """A person at a glance."""

    extension: str
    teams_name: str
    name: str
    condition: str
    """One of `CONDITIONS`."""
    teams: str | None
    """What Teams shows, as availability/activity."""
    status: str | None
    legs: list[str] | None
    in_call: bool
    teams_claim: Claim | None
    status_claim: Claim | None
    holding: str
    trouble: list[str]
    paused_until: str | None = None


class Story(msgspec.Struct, frozen=True):
    """One thing that happened to a person: what was seen, and what followed."""

    at: str
    seen: str
    did: list[str]
    person: str = ""


class PersonPage(msgspec.Struct, frozen=True):
    """A person in full: the answer to why."""

    person: PersonView
    why: list[Story]
    dry_run: bool


class LinkView(msgspec.Struct, frozen=True):
    name: str
    state: str
    since: str
    reason: str
    cure: str


class Note(msgspec.Struct, frozen=True):
    """Something worth knowing, and what can be done about it."""

    what: str
    cure: str


class Overview(msgspec.Struct, frozen=True):
    """Everybody, and every link."""

    ready: bool
    dry_run: bool
    links: list[LinkView]
    people: list[PersonView]
    expiring: list[Note] = []
    """What ends soon: certificates, secrets, sign-ins, the licence."""
    out_of_step: list[str] = []
    """Why the site is not ready."""


_NOT_IN_FULL: Final = Note(
    "Entra does not show us further mail addresses, nor which accounts are blocked: nobody is found by them",
    "give the app the permission User.Read.All in Entra, with admin consent, if that matters",
)


class MatchedView(msgspec.Struct, frozen=True):
    """Somebody with both sides."""

    extension: str
    teams_name: str
    name: str
    by: str
    """address, further address or config"""


class LeftView(msgspec.Struct, frozen=True):
    """Somebody who was not matched."""

    extension: str
    name: str
    address: str
    reason: str
    double: bool
    why: str
    cure: str


class MatchingView(msgspec.Struct, frozen=True):
    """Who is who, as far as it could be found out."""

    match: str
    """list or email"""
    looked_at: str | None
    """When it was last found out; None as long as it never was."""
    trouble: Note | None
    """Why it could not be found out the last time."""
    notes: list[Note]
    matched: list[MatchedView]
    left: list[LeftView]


class MatchingPage(msgspec.Struct, frozen=True):
    """The same for the page: of those who were not matched it shows the first ones, doubles before others."""

    show: bool
    matched: int
    left: int
    doubles: int
    shown: list[LeftView]
    looked_at: str | None
    trouble: Note | None
    notes: list[Note]


def person(member: Member, state: State, *, links_up: bool) -> PersonView:
    """With a link down nobody can be said to be in step."""
    trouble = [*member.troubles.values()]
    for write in (state.teams_write, state.status_write):
        if write.trouble and write.trouble not in trouble:
            trouble.append(write.trouble)
    return PersonView(
        extension=member.key,
        teams_name=member.teams,
        name=member.name or member.teams,
        condition=_condition(member, state, links_up=links_up),
        teams=_pair(state.shown),
        status=state.status,
        legs=None if state.legs is None else [leg.value for leg in state.legs],
        in_call=state.legs is not None and state.call_since is not None,
        teams_claim=_teams_claim(state.teams_claim),
        status_claim=_status_claim(state.status_claim),
        holding=words.holding(state),
        trouble=trouble,
        paused_until=clock(state.paused_until) if state.paused_until is not None else None,
    )


def _teams_claim(claim: TeamsClaim | None) -> Claim | None:
    if claim is None:
        return None
    return Claim(
        str(claim.pair),
        clock(claim.since),
        clock(claim.until),
        _pair(claim.before),
        claim.why.value,
        sure=claim.accepted_at is not None,
    )


def _status_claim(claim: StatusClaim | None) -> Claim | None:
    if claim is None:
        return None
    return Claim(
        claim.value,
        clock(claim.since),
        before=claim.before,
        because=Because.TEAMS_BUSY.value,
        saw=str(claim.why),
        sure=claim.confirmed,
    )


def _condition(member: Member, state: State, *, links_up: bool) -> str:
    if member.policy.excluded:
        return "excluded"
    if state.paused:
        return "paused"
    if member.troubles or state.teams_write.trouble or state.status_write.trouble:
        return "trouble"
    if state.teams_write.doing or state.status_write.doing:
        return "working"
    if not links_up or state.shown is None or state.status is None or state.legs is None:
        return "waiting"
    return "in step"


def person_page(view: PersonView, entries: Iterable[Entry], *, dry_run: bool) -> PersonPage:
    return PersonPage(view, [story(entry) for entry in entries], dry_run)


def story(entry: Entry, language: Language = "en") -> Story:
    did = [words.said(command, language) for command in entry.said]
    return Story(clock(entry.at), words.seen(entry.seen, language), did, entry.person)


def matching(mode: str, directory: Directory, notes: Iterable[Note] = ()) -> MatchingView:
    found, trouble = directory.matching, directory.trouble
    unused = [
        Note(f"exclude names {word}, and nobody is called that", "correct it, or take it out")
        for word in found.unused
    ]
    return MatchingView(
        mode,
        None if directory.looked_at is None else clock(directory.looked_at),
        None if trouble is None else Note(str(trouble), trouble.cure),
        [*notes, *unused, *(() if directory.in_full else (_NOT_IN_FULL,))],
        [
            MatchedView(one.extension, one.teams, one.name, _BY[one.how])
            for one in found.served
            if one.user is not None and not one.excluded
        ],
        [_left(one) for one in found.left],
    )


def page_of(view: MatchingView) -> MatchingPage:
    show = view.match == "email" or bool(view.left or view.notes)
    doubles = sum(one.double for one in view.left)
    shown = sorted(view.left, key=lambda one: not one.double)[:_MOST_LEFT_ON_THE_PAGE]
    return MatchingPage(
        show, len(view.matched), len(view.left), doubles, shown, view.looked_at, view.trouble, view.notes
    )


def _left(one: Left) -> LeftView:
    why, cure = in_words(one)
    return LeftView(one.extension, one.name, one.address, one.why.value, one.why in DOUBLE, why, cure)


def link(report: LinkReport) -> LinkView:
    return LinkView(report.name, report.state.value, clock(report.since), report.reason, report.cure)


def clock(at: float) -> str:
    """A time as ISO 8601, in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _pair(presence: Presence | None) -> str | None:
    return None if presence is None else str(presence)


# The nodes of a cluster


class NodeView(msgspec.Struct, frozen=True):
    """A node that is alive, and how many sites it runs."""

    name: str
    sites: int
    is_this: bool


class ClusterView(msgspec.Struct, frozen=True):
    """Who else there is, as this node saw it last."""

    trouble: str
    """Why this node has no part in it just now; empty if it has."""
    nodes: list[NodeView]
    elsewhere: dict[str, str]
    """By site that does not run here: which node it runs on; empty where nobody has it."""

    def narrowed(self, may_see: Collection[str]) -> "ClusterView":
        """For whoever may see these sites only: nothing tells whether there are others."""
        return ClusterView("", [], {site: node for site, node in self.elsewhere.items() if site in may_see})
