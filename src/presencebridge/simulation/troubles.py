"""Everything that goes wrong, and how it is drawn: what, when, for how long and how badly."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from presencebridge.emulators.graph.faults import NotificationFaults
from presencebridge.simulation.line import Fault
from presencebridge.simulation.plan import Site, Trouble
from presencebridge.simulation.site_file import watchers_of
from presencebridge.simulation.stage import Office
from presencebridge.simulation.weather import KEY_REFUSED, REPLAYED, STOPPED, WHOLE_EVERY_S

Link = Literal["teams", "3cx", "service", "notifications"]
Needs = Literal["", "webhook", "v20", "websocket", "person"]


class Kind(msgspec.Struct, frozen=True):
    """A kind of trouble: where it is, what is said of it, how it is played and how it is drawn."""

    link: Link
    what: str
    play: Callable[[Office, Trouble], Awaitable[None]]
    lasts: tuple[float, float] = (20.0, 600.0)
    number: tuple[float, float] = (0.0, 0.0)
    needs: Needs = ""
    is_partial: bool = False
    """Whether it may hit only a share of the requests."""
    is_mild: bool = True
    """Whether it is among the ones with `--faults some`."""
    is_rare: bool = False
    """Whether it is drawn by dice of its own, and seldom."""


async def play(office: Office, trouble: Trouble) -> None:
    """Break it, and mend it when its time has come."""
    kind = KINDS[trouble.kind]
    begun = office.time()
    office.broken += 1
    office.count(f"trouble: {trouble.kind}")
    if kind.link != "service":  # its deaths are told by who plays them, and knows when it was back
        until = max(trouble.until, office.time())
        total = trouble.kind in _TOTAL and trouble.share >= 1
        office.tell_trouble(office.time(), until, kind.link, kind.what, trouble.person, total)
    try:
        await kind.play(office, trouble)
    finally:
        office.broken -= 1
        office.changed_at = office.time()
        if trouble.kind in _UNDELIVERED and office.plan.site.delivery == "webhook":
            again = office.time() + min(office.time() - begun, _LONGEST_BACKOFF_S) + 30.0
            what = "Graph sends again what it could not deliver"
            office.tell_trouble(begun, again, "notifications", what)


async def _over(office: Office, trouble: Trouble) -> None:
    """A trouble that began late, since the machine slept, is over when it should be all the same."""
    await asyncio.sleep(max(0.0, trouble.until - office.time()))


# While something is so ----------------------------------------------------------------------------

_Broken = Callable[[Office, Trouble], contextlib.AbstractContextManager[None]]


def _while(broken: _Broken) -> Callable[[Office, Trouble], Awaitable[None]]:
    async def played(office: Office, trouble: Trouble) -> None:
        with broken(office, trouble):
            await _over(office, trouble)

    return played


def _on_line(side: Literal["teams", "3cx"], make: Callable[[Trouble], Fault], *, cuts: bool = False) -> Any:
    @contextlib.contextmanager
    def broken(office: Office, trouble: Trouble) -> Iterator[None]:
        line = office.teams_line if side == "teams" else office.pbx_line
        fault = make(trouble)
        fault.share = trouble.share
        if trouble.person:
            fault.marks = (office.user_id(trouble.person) if side == "teams" else trouble.person,)
        line.faults.append(fault)
        if cuts and side == "3cx":
            office.phones.cut_sockets()
        try:
            yield
        finally:
            line.faults.remove(fault)

    return _while(broken)


def _unanswered(_trouble: Trouble) -> Fault:
    """Whoever reads is answered, so the next try is made as soon as it may be."""
    return Fault("answer lost", only_writes=True)


def _refused(status: int, spares: tuple[str, ...] = ()) -> Callable[[Trouble], Fault]:
    def fault(trouble: Trouble) -> Fault:
        wait = round(trouble.number) or None
        return Fault("refused", status=status, spares=spares, retry_after_s=wait)

    return fault


def _notices(**facts: Any) -> Callable[[Office, Trouble], Awaitable[None]]:
    """`facts` of the emulator's notification faults; True: the trouble's share, a number: its number."""

    @contextlib.contextmanager
    def broken(office: Office, trouble: Trouble) -> Iterator[None]:
        given: dict[str, Any] = {
            name: trouble.share if fact is True else fact for name, fact in facts.items()
        }
        if "delay_s" in given:
            given["delay_s"] = trouble.number
        faults = NotificationFaults(**given)
        office.notification_faults.append(faults)
        office.set_notification_faults()
        try:
            yield
        finally:
            office.notification_faults.remove(faults)
            office.set_notification_faults()

    return _while(broken)


@contextlib.contextmanager
def _hook_cut(office: Office, _trouble: Trouble) -> Iterator[None]:
    office.hook_cuts += 1
    try:
        yield
    finally:
        office.hook_cuts -= 1


def _ugly(**facts: Any) -> Callable[[Office, Trouble], Awaitable[None]]:
    """`facts` are faults of the emulator of 3CX, as far as that kind knows them."""

    @contextlib.contextmanager
    def broken(office: Office, _trouble: Trouble) -> Iterator[None]:
        office.ugly_facts.append(facts)
        office.set_ugly_facts()
        try:
            yield
        finally:
            office.ugly_facts.remove(facts)
            office.set_ugly_facts()

    return _while(broken)


# What happens in a moment -------------------------------------------------------------------------


async def _replayed(office: Office, trouble: Trouble) -> None:
    await office.graph.delivery.replay(max(1, round(trouble.number)))


async def _tokens_revoked(office: Office, _trouble: Trouble) -> None:
    office.revoke_graph_tokens()


async def _pbx_tokens_revoked(office: Office, _trouble: Trouble) -> None:
    office.phones.revoke_tokens()


async def _websocket_mute(office: Office, _trouble: Trouble) -> None:
    """No event comes through any more, and the socket stays open for ever, unless it is replaced."""
    if office.life is not None:
        for socket in office.life.sockets:
            socket.is_mute = True
        office.tasks.spawn(_until_it_can_be_noticed(office, office.time()))


async def _until_it_can_be_noticed(office: Office, begun: float) -> None:
    """Nobody can tell a socket that is mute from one on which there is nothing to tell.

    It can be told when calls are read as a whole, and are others than before.
    """
    before = office.calls_of_the_served()
    is_seen = False
    while not is_seen:
        await office.a_call_changes()
        await office.calls_rest_for(WHOLE_EVERY_S)
        is_seen = office.calls_of_the_served() != before
    office.tell_trouble(begun, office.time(), "3cx", "the websocket is mute, and no call tells so")


async def _websocket_cut(office: Office, _trouble: Trouble) -> None:
    office.phones.cut_sockets()


async def _lifecycle(office: Office, trouble: Trouble) -> None:
    """Graph tells that it has lost notifications, or wants to be told that we are still there."""
    event = _EVENTS[round(trouble.number) % len(_EVENTS)]
    for held in tuple(office.graph.subscriptions.values()):
        office.graph.send_lifecycle(held, event)
        if event == "subscriptionRemoved":
            office.graph.drop_subscription(held.subscription_id)


async def _clock_stepped(office: Office, trouble: Trouble) -> None:
    """As by NTP, and for good."""
    office.wall_offset += trouble.number


async def _watcher_signed_out(office: Office, trouble: Trouble) -> None:
    names = watchers_of(office.plan)
    for name in names if trouble.share >= 1 else names[:1]:
        office.signed_out.add(name)
        office.graph.revoke(office.watcher_account(name))
    office.revoke_graph_tokens()
    await _over(office, trouble)
    office.signed_out.clear()


async def _pbx_restarted(office: Office, trouble: Trouble) -> None:
    fault = Fault("lost")
    office.pbx_line.faults.append(fault)
    office.phones.restart()
    office.tell_legs()
    await _over(office, trouble)
    office.pbx_line.faults.remove(fault)


# The service --------------------------------------------------------------------------------------


async def _killed(office: Office, trouble: Trouble) -> None:
    """`number` steps after it next hands something to the disk, or after a while if it does not."""

    def ready(act: Callable[[], None]) -> None:
        office.disk.on_save = act

    await _killed_when(office, trouble, ready)


async def _killed_writing(office: Office, trouble: Trouble) -> None:
    """Likewise, after a write of it is carried out on either side: before or after the answer is there."""

    def ready(act: Callable[[], None]) -> None:
        office.teams_line.on_write = office.pbx_line.on_write = act

    await _killed_when(office, trouble, ready)


async def _killed_torn(office: Office, trouble: Trouble) -> None:
    """Power is lost, and with it a part of the database."""

    def torn() -> None:
        for person in office.disk.tear(trouble.share):
            office.forgotten(person)

    await _killed_when(office, trouble, lambda act: act(), torn)


async def _killed_when(
    office: Office,
    trouble: Trouble,
    ready: Callable[[Callable[[], None]], None],
    dead: Callable[[], None] = lambda: None,
) -> None:
    """`ready` is given what to call at the moment from which the steps count."""
    died = asyncio.Event()
    life = office.life
    if life is None or not office.serves:
        return

    def die() -> None:
        ready(lambda: None)
        life.kill()
        died.set()

    ready(lambda: office.loop.after_steps(round(trouble.number), die))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_FOR_SAVE_S):
            await died.wait()
    die()
    begun = office.time()
    dead()
    try:
        await _begin_again(office, trouble)
    finally:
        office.tell_trouble(begun, office.time(), "service", "it was killed")


async def _restarted(office: Office, trouble: Trouble) -> None:
    life, begun = office.life, office.time()
    if life is None or not office.serves:
        return
    try:
        life.stop()
        await life.ended.wait()
        await _begin_again(office, trouble)
    finally:
        office.tell_trouble(begun, office.time(), "service", STOPPED)


async def _begin_again(office: Office, trouble: Trouble) -> None:
    await asyncio.sleep(max(_SHORTEST_START_S, trouble.until - office.time()))
    office.glance()
    await office.start()


async def _reloaded(office: Office, _trouble: Trouble) -> None:
    """All that it has open is closed, and it begins anew in its process."""
    life, begun = office.life, office.time()
    if life is None or not office.serves:
        return
    try:
        await life.begin_anew()
    finally:
        office.tell_trouble(begun, office.time(), "service", "its keys were changed, and it began anew")


async def _slept(office: Office, trouble: Trouble) -> None:
    begun = office.time()
    office.loop.jump(trouble.lasts)
    office.tell_trouble(begun, office.time(), "service", "the machine slept")


@contextlib.contextmanager
def _disk_full(office: Office, _trouble: Trouble) -> Iterator[None]:
    office.disk.full += 1
    try:
        yield
    finally:
        office.disk.full -= 1


@contextlib.contextmanager
def _disk_fails(office: Office, _trouble: Trouble) -> Iterator[None]:
    office.disk.failing += 1
    try:
        yield
    finally:
        office.disk.failing -= 1


@contextlib.contextmanager
def _clock_wrong(office: Office, trouble: Trouble) -> Iterator[None]:
    office.wall_offset += trouble.number
    try:
        yield
    finally:
        office.wall_offset -= trouble.number


_FOR_LONG_S: Final = (1_200.0, 9_000.0)
_SHORTEST_START_S: Final = 0.5
"""No process starts sooner."""
_WAIT_FOR_SAVE_S: Final = 120.0
_NOT_AFTER_WRITES: Final = ("/clearPresence", "/token")
"""A 404 to a clearPresence says that there is no session: believed, and so it should be."""
_TOKEN: Final = ("/token",)


def _fault(fate: Any) -> Callable[[Trouble], Fault]:
    return lambda trouble: Fault(fate, seconds=trouble.number)


KINDS: Final[dict[str, Kind]] = {
    "teams cut": Kind("teams", "Graph can't be reached", _on_line("teams", _fault("lost")), is_partial=True),
    "teams silent": Kind(
        "teams", "Graph does not answer", _on_line("teams", _fault("silent")), is_partial=True
    ),
    "teams answer lost": Kind(
        "teams",
        "Graph does it, and the answer is lost",
        _on_line("teams", _fault("answer lost")),
        is_partial=True,
    ),
    "teams answer silent": Kind(
        "teams",
        "Graph does it, and never answers",
        _on_line("teams", _fault("answer silent")),
        is_partial=True,
    ),
    "teams write unanswered": Kind(
        "teams",
        "Graph does what it is told and does not say so",
        _on_line("teams", _unanswered),
        is_partial=True,
    ),
    "teams slow": Kind("teams", "Graph is slow", _on_line("teams", _fault("slow")), number=(0.5, 8.0)),
    "teams late": Kind(
        "teams",
        "what is sent to Graph is late",
        _on_line("teams", _fault("late")),
        (20, 200),
        (20.5, 22.0),
        is_partial=True,
        is_mild=False,
    ),
    "teams 401": Kind(
        "teams", "Graph answers 401", _on_line("teams", _refused(401, _TOKEN)), is_partial=True
    ),
    "teams 403": Kind(
        "teams", "Graph answers 403", _on_line("teams", _refused(403, _TOKEN)), is_partial=True
    ),
    "teams 404": Kind(
        "teams", "Graph answers 404", _on_line("teams", _refused(404, _NOT_AFTER_WRITES)), is_partial=True
    ),
    "teams 409": Kind(
        "teams", "Graph answers 409", _on_line("teams", _refused(409, _TOKEN)), is_partial=True
    ),
    "teams 429": Kind(
        "teams",
        "Graph answers 429",
        _on_line("teams", _refused(429, _TOKEN)),
        number=(0, 30),
        is_partial=True,
    ),
    "teams 500": Kind(
        "teams", "Graph answers 500", _on_line("teams", _refused(500, _TOKEN)), is_partial=True
    ),
    "teams 503": Kind(
        "teams",
        "Graph answers 503",
        _on_line("teams", _refused(503, _TOKEN)),
        number=(0, 20),
        is_partial=True,
    ),
    "teams person": Kind(
        "teams", "writes of one person are not answered", _on_line("teams", _fault("silent")), needs="person"
    ),
    "teams person refused": Kind(
        "teams",
        "writes of one person are refused",
        _on_line("teams", _refused(403)),
        _FOR_LONG_S,
        needs="person",
        is_rare=True,
    ),
    "tokens revoked": Kind("teams", "Graph's tokens were revoked", _tokens_revoked, (0, 0)),
    "notices lost": Kind("notifications", "lost", _notices(drop=True), needs="webhook", is_partial=True),
    "notices doubled": Kind(
        "notifications", "doubled", _notices(duplicate=True), needs="webhook", is_partial=True
    ),
    "notices delayed": Kind(
        "notifications", "delayed", _notices(delay_s=0.0), number=(1, 120), needs="webhook"
    ),
    "notices reordered": Kind(
        "notifications",
        "reordered",
        _notices(reorder=True, delay_s=0.0),
        number=(0, 3),
        needs="webhook",
        is_partial=True,
    ),
    "notices replayed": Kind("notifications", REPLAYED, _replayed, (0, 0), (1, 20), needs="webhook"),
    "subscription silent": Kind(
        "notifications",
        "the subscription is silent",
        _notices(silent_stop=True),
        (300, 2400),
        needs="webhook",
    ),
    "webhook cut": Kind("notifications", "the webhook can't be reached", _while(_hook_cut), needs="webhook"),
    "watcher signed out": Kind(
        "notifications",
        "a watcher is signed out",
        _watcher_signed_out,
        (60, 900),
        needs="webhook",
        is_partial=True,
    ),
    "lifecycle": Kind(
        "notifications", "a lifecycle notification", _lifecycle, (0, 0), (0, 2), needs="webhook"
    ),
    "3cx cut": Kind(
        "3cx", "3CX can't be reached", _on_line("3cx", _fault("lost"), cuts=True), is_partial=True
    ),
    "3cx silent": Kind(
        "3cx", "3CX does not answer", _on_line("3cx", _fault("silent"), cuts=True), is_partial=True
    ),
    "3cx answer lost": Kind(
        "3cx", "3CX does it, and the answer is lost", _on_line("3cx", _fault("answer lost")), is_partial=True
    ),
    "3cx answer silent": Kind(
        "3cx", "3CX does it, and never answers", _on_line("3cx", _fault("answer silent")), is_partial=True
    ),
    "3cx write unanswered": Kind(
        "3cx", "3CX does what it is told and does not say so", _on_line("3cx", _unanswered), is_partial=True
    ),
    "3cx slow": Kind("3cx", "3CX is slow", _on_line("3cx", _fault("slow")), number=(0.2, 2.0)),
    "3cx late": Kind(
        "3cx",
        "what is sent to 3CX is late",
        _on_line("3cx", _fault("late")),
        (20, 200),
        (5.2, 7.0),
        is_partial=True,
        is_mild=False,
    ),
    "3cx 500": Kind("3cx", "3CX answers 500", _on_line("3cx", _refused(500)), is_partial=True),
    "3cx 401": Kind("3cx", KEY_REFUSED, _on_line("3cx", _refused(401)), needs="v20", is_partial=True),
    "3cx 403": Kind("3cx", "3CX answers 403", _on_line("3cx", _refused(403)), needs="v20", is_partial=True),
    "3cx person": Kind(
        "3cx",
        "requests about one extension are never answered",
        _on_line("3cx", _fault("silent")),
        needs="person",
    ),
    "3cx person refused": Kind(
        "3cx",
        "requests about one extension are refused",
        _on_line("3cx", _refused(403)),
        _FOR_LONG_S,
        needs="person",
        is_rare=True,
    ),
    "3cx ignores": Kind(
        "3cx",
        "3CX takes changes of a status and does not carry them out",
        _ugly(ignore_set=True, patch_profile="ignored"),
        is_mild=False,
    ),
    "bridge unconnected": Kind(
        "3cx",
        "the bridge has lost the phone system",
        _ugly(not_connected=True, refuse_sockets=True),
    ),
    "3cx tokens revoked": Kind("3cx", "3CX's tokens were revoked", _pbx_tokens_revoked, (0, 0), needs="v20"),
    "websocket cut": Kind("3cx", "the websocket was cut", _websocket_cut, (0, 0), needs="websocket"),
    "websocket mute": Kind("3cx", "the websocket is mute", _websocket_mute, (0, 0), needs="websocket"),
    "events lost": Kind(
        "3cx",
        "events of calls are lost",
        _ugly(drop_events=0.5),
        needs="websocket",
    ),
    "events doubled": Kind(
        "3cx",
        "events of calls are doubled and late",
        _ugly(duplicate_events=0.5, event_delay_s=2.0),
        needs="websocket",
    ),
    "pbx restarted": Kind("3cx", "the phone system was restarted", _pbx_restarted, (10, 180)),
    "killed": Kind("service", "killed", _killed, (1, 900), (1, 80)),
    "killed writing": Kind("service", "killed while it wrote", _killed_writing, (1, 900), (1, 60)),
    "torn database": Kind(
        "service", "killed, and its database is torn", _killed_torn, (1, 900), (1, 20), is_partial=True
    ),
    "restarted": Kind("service", "stopped and started again", _restarted, (1, 300)),
    "reloaded": Kind("service", "its keys are changed", _reloaded, (0, 0), is_rare=True),
    "slept": Kind("service", "asleep", _slept, (20, 600), is_mild=False),
    "disk full": Kind("3cx", "the bridge's disk is full", _while(_disk_full), (5, 300)),
    "disk fails": Kind("3cx", "the bridge's disk fails now and then", _while(_disk_fails), (5, 300)),
    "clock stepped": Kind(
        "notifications", "the bridge's clock is set", _clock_stepped, (0, 0), (-60, 60), is_mild=False
    ),
    "clock wrong": Kind(
        "notifications",
        "the bridge's clock is wrong, so it believes none",
        _while(_clock_wrong),
        (60, 1500),
        (-900, 900),
        is_mild=False,
    ),
}
SWIZZLED: Final = ("teams cut", "3cx cut", "webhook cut")
"""The links that are cut one by one and restored in random order."""
_UNDELIVERED: Final = frozenset(
    {"webhook cut", "killed", "killed writing", "torn database", "restarted", "slept"}
)
"""After these, notifications of their time come late: Graph waits twice as long each time."""
_TOTAL: Final = frozenset({"3cx cut", "3cx silent"})
"""Through which nothing gets, unless it is a share of it."""
_EVENTS: Final = ("missed", "subscriptionRemoved", "reauthorizationRequired")
_LONGEST_BACKOFF_S: Final = 1800.0
_ALONE: Final = frozenset({"killed", "killed writing", "torn database", "restarted", "slept"})
_PARTS: Final = (1.0, 1.0, 0.5, 0.2)
_SHARE_AT_A_MOMENT: Final = 0.5
_ABOUT_S: Final = (-10.0, 5.0)
"""Before the moment, or while what follows from it is under way."""


def possible(site: Site, *, mild: bool, rare: bool = False) -> list[str]:
    """The kinds that this site can have; the `rare` ones or the others."""
    has: dict[Needs, bool] = {
        "": True,
        "person": True,
        "webhook": site.delivery == "webhook",
        "v20": site.kind != "3cx-web-api",
        "websocket": site.kind == "3cx-v20",
    }
    return [
        name
        for name, kind in KINDS.items()
        if has[kind.needs] and kind.is_rare is rare and (kind.is_mild or not mild)
    ]


def drawn(
    dice: random.Random,
    name: str,
    people: tuple[str, ...],
    begin: float,
    end: float,
    moments: Sequence[float] = (),
) -> Trouble:
    """A trouble of that kind within the time from `begin` to `end`; half of them at one of `moments`."""
    kind = KINDS[name]
    lasts = min(dice.uniform(*kind.lasts), (end - begin) / 2)
    at = dice.uniform(begin, end - lasts)
    if moments and dice.random() < _SHARE_AT_A_MOMENT:
        at = min(max(dice.choice(moments) + dice.uniform(*_ABOUT_S), begin), end - lasts)
    person = dice.choice(people) if kind.needs == "person" else None
    share = dice.choice(_PARTS) if kind.is_partial else 1.0
    return Trouble(at, lasts, name, person, share, round(dice.uniform(*kind.number), 1))


def swizzle(dice: random.Random, site: Site, begin: float, end: float) -> list[Trouble]:
    """Every link is cut, one after another, and they come back in another order."""
    names = [name for name in SWIZZLED if name in possible(site, mild=False)]
    dice.shuffle(names)
    begun = sorted(dice.uniform(begin, begin + 600) for _ in names)
    over = [dice.uniform(begun[-1] + 5, min(begun[-1] + 900, end)) for _ in names]
    return [Trouble(at, until - at, name) for name, at, until in zip(names, begun, over, strict=True)]


def without_overlap(troubles: list[Trouble]) -> list[Trouble]:
    """In the order of time; of the service's own deaths only those that leave one another room."""
    kept: list[Trouble] = []
    alive_from = 0.0
    for trouble in sorted(troubles, key=lambda one: one.at):
        if trouble.kind in _ALONE:
            if trouble.at < alive_from:
                continue
            alive_from = trouble.until + 2 * _WAIT_FOR_SAVE_S
        kept.append(trouble)
    return kept
