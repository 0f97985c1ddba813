"""`pbx ...`: what 3CX shows, by hand."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from presencebridge.cli.saying import say
from presencebridge.cli.which import config_of
from presencebridge.core.model import STATUSES
from presencebridge.core.policy import canonical_status
from presencebridge.errors import BridgeError, Misconfigured, Problem

if TYPE_CHECKING:
    from presencebridge.adapters import PbxSide

pbx = App(name="pbx", help="Statuses and calls of 3CX, by hand.")

_SHORT = {"avail": "Available", "oof": "Out of office", "custom1": "Custom 1", "custom2": "Custom 2"}


@pbx.command
async def get(extension: str, *, config: Path) -> None:
    """The status of an extension."""
    async with _side(config) as pbx:
        say(await pbx.statuses.status(extension))


@pbx.command(name="set")
async def set_(extension: str, status: str, *, config: Path) -> None:
    """Set the status of an extension, and read it back.

    Parameters
    ----------
    extension
        Its number.
    status
        Available, Away, "Out of office", "Custom 1", "Custom 2", or 3cx-web-API's word (oof ...).
    config
        The config file.
    """
    wanted = canonical_status(_SHORT.get(status.casefold(), status))
    if wanted is None:
        raise Misconfigured(
            [Problem("STATUS", f"{status!r} is not a status", f"one of {', '.join(STATUSES)}")]
        )
    async with _side(config) as pbx:
        change = await pbx.statuses.change_status(extension, STATUSES, wanted)
    if change.after != wanted:
        raise BridgeError(f"extension {extension}: 3CX accepted the change and still shows {change.after}")
    say(f"{extension}: {change.after}" + ("" if change.wrote else " (it was already)"))


@pbx.command
async def calls(*, config: Path) -> None:
    """Every extension that has a call, and the states of its legs."""
    async with _side(config) as pbx:
        legs = await pbx.calls.legs()
    for extension, states in sorted(legs.by_extension.items()):
        say(f"{extension}  {', '.join(states)}")
    for what in legs.unreadable.values():
        say(what)
    if not legs.by_extension and not legs.unreadable:
        say("no calls")


@contextlib.asynccontextmanager
async def _side(config: Path) -> "AsyncIterator[PbxSide]":
    from presencebridge.adapters import pbx_side
    from presencebridge.runtime.clock import SteadyClock

    async with pbx_side(config_of(config).pbx, SteadyClock().now) as side:
        yield side
