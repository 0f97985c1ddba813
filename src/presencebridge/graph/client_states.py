"""The secrets that Graph brings back with each notification of a subscription."""

import secrets


class ClientStates:
    """Makes them, and knows its own. `mark` stands before each: sites that share a path are told apart by it.

    At most 128 characters: https://learn.microsoft.com/graph/api/resources/subscription
    """

    def __init__(self, mark: str = "") -> None:
        self.mark = mark

    def new(self) -> str:
        return self.mark + secrets.token_urlsafe(48)

    def are_made_here(self, state: str) -> bool:
        """Whether this could have made it. False: from before it had a mark, or with a key that is gone."""
        return state.startswith(self.mark)
