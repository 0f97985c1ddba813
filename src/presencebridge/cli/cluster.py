"""`cluster ...`: several nodes that share the sites of a folder."""

from pathlib import Path

from cyclopts import App

from presencebridge.errors import Misconfigured, Problem

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

    from presencebridge.cli.which import folder_of
    from presencebridge.config import node_of

    folder = folder_of(config)
    section = node_of(folder).cluster if folder is not None else None
    if section is None:
        cure = "add [cluster] to node.toml: docs/cluster.md"
        raise Misconfigured([Problem("--config", "there is no [cluster]", cure)])
    from presencebridge.cluster.opening import shown

    print("\n".join(asyncio.run(shown(section))))
