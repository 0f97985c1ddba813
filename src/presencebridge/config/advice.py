"""What works and is still worth mending."""

import stat
from urllib.parse import urlsplit

from presencebridge.config.addresses import is_loopback, parse_listen
from presencebridge.config.sections import Config
from presencebridge.errors import Problem


def advise(config: Config) -> list[Problem]:
    """Advice for a config that passed `check`."""
    found = []
    teams, pbx, bridge = config.teams, config.pbx, config.pbx.bridge
    files = [teams.certificate_file, teams.client_secret_file, pbx.client_secret_file]
    for path in [*files, bridge.api_key_file if bridge else None, config.operator.token_file]:
        if path and path.is_file() and path.stat().st_mode & stat.S_IROTH:
            found.append(Problem(str(path), "everybody on this machine can read it", f"chmod 0600 {path}"))
    folder = config.state.dir
    if folder.is_dir() and folder.stat().st_mode & stat.S_IRWXO:
        what = "everybody on this machine can look into the state folder"
        found.append(Problem(str(folder), what, f"chmod 0700 {folder}"))
    host = parse_listen(config.operator.listen)[0]
    if not is_loopback(host):
        cure = 'listen = "127.0.0.1:8080", and a reverse proxy with https in front of it'
        found.append(Problem("[operator] listen", "the token and the page cross the network in clear", cure))
    address = urlsplit(bridge.url if bridge and bridge.api_key_file else "")
    if address.scheme == "http" and not is_loopback(address.hostname or ""):
        what = "the API key goes over the network in clear"
        found.append(Problem("[pbx.bridge] url", what, "run presencebridge on the PBX, or use https"))
    if any(pair.availability == "Away" for pair in config.policy.policy().pair_for.values()):
        what = "Teams never shows an Away of ours while a Teams client of the person is active"
        found.append(Problem("[policy.threecx_to_teams]", what, 'map it to "no change"'))
    return found
