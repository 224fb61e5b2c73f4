"""What the account and token routes do, apart from the framework."""

import json

import structlog

from app.chassis.auth.accounts import Accounts
from app.chassis.auth.authenticator import Authenticator
from app.chassis.auth.errors import InvalidToken, InvalidTokenRequest
from app.chassis.auth.forms import Form
from app.chassis.auth.keys import JWK_SET
from app.chassis.auth.principal import ADMIN
from app.chassis.auth.schemas import Registration, RegistrationView, TokenView
from app.chassis.auth.sessions import Grant, Sessions
from app.chassis.auth.standing import Denylist
from app.chassis.auth.tokens import AccessTokens, TokenVerifier
from app.chassis.http import JSON, Rendered

CACHEABLE = "public, max-age=300"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


class AccountEndpoint:
    """Registers users."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def register(self, body: Registration) -> Rendered:
        """Answer alike for new and for known addresses, without an id or a location."""
        await self._accounts.register(body.email, body.password)
        view = RegistrationView(email=body.email)
        return Rendered(201, {"content-type": JSON}, view.model_dump_json().encode())


class TokenEndpoint:
    """Issues tokens (RFC 6749) and revokes them (RFC 7009)."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        access: AccessTokens,
        scopes: frozenset[str],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._access = access
        self._scopes = " ".join(sorted(scopes))

    async def issue(self, body: bytes, address: str, arrived: float) -> Rendered:
        """Answer the password grant and the refresh grant.

        `arrived` is when the request came in, on the clock of `time.monotonic`.

        Raises:
            InvalidTokenRequest: a parameter is missing, unknown or there twice.
            SignInFailed, RefreshRefused, TooManyAttempts: the grant is not good.
        """
        form = Form(body)
        match form.require("grant_type"):
            case "password":
                return await self._password(form, address)
            case "refresh_token":
                return await self._refresh(form, arrived)
            case _:
                why = "The grant type must be password or refresh_token."
                raise InvalidTokenRequest(why, error="unsupported_grant_type")

    def jwks(self) -> Rendered:
        """Answer with the keys that the access tokens can be verified with (RFC 7517)."""
        body = json.dumps(self._access.keys.jwks()).encode()
        return Rendered(200, {"content-type": JWK_SET, "cache-control": CACHEABLE}, body)

    async def _password(self, form: Form, address: str) -> Rendered:
        email, password = form.require("username"), form.require("password")
        scope = narrowed(self._scopes, form.get("scope"))
        user = await self._accounts.recognise(email, password, address)
        return self._answer(await self._sessions.open(user, scope))

    async def _refresh(self, form: Form, arrived: float) -> Rendered:
        wanted = form.get("scope")
        token = form.require("refresh_token")
        grant = await self._sessions.refresh(
            token, lambda granted: narrowed(granted, wanted), arrived
        )
        return self._answer(grant)

    def _answer(self, grant: Grant) -> Rendered:
        roles = [ADMIN] if grant.user.admin else []
        view = TokenView(
            access_token=self._access.mint(
                str(grant.user.id), grant.session_id, grant.scope, roles
            ),
            expires_in=int(self._access.ttl.total_seconds()),
            refresh_token=grant.refresh_token,
            scope=grant.scope,
        )
        headers = {"content-type": JSON, "cache-control": "no-store", "pragma": "no-cache"}
        return Rendered(200, headers, view.model_dump_json().encode())


class RevocationEndpoint:
    """Revokes tokens (RFC 7009)."""

    def __init__(
        self,
        sessions: Sessions,
        denylist: Denylist,
        verifier: TokenVerifier,
        authenticator: Authenticator,
    ) -> None:
        self._sessions = sessions
        self._denylist = denylist
        self._verifier = verifier
        self._authenticator = authenticator

    async def revoke(self, body: bytes) -> Rendered:
        """Revoke an access token, or a refresh token and its session; 200 whatever it was."""
        token = Form(body).require("token")
        user_id = await self._revoke_access(token) or await self._sessions.end(token)
        if user_id is not None:
            log.info("token_revoked", user_id=user_id)
        return Rendered(200, {}, b"")

    async def _revoke_access(self, token: str) -> str | None:
        try:
            claims = await self._verifier.verify(token)
        except InvalidToken:
            return None
        await self._denylist.revoke(claims)
        self._authenticator.forget()
        return claims.sub


def narrowed(granted: str, wanted: str | None) -> str:
    """The wanted scopes, which must be among the granted ones; all of those where none is named.

    Raises:
        InvalidTokenRequest: a scope is not among them.
    """
    if wanted is None:
        return granted
    scopes = set(wanted.split(" "))
    if not scopes <= set(granted.split()):
        raise InvalidTokenRequest("A scope cannot be granted.", error="invalid_scope")
    return " ".join(sorted(scopes))
