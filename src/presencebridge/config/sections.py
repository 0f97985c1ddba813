"""What the config file may say: one struct for each section, one field for each word."""

import datetime as dt
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from presencebridge.config.policy_section import OWN_WORDS, Direction, PolicySection, Preset
from presencebridge.core.policy import Policy

CLOUDS: Final = {
    "global": ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
    "usgov": ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
    "dod": ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
}
"""Graph and sign-in hosts of the clouds that have presence: https://learn.microsoft.com/graph/deployments"""

NO_PRESENCE: Final = (
    "Microsoft's cloud in China (21Vianet) has no presence in Graph, so nothing can be kept in step there",
    'there is none for a tenant of that cloud; the others are cloud = "global", "usgov" and "dod"',
)
"""What is wrong with the cloud in China, and its cure: https://learn.microsoft.com/graph/api/presence-get"""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    public_url: str
    """Where Microsoft reaches us; https, except on loopback."""
    listen: str = "127.0.0.1:8765"
    watchers: tuple[str, ...] = ("default",)
    """Names of the signed-in accounts that own presence subscriptions; each watches up to 650 people."""


class Teams(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: str
    client_id: str
    certificate_file: Path | None = None
    """PEM with the app's certificate and its private key."""
    client_secret_file: Path | None = None
    client_secret_expires: dt.date | None = None
    """The day on which the client secret ends: the secret itself does not tell, and Entra not to us."""
    delivery: Literal["poll", "webhook"] = "poll"
    poll_every_s: float = 5.0
    """How often everybody's presence is read with delivery "poll"."""
    reconcile_every_s: float = 300.0
    """How often everything is read from both sides, whatever was notified."""
    cloud: Literal["global", "usgov", "dod"] = "global"
    graph_url: str = ""
    login_url: str = ""
    ca_file: Path | None = None
    on_stop: Literal["clear", "leave"] = "clear"
    """What an orderly stop does with our presence sessions: end them, or leave them to their lease."""
    webhook: Webhook | None = None


class PbxBridge(msgspec.Struct, frozen=True, kw_only=True):
    """A program on the machine of a V20, through which statuses can be set."""

    url: str
    kind: Literal["3cx-web-api", "3cx-status-web-api"] = "3cx-web-api"
    """The second one is https://github.com/Wharfs/3CXStatusWebApi"""
    ca_file: Path | None = None
    api_key_file: Path | None = None
    """What 3CXStatusWebApi wants as X-API-Key, if it was told to want one."""


class Pbx(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["3cx-web-api", "3cx-v20"]
    url: str
    poll_every_s: float = 2.0
    """How often calls are read."""
    status_every_s: float | None = None
    """How often everybody's status is read, as far as the PBX keeps up; None: as suits the kind."""
    timeout_s: float = 5.0
    """After this long a request counts as never answered."""
    ca_file: Path | None = None
    client_id: str = ""
    client_secret_file: Path | None = None
    status_via: tuple[Literal["xapi", "bridge"], ...] = ("xapi",)
    """V20: by which ways a status is set, tried in this order."""
    calls_via: Literal["call-control", "active-calls"] = "call-control"
    """V20: "active-calls" never uses Call Control, for systems without its licence."""
    bridge: PbxBridge | None = None

    @property
    def statuses_every_s(self) -> float:
        """What `status_every_s` comes to. V20 tells of 100 people in one answer, the old bridge of one."""
        if self.status_every_s is not None:
            return self.status_every_s
        return 10.0 if self.kind == "3cx-v20" else 30.0


V20_WORDS: Final = ("status_via", "calls_via", "bridge")
"""The words of [pbx] that mean nothing to the old bridge."""


class People(msgspec.Struct, frozen=True, kw_only=True):
    match: Literal["list", "email"] = "list"
    """"email": who has the same mail address on both sides; each [[person]] adds to that or overrides it."""
    look_every_s: float = 600.0
    """How often new and removed users are looked for; with "list": those not found in Entra so far."""
    exclude: tuple[str, ...] = ()
    """Extensions or Teams names that are left alone."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    teams: str
    extension: str
    preset: Preset | None = None
    manual_wins: bool | None = None
    direction: Direction | None = None
    exclude: bool = False


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8080"
    token_file: Path | None = None
    """What everybody has to send who asks for more than whether the service is ready."""
    hosts: tuple[str, ...] = ()
    """Names under which browsers reach the page, beside that of `listen`: of a proxy, of this machine."""
    day_hours: float = 0.0
    """How many hours of everybody's day are kept in memory and drawn on the page; 0: none, no history."""
    log_decisions: bool = False
    """Whether each decision, with its extension, is a line of the log where that may end up on a disk."""


class StateSection(msgspec.Struct, frozen=True, kw_only=True):
    dir: Path = Path("/var/lib/presencebridge")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One site: an Entra tenant and a PBX."""

    teams: Teams
    pbx: Pbx
    person: tuple[Person, ...]
    people: People = People()
    policy: PolicySection = PolicySection()
    operator: Operator = Operator()
    state: StateSection = StateSection()

    @property
    def graph_url(self) -> str:
        return (self.teams.graph_url or CLOUDS[self.teams.cloud][0]).rstrip("/")

    @property
    def login_url(self) -> str:
        return (self.teams.login_url or CLOUDS[self.teams.cloud][1]).rstrip("/")

    def policy_of(self, person: Person) -> Policy:
        """The rules for one person: their own words over the site's."""
        own = {name: getattr(person, name) for name in OWN_WORDS if getattr(person, name) is not None}
        return replace(self.policy.policy(**own), excluded=self.is_excluded(person))

    def is_excluded(self, person: Person) -> bool:
        left_alone = {name.casefold() for name in self.people.exclude}
        return person.exclude or bool(left_alone & {person.teams.casefold(), person.extension.casefold()})
