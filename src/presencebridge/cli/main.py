"""`presencebridge`: the commands, and how their errors reach a person."""

import sys
from collections.abc import Sequence

from cyclopts import App

from presencebridge import __version__
from presencebridge.cli.cluster import cluster
from presencebridge.cli.demo import demo
from presencebridge.cli.doctor import doctor
from presencebridge.cli.emulate import emulate
from presencebridge.cli.init import init
from presencebridge.cli.operator import pause, people, refresh, resume, status, watch, why
from presencebridge.cli.pbx import pbx
from presencebridge.cli.saying import say
from presencebridge.cli.service import check, login, run
from presencebridge.cli.simulate import simulate
from presencebridge.cli.support import support
from presencebridge.cli.teams import teams
from presencebridge.errors import BridgeError, LinkError, Misconfigured

app = App(
    name="presencebridge",
    version=__version__,
    help="Keeps Microsoft Teams presence and a 3CX phone system in step, both ways.",
)
for command in (
    demo,
    init,
    check,
    doctor,
    run,
    login,
    status,
    people,
    watch,
    why,
    pause,
    resume,
    refresh,
    support,
    simulate,
):
    app.command(command)
for group in (teams, pbx, cluster, emulate):
    app.command(group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Exit status 2: the config or the command line is wrong; 1: it did not work."""
    try:
        result = app(arguments, result_action="return_value")
    except Misconfigured as error:
        for problem in error.problems:
            say(str(problem), lines=True, file=sys.stderr)
        sys.exit(2)
    except BridgeError as error:
        say(f"error: {error}", lines=not isinstance(error, LinkError), file=sys.stderr)
        if isinstance(error, LinkError) and error.cure:
            say(f"    cure: {error.cure}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        say(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
