"""3cx-web-API on the machine of a V20: the second way of setting a status, beside the XAPI.

The bridge and the V20 are emulators of their own; here they have extensions and statuses in common. The
bridge does one request at a time, so each begins with what the V20 shows and ends with what it changed. Calls
are the V20's alone.
"""

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.v20.pbx import Pbx
from presencebridge.emulators.webapi import RunningWebApi, WebApiEmulator
from presencebridge.emulators.webapi.pbx import Extension
from presencebridge.emulators.webapi.steps import Request, Step
from presencebridge.emulators.world import World


def bridge_of(pbx: Pbx, port: int) -> RunningWebApi:
    """The bridge to `pbx`, to be served on `port`; 0 takes a free one."""
    running = RunningWebApi(World(), port=port, control_port=None)
    running.emulator = _OfV20(pbx)
    return running


class _OfV20(WebApiEmulator):
    def __init__(self, v20: Pbx) -> None:
        super().__init__(World(), clock=Clock())
        self._v20 = v20

    def work(self, request: Request) -> Step:
        self.pbx.extensions = {
            number: self.pbx.extensions.get(number) or self._new(number, user["DisplayName"])
            for user in self._v20.users.values()
            for number in (user["Number"],)
        }
        for number, extension in self.pbx.extensions.items():
            user = self._v20.user(number) or {}
            extension.status = user["CurrentProfileName"]
        step = super().work(request)
        for number, extension in self.pbx.extensions.items():
            user = self._v20.user(number) or {}
            user["CurrentProfileName"] = extension.status
        return step

    def _new(self, number: str, name: str) -> Extension:
        self.pbx.dn_id(number)
        return Extension(number, name, "")
