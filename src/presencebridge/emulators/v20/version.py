"""PURE: what differs between the builds of V20, by the history of 3cx/xapi-tutorial's swagger.yaml."""

import re

DEFAULT = "20.0.9.995"
USERS_BY_NUMBER = (20, 0, 8)
EXPIRES_IN_SECONDS = (20, 0, 9)
STATUS_SYNC = (20, 0, 5)
MYPHONE_FOR_CLIENTS = (20, 0, 8)
LICENSE_FLAGS = (20, 0, 10)
FIRST = (20, 0)


def since(version: str, first: tuple[int, ...]) -> bool:
    """Whether this version has what came with that one. What is no number counts as 0."""
    parts = tuple(int(number) for number in re.findall(r"\d+", version))
    return parts >= first
