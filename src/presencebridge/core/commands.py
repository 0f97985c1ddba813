"""All that may be asked for, in the imperative. Every command is idempotent and carries its cause."""

import msgspec

from presencebridge.core.model import Because, Presence


class Command(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Base of all commands."""

    because: Because


class SetPresence(Command, frozen=True):
    """Set our presence session on Teams, to end by itself after `lease_s`."""

    pair: Presence
    lease_s: int


class ClearPresence(Command, frozen=True):
    """End our presence session on Teams."""

    pair: Presence


class ChangeStatus(Command, frozen=True):
    """Read the status; if it is one of `expected`, write `wanted` and read it back."""

    expected: tuple[str, ...]
    wanted: str


class ReadPresence(Command, frozen=True):
    """Ask Graph what Teams shows, not before the time given."""

    not_before: float


class Note(Command, frozen=True):
    """Nothing to send: something worth telling whoever asks why."""

    detail: str = ""


AnyCommand = SetPresence | ClearPresence | ChangeStatus | ReadPresence | Note
