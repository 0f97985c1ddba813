"""Where secrets come from. They never stand in the config file."""

import os
from pathlib import Path


def secret(name: str, file: Path | None = None) -> str | None:
    """A secret from its file, the environment, or systemd's credentials; None if it is nowhere.

    `teams-client-secret` is PRESENCEBRIDGE_TEAMS_CLIENT_SECRET in the environment.
    """
    if file is not None:
        return file.read_text("utf-8").strip()
    variable = "PRESENCEBRIDGE_" + name.upper().replace("-", "_")
    if os.environ.get(variable):
        return os.environ[variable]
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / name).is_file():
        return (Path(folder) / name).read_text("utf-8").strip()
    return None
