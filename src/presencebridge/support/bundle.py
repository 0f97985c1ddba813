"""The bundle: gathered, with stand-ins for all that is private, as a zip that only its owner can read."""

import contextlib
import json
import os
import secrets
import zipfile
from pathlib import Path
from typing import Any, Final

from presencebridge.config import Config
from presencebridge.doctor.findings import Finding, as_json
from presencebridge.errors import BridgeError
from presencebridge.files import write_private
from presencebridge.support import gathering
from presencebridge.support.gathering import Files, Service
from presencebridge.support.pseudonyms import Pseudonyms

_KEY_FILE: Final = "support-key"

CONTENTS: Final = {
    "README.txt": "this list",
    "versions.json": "presencebridge, Python, and every package it stands on",
    "environment.json": "operating system, clock, disk, names and sizes of the state's files",
    "config.json": "the config without comments; people, hosts and ids by stand-ins",
    "doctor.json": "what doctor found",
    "status.json": "links, readiness, people by condition",
    "metrics.txt": "the figures for Prometheus",
    "people.json": "how each person stands and what was decided last, by stand-ins, with seconds for times",
    "log.json": "the last lines of the log",
}

_README: Final = """A support bundle of presencebridge.

People, addresses, hosts, ids and secrets are replaced by stand-ins such as person-1f3a9c and host-7be21d. The
same stand-in means the same person or host in every bundle of this site. Only who has the file support-key of
the site's state folder could find out who is meant; it is not in here, and nobody should send it.

"""


def key_of(folder: Path) -> bytes:
    """What the stand-ins are made with: kept in the state folder, or for this once where that can't be."""
    file = folder / _KEY_FILE
    with contextlib.suppress(OSError, ValueError):
        return bytes.fromhex(file.read_text("utf-8").strip())
    key = secrets.token_bytes(32)
    with contextlib.suppress(OSError):
        write_private(file, key.hex().encode())
    return key


def make(
    config: Config, file: Path, findings: list[Finding], service: Service, *, with_people: bool
) -> dict[str, str]:
    """The bundle's files by name, with stand-ins in all of them."""
    hidden = Pseudonyms(key_of(config.state.dir))
    gathering.learn(hidden, config, service)
    gathered: Files = {
        "versions.json": gathering.versions(),
        "environment.json": gathering.environment(config),
        "config.json": gathering.config_file(file),
        "doctor.json": as_json(findings),
        **service.files(with_people=with_people),
    }
    found = {name: _told(value, hidden) for name, value in gathered.items()}
    listed = "\n".join(f"{name:<18} {CONTENTS[name]}" for name in ["README.txt", *found])
    return {"README.txt": f"{_README}{listed}\n"} | found


def _told(value: Any, hidden: Pseudonyms) -> str:
    if isinstance(value, str):
        return hidden.text(value)
    return json.dumps(hidden.value(value), indent=1, ensure_ascii=False) + "\n"


def write(output: Path, files: dict[str, str]) -> None:
    """Write the zip, for this account only. Raises `BridgeError` where something is there already."""
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BridgeError(f"{output} is there already\n    cure: name another file with --output") from None
    with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name, text)
