"""`run`, `check` and `login`."""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import structlog

from presencebridge.config import Config, advise, load
from presencebridge.errors import Misconfigured, Problem

_PR_SET_DUMPABLE: Final = 4
"""https://man7.org/linux/man-pages/man2/pr_set_dumpable.2const.html"""


def run(*, config: Path, dry_run: bool = False) -> None:
    """Keep Teams and 3CX in step until told to stop (SIGTERM or Ctrl-C).

    Parameters
    ----------
    config
        The config file.
    dry_run
        Decide and tell, and write nothing to either side.
    """
    import uvloop

    from presencebridge import log
    from presencebridge.node import Node, OneFile
    from presencebridge.notify import Notifier
    from presencebridge.threads import LooseThreads

    keep_memory_private()
    notifier = Notifier()
    loaded = load(config)
    log.set_up()
    _advise(loaded)
    node = Node(OneFile(config), dry_run=dry_run)
    if dry_run:
        structlog.contextvars.bind_contextvars(dry_run=True)

    def listening() -> None:
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

        loop = asyncio.get_running_loop()
        loop.set_default_executor(LooseThreads())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        await node.run(stop, listening)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def keep_memory_private() -> None:
    """Secrets are in memory, so it goes into no core dump, and no other process of this account reads it.

    What we write from here on is for this account only.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # Linux only; the limit above is everywhere
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def check(*, config: Path) -> int:
    """Check the config file: every problem with its cure. Exit status 2 if there are any."""
    from presencebridge.adapters import app_tokens

    loaded = load(config)
    app_tokens(loaded)  # a certificate that can't be used is a problem of the config
    _advise(loaded)
    count = len(loaded.person)
    people = f"{count} {'person' if count == 1 else 'people'}"
    if loaded.people.match == "email":
        people = f"people by mail address, {count} by hand"
    print(f"{config}: fine ({people}, preset {loaded.policy.preset})")
    return 0


def login(*, config: Path, watcher: str = "default") -> None:
    """Sign in the account that owns presence subscriptions, with a code in a browser.

    Parameters
    ----------
    config
        The config file.
    watcher
        Which of the accounts named in [teams.webhook] watchers.
    """
    from presencebridge.adapters import watcher_tokens

    loaded = load(config)
    if loaded.teams.delivery == "poll":
        print('note: delivery is "poll", so nobody needs to be signed in', flush=True)
    known = loaded.teams.webhook.watchers if loaded.teams.webhook else ("default",)
    if watcher not in known:
        cure = f"use one of {', '.join(known)}, or add it to [teams.webhook] watchers"
        raise Misconfigured([Problem("--watcher", f"there is no watcher {watcher}", cure)])
    tokens = watcher_tokens(loaded, watcher)
    who = asyncio.run(tokens.sign_in(lambda text: print(text, flush=True)))
    print(f"watcher {watcher} is signed in as {who}; a running service takes it up within half a minute")


def _advise(config: Config) -> None:
    for problem in advise(config):
        print(f"advice: {problem}", file=sys.stderr)
