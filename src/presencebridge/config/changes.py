"""PURE: what it takes to go from one config of a site to another."""

from enum import Enum, auto
from typing import Any

from msgspec.structs import replace

from presencebridge.config.folder import Loaded
from presencebridge.config.sections import Config


class Change(Enum):
    NOTHING = auto()
    IN_PLACE = auto()
    """People, rules and intervals: the site goes on, and nothing else of it notices."""
    NEW_LIFE = auto()
    """Addresses, keys, accounts: the site begins anew, with what it holds and its subscriptions."""


def change(old: Loaded, new: Loaded) -> Change:
    if old == new:
        return Change.NOTHING
    if old.keys == new.keys and _lasting(old.config) == _lasting(new.config):
        return Change.IN_PLACE
    return Change.NEW_LIFE


def _lasting(config: Config) -> tuple[Any, ...]:
    """What can't change while a site lives; the operator's listener and the webhook's are the node's."""
    teams, pbx, hook = config.teams, config.pbx, config.teams.webhook
    return (
        replace(
            teams,
            poll_every_s=0.0,
            reconcile_every_s=0.0,
            on_stop="clear",
            webhook=hook and replace(hook, listen=""),
        ),
        replace(pbx, poll_every_s=0.0, status_every_s=None),
        config.people.match,
        config.operator.day_hours,
        config.state,
    )
