"""What the probes look at, and what they have learned for those that come after them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from presencebridge.adapters import Outside
from presencebridge.config import Config
from presencebridge.doctor.account import Account
from presencebridge.graph import wire
from presencebridge.graph.client import GraphClient
from presencebridge.graph.teams import GraphTeams
from presencebridge.pbx.answers import PbxUser
from presencebridge.pbx.status_web_api_client import StatusWebApiClient
from presencebridge.pbx.v20_client import V20Client
from presencebridge.pbx.web_api_client import WebApiClient
from presencebridge.runtime.matching import NOBODY, Matching


@dataclass(frozen=True)
class Wishes:
    """What the one who asks allows beyond reading."""

    status_of: str = ""
    """Extension whose status may be changed and set back."""
    session_of: str = ""
    """Extension of the person who may be shown in a call for a moment."""
    take_token: bool = False
    """Whether a running service may lose its token of the PBX for a moment."""


@dataclass
class Site:
    """One site under examination."""

    config: Config
    file: Path
    outside: Outside
    wishes: Wishes = Wishes()
    account: Account | None = None
    """The account of the service, if it is not that of whoever examines."""
    path: str = ""
    """Where the running service has what concerns this site, if it is one of many."""
    graph: GraphClient | None = None
    teams: GraphTeams | None = None
    token: str = ""
    v20: V20Client | None = None
    web_api: WebApiClient | None = None
    users: dict[str, wire.User] = field(default_factory=dict)
    """Who was found in Entra, by the name in the config."""
    several: dict[str, tuple[wire.User, ...]] = field(default_factory=dict)
    """Whose mail address it is, where a name in the config is that of several."""
    entra: tuple[wire.User, ...] = ()
    """Everybody in Entra, where people are matched by address."""
    watcher_tokens: dict[str, str] = field(default_factory=dict)
    pbx_users: list[PbxUser] = field(default_factory=list)
    matching: Matching = NOBODY
    """Who was matched by address."""
    statuses: dict[str, str] = field(default_factory=dict)
    """By extension, as far as they could be read."""
    status_bridge: WebApiClient | StatusWebApiClient | None = None
    """The second way of setting statuses on V20, if there is one and it answers."""
    dates: dict[str, float] = field(default_factory=dict)
    """By how many seconds each side's clock is ahead of ours."""
    service: dict[str, Any] | None = None
    """What the running service says of itself; None if none runs."""
    heard: dict[str, float] = field(default_factory=dict)
    """Seconds since the running service last heard of each source."""

    @property
    def served(self) -> list[tuple[str, str]]:
        """Extension and Teams name of everybody in the config who is not left alone."""
        config = self.config
        return [(one.extension, one.teams) for one in config.person if not config.is_excluded(one)]

    @property
    def user_ids(self) -> dict[str, str]:
        """Object ids in Entra by extension, of everybody who is served as far as it is known."""
        found = {number: self.users[name].id for number, name in self.served if name in self.users}
        matched = [one for one in self.matching.served if one.user and not one.excluded]
        return found | {one.extension: one.user for one in matched if one.user}

    @property
    def service_link(self) -> str:
        """How the running service's connection to 3CX is; empty if none runs."""
        links = self.service["links"] if self.service else []
        return next((one["state"] for one in links if one["name"] == "3cx"), "")

    @property
    def init(self) -> str:
        """The command that makes a missing certificate."""
        return f"presencebridge init --output {self.file}"
