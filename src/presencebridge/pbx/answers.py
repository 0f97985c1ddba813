"""PURE: what a 3CX says, as values; the same for every kind of PBX."""

import msgspec

from presencebridge.core.model import LegState


class Legs(msgspec.Struct, frozen=True):
    """All connections of the PBX at one time."""

    by_extension: dict[str, tuple[LegState, ...]]
    """Extensions that have at least one leg; an extension that is not here has none."""
    unreadable: dict[str, str]
    """Extensions of which the PBX said something that can't be understood, with what it said."""
    visible: frozenset[str] | None = None
    """The extensions that we may watch; None where that is everybody."""


class StatusChange(msgspec.Struct, frozen=True):
    """What a change of status came to: the status just before, just after, and whether we wrote."""

    before: str
    after: str
    wrote: bool


class Licence(msgspec.Struct, frozen=True):
    """What the PBX tells of its licence."""

    active: bool
    ends_at: float | None
    """Seconds since 1970; None where it does not end, or is not told."""
    product: str = ""


class PbxUser(msgspec.Struct, frozen=True):
    """Somebody who has an extension, as 3CX's own list has them."""

    number: str
    name: str
    email: str
    enabled: bool = True
