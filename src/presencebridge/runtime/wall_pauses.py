"""A store in which the end of a pause is by the wall's clock, since it outlasts the process.

The other one begins anew with each start. Where the machine's clock was set meanwhile, as on one that has no
battery for it, an end that was kept by that would be over at once, or much too late.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from presencebridge.core.model import State
from presencebridge.runtime.ports import Clock, Store


class WallPauses:
    """The port `Store`, for whoever has the steady clock."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def load(self) -> dict[str, State]:
        ahead_s = self._ahead_s()
        return {key: _later(state, -ahead_s) for key, state in self._store.load().items()}

    async def save(self, states: Mapping[str, State]) -> None:
        ahead_s = self._ahead_s()
        await self._store.save({key: _later(state, ahead_s) for key, state in states.items()})

    async def forget(self, keys: Iterable[str]) -> None:
        await self._store.forget(keys)

    def _ahead_s(self) -> float:
        """How far the wall's clock was set forward since the start."""
        return self._clock.wall() - self._clock.now()


def _later(state: State, seconds: float) -> State:
    if state.paused_until is None:
        return state
    return replace(state, paused_until=state.paused_until + seconds)
