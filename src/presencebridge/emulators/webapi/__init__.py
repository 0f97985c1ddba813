"""The HTTP bridge 3cx-web-API for 3CX V16/V18 as a server, with a control port to play the people.

Here belongs what the bridge's public sources show it to do, answers and standard output byte for byte:
Montesuma80/3cx-web-API (`original`), its fork by adn77 as merged in dexit/3cx-web-API (`adn77-2023`,
`adn77-2024`), and Wharfs/3CXStatusWebApi (`wha`). What they leave open is listed in
`docs/emulator-3cx-web-api.md`. Nothing of the project's own client of that bridge belongs here.
"""

from presencebridge.emulators.webapi.emulator import WebApiEmulator
from presencebridge.emulators.webapi.serve import RunningWebApi, serve_webapi

__all__ = ["RunningWebApi", "WebApiEmulator", "serve_webapi"]
