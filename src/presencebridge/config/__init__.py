"""The config file: what it may say (`sections`), how it is read, and everything that can be wrong with it."""

from presencebridge.config.addresses import is_loopback, parse_listen
from presencebridge.config.advice import advise
from presencebridge.config.checks import check
from presencebridge.config.folder import (
    NODE_FILE,
    Loaded,
    load_site,
    node_of,
    not_shared,
    site_files,
    site_of,
)
from presencebridge.config.node_file import Access, NodeConfig, NodeOperator, NodeWebhook
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
    "NODE_FILE",
    "Access",
    "Config",
    "Loaded",
    "NodeConfig",
    "NodeOperator",
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
    "load_site",
    "node_of",
    "not_shared",
    "parse_listen",
    "secret",
    "site_files",
    "site_of",
]
