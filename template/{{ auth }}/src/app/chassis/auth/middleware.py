"""Reads `Authorization: Bearer …` (RFC 6750) and sets the caller of the request."""

import structlog

from app.chassis.asgi import ASGIApp, Receive, Scope, Send, header_values
from app.chassis.auth.authenticator import Authenticator
from app.chassis.auth.errors import InvalidToken
from app.chassis.auth.principal import Principal, acting_for
from app.chassis.auth.rules import REFUSAL
from app.chassis.errors import NotFound, Problem
from app.chassis.health import is_probe

SCHEME = "bearer"
OWN_ROUTES = frozenset(
    {"/v1/users", "/v1/tokens", "/v1/token-revocations", "/.well-known/jwks.json"}
)


class Authentication:
    """Recognises the caller; whether the route needs one is the access table's concern.

    So a token that has expired does not keep its holder from the public routes. Probes, and those
    who are about to get or revoke a token, are not asked who they are: that may be a query, and
    nothing depends on it.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self.app = app
        self.authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_probe(scope) or scope["path"] in OWN_ROUTES:
            await self.app(scope, receive, send)
            return
        principal = await self._recognise(scope)
        with acting_for(principal):
            await self.app(scope, receive, send)

    async def _recognise(self, scope: Scope) -> Principal | None:
        try:
            token = bearer_token(header_values(scope, b"authorization"))
            if token is None:
                return None
            principal = await self.authenticator.authenticate(token)
        except Problem as refusal:
            scope[REFUSAL] = refusal
            return None
        structlog.contextvars.bind_contextvars(subject=principal.subject)
        return principal


def bearer_token(given: list[bytes]) -> str | None:
    """Take the token out of the header; None where there are no credentials of this scheme.

    Raises:
        InvalidToken: there is more than one header, or no token in it.
    """
    if not given:
        return None
    if len(given) > 1:
        raise InvalidToken("Send exactly one Authorization header.")
    scheme, _, token = given[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != SCHEME:
        return None
    token = token.strip()
    if not token.isascii() or not token or " " in token:
        raise InvalidToken
    return token


class IssuedElsewhere:
    """Hides the account and token routes of a resource server: its issuer has those."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OWN_ROUTES:
            raise NotFound("Users and tokens are the issuer's.")
        await self.app(scope, receive, send)
