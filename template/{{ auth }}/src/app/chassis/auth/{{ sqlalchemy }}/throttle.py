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

    async def admit(self, account: str, address: str) -> list[bytes]:
        """Count an attempt as failed until it is taken back, so that many at once all count.

        Returns the counters that it was added to.

        Raises:
            TooManyAttempts: the account or the address has had too many; this one is not counted.
        """
        by_address, by_account = _key("address", network_of(address)), _key("account", account)
        if not await self._count(by_address, self._per_address):
            raise await self._refusal("address", by_address)
        if await self._count(by_account, self._per_account):
            return [by_address, by_account]
        if await self._is_familiar(account, address):
            return [by_address]
        raise await self._refusal("account", by_account)

    async def take_back(self, counters: list[bytes]) -> None:
        """Take back an attempt that did not fail, whether it came to an end or not."""
        table = SignInAttempts
        async with self._database.transaction() as session:
            for key in counters:
                taken_back = update(table).where(table.key == key, table.count > 0)
                await session.execute(taken_back.values(count=table.count - 1))

    async def succeeded(self, account: str, address: str, counters: list[bytes]) -> None:
        """Take the attempt back, and remember the address as one of the user's own."""
        table = SignInAttempts
        async with self._database.transaction() as session:
            await self.take_back(counters)
            until = func.now() + FAMILIAR_FOR
            familiar = insert(table).values(
                key=_key("familiar", account, network_of(address)), count=0, expires_at=until
            )
            await session.execute(
                familiar.on_conflict_do_update(index_elements=["key"], set_={"expires_at": until})
            )

    async def _count(self, key: bytes, limit: int) -> bool:
        """Add one, unless the limit is reached; returns whether it was added."""
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
                where=over | (table.count < limit),
            )
            .returning(table.key)
        )
        async with self._database.transaction() as session:
            return await session.scalar(counted) is not None

    async def _is_familiar(self, account: str, address: str) -> bool:
        table = SignInAttempts
        key = _key("familiar", account, network_of(address))
        known = select(table.key).where(table.key == key, table.expires_at > func.now())
        async with self._database.reading() as session:
            return await session.scalar(known) is not None

    async def _refusal(self, of: str, key: bytes) -> TooManyAttempts:
        async with self._database.reading() as session:
            attempts = await session.get(SignInAttempts, key)
        if attempts is None:  # it has been purged meanwhile
            return TooManyAttempts(1)
        log.warning("sign_in_throttled", of=of, attempts=attempts.count)
        left = attempts.expires_at - datetime.now(UTC)
        return TooManyAttempts(max(1, math.ceil(left.total_seconds())))


def _key(*parts: str) -> bytes:
    """Addresses and accounts are not stored, only their hash."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()
