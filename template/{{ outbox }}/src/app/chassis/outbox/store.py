"""The outbox table as the relay sees it: claim, settle, purge, each in one statement.

A row is claimable while it is pending and its `available_at` has come. Claiming moves that into
the future by the lease, so a relay that dies loses its rows to the others when the lease ends,
and no transaction is open while the relay publishes.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple
from zlib import crc32

import psycopg
import structlog

from app import about
from app.chassis.database import DatabaseSettings
from app.chassis.database.connection import (
    KEEPALIVE,
    PatientConnection,
    arguments_of,
    options_of,
)
from app.chassis.identifiers import new_id
from app.chassis.outbox.backoff import pause
from app.chassis.outbox.settings import OutboxSettings

WIDEST_WINDOW = 100_000
LOOK_BACK_SECONDS = 2
PURGE_BATCH = 1000
LOCK = crc32(f"{about.SLUG}:claims".encode())
LONGEST_TURN = "1s"

# Only the relay that locks the first unpublished row of an aggregate gets rows of it, and it gets
# them from that one on up to the first that is leased, backing off or dead: so they are published
# in order, however many relays there are.
#
# Most of the time everything is published, and the statistics say that nothing is pending. A plan
# that believes them reads all that is pending for each row. So this leaves no choice: what stands
# before a row is looked up by itself, and `status || ''` is no condition of an index, which leaves
# only their places, or their ids, to find rows by.
CLAIM: LiteralString = """
WITH turn AS MATERIALIZED (
    SELECT %(impatient)s OR pg_try_advisory_xact_lock(%(lock)s) AS mine
), waiting AS MATERIALIZED (
    SELECT place, position, aggregatetype, aggregateid,
        first_value(position) OVER aggregate AS leader
    FROM (
        SELECT ctid AS place, position, aggregatetype, aggregateid FROM outbox
        WHERE status = 'pending' AND available_at <= now() AND position > %(after)s
            AND (SELECT mine FROM turn)
        ORDER BY position LIMIT %(window)s
    ) AS due
    WINDOW aggregate AS (PARTITION BY aggregatetype, aggregateid ORDER BY position)
), owned AS MATERIALIZED (
    SELECT position FROM outbox
    WHERE ctid = ANY (ARRAY(
        SELECT place FROM waiting AS first
        WHERE position = leader AND (
            SELECT earlier.position FROM outbox AS earlier
            WHERE earlier.aggregatetype = first.aggregatetype
                AND earlier.aggregateid = first.aggregateid
                AND earlier.status <> 'published' AND earlier.position < first.position
            ORDER BY earlier.position LIMIT 1
        ) IS NULL
        ORDER BY position LIMIT %(batch)s
    )) AND status || '' = 'pending' AND available_at <= now()
    FOR UPDATE SKIP LOCKED
), following AS (
    SELECT *, max(position) OVER (PARTITION BY leader) AS final FROM (
        SELECT * FROM waiting
        WHERE (leader IN (SELECT position FROM owned)) IS TRUE
        ORDER BY position LIMIT %(batch)s
    ) AS of_owned
), unbroken AS (
    SELECT place, position, min(obstacle) OVER (PARTITION BY leader) AS obstacle FROM (
        SELECT place, position, leader, CASE WHEN position = leader AND position < final THEN (
            SELECT other.position FROM outbox AS other
            WHERE other.aggregatetype = following.aggregatetype
                AND other.aggregateid = following.aggregateid
                AND other.status <> 'published'
                AND other.position > leader AND other.position < final
                AND NOT (other.status = 'pending' AND other.available_at <= now())
            ORDER BY other.position LIMIT 1
        ) END AS obstacle
        FROM following
    ) AS looked_through
), claimed AS (
    UPDATE outbox SET available_at = now() + %(lease)s, claimed_by = %(relay)s
    WHERE ctid = ANY (ARRAY(
        SELECT place FROM unbroken WHERE obstacle IS NULL OR position < obstacle
    )) AND status || '' = 'pending'
    RETURNING id::text AS id, position, aggregatetype, aggregateid, type,
        payload::text AS payload, created::text AS created,
        trace::text AS trace, attempts, available_at
)
SELECT claimed.*, mine, looked_at, seen_to
FROM turn CROSS JOIN (
    SELECT count(*) AS looked_at, coalesce(max(position), 0) AS seen_to FROM waiting
) AS look
LEFT JOIN claimed ON true
ORDER BY claimed.position
"""

# The lock is the claim's own, too: whoever waits for it here is the next one to have it.
TURN: LiteralString = """
SELECT set_config('lock_timeout', %(timeout)s, true), pg_advisory_xact_lock(%(lock)s)
"""

PUBLISHED: LiteralString = """
UPDATE outbox
SET status = 'published', published_at = now(), attempts = attempts + 1, error = NULL,
    claimed_by = NULL
