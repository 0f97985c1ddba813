"""`run`, `check` and `login`."""

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from presencebridge.cli.saying import say
from presencebridge.cli.which import config_of, folder_of
from presencebridge.config import Config, advise, load, node_of, not_shared, site_files, site_of
from presencebridge.errors import Misconfigured, Problem

if TYPE_CHECKING:
    from presencebridge.cluster.joined import Cluster

_PR_SET_DUMPABLE: Final = 4
"""https://man7.org/linux/man-pages/man2/pr_set_dumpable.2const.html"""


def run(*, config: Path, dry_run: bool = False) -> None:
    """Keep Teams and 3CX in step until told to stop (SIGTERM or Ctrl-C).

    Parameters
    ----------
    config
        The config file of a site, or a folder with a file for each site.
    dry_run
        Decide and tell, and write nothing to either side.
    """
    import uvloop

    from presencebridge import log
    from presencebridge.cli.log_lines import in_words
    from presencebridge.node import Folder, Node, OneFile
    from presencebridge.notify import Notifier
    from presencebridge.threads import LooseThreads

    keep_memory_private()
    notifier = Notifier()
    is_folder = config.is_dir()
    if not is_folder:
        _advise(load(config))
    log.set_up(in_words=in_words)
    node = Node(
        Folder(config) if is_folder else OneFile(config),
        dry_run=dry_run,
        ownership=_ownership(config) if is_folder and not dry_run else None,
    )
    if dry_run:
        structlog.contextvars.bind_contextvars(dry_run=True)

    def listening() -> None:
        # What was imported stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        lines = [f"presencebridge: the page is at {node.operator_url}/"]
        if node.webhook_url:
            lines.append(f"presencebridge: the webhook is at {node.webhook_url}")
        if dry_run:
            lines.append("presencebridge: dry run, nothing is written")
        print("\n".join(lines), flush=True)
        notifier.ready()
        notifier.keep_told(lambda: node.standing)

    async def serve() -> None:
        stop = asyncio.Event()

        def end() -> None:
            notifier.stopping()
            stop.set()

        def again() -> None:
            notifier.reloading()
            node.reload()

        node.on_reloaded = notifier.ready
        loop = asyncio.get_running_loop()
        loop.set_default_executor(LooseThreads())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        loop.add_signal_handler(signal.SIGHUP, again)
        await node.run(stop, listening)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _ownership(folder: Path) -> "Cluster | None":
    """With other nodes, if `node.toml` names them; without, nothing of that is imported."""
    section = node_of(folder).cluster
    if section is None:
        return None
    from presencebridge.cluster.opening import cluster_of

    return cluster_of(section)


def keep_memory_private() -> None:
    """Secrets are in memory, so it goes into no core dump, and no other process of this account reads it.

    What we write from here on is for this account only.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # Linux only; the limit above is everywhere
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def check(*, config: Path) -> int:
    """Check the config, or each of a folder: every problem with its cure. Exit status 2 if there are any."""
    folder = folder_of(config)
    if folder is None:
        _check(config, load(config))
        return 0
    node = node_of(folder)
    loaded = not_shared({name: site_of(file, node) for name, file in site_files(folder).items()})
    wrong = 0
    for name, site in loaded.items():
        file = folder / f"{name}.toml"
        try:
            if isinstance(site, Misconfigured):
                raise site
            _check(file, site.config)
        except Misconfigured as error:
            wrong += 1
            for problem in error.problems:
                print(f"{file}: {problem}", file=sys.stderr)
    if not loaded:
        print(f"advice: {folder} holds no site: each is a file such as berlin.toml", file=sys.stderr)
    return 2 if wrong else 0


def _check(config: Path, loaded: Config) -> None:
    from presencebridge.adapters import app_tokens

    app_tokens(loaded)  # a certificate that can't be used is a problem of the config
    _advise(loaded)
    count = len(loaded.person)
    people = f"{count} {'person' if count == 1 else 'people'}"
    if loaded.people.match == "email":
        people = f"people by mail address, {count} by hand"
    print(f"{config}: fine ({people}, preset {loaded.policy.preset})")


def login(*, config: Path, site: str = "", watcher: str = "default") -> None:
    """Sign in the account that owns presence subscriptions, with a code in a browser.

    Parameters
    ----------
    config
        The config file, or the folder of sites.
    site
        Which of the folder's sites.
    watcher
        Which of the accounts named in [teams.webhook] watchers.
    """
    from presencebridge.adapters import watcher_tokens

    loaded = config_of(config, site)
    if loaded.teams.delivery == "poll" and not _wanted_all_the_same():
        return
    known = loaded.teams.webhook.watchers if loaded.teams.webhook else ("default",)
    if watcher not in known:
        cure = f"use one of {', '.join(known)}, or add it to [teams.webhook] watchers"
        raise Misconfigured([Problem("--watcher", f"there is no watcher {watcher}", cure)])
    tokens = watcher_tokens(loaded, watcher)
    who = asyncio.run(tokens.sign_in(say))
    _share_sign_in(config, site, loaded, watcher)
    say(f"watcher {watcher} is signed in as {who}; a running service takes it up within half a minute")


def _wanted_all_the_same() -> bool:
    """Where people are polled, a sign-in serves subscriptions made by hand. Programs know what they want."""
    print(
        'delivery is "poll", so the service needs nobody signed in. It is for the webhook, and for '
        "`presencebridge teams subscriptions`, with which those of other programs are listed and deleted.",
        flush=True,
    )
    if not sys.stdin.isatty():
        return True
    try:
        said = input("Sign in all the same? [no] > ")
    except EOFError:
        return False
    return said.strip().casefold() in {"y", "yes", "j", "ja"}


def _share_sign_in(config: Path, site: str, loaded: Config, watcher: str) -> None:
    """In a cluster the sign-in goes to whichever node owns the site."""
    folder = folder_of(config)
    section = node_of(folder).cluster if folder is not None else None
    if section is None:
        return
    from presencebridge.cluster.opening import lay_down_sign_in
    from presencebridge.files import FolderFiles

    files, name = FolderFiles(loaded.state.dir), f"watcher-{watcher}.json"
    asyncio.run(lay_down_sign_in(section, site or config.stem, name, files.read(name) or b""))
    files.delete(name)


def _advise(config: Config) -> None:
    for problem in advise(config):
        print(f"advice: {problem}", file=sys.stderr)
