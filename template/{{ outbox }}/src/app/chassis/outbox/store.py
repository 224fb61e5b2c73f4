"""The outbox table as the relay sees it: claim, settle, purge, each in one statement.

A row is claimable while it is pending and its `available_at` has come. Claiming moves that into
the future by the lease, so a relay that dies loses its rows to the others when the lease ends,
and no transaction is open while the relay publishes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from app.chassis.outbox.backoff import pause
from app.chassis.outbox.settings import OutboxSettings

WIDEST_WINDOW = 32_768
PURGE_BATCH = 1000

# Only the relay that locks the first unpublished row of an aggregate gets rows of it, and it gets
# them from that one on: so they are published in order, however many relays there are. What
# stands behind a row that is leased, backing off or dead is not claimable.
CLAIM: LiteralString = """
WITH waiting AS MATERIALIZED (
    SELECT aggregatetype, aggregateid FROM outbox
    WHERE status = 'pending' AND available_at <= now()
    ORDER BY position LIMIT %(window)s
), first AS MATERIALIZED (
    SELECT earliest.position
    FROM (SELECT DISTINCT aggregatetype, aggregateid FROM waiting) AS aggregate
    CROSS JOIN LATERAL (
        SELECT position FROM outbox
        WHERE aggregatetype = aggregate.aggregatetype AND aggregateid = aggregate.aggregateid
            AND status <> 'published'
        ORDER BY position LIMIT 1
    ) AS earliest
), owned AS MATERIALIZED (
    SELECT aggregatetype, aggregateid FROM outbox
    WHERE position IN (SELECT position FROM first)
        AND status = 'pending' AND available_at <= now()
    ORDER BY position LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT next.position
    FROM owned
    CROSS JOIN LATERAL (
        SELECT position FROM outbox
        WHERE aggregatetype = owned.aggregatetype AND aggregateid = owned.aggregateid
            AND status <> 'published'
        ORDER BY position LIMIT %(batch)s
    ) AS next
    ORDER BY next.position LIMIT %(batch)s
)
UPDATE outbox SET available_at = now() + %(lease)s, claimed_by = %(relay)s
FROM due
WHERE outbox.position = due.position AND status = 'pending'
RETURNING outbox.position, id, aggregatetype, aggregateid, type, payload::text AS payload, created,
    trace, attempts, (SELECT count(*) FROM waiting) AS looked_at
"""

PUBLISHED: LiteralString = """
UPDATE outbox
SET status = 'published', published_at = now(), attempts = attempts + 1, error = NULL,
    claimed_by = NULL
WHERE position = ANY(%(positions)s) AND status <> 'published'
"""

RELEASED: LiteralString = """
UPDATE outbox SET available_at = now() + %(delay)s, claimed_by = NULL
WHERE position = ANY(%(positions)s) AND status = 'pending' AND claimed_by = %(relay)s
"""

REFUSED: LiteralString = """
UPDATE outbox
SET attempts = attempts + 1, error = %(error)s, claimed_by = NULL,
    status = CASE WHEN attempts + 1 >= %(max_attempts)s THEN 'dead' ELSE 'pending' END,
    available_at = now() + %(delay)s
WHERE position = %(position)s AND status = 'pending' AND claimed_by = %(relay)s
"""

PURGE: LiteralString = """
DELETE FROM outbox WHERE position IN (
    SELECT position FROM outbox
    WHERE status = 'published' AND published_at < now() - %(retention)s
    ORDER BY published_at LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
"""
