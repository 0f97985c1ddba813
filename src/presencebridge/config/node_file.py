"""What `node.toml` may say: what the sites of a folder have in common."""

from pathlib import Path

import msgspec

from presencebridge.config.cluster_section import ClusterSection
from presencebridge.config.sections import Operator, StateSection


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Operators who may see and do what concerns some of the sites only."""

    token_file: Path
    sites: tuple[str, ...]
    """By name: the name of the site's file without .toml."""


class NodeOperator(Operator, frozen=True, kw_only=True):
    access: tuple[Access, ...] = ()
    """Beside `token_file`, whose holders may see and do everything."""


class NodeWebhook(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8765"
    """Where Graph's notifications for all sites arrive, told apart by the path of each site's public_url."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A process and its listeners."""

    operator: Operator | NodeOperator = NodeOperator()
    webhook: NodeWebhook = NodeWebhook()
    state: StateSection = StateSection()
    """Each site has a folder of its own in it, by its name."""
    cluster: ClusterSection | None = None
    """Other nodes have the same sites; None: this one runs all of them."""

    @property
    def access(self) -> tuple[Access, ...]:
        return self.operator.access if isinstance(self.operator, NodeOperator) else ()
