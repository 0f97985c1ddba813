"""`doctor`: every link and every right tried; what is wrong, and what repairs it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from presencebridge.cli.saying import say
from presencebridge.cli.which import config_of, folder_of, path_of
from presencebridge.config import site_files
from presencebridge.errors import Misconfigured

if TYPE_CHECKING:
    from presencebridge.doctor.findings import Finding
    from presencebridge.doctor.site import Site


def doctor(
    *,
    config: Path,
    site: str = "",
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
        The config file, or a folder of sites; the service may run with it meanwhile.
    site
        Which of the folder's sites; all of them, one after another, if none is named.
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
    from presencebridge.doctor.account import Account
    from presencebridge.doctor.site import Site, Wishes

    wishes = Wishes(write_test, session_test, take_token)
    folder = folder_of(config)
    if folder is None:
        names = [""]
    else:
        names = [site or config.stem] if site or not config.is_dir() else list(site_files(folder))
    told, worst = [], 0
    for name in names:
        file = folder / f"{name}.toml" if folder else config
        if len(names) > 1 and not as_json:
            say(f"== {name}")
        try:
            loaded = config_of(config, name or site)
        except Misconfigured as error:
            if len(names) == 1:
                raise
            for problem in error.problems:
                say(str(problem), lines=True, file=sys.stderr)
            worst = 2
            continue
        examined = Site(loaded, file, Outside(), wishes, Account.of_the_service(), path_of(name))
        found = asyncio.run(_examined(examined, quiet=as_json))
        told += [one | {"site": name} if name else one for one in findings.as_json(found)]
        worst = max(worst, findings.exit_status(found))
        if not as_json:
            say(findings.summary(found))
    if as_json:
        print(json.dumps(told, indent=2))
    return worst


async def _examined(site: "Site", *, quiet: bool) -> list["Finding"]:
    from presencebridge.doctor import findings
    from presencebridge.doctor.examination import examine

    found = []
    async for one in examine(site):
        found.append(one)
        if not quiet:
            say(findings.line(one), lines=True)
    return found
