"""PURE: what `init` has to know, and where each answer stands in the config."""

from typing import Any, Final

import msgspec

from presencebridge.config import CLOUDS

WORDS: Final = {
    "tenant": ("teams", "tenant_id"),
    "client_id": ("teams", "client_id"),
    "certificate_file": ("teams", "certificate_file"),
    "delivery": ("teams", "delivery"),
    "cloud": ("teams", "cloud"),
    "graph_url": ("teams", "graph_url"),
    "login_url": ("teams", "login_url"),
    "ca_file": ("teams", "ca_file"),
    "kind": ("pbx", "kind"),
    "pbx_url": ("pbx", "url"),
    "pbx_client_id": ("pbx", "client_id"),
    "pbx_key_file": ("pbx", "client_secret_file"),
    "pbx_ca_file": ("pbx", "ca_file"),
    "match": ("people", "match"),
    "exclude": ("people", "exclude"),
    "manual_wins": ("policy", "manual_wins"),
    "listen": ("operator", "listen"),
    "state_dir": ("state", "dir"),
}
"""Section and word of each answer; [[person]] is apart."""

V20: Final = "3cx-v20"
_FOR_V20: Final = ("pbx_client_id", "pbx_key_file")


class Answers(msgspec.Struct, kw_only=True):
    """None: not answered, and not in the config."""

    tenant: str | None = None
    client_id: str | None = None
    certificate_file: str | None = None
    delivery: str | None = None
    cloud: str | None = None
    graph_url: str | None = None
    login_url: str | None = None
    ca_file: str | None = None
    kind: str | None = None
    pbx_url: str | None = None
    pbx_client_id: str | None = None
    pbx_key_file: str | None = None
    pbx_ca_file: str | None = None
    match: str | None = None
    exclude: list[str] | None = None
    manual_wins: bool | None = None
    listen: str | None = None
    state_dir: str | None = None
    people: list[tuple[str, str]] = []
    """Teams name and extension of each."""

    @property
    def login(self) -> str:
        return (self.login_url or CLOUDS[self.cloud or "global"][1]).rstrip("/")

    @property
    def by_list(self) -> bool:
        """Whether people are named; that is so too where the config does not say."""
        return self.match != "email"

    def values(self) -> dict[tuple[str, str], Any]:
        """Value by section and word, of everything that is answered and fits the kind of PBX."""
        found = {}
        for name, place in WORDS.items():
            value = getattr(self, name)
            if value is not None and (self.kind == V20 or name not in _FOR_V20):
                found[place] = value
        return found


def of_config(raw: dict[str, Any]) -> Answers:
    """The answers that stand in a config, as far as they are of the right form."""
    found: dict[str, Any] = {}
    for name, (section, word) in WORDS.items():
        value = raw[section].get(word) if isinstance(raw.get(section), dict) else None
        kind = bool if name == "manual_wins" else list if name == "exclude" else str
        if isinstance(value, kind):
            found[name] = value
    persons = raw.get("person")
    people = [
        (one["teams"], one["extension"])
        for one in (persons if isinstance(persons, list) else [])
        if isinstance(one, dict)
        and isinstance(one.get("teams"), str)
        and isinstance(one.get("extension"), str)
    ]
    return Answers(**found, people=people)
