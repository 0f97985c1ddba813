"""A folder of sites: `node.toml`, and a file for each. What is wrong with one file is that site's alone."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from presencebridge.config.node_file import NodeConfig
from presencebridge.config.reading import load, load_node
from presencebridge.config.sections import Config, StateSection
from presencebridge.errors import Misconfigured, Problem

NODE_FILE: Final = "node.toml"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


class Loaded(msgspec.Struct, frozen=True):
    """A site's config, and what its keys are by now."""

    config: Config
    keys: str
    """Changes when a file changes that is read when a site begins: keys, certificates, authorities."""


def site_files(folder: Path) -> dict[str, Path]:
    """The sites' files, by the sites' names. Raises `Misconfigured` where the folder can't be read."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".toml" and file.is_file())
    except OSError as error:
        problem = Problem(str(folder), f"can't be read: {error.strerror}", "mend the folder's permissions")
        raise Misconfigured([problem]) from error
    return {file.stem: file for file in files if file.name != NODE_FILE and not file.name.startswith(".")}


def node_of(folder: Path) -> NodeConfig:
    """What `node.toml` says, or what holds without one. Raises `Misconfigured`."""
    file = folder / NODE_FILE
    return load_node(file) if file.is_file() else NodeConfig()


def load_site(file: Path, node: NodeConfig | None = None) -> Loaded:
    """One site; with `node`, one of a folder's. Raises `Misconfigured`."""
    if node is None:
        config = load(file)
        return Loaded(config, keys_of(config))
    if not _NAME.fullmatch(file.stem):
        cure = "up to 48 letters, digits, dots, hyphens and underscores, the first one a letter or a digit"
        raise Misconfigured([Problem(file.name, "can't be the name of a site", cure)])
    config = load(file, StateSection(dir=node.state.dir / file.stem))
    return Loaded(config, keys_of(config))


def site_of(file: Path, node: NodeConfig) -> Loaded | Misconfigured:
    """One of a folder's sites, or what is wrong with it."""
    try:
        return load_site(file, node)
    except Misconfigured as error:
        return error


def not_shared(sites: dict[str, Loaded | Misconfigured]) -> dict[str, Loaded | Misconfigured]:
    """PURE: sites without those whose state folder another one has already."""
    owners: dict[Path, str] = {}
    found: dict[str, Loaded | Misconfigured] = {}
    for name, site in sites.items():
        found[name] = site
        if isinstance(site, Loaded):
            owner = owners.setdefault(site.config.state.dir, name)
            if owner != name:
                what = f"is the state folder of {owner} too"
                cure = "take the line out, or name a folder of its own"
                found[name] = Misconfigured([Problem("[state] dir", what, cure)])
    return found


def keys_of(config: Config) -> str:
    """A hash of the files that are read when a site begins, so that a new certificate is noticed."""
    digest = hashlib.sha256()
    for file in _key_files(config):
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _key_files(config: Config) -> Iterator[Path]:
    teams, pbx, bridge = config.teams, config.pbx, config.pbx.bridge
    files = [teams.certificate_file, teams.client_secret_file, teams.ca_file, pbx.ca_file]
    files += [bridge.ca_file, bridge.api_key_file] if bridge else []
    yield from filter(None, files)
