"""`cluster ...`: several nodes that share the sites of a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from presencebridge.cli.saying import say
from presencebridge.errors import Misconfigured, Problem

if TYPE_CHECKING:
    from presencebridge.config.cluster_section import ClusterSection

cluster = App(name="cluster", help="Several nodes that share the sites of a folder: see docs/cluster.md.")


@cluster.command
def key() -> None:
    """Make a key that seals the sites' secrets, for the file that every node has."""
    from presencebridge.cluster.files import new_key

    print(new_key())


@cluster.command
def show(*, config: Path) -> None:
    """Which nodes there are, and who owns which site, as NATS has it.

    Parameters
    ----------
    config
        The folder of sites, with its node.toml.
    """
    import asyncio

    section = _section_of(config)
    from presencebridge.cluster.opening import shown

    for line in asyncio.run(shown(section)):
        say(line)


@cluster.command
def rekey(*, config: Path) -> None:
    """Let the cluster seal with the key of this machine, because the one that it used is lost.

    What was sealed with the lost one can't be read any more: watchers have to be signed in again. Nodes with
    another key own nothing until they have this one. To replace a key that is there, this is not needed.

    Parameters
    ----------
    config
        The folder of sites, with its node.toml.
    """
    import asyncio

    section = _section_of(config)
    from presencebridge.cluster.opening import make_ours_the_key

    asyncio.run(make_ours_the_key(section))
    print("the cluster seals with this machine's key from now on; copy the file to every node")


def _section_of(config: Path) -> "ClusterSection":
    """Raises `Misconfigured`."""
    from presencebridge.cli.which import folder_of
    from presencebridge.config import node_of

    folder = folder_of(config)
    section = node_of(folder).cluster if folder is not None else None
    if section is None:
        cure = "add [cluster] to node.toml: docs/cluster.md"
        raise Misconfigured([Problem("--config", "there is no [cluster]", cure)])
    return section
