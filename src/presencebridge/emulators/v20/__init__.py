"""3CX V20 as a server: token endpoint, XAPI and Call Control, with a control port to play the people.

Here belongs what 3CX's public sources show V20 to do: 3cx/xapi-tutorial (description at 1c6947c) and
3cx/call-control-examples (4d2f6f9), and what programs in daily use against it have seen, such as
qmexnetworks/3cx-zammad-bridge (580c20c) and clemensblock/threecx-call-worker (f18f48a). What they leave
open is listed in `docs/emulator-3cx-v20.md`. Nothing of the project's own client of V20 belongs here.
"""

from presencebridge.emulators.v20.emulator import V20Emulator
from presencebridge.emulators.v20.serve import RunningV20, serve_v20

__all__ = ["RunningV20", "V20Emulator", "serve_v20"]
