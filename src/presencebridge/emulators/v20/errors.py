"""PURE: how V20 says no."""

from typing import Any

NOT_FOUND = "WARNINGS.XAPI.NOT_FOUND"
ALREADY_IN_USE = "WARNINGS.XAPI.ALREADY_IN_USE"
FORBIDDEN_CHANGE = "WARNINGS.XAPI.FORBIDDEN_CHANGE"
REQUIRED = "WARNINGS.XAPI.REQUIRED"


class ApiError(Exception):
    """An answer that is an error. Without a body it is sent empty, as V20's own 401 often is."""

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


def odata_error(status: int, message: str, target: str | None = None) -> ApiError:
    """The form of `Pbx.ODataErrors.ODataError` in 3CX's description."""
    details = [{"code": "", "message": message, "target": target}] if target else []
    shown = f"{target}:\n{message}" if target else message
    return ApiError(status, {"error": {"code": "", "message": shown, "details": details}})


def invalid_query(message: str) -> ApiError:
    """ASP.NET OData's words for a query that it does not take."""
    return odata_error(400, f"The query specified in the URI is not valid. {message}")


def plain_error(status: int, error: str, description: str) -> ApiError:
    """The form that the token endpoint uses; chosen for Call Control too, whose own is not documented."""
    return ApiError(status, {"error": error, "error_description": description})
