"""One listener for the webhooks of all sites, told apart by path, and by client state where it is shared."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from presencebridge.web.webhook import Receive, Room, Scope, Send, Webhook, answer

MARK_END: Final = "~"
"""Between a site's name and what is secret, in the client state of a subscription."""

Take = Callable[[str, bytes], bool | Awaitable[bool]]
"""Takes a body in for the site that is named; False if the sender should come again later."""


class Door:
    """An ASGI application: the `Webhook` whose path it is, and nothing else (404)."""

    def __init__(self, take: Take, on_too_large: Callable[[str], None]) -> None:
        self._take = take
        self._on_too_large = on_too_large
        self._room = Room()
        self._hooks: dict[str, Webhook] = {}

    def open_to(self, paths: Mapping[str, Iterable[str]]) -> None:
        """These are the paths from now on, each with the sites that have it."""
        self._hooks = {path or "/": self._hook(path, tuple(sites)) for path, sites in paths.items()}

    def _hook(self, path: str, sites: tuple[str, ...]) -> Webhook:
        def too_large() -> None:
            for site in sites:
                self._on_too_large(site)

        offer = partial(self._take, sites[0]) if len(sites) == 1 else partial(self._sort, sites)
        return Webhook(path, offer, too_large, self._room)

    async def _sort(self, sites: tuple[str, ...], body: bytes) -> bool:
        """To each site its own items. If one can't take them now, Graph sends all again: twins do no harm."""
        taken = True
        for site, part in parts_of(body, sites).items():
            answered = self._take(site, part)
            taken &= answered if isinstance(answered, bool) else await answered
        return taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        hook = self._hooks.get(scope["path"])
        if hook is None:
            await answer(send, 404)
        else:
            await hook(scope, receive, send)


class _Item(msgspec.Struct):
    client_state: str = msgspec.field(name="clientState", default="")


def parts_of(body: bytes, sites: Iterable[str]) -> dict[str, bytes]:
    """PURE: what of a body is for which site, by the name that stands before the secret in the client state.

    That only sorts: whether an item is to be believed is for the site to say. Items that name none of the
    sites, and bodies that are no notifications, go to the first one, which tells of them.
    """
    known = tuple(sites)
    try:
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(found["value"], type=list[msgspec.Raw])
        names = [_named(item, known) for item in items]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return {known[0]: body}
    if len(set(names)) <= 1:
        return {names[0] if names else known[0]: body}
    parts: dict[str, Any] = {name: [] for name in names}
    for name, item in zip(names, items, strict=True):
        parts[name].append(item)
    return {name: msgspec.json.encode({**found, "value": part}) for name, part in parts.items()}


def mark_of(site: str) -> str:
    """What stands before the secret in the client states of a site's subscriptions."""
    return f"{site}{MARK_END}"


def _named(item: msgspec.Raw, known: tuple[str, ...]) -> str:
    state = msgspec.json.decode(item, type=_Item).client_state
    name, mark, _ = state.partition(MARK_END)
    return name if mark and name in known else known[0]
