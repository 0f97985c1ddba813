"""I/O: several ways to set a status, since not every 3CX carries out every one of them."""

from collections.abc import Callable, Mapping
from typing import Protocol

from presencebridge.errors import LinkError
from presencebridge.metrics import Metrics
from presencebridge.pbx.answers import StatusChange


class _Statuses(Protocol):
    async def all_statuses(self) -> dict[str, str]: ...
    async def status(self, extension: str) -> str: ...
    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange: ...


class _Changes(Protocol):
    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange: ...


class StatusWays:
    """Reads statuses in one way, and sets them by the first way that 3CX really carries out.

    The way that worked last is tried first from then on. `on_change` is called with False when a change was
    accepted by every way that could be reached and carried out by none, and with True when one did.
    """

    def __init__(
        self, reads: _Statuses, ways: Mapping[str, _Changes], *, metrics: Metrics | None = None
    ) -> None:
        self._metrics = metrics or Metrics()
        self._reads = reads
        self._ways = dict(ways)
        self.on_change: Callable[[bool], None] = lambda _worked: None

    async def all_statuses(self) -> dict[str, str]:
        """Raises `LinkError`."""
        return await self._reads.all_statuses()

    async def status(self, extension: str) -> str:
        """Raises `LinkError`."""
        return await self._reads.status(extension)

    async def change_status(self, extension: str, expected: tuple[str, ...], wanted: str) -> StatusChange:
        """Compare and set, by one way after another until one works. Raises `LinkError` if none does."""
        ignored: StatusChange | None = None
        failed: LinkError | None = None
        for name, way in list(self._ways.items()):
            try:
                change = await way.change_status(extension, expected, wanted)
            except LinkError as error:
                failed = failed or error
                continue
            was_ignored = change.wrote and change.after == change.before
            if not was_ignored:
                if change.wrote:
                    self.on_change(True)
                self._first(name)
                return change
            self._metrics.status_ignored.labels(name).inc()
            ignored = change
        if ignored is not None:
            self.on_change(False)
        if failed is not None:
            raise failed
        assert ignored is not None  # noqa: S101 - there is at least one way, and it failed or was ignored
        return ignored

    def _first(self, name: str) -> None:
        if next(iter(self._ways)) != name:
            self._ways = {name: self._ways.pop(name), **self._ways}
