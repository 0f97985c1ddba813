"""Entra's refusals: OAuth's word, Entra's number, its text.

learn.microsoft.com/entra/identity-platform/reference-error-codes. A client goes by the word; numbers and
texts are for people.
"""


class SignInError(Exception):
    """The sign-in service refuses with this status, error word, number and text."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(f"AADSTS{number}: {text}")
        self.status = status
        self.error = error
        self.number = number


def missing(name: str) -> SignInError:
    text = f"The request body must contain the following parameter: '{name}'."
    return SignInError(400, "invalid_request", 900144, text)


def unknown_tenant(tenant: str) -> SignInError:
    return SignInError(
        400,
        "invalid_request",
        90002,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud.",
    )


def no_tenant() -> SignInError:
    return SignInError(
        400,
        "invalid_request",
        50059,
        "No tenant-identifying information found in either the request or implied by any provided "
        "credentials.",
    )


def unknown_client(client_id: str, tenant_id: str) -> SignInError:
    return SignInError(
        400,
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory '{tenant_id}'. This can "
        "happen if the application has not been installed by the administrator of the tenant or consented "
        "to by any user in the tenant.",
    )


def unsupported_grant(grant: str) -> SignInError:
    text = f"The app requested an unsupported grant type '{grant}'."
    return SignInError(400, "unsupported_grant_type", 70003, text)


def no_credential() -> SignInError:
    return SignInError(
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    )


def wrong_secret(client_id: str) -> SignInError:
    return SignInError(
        401,
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
        f"value, not the client secret ID, for a secret added to app '{client_id}'.",
    )


def not_default(scope: str) -> SignInError:
    return SignInError(
        400,
        "invalid_scope",
        1002012,
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope "
        "value with /.default suffixed to the resource identifier (application ID URI).",
    )


def unknown_resource(resource: str) -> SignInError:
    text = f"The resource principal named {resource} was not found in the tenant."
    return SignInError(400, "invalid_resource", 500011, text)


def no_consent(client_id: str) -> SignInError:
    return SignInError(
        400,
        "invalid_grant",
        65001,
        f"The user or administrator has not consented to use the application with ID '{client_id}'. Send "
        "an interactive authorization request for this user and resource.",
    )


def unknown_device_code() -> SignInError:
    return SignInError(400, "bad_verification_code", 70019, "Verification code was not recognized.")


def expired_device_code() -> SignInError:
    return SignInError(400, "expired_token", 70020, "The device code has expired.")


def declined() -> SignInError:
    return SignInError(400, "authorization_declined", 65004, "User declined to consent to access the app.")


def pending() -> SignInError:
    text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
    return SignInError(400, "authorization_pending", 70016, text)


def revoked() -> SignInError:
    return SignInError(
        400,
        "invalid_grant",
        50173,
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user "
        "might have changed or reset their password.",
    )


def malformed_refresh_token() -> SignInError:
    return SignInError(400, "invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")


def unused_refresh_token() -> SignInError:
    return SignInError(400, "invalid_grant", 700082, "The refresh token has expired due to inactivity.")
