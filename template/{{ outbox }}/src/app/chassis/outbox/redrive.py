"""`redrive`: gives dead events and dead letters another set of attempts."""

import asyncio
from typing import LiteralString

import structlog

from app import stopping
from app.chassis.database import DatabaseSettings
from app.chassis.database.connection import PatientConnection
from app.chassis.outbox.process import Stop
from app.chassis.outbox.store import connect
from app.chassis.service import Service

# What stands behind a dead event of the same aggregate was waiting for it, and follows by itself.
OUTBOX: LiteralString = """
UPDATE outbox SET status = 'pending', attempts = 0, available_at = now() WHERE id IN (
    SELECT id FROM outbox WHERE status = 'dead' AND position > %s ORDER BY position LIMIT %s
) RETURNING position
"""
INBOX: LiteralString = """
UPDATE inbox_failures SET status = 'retrying', attempts = 0, next_attempt_at = now()
WHERE (consumer, message_id) IN (
    SELECT consumer, message_id FROM inbox_failures
    WHERE status = 'dead' AND (consumer COLLATE "C", message_id COLLATE "C") > (%s, %s)
    ORDER BY consumer COLLATE "C", message_id COLLATE "C" LIMIT %s
) RETURNING consumer, message_id
"""
LEFT: LiteralString = """
SELECT (SELECT count(*) FROM outbox WHERE status = 'dead') AS events,
    (SELECT count(*) FROM inbox_failures WHERE status = 'dead') AS letters
"""
BATCH = 1000

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def redrive(service: Service) -> None:
    """Let the relay and the worker try again what they had given up.

    Told to stop it ends after the batch that it is at, and says what is left.

    Raises:
        SystemExit: it was told to stop, and something is left.
        psycopg.OperationalError: the database could not be reached, or did not answer in time.
    """
    name = f"{service.core.service_name}-redrive"
    asyncio.run(_redrive(service.get(DatabaseSettings), name))


async def _redrive(settings: DatabaseSettings, name: str) -> None:
    stop = Stop.on_signals()
    async with await connect(settings, name) as connection:
        events = await _all(connection, stop, OUTBOX, 0)
        letters = await _all(connection, stop, INBOX, "", "")
        left = await (await connection.execute(LEFT)).fetchone() if stop else None
    if left and any(left):
        counts = {"events": events, "letters": letters}
        log.warning("redrive_interrupted", **counts, events_left=left[0], letters_left=left[1])
        stopping.leave(stop.signum, None)
    log.info("redriven", events=events, letters=letters)


async def _all(
    connection: PatientConnection, stop: Stop, statement: LiteralString, *after: object
) -> int:
    """Run a statement batch by batch, each its own transaction, and come by each row once."""
    done = 0
    while not stop and (
        rows := await (await connection.execute(statement, [*after, BATCH])).fetchall()
    ):
        done += len(rows)
        after = max(rows)
    return done
