"""`redrive`: gives dead events and dead letters another set of attempts."""

import asyncio
from typing import LiteralString

import structlog

from app.chassis.database import DatabaseSettings
from app.chassis.outbox.store import connect
from app.chassis.service import Service

# What stands behind a dead event of the same aggregate was waiting for it, and follows by itself.
OUTBOX: LiteralString = """
UPDATE outbox SET status = 'pending', attempts = 0, available_at = now() WHERE status = 'dead'
"""
INBOX: LiteralString = """
UPDATE inbox_failures SET status = 'retrying', attempts = 0, next_attempt_at = now()
WHERE status = 'dead'
"""

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def redrive(service: Service) -> None:
    """Let the relay and the worker try again what they had given up.

    Raises:
        psycopg.OperationalError: the database could not be reached, or did not answer in time.
    """
    name = f"{service.core.service_name}-redrive"
    asyncio.run(_redrive(service.get(DatabaseSettings), name))


async def _redrive(settings: DatabaseSettings, name: str) -> None:
    async with await connect(settings, name) as connection, connection.transaction():
        events = (await connection.execute(OUTBOX)).rowcount
        letters = (await connection.execute(INBOX)).rowcount
    log.info("redriven", events=events, letters=letters)
