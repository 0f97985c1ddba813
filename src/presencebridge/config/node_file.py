"""What `node.toml` may say: what the sites of a folder have in common."""

import msgspec

from presencebridge.config.sections import Operator, StateSection


class NodeWebhook(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8765"
    """Where Graph's notifications for all sites arrive, told apart by the path of each site's public_url."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A process and its listeners."""

    operator: Operator = Operator()
    webhook: NodeWebhook = NodeWebhook()
    state: StateSection = StateSection()
    """Each site has a folder of its own in it, by its name."""
