"""The same store without a disk: for `--dry-run`, the simulation and tests."""

from collections.abc import Iterable, Mapping

from presencebridge.core.model import State


class MemoryStore:
    def __init__(self, states: dict[str, State] | None = None) -> None:
        self.states: dict[str, State] = dict(states or {})

    def load(self) -> dict[str, State]:
        return dict(self.states)

    async def save(self, states: Mapping[str, State]) -> None:
        self.states |= states

    async def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.states.pop(key, None)
