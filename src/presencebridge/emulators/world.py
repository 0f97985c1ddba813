"""The world file: who exists, on both sides. Each emulator takes the parts that it needs.

Every part may be left out, and what an emulator does not know it ignores, so that one file serves
both of them and the tests that play the people.
"""

import uuid
from pathlib import Path

import msgspec

SAMPLE_TENANT_ID = "6e1b7f0e-53a0-4b55-9c0d-5a1f3a0c7a11"
SAMPLE_CLIENT_ID = "2f3c1d58-8a61-4d0c-9a74-0d1f6f0e5b22"

APP_ROLES = ("Presence.Read.All", "Presence.ReadWrite.All", "User.ReadBasic.All")
DELEGATED_SCOPES = (
    "Presence.Read",
    "Presence.Read.All",
    "Presence.ReadWrite",
    "User.Read",
    "User.ReadBasic.All",
)

_GRAPH_NAMES = {
    "user_principal_name": "userPrincipalName",
    "display_name": "displayName",
    "other_mails": "otherMails",
    "proxy_addresses": "proxyAddresses",
    "account_enabled": "accountEnabled",
    "user_type": "userType",
}


class User(msgspec.Struct, frozen=True, rename=_GRAPH_NAMES):
    """A Teams user. Without an `id` one is derived from the name, the same in every run.

    `proxy_addresses` left out are those that a mailbox has anyhow: its main address.
    """

    user_principal_name: str
    id: str = ""
    mail: str | None = None
    display_name: str | None = None
    other_mails: tuple[str, ...] = ()
    proxy_addresses: tuple[str, ...] | None = None
    account_enabled: bool = True
    user_type: str = "Member"

    def __post_init__(self) -> None:
        if not self.id:
            msgspec.structs.force_setattr(self, "id", _derived_id(self.user_principal_name))


class Watcher(msgspec.Struct, frozen=True):
    """An account that signs in and owns presence subscriptions; it need not be a Teams user."""

    username: str
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            msgspec.structs.force_setattr(self, "id", _derived_id(self.username))


class Extension(msgspec.Struct, frozen=True):
    """An extension of the phone system; `status` is its forwarding profile by internal name."""

    number: str
    name: str = ""
    email: str = ""
    status: str = "Available"


class World(msgspec.Struct, frozen=True):
    """Everything that an emulator is told at its start.

    `client_certificates` are PEM texts or base64 DER, registered for sign-in by client assertion.
    `app_roles` and `delegated_scopes` are what the administrator consented to. `pbx_client_id` and
    `pbx_client_secret` are the API client of a 3CX V20; left out, they are the other two. `monitored` is
    the API client's list of extensions to monitor; left out, all of them.
    """

    tenant_id: str = SAMPLE_TENANT_ID
    client_id: str = SAMPLE_CLIENT_ID
    client_secret: str = ""
    client_certificates: tuple[str, ...] = ()
    app_roles: tuple[str, ...] = APP_ROLES
    delegated_scopes: tuple[str, ...] = DELEGATED_SCOPES
    users: tuple[User, ...] = ()
    watchers: tuple[Watcher, ...] = ()
    extensions: tuple[Extension, ...] = ()
    pbx_client_id: str = ""
    pbx_client_secret: str = ""
    monitored: tuple[str, ...] | None = None


def load_world(path: Path) -> World:
    """Reads a world file. Raises `ValueError` with a message that names the file and the cure."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: can't be read ({error.strerror}); give the path of a file that this account may read"
        ) from error
    try:
        world = msgspec.json.decode(text, type=World)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: {error}; correct that field (see docs/emulator-graph.md)") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: is no JSON ({error}); write one JSON object, in UTF-8") from error
    if doubled := _doubled(world):
        raise ValueError(f"{path}: {doubled} appears twice; remove one of the two")
    return world


def _doubled(world: World) -> str | None:
    groups = {
        "user": [name.casefold() for user in world.users for name in {user.id, user.user_principal_name}],
        "watcher": [watcher.username.casefold() for watcher in world.watchers],
        "extension": [extension.number for extension in world.extensions],
    }
    for kind, names in groups.items():
        seen: set[str] = set()
        for name in names:
            if name in seen:
                return f"{kind} {name[:80]}"
            seen.add(name)
    return None


def _derived_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name.casefold()))
