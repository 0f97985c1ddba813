"""Whether this node's key file has the key that the cluster seals with, and which of its lines that is.

The engine keeps the mark of that key, which tells nothing of it. Who starts first says which it is. Whose
file has no such line can't read what the others seal, nor know what they sign, so it takes no part. A key is
replaced without a gap: the cluster seals with a new one as soon as every node that is there has it.
"""

from collections.abc import Collection
from typing import Final

import structlog

from presencebridge.cluster.engine import Engine, Entry, Stale
from presencebridge.cluster.files import Seal
from presencebridge.cluster.records import KEY_IN_USE, NodeRecord

_log = structlog.get_logger()

DOES_NOT_FIT: Final = (
    "the cluster key does not fit: cluster_key_file of this node has no line that the other nodes seal with, "
    "so it owns no site and takes no notifications in"
)
CURE: Final = (
    "copy the file from a node that has a part in the cluster; it is read again by itself. If that key is "
    "lost: presencebridge cluster rekey"
)


class KeyCheck:
    """One for each connection to the engine."""

    def __init__(self, engine: Engine, seal: Seal) -> None:
        self._engine, self._seal = engine, seal
        self._revision = 0
        self._told: dict[str, str] = {}
        self.fits = False

    async def look(self, nodes: Collection[NodeRecord] = ()) -> bool:
        """Whether it fits by now; `nodes` are all that are there, as far as they are known.

        Raises `EngineError`.
        """
        self._read_file()
        found = await self._engine.get(KEY_IN_USE)
        if found is None:
            if not self._revision:  # or it is a reading from before somebody wrote it
                await self._say(0)
        elif found.revision >= self._revision:
            self._revision = found.revision
            self.fits = self._seal.use(_mark_in(found))
            if self.fits and nodes and all(self._seal.newest in node.keys for node in nodes):
                await self._say(found.revision)
        self._tell("fits", "" if self.fits or not self._revision else DOES_NOT_FIT, CURE)
        return self.fits

    async def _say(self, revision: int) -> None:
        """Let it be our first line from now on, unless it is already."""
        if revision and self._seal.in_use == self._seal.newest:
            return
        try:
            self._revision = await self._engine.put(KEY_IN_USE, self._seal.newest.encode(), revision)
        except Stale:
            return  # somebody was quicker: the next look tells what they said
        self.fits = self._seal.use(self._seal.newest)
        _log.info("cluster key in use", mark=self._seal.in_use)

    def _read_file(self) -> None:
        used, trouble = self._seal.in_use, ""
        try:
            self._seal.read_again()
        except (OSError, ValueError) as error:
            trouble = f"cluster_key_file can't be used any more: {error}"
        self.fits = self.fits and self._seal.in_use == used
        self._tell("file", trouble, "mend it; meanwhile what it said before goes on")

    def _tell(self, about: str, what: str, cure: str) -> None:
        if what and what != self._told.get(about):
            _log.error("cluster key", reason=what, cure=cure)
        self._told[about] = what


async def fits(engine: Engine, seal: Seal) -> bool:
    """Whether the file has the key in use, or there is none yet. Raises `EngineError`."""
    found = await engine.get(KEY_IN_USE)
    return found is None or seal.use(_mark_in(found))


def _mark_in(entry: Entry) -> str:
    return entry.value.decode("ascii", "replace")
