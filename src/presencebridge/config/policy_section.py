"""The section [policy], and what it means: a preset, with the rows of one's own laid over it."""

from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from presencebridge.core.model import Presence, parse_pair
from presencebridge.core.policy import NO_CHANGE, PRESETS, SESSION_PAIRS, Policy, canonical_status

Preset = Literal["seed", "calls-only", "mirror", "custom"]
Direction = Literal["both", "teams-to-3cx", "3cx-to-teams"]

OWN_WORDS: Final = ("preset", "manual_wins", "direction")
"""What one person may have otherwise than the site."""


class PolicySection(msgspec.Struct, frozen=True, kw_only=True):
    preset: Preset = "seed"
    manual_wins: bool = False
    direction: Direction = "both"
    busy_while_ringing: bool = False
    min_call_s: float = 0.0
    lease_s: int = 300
    teams_to_3cx: dict[str, str] = {}
    """Rows laid over the preset's: "Busy" or "Busy/InAMeeting" or "*/InACall" = a status or "no change"."""
    threecx_to_teams: dict[str, str] = {}
    """Rows laid over the preset's: "call" or a status = "Busy/InACall" or "no change"."""

    def policy(self, **own: Any) -> Policy:
        """The site's rules, with the words of `own` in the place of the site's."""
        word = {name: getattr(self, name) for name in OWN_WORDS} | own
        preset = PRESETS[word["preset"]]
        call_pair, pairs = preset.call_pair, dict(preset.pair_for)
        for row, text in self.threecx_to_teams.items():
            pair = session_pair(text)
            if row == "call":
                call_pair = pair
            elif pair:
                pairs[_status(row).casefold()] = pair
            else:
                pairs.pop(_status(row).casefold(), None)
        return replace(
            preset,
            teams_to_3cx=word["direction"] != "3cx-to-teams",
            threecx_to_teams=word["direction"] != "teams-to-3cx",
            manual_wins=word["manual_wins"],
            busy_while_ringing=self.busy_while_ringing,
            min_call_s=self.min_call_s,
            lease_s=self.lease_s,
            status_for=self.status_for(word["preset"]),
            call_pair=call_pair,
            pair_for=pairs,
        )

    def status_for(self, preset: Preset) -> dict[str, str]:
        """What Teams' words ask of 3CX: the rows of `preset`, with our own laid over them."""
        rows = {row.casefold(): _status(text) for row, text in self.teams_to_3cx.items()}
        return {**PRESETS[preset].status_for, **rows}


def _status(text: str) -> str:
    return canonical_status(text) or NO_CHANGE


def session_pair(text: str) -> Presence | None:
    """`Busy/InACall` as the pair that Graph takes for a session; None if it takes no such pair."""
    try:
        wanted = parse_pair(text)
    except ValueError:
        return None
    return next((pair for pair in SESSION_PAIRS if pair.same_as(wanted)), None)
