"""What can go wrong between a caller and the door."""

from app import about
from app.chassis.errors import Forbidden, Problem

CHALLENGE = f'Bearer realm="{about.SLUG}"'
"""Says no more to who has sent no token (RFC 6750, 3)."""


class Unauthenticated(Problem):
    """The route needs an access token, and the request has none: `Authorization: Bearer …`."""

    status, slug, title = 401, "unauthenticated", "Authentication required"

    def __init__(self) -> None:
        super().__init__("Send an access token.", headers={"WWW-Authenticate": CHALLENGE})


class InvalidToken(Problem):
    """The access token is malformed, expired, revoked or not for this service. Get a new one."""

    status, slug, title = 401, "invalid-token", "Invalid access token"

    def __init__(self, detail: str = "The access token cannot be accepted.") -> None:
        challenge = f'Bearer error="invalid_token", error_description="{detail}"'
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class InsufficientScope(Forbidden):
    """The access token lacks the scope that `scope` names."""

    slug, title = "insufficient-scope", "Insufficient scope"

    def __init__(self, scope: str) -> None:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        super().__init__(
            "The access token lacks a scope.",
            headers={"WWW-Authenticate": challenge},
            scope=scope,
        )


class InvalidTokenRequest(Problem):
    """The request to a token route is malformed, or asks for a scope that it may not have."""

    status, slug, title = 400, "invalid-token-request", "Invalid token request"

    def __init__(self, detail: str, *, error: str = "invalid_request") -> None:
        super().__init__(detail, error=error, error_description=detail)


class SignInFailed(Problem):
    """The address and the password do not belong together, or the account cannot be used."""

    status, slug, title = 400, "sign-in-failed", "Sign-in failed"

    def __init__(self) -> None:
        detail = "The user name or the password is wrong."
        super().__init__(detail, error="invalid_grant", error_description=detail)


class RefreshRefused(Problem):
    """The refresh token is unknown, expired, revoked or was used before. Sign in again."""

    status, slug, title = 401, "refresh-refused", "Refresh refused"

    def __init__(self) -> None:
        detail = "The refresh token cannot be used."
        super().__init__(
            detail,
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            error="invalid_grant",
            error_description=detail,
        )


class TooManyAttempts(Problem):
    """There were too many failed attempts to sign in. `Retry-After` says when to try again."""

    status, slug, title = 429, "too-many-attempts", "Too many attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "Too many attempts to sign in failed.", headers={"Retry-After": str(retry_after)}
        )
