"""[cluster] of node.toml: several nodes that share the sites among them."""

import importlib.util
import socket
from pathlib import Path
from typing import Final

import msgspec

from presencebridge.errors import Problem


class ClusterSection(msgspec.Struct, frozen=True, kw_only=True):
    """How this node finds the engine, and how it is called there."""

    servers: tuple[str, ...]
    """NATS servers, all of them: nats://host:4222, or tls://host:4222."""
    cluster_key_file: Path
    """What seals the sites' secrets in the engine, the same on every node: presencebridge cluster key."""
    name: str = ""
    """Of this node, unlike all others; the machine's name unless it is said."""
    credentials_file: Path | None = None
    """What shows NATS who we are: a .creds file."""
    ca_file: Path | None = None
    """The authority of the servers' certificates, if it is a private one."""
    certificate_file: Path | None = None
    """A certificate with its private key, in one PEM file, where the servers ask for one."""
    lease_s: float = 10.0
    """A node that was silent for so long is done with: others take its sites."""
    replicas: int = 3
    """On how many NATS servers everything is kept: 3, or 1 for a trial with one server."""
    prefix: str = "presencebridge"
    """Before all names in NATS, so that one NATS can serve several clusters."""

    @property
    def node_name(self) -> str:
        return self.name or socket.gethostname()


_CLIENT: Final = ("nats", "nkeys")
"""The second one signs with what a .creds file holds."""
_NO_CLIENT: Final = ("nats-py is not installed", "install it: pip install 'presencebridge[cluster]'")
_CURES: Final = {
    "cluster_key_file": "make it once with `presencebridge cluster key`, and copy it to every node",
    "credentials_file": "see docs/cluster.md: each node may have its own",
    "ca_file": "name the PEM file of the authority that signed the servers' certificates",
    "certificate_file": "name a PEM file with certificate and private key",
}


def problems_of(section: ClusterSection) -> list[Problem]:
    """What is wrong with it, as far as it can be told without asking NATS."""
    found = [] if all(map(importlib.util.find_spec, _CLIENT)) else [("", *_NO_CLIENT)]
    if not section.servers:
        found.append(("servers", "is empty", 'name the servers: servers = ["tls://nats1.example.org:4222"]'))
    found += [("servers", *problem) for server in section.servers if (problem := _of_server(server, section))]
    if not 2 <= section.lease_s <= 300:
        cure = "between 2 and 300; 10 outlives an election among NATS servers"
        found.append(("lease_s", "is out of bounds", cure))
    if section.replicas not in (1, 3, 5):
        cure = "3; or 1 for a trial with one server, or 5"
        found.append(("replicas", "is no number of servers that can vote", cure))
    if not section.prefix.replace("-", "").replace("_", "").isalnum():
        found.append(("prefix", "can't be part of a name in NATS", "letters, digits, - and _ only"))
    found += [(word, *problem) for word in _CURES if (problem := _of_file(getattr(section, word)))]
    return [Problem(f"[cluster] {word}".rstrip(), what, cure or _CURES[word]) for word, what, cure in found]


def _of_server(server: str, section: ClusterSection) -> tuple[str, str] | None:
    if "@" in server:
        return "a secret stands in the config", "name a .creds file instead: credentials_file"
    if not server.startswith(("nats://", "tls://")):
        return f"{server} is no address of NATS", "an address begins with nats:// or tls://"
    if server.startswith("nats://") and section.ca_file is not None:
        return "there is a ca_file, and an address without TLS", "write tls:// for nats://"
    return None


def _of_file(path: Path | None) -> tuple[str, str] | None:
    try:
        if path is not None:
            path.read_bytes()
    except OSError as error:
        return f"{path} can't be read: {error.strerror}", ""
    return None
