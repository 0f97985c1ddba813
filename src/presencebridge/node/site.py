"""One site: a tenant and a PBX. Config -> adapters -> moving parts; its whole life is on this page.

It owns no listener. What the listeners show and ask for is here; who listens is the node.
"""

import asyncio
import collections
import contextlib
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import structlog

from presencebridge import words
from presencebridge.adapters import Outside, PbxSide, licence_deadline, pbx_side, servers_deadlines
from presencebridge.config import CLOUDS, Config
from presencebridge.core.events import Paused, PresenceSeen, Resumed, Source
from presencebridge.core.model import Presence
from presencebridge.errors import LinkError, TryAgain
from presencebridge.files import Files
from presencebridge.graph import calls, subscriptions
from presencebridge.graph.client import Budget, GraphClient
from presencebridge.graph.client_states import ClientStates
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.graph.notices import Reject
from presencebridge.graph.receiver import NoticeReceiver, Watched
from presencebridge.graph.signing_keys import SigningKeys
from presencebridge.graph.teams import GraphTeams
from presencebridge.graph.watcher import Watcher
from presencebridge.metrics import Metrics
from presencebridge.notify import Standing
from presencebridge.quick_http import Http
from presencebridge.runtime import health
from presencebridge.runtime.calls_reader import CallsReader
from presencebridge.runtime.day import Day
from presencebridge.runtime.directory import Directory, ListedPeople, MatchedPeople, Rules
from presencebridge.runtime.dry_run import DryStatuses, DryTeams
from presencebridge.runtime.expiry import Expiry
from presencebridge.runtime.hub import Hub
from presencebridge.runtime.journal import Journal
from presencebridge.runtime.links import LinkReport, Links, LinkState
from presencebridge.runtime.matching import Named, Reason
from presencebridge.runtime.people import Member, People
from presencebridge.runtime.plots import Hop, Plots
from presencebridge.runtime.ports import Clock, Statuses
from presencebridge.runtime.presence_reader import PresenceReader
from presencebridge.runtime.status_reader import StatusReader
from presencebridge.store.memory import MemoryStore
from presencebridge.web import views

_log = structlog.get_logger()

_LET_GO_WITHIN_S: Final = 2.0
_GIVE_BACK_WITHIN_S: Final = 10.0
_PART_AGAIN_S: Final = 60.0
"""After a try to give back what is held for who is not served any more."""
_LEAST_SHARE: Final = 4_500_000
_SHARE_A_PERSON: Final = 10_000
"""Bytes of notifications that may wait where there are other sites: three for a person, or a large body."""
_PROBE_EVERY_S: Final = 15.0
_LONGEST_RETRY_S: Final = 60.0
_OWN_SYNC_EVERY_S: Final = 600.0
_TELL_AGAIN_S: Final = 3600.0


# Watchers -----------------------------------------------------------------------------------------


def new_watcher(name: str, graph: GraphClient, site: "WatcherSite") -> Watcher:
    """The keeper of one account's subscription."""
    link = site.links.named(f"subscription {name}")
    return Watcher(graph, site.keys, site.watched, link, site.files, name, site.clock.now, site.clock.wall)


class WatcherSite:
    """What the watchers of a site share."""

    def __init__(
        self, files: Files, clock: Clock, links: Links | None = None, states: ClientStates | None = None
    ) -> None:
        self.clock = clock
        self.files = files
        self.keys = EncryptionKeys(files, clock.wall)
        self.watched = Watched(states)
        self.links = links or Links(clock.now)


# The site -----------------------------------------------------------------------------------------


class End(Enum):
    """Why a life ends."""

    STOPPED = auto()
    """The process ends: with our presence sessions it is done as `on_stop` says."""
    REMOVED = auto()
    """Nobody wants it any more: all that we hold is given back, and it is no longer told of anything."""
    AGAIN = auto()
    """Another life follows here, or elsewhere: what we hold stays, and so do the subscriptions."""


