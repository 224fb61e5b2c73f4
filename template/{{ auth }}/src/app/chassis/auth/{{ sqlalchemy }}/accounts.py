"""Accounts: registration, and who somebody is who knows a password."""

import structlog
from pydantic import SecretStr, TypeAdapter, ValidationError
from sqlalchemy import Boolean, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from app.chassis.auth.errors import SignInFailed
from app.chassis.auth.model import User
from app.chassis.auth.passwords import Passwords
from app.chassis.auth.schemas import Email
from app.chassis.auth.throttle import Throttle
from app.chassis.database import Database
from app.chassis.errors import Unavailable
from app.chassis.identifiers import new_id

_EMAIL = TypeAdapter[str](Email)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


class Accounts:
    """Registers users and recognises them; never tells whether an address is known."""

    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle

    async def register(self, email: str, password: SecretStr) -> None:
        """Add a user, who can sign in at once.

        A known address changes nothing, and takes as long: it is written over with itself.
        """
        hashed = await self._passwords.hash(password.get_secret_value())
        added = insert(User).values(id=new_id(), email=email, password_hash=hashed)
        added = added.on_conflict_do_update(index_elements=["email"], set_={"email": email})
        is_new = literal_column("xmax = 0", Boolean())
        async with self._database.transaction() as session:
            row = (await session.execute(added.returning(User.id, is_new))).one()
        log.info("user_registered" if row[1] else "user_registered_again", user_id=str(row[0]))

    async def recognise(self, email: str, password: str, address: str) -> User:
        """Return the user with this password.

        Raises:
            SignInFailed: there is none, or the account is disabled.
            TooManyAttempts: too many attempts failed before.
        """
        email = _as_registered(email)
        counters = await self._throttle.admit(email, address)
        try:
            async with self._database.reading() as session:
                user = await session.scalar(select(User).where(User.email == email))
            matches = await self._passwords.verify(password, user.password_hash if user else None)
        except Unavailable:
            # Nobody has looked at the password.
            await self._throttle.take_back(counters)
            raise
        if user is None or not matches or user.disabled_at is not None:
            raise _failed(user)
        await self._throttle.succeeded(email, address, counters)
        if self._passwords.is_outdated(user.password_hash):
            await self._renew_hash(user, password)
        log.info("signed_in", user_id=str(user.id))
        return user

    async def _renew_hash(self, user: User, password: str) -> None:
        """Hash with today's costs, now that the password is known for a moment.

        Raises:
            SignInFailed: it has been changed since.
        """
        hashed = await self._passwords.hash(password)
        known = (User.id == user.id, User.password_hash == user.password_hash)
        async with self._database.transaction() as session:
            renewed = update(User).where(*known).values(password_hash=hashed).returning(User.id)
            if await session.scalar(renewed) is not None:
                return
            present = await session.scalar(select(User.password_hash).where(User.id == user.id))
        # Another sign-in may have renewed it, too.
        if not await self._passwords.verify(password, present):
            raise _failed(user)


def _failed(user: User | None) -> SignInFailed:
    log.info("sign_in_failed", user_id=str(user.id) if user else None)
    return SignInFailed()


def _as_registered(email: str) -> str:
    """Read an address as registration does; what is none belongs to nobody."""
    try:
        return _EMAIL.validate_python(email)
    except ValidationError:
        return email.strip().lower().replace("\0", "\N{REPLACEMENT CHARACTER}")
