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


def handed_over(file: Path) -> Path:
    """Systemd's copy of a file, where it was told to make one, else the file itself.

    `LoadCredential=secrets:/etc/presencebridge/secrets` copies each file of that folder, as `secrets_app.pem`
    and so on, so that the account of the service need not be able to open them:
    https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#LoadCredential=ID:PATH
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return file
    copy = Path(folder) / f"{file.parent.name}_{file.name}"
    return copy if copy.is_file() else file
