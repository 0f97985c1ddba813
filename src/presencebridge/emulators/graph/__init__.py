"""Microsoft Graph presence and Entra sign-in as one server, with a control port to play the people.

Here belongs what Microsoft publishes about presence, change notifications and sign-in, turned into
answers; each module names the pages that it follows. What those leave open is listed in
`docs/emulator-graph.md`. Nothing of the bridge's own client belongs here.
"""

from presencebridge.emulators.graph.emulator import GraphEmulator
from presencebridge.emulators.graph.serve import RunningGraph, serve_graph

__all__ = ["GraphEmulator", "RunningGraph", "serve_graph"]
