"""Whether a token that verifies is still good: the user, the session and the token itself."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert

from app.chassis.auth.errors import InvalidToken
from app.chassis.auth.model import RevokedToken, TokenFamily, User
from app.chassis.auth.principal import ADMIN
from app.chassis.auth.tokens import Claims
from app.chassis.database import Database


class Denylist:
    """Knows which access tokens, sessions and users are no longer good."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, claims: Claims) -> frozenset[str] | None:
        """Return the roles that the user still has; None if the token can never be good again.

        That is so when it or its session was revoked, or the user removed.

        Raises:
            InvalidToken: the user is disabled, or the token names no user and session.
        """
        denied = exists().where(
            RevokedToken.issuer == claims.iss, RevokedToken.token_id == claims.jti
        )
        query = (
            select(User.admin, User.disabled_at)
            .join(TokenFamily, TokenFamily.user_id == User.id)
            .where(User.id == _uuid(claims.sub))
            .where(TokenFamily.id == _uuid(claims.sid), TokenFamily.revoked_at.is_(None), ~denied)
        )
        async with self._database.reading() as session:
            user = (await session.execute(query)).one_or_none()
        if user is None:
            return None
        if user.disabled_at is not None:
            raise InvalidToken("The access token was revoked.")
        roles = frozenset(claims.roles)
        return roles if user.admin else roles - {ADMIN}

    async def revoke(self, claims: Claims) -> None:
        """Refuse this access token from now on, by its issuer and id, until it has expired."""
        expires_at = datetime.fromtimestamp(claims.exp, UTC)
        denied = insert(RevokedToken).values(
            issuer=claims.iss, token_id=claims.jti, expires_at=expires_at
        )
        async with self._database.transaction() as session:
            await session.execute(denied.on_conflict_do_nothing())


def _uuid(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError:
        raise InvalidToken from None
