"""Where a node's config comes from: one file, or a folder with a file for each site."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from presencebridge.config import Config, NodeConfig, NodeWebhook, load
from presencebridge.errors import Misconfigured

OWN_WEBHOOK = "[teams.webhook] listen"
NODE_WEBHOOK = "[webhook] listen"


class Found(msgspec.Struct, frozen=True):
    """What the files say by now."""

    node: NodeConfig
    sites: Mapping[str, Config | Misconfigured]
    """By name; what is wrong with its file, where it can't be used."""


class Source(Protocol):
    alone: str | None
    """The name of the one site that there can be; None for a folder."""

    def read(self) -> Found:
        """Read everything. Raises `Misconfigured` where the node's own part can't be used."""


class OneFile:
    """A file that is the config of one site and of its node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.alone: str | None = path.stem

    def read(self) -> Found:
        return found_alone(self._path.stem, load(self._path))


class Given:
    """A config that is here already."""

    def __init__(self, name: str, config: Config) -> None:
        self.alone: str | None = name
        self._found = found_alone(name, config)

    def read(self) -> Found:
        return self._found


def found_alone(name: str, config: Config) -> Found:
    """The config of one site says what its node needs to know, too."""
    hook = config.teams.webhook
    webhook = NodeWebhook(listen=hook.listen) if hook else NodeWebhook()
    return Found(NodeConfig(operator=config.operator, webhook=webhook, state=config.state), {name: config})