WHERE id = ANY(%(ids)s::uuid[]) AND status || '' <> 'published'
"""

RELEASED: LiteralString = """
UPDATE outbox SET available_at = now() + %(delay)s, claimed_by = NULL
WHERE id = ANY(%(ids)s::uuid[]) AND status || '' = 'pending'
    AND claimed_by = %(relay)s AND available_at = %(leased_until)s
"""

REFUSED: LiteralString = """
UPDATE outbox
SET attempts = attempts + 1, error = %(error)s, claimed_by = NULL, status = %(status)s,
    available_at = now() + %(delay)s
WHERE id = %(id)s::uuid AND status || '' = 'pending'
    AND claimed_by = %(relay)s AND available_at = %(leased_until)s
"""

PURGE: LiteralString = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox
    WHERE status = 'published' AND published_at < now() - %(retention)s
    ORDER BY published_at LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
)
"""

# A commit of the relay may be lost in a crash of the server: the row is published again then.
# Each claim is planned anew, and for its indexes: a table that is empty in one moment and full in
# the next has no statistics to plan by.
SESSION = {
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "10s",
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
}

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Row(NamedTuple):
    """An event that this relay has claimed; `payload` and `trace` are JSON.

    `created` is as the server writes it: it knows times that Python has none for.
    """

    id: str
    position: int
    aggregatetype: str
    aggregateid: str
    type: str
    payload: str
    created: str
    trace: str
    attempts: int
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are this relay's own until `deadline`, on the clock of `time.monotonic`."""

    rows: list[Row]
    deadline: float


@dataclass(frozen=True, slots=True)
class _Look:
    """What a claim saw: whether it was its turn, how many rows, and the position of the last."""

    batch: Batch
    mine: bool
    looked_at: int
    seen_to: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the broker does not take, and why."""

    row: Row
    reason: str


async def connect(settings: DatabaseSettings, name: str) -> PatientConnection:
    """Open a connection of the relay's own; the address is read as for all others."""
    session = {**SESSION, "statement_timeout": settings.statement_timeout}
    own = {
        "application_name": name,
        "connect_timeout": max(1, round(settings.connect_timeout.total_seconds())),
        "options": options_of(settings.sqlalchemy_url, session),
        **KEEPALIVE,
    }
    address = arguments_of(settings.sqlalchemy_url)
    return await PatientConnection.opened(settings.patience, autocommit=True, **address | own)


