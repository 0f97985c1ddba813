"""Refusals in Graph's own form: an OData error body and the headers that go with it.

learn.microsoft.com/graph/errors: `{"error": {"code", "message", "innerError": {"date", "request-id",
"client-request-id"}}}`; a client is to go by the status, then by the code.
"""

from collections.abc import Mapping
from typing import Any


class GraphError(Exception):
    """A request is refused with this status, code and message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        headers: Mapping[str, str] | None = None,
        inner: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.inner = dict(inner or {})

    def body(self, date: str, request_id: str, client_request_id: str) -> dict[str, Any]:
        inner = {"date": date, "request-id": request_id, "client-request-id": client_request_id, **self.inner}
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}


def invalid_argument(message: str) -> GraphError:
    return GraphError(400, "InvalidArgument", message)


def bad_request(message: str) -> GraphError:
    return GraphError(400, "BadRequest", message)


def forbidden() -> GraphError:
    """A scope is missing. Seen on live tenants: the message is empty."""
    return GraphError(403, "Forbidden", "")


def not_found(message: str) -> GraphError:
    return GraphError(404, "NotFound", message)


def user_not_found(key: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
    )


def extension_error(status: int, operation: str, status_name: str, reason: str) -> GraphError:
    """How the subscription service words a refusal of the presence workload."""
    return GraphError(
        status,
        "ExtensionError",
        f"Operation: {operation}; Exception: [Status Code: {status_name}; Reason: {reason}]",
    )


def unauthenticated(message: str) -> GraphError:
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'client_id="00000003-0000-0000-c000-000000000000"'
    )
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})


def throttled(retry_after_s: int) -> GraphError:
    """learn.microsoft.com/graph/throttling prints this body."""
    return GraphError(
        429,
        "TooManyRequests",
        "Please retry again later.",
        {"Retry-After": str(retry_after_s)},
        {"code": "429", "message": "Please retry after", "status": "429"},
    )
