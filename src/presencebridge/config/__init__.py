"""The config file: what it may say (`sections`), how it is read, and everything that can be wrong with it."""

from presencebridge.config.addresses import is_loopback, parse_listen
from presencebridge.config.advice import advise
from presencebridge.config.checks import check
from presencebridge.config.node_file import NodeConfig, NodeWebhook
from presencebridge.config.policy_section import PolicySection
from presencebridge.config.reading import load
from presencebridge.config.secret_sources import secret
from presencebridge.config.sections import (
    CLOUDS,
    Config,
    Operator,
    Pbx,
    PbxBridge,
    People,
    Person,
    StateSection,
    Teams,
    Webhook,
)

__all__ = [
    "CLOUDS",
    "Config",
    "NodeConfig",
    "NodeWebhook",
    "Operator",
    "Pbx",
    "PbxBridge",
    "People",
    "Person",
    "PolicySection",
    "StateSection",
    "Teams",
    "Webhook",
    "advise",
    "check",
    "is_loopback",
    "load",
    "parse_listen",
    "secret",
]
