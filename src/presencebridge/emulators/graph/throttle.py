"""Rate limits: learn.microsoft.com/graph/throttling-limits, retries sent early count too."""

import math
from collections import deque

from presencebridge.emulators.graph.errors import throttled

# The limits page says 10,000 in 30 s for presence, the getPresencesByUserId page 1,500: the lower
# one holds here. Subscription limits are those for one application in one tenant.
LIMITS = {
    "all": (130_000, 10.0),
    "presence": (1_500, 30.0),
    "subscriptions.write": (500, 20.0),
    "subscriptions.reauthorize": (1_000, 20.0),
    "subscriptions.get": (500, 20.0),
    "subscriptions.list": (25, 20.0),
}


class Throttle:
    """Counts requests by limit, application and tenant, each in its sliding window."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[float]] = {}

    def count(self, name: str, who: str, now: float, limits: dict[str, int]) -> None:
        """Counts one request; raises Graph's 429 when it is one too many."""
        usual, window = LIMITS[name]
        limit = limits.get(name, usual)
        seen = self._seen.setdefault((name, who), deque())
        while seen and seen[0] <= now - window:
            seen.popleft()
        seen.append(now)
        if len(seen) > limit:
            # There is room again once all but limit - 1 of the counted ones are out of the window.
            free = seen[len(seen) - limit] + window - now if limit > 0 else window
            raise throttled(max(1, math.ceil(free)))
