"""`redrive`: gives dead events and dead letters another set of attempts."""

from typing import LiteralString

import psycopg
import structlog

from app.chassis.database import DatabaseSettings
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
    """Let the relay and the worker try again what they had given up."""
    url = service.get(DatabaseSettings).url.get_secret_value()
    with psycopg.connect(url) as connection:
        events = connection.execute(OUTBOX).rowcount
        letters = connection.execute(INBOX).rowcount
    log.info("redriven", events=events, letters=letters)
