"""PURE: the JSON of Graph that we read, and nothing else. What vendors add is ignored."""

from datetime import datetime

import msgspec


class PresenceBody(msgspec.Struct, frozen=True, rename="camel"):
    """https://learn.microsoft.com/graph/api/resources/presence"""

    id: str
    availability: str
    activity: str
    sequence_number: str | None = None


class Presences(msgspec.Struct, frozen=True):
    value: tuple[msgspec.Raw, ...]
    """Each a `PresenceBody`, unless one person's is odd: that costs nobody else."""


class User(msgspec.Struct, frozen=True, rename="camel"):
    """https://learn.microsoft.com/graph/api/resources/user

    The fields from `other_mails` on come only where they are asked for. With `User.ReadBasic.All` alone Graph
    leaves them null or empty: https://learn.microsoft.com/graph/permissions-reference (what the basic profile
    holds), github.com/microsoftgraph/msgraph-sdk-dotnet/issues/471 (what becomes of the others).
    """

    id: str
    user_principal_name: str = ""
    mail: str | None = None
    display_name: str | None = None
    other_mails: tuple[str, ...] | None = None
    proxy_addresses: tuple[str, ...] | None = None
    account_enabled: bool | None = None
    user_type: str | None = None

    @property
    def further(self) -> tuple[str, ...]:
        """Mail addresses beside `mail`: of the mailbox (`smtp:...`), and whatever else was entered."""
        kinds = [address.partition(":") for address in self.proxy_addresses or ()]
        mailbox = [rest for kind, _, rest in kinds if kind.casefold() == "smtp"]
        return tuple(address.strip() for address in (*mailbox, *(self.other_mails or ())))

    @property
    def enabled(self) -> bool:
        """Whether the account may sign in; true where we may not see it."""
        return self.account_enabled is not False

    @property
    def guest(self) -> bool:
        """Whether this is somebody of another organization; their principal names hold `#EXT#`.

        https://learn.microsoft.com/entra/external-id/user-properties
        """
        if self.user_type is not None:
            return self.user_type.casefold() == "guest"
        return "#ext#" in self.user_principal_name.casefold()


class Users(msgspec.Struct, frozen=True):
    value: tuple[msgspec.Raw, ...]
    """Each a `User`, likewise."""
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class Subscription(msgspec.Struct, frozen=True, rename="camel"):
    """https://learn.microsoft.com/graph/api/resources/subscription"""

    id: str
    resource: str
    expiration_date_time: datetime
    notification_url: str = ""
    application_id: str | None = None
    creator_id: str | None = None
    encryption_certificate_id: str | None = None


class Subscriptions(msgspec.Struct, frozen=True):
    value: tuple[Subscription, ...]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class _ErrorDetail(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class ErrorBody(msgspec.Struct, frozen=True):
    """https://learn.microsoft.com/graph/errors"""

    error: _ErrorDetail


class EncryptedContent(msgspec.Struct, frozen=True, rename="camel"):
    """https://learn.microsoft.com/graph/change-notifications-with-resource-data"""

    data: str
    data_signature: str
    data_key: str
    encryption_certificate_id: str


class ResourceData(msgspec.Struct, frozen=True):
    id: str = ""


class Notice(msgspec.Struct, frozen=True, rename="camel"):
    """One item of a notification: a change, or a lifecycle event; never both."""

    subscription_id: str
    client_state: str | None = None
    tenant_id: str | None = None
    lifecycle_event: str | None = None
    resource_data: ResourceData | None = None
    encrypted_content: EncryptedContent | None = None


class Notices(msgspec.Struct, frozen=True, rename="camel"):
    value: tuple[Notice, ...]
    validation_tokens: tuple[str, ...] | None = None
