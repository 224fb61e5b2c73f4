"""Slows down the guessing of passwords, the same for every replica: counters in the database."""

import hashlib
import math
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.chassis.auth.addresses import network_of
from app.chassis.auth.errors import TooManyAttempts
from app.chassis.auth.model import SignInAttempts
from app.chassis.auth.settings import AuthSettings
from app.chassis.database import Database

FAMILIAR_FOR = timedelta(days=30)

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


class Throttle:
    """Counts the failed attempts per account and per address, each in a window that ends.

    An account that strangers guess at stays open to the addresses from which its user signed in
    during the last 30 days, and to everybody when the window is over: nobody is locked out for
    good. Whether an account exists makes no difference.
    """

    def __init__(self, database: Database, settings: AuthSettings) -> None:
        self._database = database
        self._per_account = settings.attempts_per_account
        self._per_address = settings.attempts_per_address
        self._window = settings.attempts_window

    async def admit(self, account: str, address: str) -> None:
        """Count an attempt as failed until `succeeded` is called, so that many at once all count.

        Raises:
            TooManyAttempts: the account or the address has had too many.
        """
        by_address = await self._count(_key("address", network_of(address)))
        if by_address.count > self._per_address:
            raise _refusal("address", by_address)
        by_account = await self._count(_key("account", account))
        if by_account.count > self._per_account and not await self._is_familiar(account, address):
            raise _refusal("account", by_account)

    async def succeeded(self, account: str, address: str) -> None:
        """Take the attempt back, and remember the address as one of the user's own."""
        keys = [_key("account", account), _key("address", network_of(address))]
        table = SignInAttempts
        async with self._database.transaction() as session:
            for key in keys:
                taken_back = update(table).where(table.key == key, table.count > 0)
                await session.execute(taken_back.values(count=table.count - 1))
            until = func.now() + FAMILIAR_FOR
            familiar = insert(table).values(
                key=_key("familiar", account, network_of(address)), count=0, expires_at=until
            )
            await session.execute(
                familiar.on_conflict_do_update(index_elements=["key"], set_={"expires_at": until})
            )

    async def _count(self, key: bytes) -> SignInAttempts:
        table, ends = SignInAttempts, func.now() + self._window
        over = table.expires_at <= func.now()
        counted = (
            insert(table)
            .values(key=key, count=1, expires_at=ends)
            .on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "count": case((over, 1), else_=table.count + 1),
                    "expires_at": case((over, ends), else_=table.expires_at),
                },
            )
            .returning(table)
        )
        async with self._database.transaction() as session:
            return (await session.scalars(counted)).one()

    async def _is_familiar(self, account: str, address: str) -> bool:
        table = SignInAttempts
        key = _key("familiar", account, network_of(address))
        known = select(table.key).where(table.key == key, table.expires_at > func.now())
        async with self._database.reading() as session:
            return await session.scalar(known) is not None


def _refusal(of: str, attempts: SignInAttempts) -> TooManyAttempts:
    log.warning("sign_in_throttled", of=of, attempts=attempts.count)
    left = attempts.expires_at - datetime.now(UTC)
    return TooManyAttempts(max(1, math.ceil(left.total_seconds())))


def _key(*parts: str) -> bytes:
    """Addresses and accounts are not stored, only their hash."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