class Site:
    """One life of a site, from its start to its end: another one begins with another object.

    `metrics` and `journal` outlast it, where whoever runs it brings them along.
    """

    def __init__(  # noqa: PLR0913 - keywords, each with a default that will do
        self,
        config: Config,
        *,
        name: str = "site",
        dry_run: bool = False,
        outside: Outside | None = None,
        metrics: Metrics | None = None,
        journal: Journal | None = None,
        mark: str = "",
    ) -> None:
        self._mark = mark
        self.name = name
        self._config = config
        self.is_dry_run = dry_run
        self._outside = outside or Outside()
        self._clock = self._outside.clock()
        self.metrics = metrics or Metrics()
        self._believed = self.metrics.notifications.labels("believed")
        self._understood = self.metrics.hop_seconds.labels("notification", "understood")
        self._notified_at = self.metrics.last_seen.labels("teams_notification")
        self._budget = Budget()
        self.journal = journal or Journal()
        self.plots = Plots(self._clock.now)
        hours = config.operator.day_hours
        self.day = Day(hours) if hours else None
        self.links = Links(self._clock.now)
        self.links.on_change = lambda _report: self.journal.changed()
        self.people = People(
            [Member(person.extension, person.teams, config.policy_of(person)) for person in config.person]
        )
        self._watched = Watched()
        self._watchers: dict[str, Watcher] = {}
        self._known = asyncio.Event()
        """Set when the first look has told who is served."""
        self._unwatched = 0
        """People for whom the watchers have no room."""
        self._rejects = _Rarely()
        self._receiver: NoticeReceiver | None = None
        self._begun_at = self._clock.now()
        self.is_set_up = False
        self._end = End.STOPPED
        self._ends = asyncio.Event()

    async def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Keep both sides in step until told to end.

        Raises `OSError` where the state folder can't be had, `Misconfigured` where the credential can't be
        used.
        """
        config = self._config
        async with contextlib.AsyncExitStack() as stack:
            outside = self._outside
            store = (
                MemoryStore() if self.is_dry_run else await stack.enter_async_context(outside.store(config))
            )
            graph_http = await stack.enter_async_context(outside.http(config.graph_url, config.teams.ca_file))
            pbx = await stack.enter_async_context(
                pbx_side(config.pbx, self._clock.now, self.people.__contains__, outside, self.metrics)
            )
            graph = GraphClient(graph_http, outside.app_tokens(config), self._budget)
            graph_teams = GraphTeams(graph, config.teams.client_id)
            statuses = DryStatuses(pbx.statuses) if self.is_dry_run else pbx.statuses
            self.hub = Hub(
                self.people,
                store,
                DryTeams(graph_teams) if self.is_dry_run else graph_teams,
                statuses,
                self._clock,
                self.journal,
                metrics=self.metrics,
            )
            self.hub.plots = self.plots
            self.hub.logs_decisions = config.operator.log_decisions
            if self.day is not None:
                self.hub.on_changed, self.hub.on_left = self.day.note, self.day.forget
            await self.hub.load(all_are_known=False)
            self._connect_store()
            self._connect_teams(graph_teams)
            self._connect_pbx(pbx, statuses)
            self._connect_directory(graph_teams, pbx)
            looks = servers_deadlines(config, outside)
            if pbx.directory is not None:
                looks.append(licence_deadline(pbx.directory))
            self._expiry = Expiry(config, self._clock, looks)
            receiver = self._receiver = await self._connect_webhook(stack, graph_http)
            stack.callback(self._stop_taking)
            self.is_set_up = True
            on_started()

            async with asyncio.TaskGroup() as tasks:
                work = [
                    self.hub.run(),
                    self._directory.run(),
                    self._keep_subscriptions(),
                    self._reader.run(),
                    self._calls.run(),
                    self._statuses.run(),
                    self._look_for_own_sync(pbx),
                    self._expiry.run(),
                    self._part_with_strangers(),
                ]
                if receiver:
                    work.append(receiver.run())
                running = [tasks.create_task(part) for part in work]
                await self._ends.wait()
                if self._end is End.REMOVED and not self.is_dry_run:
                    for task in running[1:3]:  # who comes and goes, and the subscriptions
                        task.cancel()
                    await self._give_back()
                for task in running:
                    task.cancel()
            if self._end is End.STOPPED and self._config.teams.on_stop == "clear" and not self.is_dry_run:
                left = await self.hub.let_go(_LET_GO_WITHIN_S)
                _log.info("stopped", sessions_left_to_their_lease=left)

    async def _give_back(self) -> None:
        """Everybody leaves, and Graph is told that nobody waits for notifications any more."""
        async with asyncio.TaskGroup() as tasks:
            for member in self.people:
                tasks.create_task(self.hub.leave(member, _GIVE_BACK_WITHIN_S), name=f"leave {member.key}")
            for watcher in self._watchers.values():
                tasks.create_task(watcher.give_up(_GIVE_BACK_WITHIN_S), name="give up the subscription")

    async def _part_with_strangers(self) -> None:
        """Who is not served any more gets back what we hold once 3CX is there, and lets us."""
        while True:
            await self._calls.is_up.wait()
            if self._directory.is_sure:
                await self.hub.part_with_strangers()
            await asyncio.sleep(_PART_AGAIN_S)

    def apply(self, config: Config) -> None:
        """Go on with a config that differs only in what needs no new life: see `config.changes`."""
        self._config = config
        self.hub.logs_decisions = config.operator.log_decisions
        self._directory.change(_rules_of(config))
        self._calls.read_every(config.pbx.poll_every_s)
        self._statuses.read_every(config.pbx.statuses_every_s)
        self._set_pace()
        self.journal.changed()

    def end(self, how: End) -> None:
        """Let it end; `run` returns when it has."""
        self._end = how
        self._ends.set()

    def fail(self, what: str, cure: str) -> None:
        """It has ended by itself, for all to see."""
        self.links.named("site").failed(TryAgain(what, cure=cure))

    def refused_config(self, what: str) -> None:
        """The config file has changed to something that can't be used; an empty text if it can."""
        self.metrics.config_refused.set(bool(what))
        if what or any(report.name == "config" for report in self.links.reports()):
            link = self.links.named("config")
            link.note(
                "file", what and f"the changed file is not used: {what}", "mend it; it is read again then"
            )
            link.connected()

    def _connect_store(self) -> None:
        link = self.links.named("store")
        self.hub.on_saved = link.connected
        self.hub.on_unsaved = lambda reason: link.degraded(
            f"nothing is written to either side: {reason}", "free the disk, or mend the state folder's rights"
        )
        link.connected()

    def _connect_teams(self, teams: GraphTeams) -> None:
        config = self._config
        every_s = config.teams.poll_every_s
        graph = self.links.named("graph")
        self._reader = PresenceReader(
            self.people, teams, graph, self._clock, calls.MOST_IDS, every_s, metrics=self.metrics
        )
        self._reader.plots = self.plots
        self._set_pace()
        self._reader.on_seen = self.hub.seen
        self._reader.on_back = self.hub.teams_found
        self._reader.probe_every_s = _PROBE_EVERY_S
        self.hub.on_read_wanted = self._reader.want
        self.hub.on_teams_failed = lambda member: self._reader.want(member, self._clock.now())

    def _connect_pbx(self, pbx: PbxSide, statuses: Statuses) -> None:
        config, link = self._config.pbx, self.links.named("3cx")
        self._calls = CallsReader(
            self.people, pbx.calls, pbx.feed, link, self._clock, config.poll_every_s, metrics=self.metrics
        )
        self._statuses = StatusReader(
            self.people, statuses, link, self._clock, self._calls, config.statuses_every_s
        )
        self._calls.plots = self.plots
        self._calls.on_seen = self._statuses.on_seen = self.hub.seen
        self._statuses.needs_status = self.hub.needs_status
        if pbx.feed is not None:
            pbx.feed.on_note = link.note
        if pbx.ways is not None:
            pbx.ways.on_change = self._statuses_change

    def _statuses_change(self, worked: bool) -> None:
        what = "" if worked else "3CX accepts changes of a status and does not carry them out"
        cure = 'let there be a second way: status_via = ["xapi", "bridge"] in [pbx], see docs/3cx-v20.md'
        if "bridge" in self._config.pbx.status_via:
            cure = "see that the bridge in [pbx.bridge] runs and does what it is told: presencebridge doctor"
        self.links.named("3cx").note("changes", what, cure)

    async def _look_for_own_sync(self, pbx: PbxSide) -> None:
        """3CX's own sync with Teams would undo what we do, and we what it does."""
        link = self.links.named("3cx")
        while pbx.directory is not None:
            try:
                does = await pbx.directory.own_sync()
            except LinkError:
                await asyncio.sleep(_LONGEST_RETRY_S)
                continue
            what = f"3CX's own sync with Teams is on ({does}) and works against this service" if does else ""
            cure = (
                "turn it off in 3CX under Integrations > Microsoft 365 > Presence, or stop this service "
                "(it is looked at every 10 minutes)"
            )
            link.note("own sync", what, cure)
            await asyncio.sleep(_OWN_SYNC_EVERY_S)

    async def _connect_webhook(
        self, stack: contextlib.AsyncExitStack, graph_http: Http
    ) -> NoticeReceiver | None:
        """The way of notifications: whoever listens -> receiver -> hub, and a watcher for each account."""
        config, hook = self._config, self._config.teams.webhook
        if config.teams.delivery != "webhook" or hook is None or self.is_dry_run:
            return None
        login_http = await stack.enter_async_context(
            self._outside.http(config.login_url, config.teams.ca_file)
        )
        states = self._outside.client_states(self._mark)
        site = WatcherSite(self._outside.files(config), self._clock, self.links, states)
        self._watched = site.watched
        for name in hook.watchers:
            graph = GraphClient(graph_http, self._outside.watcher_tokens(config, name), self._budget)
            watcher = new_watcher(name, graph, site)
            watcher.on_gap = self._reader.want_all
            self._watchers[name] = watcher
        self._reader.on_silence = self._suspect
        self.links.on_change = self._link_changed

        tenant = config.teams.tenant_id if len(config.teams.tenant_id) == 36 else ""
        logins = (CLOUDS["global"][1], config.login_url)
        executor = stack.enter_context(self._outside.workers())
        receiver = NoticeReceiver(
            (config.teams.client_id, tenant, logins),
            site.watched,
            site.keys,
            SigningKeys(login_http, config.login_url),
            executor,
            self._clock.wall,
        )
        receiver.on_presence = self._notified
        receiver.on_lifecycle = self._lifecycle
        receiver.on_reject = self._rejected
        receiver.on_opened = self._opened
        receiver.on_superseded = self.metrics.notifications.labels("superseded").inc
        return receiver

    def _stop_taking(self) -> None:
        self._receiver = None

    # What comes from the webhook

    def offer(self, body: bytes) -> bool:
        """Take a notification in. False if that can't be done just now: the sender should come again."""
        return self._receiver is not None and self._receiver.offer(body)

    @property
    def takes_in(self) -> bool:
        """Whether it wants notifications at all just now."""
        return self._receiver is not None

    def too_large(self) -> None:
        """Somebody sent a body that was too large to be taken in."""
        self._rejected(Reject.SIZE)

    # Who is who

    def _connect_directory(self, teams: GraphTeams, pbx: PbxSide) -> None:
        config, rules = self._config, _rules_of(self._config)
        if config.people.match == "email" and pbx.directory is not None:
            link = self.links.named("people")
            self._directory: Directory = MatchedPeople(
                self.people, self.hub, teams, pbx.directory, rules, link, self._clock
            )
        else:
            self._directory = ListedPeople(
                self.people, self.hub, teams, rules, self.links.named("graph"), self._clock
            )
        self._directory.on_joined = self._joined
        self._directory.on_changed = self._watch

    def _joined(self, member: Member) -> None:
        self._reader.want(member, self._clock.now())
        self._calls.want()
        self._statuses.want(member)

    def _watch(self) -> None:
        """Spread the people over the watchers."""
        self.journal.changed()
        self._known.set()
        hook = self._config.teams.webhook
        if not self._watchers or hook is None:
            return
        users = self.people.users()
        if self._mark and self._receiver is not None:  # others are in the process, too
            self._receiver.most_bytes_waiting = max(_LEAST_SHARE, len(users) * _SHARE_A_PERSON)
        self._watched.people = frozenset(users)
        shares = subscriptions.share(users, len(self._watchers), calls.MOST_IDS)
        for watcher, share in zip(self._watchers.values(), shares, strict=True):
            watcher.watch(share, hook.public_url)
        self._unwatched = len(users) - sum(map(len, shares))
        self._set_pace()

    async def _keep_subscriptions(self) -> None:
        """Each account's subscription, from when it is known whom to watch."""
        await self._known.wait()
        async with asyncio.TaskGroup() as tasks:
            for name, watcher in self._watchers.items():
                tasks.create_task(watcher.run(), name=f"subscription {name}")

    # Notifications

    def _opened(self, seconds: float) -> None:
        self._understood.observe(seconds)
        self.plots.took(Hop.TEAMS_OPENED, seconds)

    def _notified(self, user: str, presence: Presence) -> None:
        self._believed.inc()
        self._notified_at.set(self._clock.now())
        for watcher in self._watchers.values():
            if watcher.is_doubted and watcher.held and user in watcher.held.ids:
                watcher.heard()
        member = self.people.of_user(user)
        if member is not None:
            self._reader.notified(member, presence)
            self.hub.post(member.key, PresenceSeen(presence, Source.NOTIFICATION, self._clock.now()))

    def _lifecycle(self, subscription: str, event: str) -> None:
        _log.info("lifecycle", event_name=event)
        for watcher in self._watchers.values():
            if watcher.owns(subscription):
                watcher.lifecycle(event)

    def _rejected(self, why: Reject) -> None:
        self.metrics.notifications.labels(why.value).inc()
        if self._rejects.is_time(why.value, self._clock.now()):
            _log.warning("notification not believed", why=why.value)

    def _link_changed(self, _report: LinkReport) -> None:
        self._set_pace()
        self.journal.changed()

    def _set_pace(self) -> None:
        """While not everybody is notified of, everybody is read as often as with delivery "poll"."""
        teams = self._config.teams
        polling = teams.delivery == "poll" or self.is_dry_run
        states = [self.links.named(f"subscription {name}").report.state for name in self._watchers]
        # Degraded is silent, as far as we know.
        notified = all(state is LinkState.CONNECTED for state in states)
        often = polling or not notified or self._unwatched > 0
        self._reader.read_all_every(teams.poll_every_s if often else teams.reconcile_every_s)

    def _suspect(self, users: list[str]) -> None:
        for name, watcher in self._watchers.items():
            if watcher.held and not set(users).isdisjoint(watcher.held.ids):
                _log.warning("subscription is silent", watcher=name, changes_not_notified=len(users))
                watcher.suspect()

    # What the listeners ask

    def overview(self) -> views.Overview:
        if not self.is_set_up:
            return views.Overview(ready=False, dry_run=self.is_dry_run, links=self.link_views(), people=[])
        amiss = self.out_of_step()
        return views.Overview(
            not amiss,
            self.is_dry_run,
            self.link_views(),
            [self._view(self.people[key]) for key in self.keys()],
            self.ending(),
            amiss,
        )

    def out_of_step(self) -> list[str]:
        """Why the site is not in step; nothing if it is."""
        if not self.is_set_up:
            return ["it has not begun yet"]
        return health.out_of_step(
            is_known=self._known.is_set(),
            links=self.links.reports(),
            people=[(member, self.hub.state(member.key)) for member in self.people],
            owed=self.hub.owed(),
            now=self._clock.now(),
        )

    def measure(self) -> None:
        """Set what is measured only when somebody asks."""
        metrics, people = self.metrics, list(self.people)
        for gauge in (metrics.link_up, metrics.people, metrics.subscription_end, metrics.expires):
            gauge.clear()  # those of a life before this one are not so any more
        for report in self.links.reports():
            metrics.link_up.labels(report.name).set(self.links.named(report.name).is_up)
        metrics.in_step.set(self.is_set_up and not self.out_of_step())
        if not self.is_set_up:
            return
        conditions = collections.Counter(self._view(member).condition for member in people)
        for condition in views.CONDITIONS:
            metrics.people.labels(condition).set(conditions[condition])
        for name, watcher in self._watchers.items():
            metrics.subscription_end.labels(name).set(watcher.held.expires_at if watcher.held else 0)
        for side, owed in self.hub.owed().items():
            metrics.writes_owed.labels(side).set(len(owed))
        for one in self._expiry.deadlines:
            metrics.expires.labels(one.kind, one.about).set(one.ends_at)
        left = self._directory.matching.left
        metrics.unmatched.set(sum(one.why is not Reason.EXCLUDED for one in left))

    def person(self, name: str) -> views.PersonPage | None:
        member = self.people.find(name) if self.is_set_up else None
        if member is None:
            return None
        return views.person_page(self._view(member), self.journal.of(member.key), dry_run=self.is_dry_run)

    def keys(self) -> list[str]:
        """Everybody, in the order of their extensions."""
        if not self.is_set_up:
            return []
        return sorted((member.key for member in self.people), key=lambda key: (len(key), key))

    def view(self, key: str) -> views.PersonView | None:
        return self._view(self.people[key]) if self.is_set_up and key in self.people else None

    def find(self, name: str) -> str | None:
        """The key of whoever is called that."""
        member = self.people.find(name) if self.is_set_up else None
        return None if member is None else member.key

    def link_views(self) -> list[views.LinkView]:
        return [views.link(report) for report in self.links.reports()]

    def ending(self) -> list[views.Note]:
        """What ends soon."""
        if not self.is_set_up:
            return []
        return [views.Note(one.what, one.cure) for one in self._expiry.warnings]

    def now(self) -> float:
        return self._clock.now()

    def _view(self, member: Member) -> views.PersonView:
        return views.person(member, self.hub.state(member.key), links_up=self.links.all_up)

    def matching(self) -> views.MatchingView:
        hook = self._config.teams.webhook
        room = calls.MOST_IDS * len(self._watchers)
        notes = []
        if self._unwatched and hook is not None:
            what = f"{self._unwatched} people more than the watchers have room for ({room}): all are polled"
            notes.append(views.Note(what, "name one more in [teams.webhook] watchers per 650 people"))
        return views.matching(self._config.people.match, self._directory, notes)

    def pause(self, name: str, seconds: float | None) -> bool:
        until = None if seconds is None else self._clock.now() + seconds
        return self._order(name, Paused(until))

    def resume(self, name: str) -> bool:
        return self._order(name, Resumed())

    def _order(self, name: str, event: Paused | Resumed) -> bool:
        member = self.people.find(name) if self.is_set_up else None
        if member is not None:
            _log.info("operator", order=type(event).__name__, person=member.key)
            self.hub.post(member.key, event)
        return member is not None

    def refresh(self) -> None:
        """Read everything again now, from both sides."""
        if self.is_set_up:
            self._reader.want_all()
            self._calls.want()
            self._statuses.want_all()
            self._directory.look()

    @property
    def alive(self) -> bool:
        """Whether progress is made, as /livez has it."""
        return not self.stuck()

    def stuck(self) -> list[str]:
        """What has not moved for too long; nothing if progress is made."""
        now = self._clock.now()
        if not self.is_set_up:
            return health.stuck({"starting": self._begun_at}, now, health.NO_PROGRESS_S)
        beats = {"reading presence": self._reader.beat_at, "reading calls": self._calls.beat_at}
        if (since := self.hub.saving_since) is not None:
            beats["saving"] = since
        return health.stuck(beats, now, max(health.NO_PROGRESS_S, 2 * self._config.pbx.poll_every_s))

    @property
    def standing(self) -> Standing:
        """For the service manager."""
        return Standing(self.alive, words.standing(self.links.reports(), len(self.people)))


def _rules_of(config: Config) -> Rules:
    """What the config says about people."""
    return Rules(
        [Named(one.extension, one.teams, config.is_excluded(one)) for one in config.person],
        config.people.exclude,
        {one.extension: config.policy_of(one) for one in config.person},
        config.policy.policy(),
        config.people.look_every_s,
    )


class _Rarely:
    """Lets each kind of news through once, and then at most once an hour."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_time(self, kind: str, now: float) -> bool:
        if now - self._told.get(kind, float("-inf")) < _TELL_AGAIN_S:
            return False
        self._told[kind] = now
        return True