class Store:
    """One relay's view of the table, over one connection that is opened again when it is lost.

    Every method raises `psycopg.Error` while the database cannot be used.
    """

    def __init__(self, database: DatabaseSettings, settings: OutboxSettings, name: str) -> None:
        self._settings = settings
        self._relay = new_id()
        self._window = settings.batch_size
        self._after = 0
        self._look_back_at = time.monotonic() + LOOK_BACK_SECONDS
        # What was published is written down while the next is claimed: two processors' work.
        self._claims, self._marks = _Connection(database, name), _Connection(database, name)

    async def claim(self) -> Batch:
        """Lease the next rows, in order; of an aggregate either its first ones or none."""
        while True:
            look = await self._claim()
            more = self._look_further(look)
            if look.batch.rows or not more:
                return look.batch

    async def _claim(self) -> _Look:
        """Claim when it is this relay's turn, as two at once would reach for the same rows.

        None waits long for its turn: whoever has it may hang.
        """
        async with self._claims.turn() as connection:
            look = await self._look(connection)
            if look.mine:
                return look
            try:
                async with connection.transaction():
                    await connection.execute(TURN, {"lock": LOCK, "timeout": LONGEST_TURN})
                    return await self._look(connection)
            except psycopg.errors.LockNotAvailable:
                return await self._look(connection, impatient=True)

    async def _look(self, connection: PatientConnection, *, impatient: bool = False) -> _Look:
        parameters = {
            "impatient": impatient,
            "lock": LOCK,
            "after": self._after,
            "window": self._window,
            "batch": self._settings.batch_size,
            "lease": self._settings.lease,
            "relay": self._relay,
        }
        deadline = time.monotonic() + self._settings.lease.total_seconds()
        found = await (await connection.execute(CLAIM, parameters)).fetchall()
        # With nothing to claim there is one row all the same, which says how far this looked.
        rows = [Row._make(columns[:-3]) for columns in found if columns[0] is not None]
        return _Look(Batch(rows, deadline), *found[0][-3:])

    def _look_further(self, look: _Look) -> bool:
        """See past rows that cannot be claimed, and no further than that takes.

        Returns whether there is more to see.
        """
        batch, window = self._settings.batch_size, self._window
        full = len(look.batch.rows) == batch
        if not full and look.looked_at == window:
            if window == WIDEST_WINDOW:
                self._after = look.seen_to
            self._window = min(window * 4, WIDEST_WINDOW)
            return True
        if full and (self._after or window > batch) and time.monotonic() < self._look_back_at:
            # The next ones are behind these; what came free before them has its turn soon.
            self._after = look.batch.rows[0].position - 1
        else:
            self._after = 0
            self._look_back_at = time.monotonic() + LOOK_BACK_SECONDS
        self._window = max(window // 2, batch)
        return False

    async def mark_published(self, rows: Sequence[Row]) -> None:
        """Note that the broker has confirmed these; a fact, whoever holds the lease by now."""
        await self._execute(PUBLISHED, {"ids": _array(rows)})

    async def release(self, rows: Sequence[Row], delay: timedelta) -> None:
        """Give rows of one batch back, unless they have been claimed again meanwhile."""
        parameters = {
            "ids": _array(rows),
            "delay": delay,
            "relay": self._relay,
            "leased_until": rows[0].leased_until,
        }
        await self._execute(RELEASED, parameters)

    async def mark_refused(self, refusal: Refusal) -> None:
        """Count an attempt, and set the next one; after the last the row is dead."""
        row, settings = refusal.row, self._settings
        attempts = row.attempts + 1
        dead = attempts >= settings.max_attempts
        parameters = {
            "id": row.id,
            "relay": self._relay,
            "leased_until": row.leased_until,
            "error": refusal.reason,
            "status": "dead" if dead else "pending",
            "delay": pause(attempts, settings.backoff, settings.backoff_limit),
        }
        await self._execute(REFUSED, parameters)
        tell = log.error if dead else log.warning
        tell(
            "event_dead" if dead else "event_refused",
            event_id=row.id,
            type=row.type,
            aggregate_id=row.aggregateid,
            attempts=attempts,
            reason=refusal.reason,
        )

    async def purge(self) -> int:
        """Delete a batch of rows that were published longer than the retention ago."""
        parameters = {"retention": self._settings.retention, "batch": PURGE_BATCH}
        return await self._execute(PURGE, parameters)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(self._claims.close(), self._marks.close())

    async def _execute(self, statement: LiteralString, parameters: Mapping[str, object]) -> int:
        async with self._marks.turn() as connection:
            return (await connection.execute(statement, parameters)).rowcount


class _Connection:
    """A connection that is made when it is needed, and again when it was lost."""

    def __init__(self, database: DatabaseSettings, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: PatientConnection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[PatientConnection]:
        """Have it for the length of the block, when it is this caller's turn."""
        async with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._database, self._name)
            try:
                yield self._connection
            except psycopg.errors.ReadOnlySqlTransaction:
                # That was decided when the connection was made, or it leads to a former primary.
                await self._connection.close()
                raise

    async def close(self) -> None:
        """Close it, if it was made."""
        if self._connection is not None:
            await self._connection.close()


def _array(rows: Sequence[Row]) -> str:
    """Write their ids as PostgreSQL writes an array, which costs less than having it written."""
    return "{" + ",".join([row.id for row in rows]) + "}"
