"""From one process to several: what it kept of a site on this machine's disk goes to the cluster, once.

Claims, pauses and sign-ins are written only as long as the site has never had an owner in the cluster. So the
first owner finds all of it or nothing, and nothing that is newer is written over.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from presencebridge.cluster.engine import Engine, Fence, Stale
from presencebridge.cluster.files import Seal
from presencebridge.cluster.records import owner_key, person_prefix, plain, sign_in_key
from presencebridge.core.model import State
from presencebridge.errors import Misconfigured
from presencebridge.files import FolderFiles
from presencebridge.store.sqlite import FILE, SqliteStore, StoreError, StoreInUse

_log = structlog.get_logger()

_SIGN_IN: Final = "watcher-"


async def move_in(engine: Engine, seal: Seal, folders: Mapping[str, Path]) -> str:
    """For each site whose folder has a database. Returns what stands in the way; empty where nothing does.

    Raises `EngineError`.
    """
    waits = ""
    for site, folder in folders.items():
        if not (folder / FILE).is_file():
            continue
        try:
            states = await asyncio.to_thread(_read, folder)
        except StoreInUse:
            waits = f"{folder} is in use: stop the presencebridge that runs there; its claims are taken along"
        except (StoreError, Misconfigured) as error:
            _log.error("claims not taken along", site=site, reason=str(error).partition("\n")[0])
        else:
            await _bring(engine, seal, site, folder, states)
    return waits


def _read(folder: Path) -> dict[str, State]:
    with contextlib.closing(SqliteStore(folder)) as store:
        return store.load()


async def _bring(engine: Engine, seal: Seal, site: str, folder: Path, states: Mapping[str, State]) -> None:
    moved = folder / f"{FILE}.before-cluster"
    if not await _are_written(engine, site, states):
        reason, cure = "the cluster runs the site already", f"its own are newer: mv {folder / FILE} {moved}"
        _log.warning("claims not taken along", site=site, reason=reason, cure=cure)
        return
    files = FolderFiles(folder)
    sign_ins = {name: files.read(name) or b"" for name in files.names() if name.startswith(_SIGN_IN)}
    for name, content in sign_ins.items():
        with contextlib.suppress(Stale):  # somebody has signed in anew
            await engine.put(sign_in_key(site, name), seal.close(f"{site}/{name}", content), 0)
        files.delete(name)
    (folder / FILE).rename(moved)
    _log.info("claims taken along", site=site, people=len(states), sign_ins=len(sign_ins), kept=str(moved))


async def _are_written(engine: Engine, site: str, states: Mapping[str, State]) -> bool:
    """False if the site has had an owner."""
    never_owned = Fence(owner_key(site), 0)
    people = {
        person_prefix(site) + plain(person): msgspec.json.encode(state) for person, state in states.items()
    }
    if not people:
        return await engine.get(never_owned.key) is None
    try:
        await engine.write(never_owned, people)
    except Stale:
        return False
    return True
