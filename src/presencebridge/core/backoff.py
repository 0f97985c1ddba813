"""PURE: how long to wait before what failed is tried again."""

from typing import Final

_FAR_BEYOND_ANY_LIMIT: Final = 64


def doubled(first_s: float, times: int, longest_s: float) -> float:
    """`first_s`, doubled so many times, and `longest_s` at most.

    What fails for days has failed so often that 2.0 to that power is no float any more, and raises.
    """
    return min(first_s * 2.0 ** min(times, _FAR_BEYOND_ANY_LIMIT), longest_s)
