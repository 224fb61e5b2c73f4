"""Sessions: families of refresh tokens, rotated at every use (RFC 9700, 4.14)."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import func, select, update

from app.chassis.auth.errors import RefreshRefused, SignInFailed
from app.chassis.auth.model import RefreshToken, TokenFamily, User
from app.chassis.auth.settings import AuthSettings
from app.chassis.database import Database, transactional
from app.chassis.identifiers import new_id

ENTROPY_BYTES = 32
Refusal = Literal["unknown", "reused", "expired", "revoked", "raced"]
Narrow = Callable[[str], str]
Listener = Callable[[], None]

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


@dataclass(frozen=True)
class Grant:
    """What a sign-in or a refresh gives: to whom, for what, and the next refresh token."""

    user: User
    session_id: str
    scope: str
    refresh_token: str


@dataclass(frozen=True)
class Refused:
    """Why a refresh token cannot be used, and whose it is where that is known."""

    reason: Refusal
    user_id: str | None = None


class Sessions:
    """Opens, continues and ends sessions.

    A refresh token works once. Used again, it ends its whole session, the newest token included:
    one of the two who had it stole it. Of those who use it at the very same time one is served and
    the others are refused; that alone ends nothing, as a client may well send a request twice.
    `ended` is called when that or a revocation has ended a session.
    """

    def __init__(self, database: Database, settings: AuthSettings, ended: Listener) -> None:
        self.database = database
        self._ended = ended
        self._ttl = settings.refresh_token_ttl
        self._idle_ttl = settings.refresh_token_idle_ttl

    @transactional()
    async def open(self, user: User, scope: str) -> Grant:
        """Start a session, which ends after `AUTH_REFRESH_TOKEN_TTL` whatever happens.

        Raises:
            SignInFailed: the user has been disabled or deleted in the meantime.
        """
        there = select(User.id).where(User.id == user.id, User.disabled_at.is_(None))
        # Whoever disables the user now waits for this session, and can end it.
        if await self.database.session.scalar(there.with_for_update(read=True)) is None:
            log.info("sign_in_failed", user_id=str(user.id))
            raise SignInFailed
        ends = datetime.now(UTC) + self._ttl
        family = TokenFamily(id=new_id(), user_id=user.id, scope=scope, expires_at=ends)
        self.database.session.add(family)
        await self.database.session.flush()
        return await self._grant(user, family, scope)

    async def refresh(self, token: str, narrow: Narrow, arrived: float) -> Grant:
        """Exchange a refresh token for the next one; `narrow` picks from the session's scopes.

        `arrived` is when it came in, on the clock of `time.monotonic`.

        Raises:
            RefreshRefused: the token cannot be used, or no longer; never tells why.
        """
        outcome = await self._rotate(_hash(token), narrow, arrived)
        if isinstance(outcome, Grant):
            log.info("token_refreshed", user_id=str(outcome.user.id), session=outcome.session_id)
            return outcome
        if outcome.reason == "reused":
            log.warning("refresh_token_reused", user_id=outcome.user_id)
            self._ended()
        log.info("refresh_refused", reason=outcome.reason, user_id=outcome.user_id)
        raise RefreshRefused

    async def end(self, token: str) -> str | None:
        """End the session of a refresh token; return the user's id, None if there was none."""
        user_id = await self._end(token)
        if user_id is None:
            return None
        self._ended()
        return str(user_id)

    @transactional()
    async def _end(self, token: str) -> UUID | None:
        family = select(RefreshToken.family_id).where(RefreshToken.token_hash == _hash(token))
        ended = update(TokenFamily).where(
            TokenFamily.id.in_(family), TokenFamily.revoked_at.is_(None)
        )
        ended = ended.values(revoked_at=func.now()).returning(TokenFamily.user_id)
        return await self.database.session.scalar(ended)

    @transactional()
    async def _rotate(self, digest: bytes, narrow: Narrow, arrived: float) -> Grant | Refused:
        """Refusals are returned, not raised: what is found out must be committed.

        Whoever uses a token again has been answered before, or has not waited for that: then it
        came in before the first use was written down, which is the last thing that is done for it.
        """
        session = self.database.session
        locked = select(RefreshToken).where(RefreshToken.token_hash == digest).with_for_update()
        token = await session.scalar(locked)
        if token is None:
            return Refused("unknown")
        query = (
            select(func.clock_timestamp(), TokenFamily, User)
            .join(User, TokenFamily.user_id == User.id)
            .where(TokenFamily.id == token.family_id)
        )
        asked = time.monotonic()
        now, family, user = (await session.execute(query)).one().tuple()
        answered = time.monotonic()
        # The server looked at its clock somewhere between.
        waited = timedelta(seconds=(asked + answered) / 2 - arrived)
        if token.used_at is not None and token.used_at > now - waited:
            return Refused("raced", str(user.id))
        if refusal := self._refusal(token, family, user):
            if refusal == "reused" and family.revoked_at is None:
                family.revoked_at = datetime.now(UTC)
                await session.flush()
            return Refused(refusal, str(user.id))
        grant = await self._grant(user, family, narrow(family.scope))
        used = update(RefreshToken).where(RefreshToken.token_hash == digest)
        await session.execute(used.values(used_at=func.clock_timestamp()))
        return grant

    @staticmethod
    def _refusal(token: RefreshToken, family: TokenFamily, user: User) -> Refusal | None:
        now = datetime.now(UTC)
        if token.used_at is not None:
            return "reused"
        if family.revoked_at is not None or user.disabled_at is not None:
            return "revoked"
        return "expired" if min(token.expires_at, family.expires_at) <= now else None

    async def _grant(self, user: User, family: TokenFamily, scope: str) -> Grant:
        token = secrets.token_urlsafe(ENTROPY_BYTES)
        unused_until = min(datetime.now(UTC) + self._idle_ttl, family.expires_at)
        row = RefreshToken(token_hash=_hash(token), family_id=family.id, expires_at=unused_until)
        self.database.session.add(row)
        await self.database.session.flush()
        return Grant(user, str(family.id), scope, token)


def _hash(token: str) -> bytes:
    """A plain hash suffices for what nobody can guess."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
