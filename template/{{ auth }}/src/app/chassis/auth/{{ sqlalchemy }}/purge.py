"""Removes what has expired: sessions, revoked tokens and counters, a batch at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog
from sqlalchemy import delete, func, inspect, select, tuple_

from app.chassis.auth.model import RevokedToken, SignInAttempts, TokenFamily
from app.chassis.auth.settings import LONGEST_ACCESS, LONGEST_LEEWAY
from app.chassis.database import Database

BATCH = 1000
# A session is looked up for as long as its last access token lives.
OUTLIVED = LONGEST_ACCESS + LONGEST_LEEWAY

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.auth")


async def purge(database: Database) -> int:
    """Delete one batch of each table; return how many rows that were."""
    deleted = 0
    for table in (TokenFamily, RevokedToken, SignInAttempts):
        key = inspect(table).primary_key
        expired = select(*key).where(table.expires_at < func.now() - OUTLIVED).limit(BATCH)
        statement = delete(table).where(tuple_(*key).in_(expired.with_for_update(skip_locked=True)))
        async with database.transaction() as session:
            gone = await session.scalars(statement.returning(table.expires_at))
            deleted += len(gone.all())
    return deleted


@asynccontextmanager
async def purging(database: Database, interval: timedelta) -> AsyncGenerator[None]:
    """Purge every `interval` while the service runs."""
    task = asyncio.create_task(_forever(database, interval))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _forever(database: Database, interval: timedelta) -> None:
    while True:
        await asyncio.sleep(interval.total_seconds())
        try:
            while deleted := await purge(database):
                log.info("auth_purged", rows=deleted)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is a next time
            log.warning("auth_purge_failed", error=type(error).__name__)
