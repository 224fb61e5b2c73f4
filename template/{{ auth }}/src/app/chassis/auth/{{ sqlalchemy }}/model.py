"""The tables of users, their sessions, and what has been revoked."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, false, func
from sqlalchemy.orm import Mapped, mapped_column

from app.chassis.database import Model
from app.chassis.identifiers import new_id


class User(Model):
    """Somebody who can sign in; the address is stored in lower case."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str]
    password_hash: Mapped[str]
    admin: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]


class TokenFamily(Model):
    """One session of a user: the refresh tokens that descend from one sign-in."""

    __tablename__ = "token_families"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    scope: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RefreshToken(Model):
    """One refresh token, known by its hash; good until it is used, or too long unused."""

    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("token_families.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class RevokedToken(Model):
    """An access token that is no longer accepted although it has not expired."""

    __tablename__ = "revoked_tokens"

    issuer: Mapped[str] = mapped_column(primary_key=True)
    token_id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


class SignInAttempts(Model):
    """How often somebody failed to sign in, by account and by address, in the present window."""

    __tablename__ = "sign_in_attempts"

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime]


Index("uq_users_email", User.email, unique=True)
Index("ix_token_families_user_id", TokenFamily.user_id)
Index("ix_token_families_expires_at", TokenFamily.expires_at)
Index("ix_refresh_tokens_family_id", RefreshToken.family_id)
Index("ix_revoked_tokens_expires_at", RevokedToken.expires_at)
Index("ix_sign_in_attempts_expires_at", SignInAttempts.expires_at)
