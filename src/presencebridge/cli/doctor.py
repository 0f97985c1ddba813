"""`doctor`: every link and every right tried; what is wrong, and what repairs it."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from presencebridge.config import load

if TYPE_CHECKING:
    from presencebridge.doctor.findings import Finding
    from presencebridge.doctor.site import Site


def doctor(
    *,
    config: Path,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    write_test: str = "",
    session_test: str = "",
    take_token: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Try every link and every right, from the ground up; say what is wrong, and what repairs it.

    It reads, and changes nothing unless it is told to. Exit status 0: nothing is wrong; 1: something is;
    2: the config can't be read.

    Parameters
    ----------
    config
        The config file; the service may run with it meanwhile.
    as_json
        Print a list of findings for programs.
    write_test
        Extension whose status on 3CX is changed for a moment and set back.
    session_test
        Extension of the person who is shown in a call in Teams for a moment.
    take_token
        With 3CX V20, ask for a token although the running service loses its own by that.
    """
    from presencebridge.adapters import Outside
    from presencebridge.doctor import findings
    from presencebridge.doctor.site import Site, Wishes

    site = Site(load(config), config, Outside(), Wishes(write_test, session_test, take_token))
    found = asyncio.run(_examined(site, quiet=as_json))
    if as_json:
        print(json.dumps(findings.as_json(found), indent=2))
    else:
        print(findings.summary(found))
    return findings.exit_status(found)


async def _examined(site: "Site", *, quiet: bool) -> list["Finding"]:
    from presencebridge.doctor import findings
    from presencebridge.doctor.examination import examine

    found = []
    async for one in examine(site):
        found.append(one)
        if not quiet:
            print(findings.line(one), flush=True)
    return found
