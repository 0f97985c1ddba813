"""The one place that knows what time it is."""

import time


class SteadyClock:
    """The wall's time when the process started, and the time passed since.

    So a wall clock that is set while we run moves no lease and no timer.
    """

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()  # noqa: TID251 - the Clock port itself

    def now(self) -> float:
        return self._start + time.monotonic()

    def wall(self) -> float:
        """What others would say the time is: for what is compared with their clocks."""
        return time.time()  # noqa: TID251 - the Clock port itself
