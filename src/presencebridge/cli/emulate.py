"""`emulate ...`: Microsoft Graph or 3CX as a server on loopback."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from presencebridge.errors import Misconfigured, Problem

if TYPE_CHECKING:
    from presencebridge.emulators.world import World

emulate = App(name="emulate", help="Microsoft Graph or 3CX as a server on loopback, to try things out.")


@emulate.command
def graph(*, port: int, world: Path, control_port: int | None = None, tls_dir: Path | None = None) -> None:
    """Microsoft Graph and its sign-in.

    Parameters
    ----------
    port
        Where to serve; 0 takes a free port.
    world
        JSON file with tenant, app, users and watchers.
    control_port
        Where a test can play the people; 0 takes a free port.
    tls_dir
        Serve HTTPS with a certificate of an authority of its own, which is kept in this folder.
    """
    from presencebridge.emulators.graph.serve import serve_graph

    _until_stopped(
        serve_graph(_world(world), port=port, control_port=control_port, tls_dir=tls_dir, announce=_announce)
    )


@emulate.command(name="3cx-v20")
def v20(
    *,
    port: int,
    world: Path,
    control_port: int | None = None,
    tls_dir: Path | None = None,
    bridge_port: int | None = None,
) -> None:
    """3CX V20: token endpoint, XAPI and Call Control.

    Parameters
    ----------
    port
        Where to serve; 0 takes a free port.
    world
        JSON file with the extensions and the API client.
    control_port
        Where a test can play the people; 0 takes a free port.
    tls_dir
        Serve HTTPS with a certificate of an authority of its own, which is kept in this folder.
    bridge_port
        Where 3cx-web-API serves the same extensions, as a second way of setting a status; it tells no calls.
    """
    from presencebridge.emulators.v20.serve import serve_v20

    _until_stopped(
        serve_v20(
            _world(world),
            port=port,
            control_port=control_port,
            tls_dir=tls_dir,
            announce=_announce,
            bridge_port=bridge_port,
        )
    )


@emulate.command(name="3cx-web-api")
def web_api(
    *,
    port: int,
    world: Path,
    control_port: int | None = None,
    tls_dir: Path | None = None,
    dialect: Literal["original", "adn77-2023", "adn77-2024", "wha"] = "original",
) -> None:
    """3cx-web-API, the bridge for 3CX V16 and V18. Its standard output is the bridge's own.

    Parameters
    ----------
    port
        Where to serve; 0 takes a free port.
    world
        JSON file with the extensions.
    control_port
        Where a test can play the people; 0 takes a free port.
    tls_dir
        Serve HTTPS, as behind a proxy: the bridge itself speaks plain HTTP only.
    dialect
        Whose build of the bridge to be.
    """
    from presencebridge.emulators.webapi.serve import serve_webapi

    _until_stopped(
        serve_webapi(
            _world(world),
            port=port,
            control_port=control_port,
            dialect=dialect,
            announce=_announce,
            tls_dir=tls_dir,
        )
    )


def _world(path: Path) -> "World":
    from presencebridge.emulators.world import load_world

    try:
        return load_world(path)
    except ValueError as error:
        raise Misconfigured([Problem("--world", str(error), "docs/tutorial.md has one to copy")]) from None


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _until_stopped(serving: Coroutine[None, None, None]) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(serving)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)

    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(main())
    except ExceptionGroup as group:
        taken = [error for error in group.exceptions if isinstance(error, OSError)]
        if not taken:
            raise
        cure = "stop what uses the port, or name another one (0 takes a free one)"
        raise Misconfigured([Problem("--port, --control-port", str(taken[0]), cure)]) from None
