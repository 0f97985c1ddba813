"""Which site a command is about: a file, or one of a folder's."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from msgspec.structs import replace

from presencebridge.config import NODE_FILE, Config, Operator, load, load_site, node_of, site_files
from presencebridge.errors import Misconfigured, Problem


class Running(NamedTuple):
    """Where the running service is asked."""

    operator: Operator
    site: str
    """Empty for the one site of a file, and for all sites of a folder."""
    is_folder: bool

    @property
    def prefix(self) -> str:
        return path_of(self.site)


def path_of(site: str) -> str:
    """Where the running service has what concerns this site."""
    return f"/sites/{quote(site, safe='')}" if site else ""


def folder_of(config: Path) -> Path | None:
    """The folder that is meant: by itself, or by a file beside a `node.toml`."""
    if config.is_dir():
        return config
    return config.parent if config.name == NODE_FILE or (config.parent / NODE_FILE).is_file() else None


def running(config: Path, site: str) -> Running:
    """Whom to ask. Raises `Misconfigured`."""
    folder = folder_of(config)
    if folder is None:
        _refuse_site(site)
        return Running(load(config).operator, "", is_folder=False)
    return Running(node_of(folder).operator, site or _site_named(config), is_folder=True)


def config_of(config: Path, site: str = "") -> Config:
    """The config of the site that is meant, with the node's listeners. Raises `Misconfigured`."""
    folder = folder_of(config)
    if folder is None:
        _refuse_site(site)
        return load(config)
    name = site or _site_named(config)
    files = site_files(folder)
    if name not in files:
        what = f"there is no {name}.toml in {folder}" if name else "which of the folder's sites is meant?"
        raise Misconfigured([Problem("--site", what, f"one of {', '.join(files) or 'none: add one'}")])
    node = node_of(folder)
    loaded = load_site(files[name], node).config
    hook = loaded.teams.webhook
    listens = hook and replace(hook, listen=node.webhook.listen)
    return replace(loaded, operator=node.operator, teams=replace(loaded.teams, webhook=listens))


def file_of(config: Path, site: str = "") -> Path:
    """The file of the site that is meant, which `config_of` could read."""
    folder = folder_of(config)
    return config if folder is None else site_files(folder)[site or _site_named(config)]


def _site_named(config: Path) -> str:
    return "" if config.is_dir() or config.name == NODE_FILE else config.stem


def _refuse_site(site: str) -> None:
    if site:
        cure = "name a folder, or leave --site out"
        raise Misconfigured([Problem("--site", "the config is a file, which is one site", cure)])
