"""What tests of the outbox share: events put into the table, and waiting for what follows."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import psycopg

from tests.kit.waiting import eventually

__all__ = ["EVENT_TYPE", "Sql", "eventually", "insert_events", "statuses"]

EVENT_TYPE = "thing.happened"

Sql = psycopg.Connection[tuple[Any, ...]]


def insert_events(sql: Sql, aggregates: Sequence[str], payload: str = "{}") -> list[str]:
    """Insert an event for each of `aggregates`, in that order; returns their ids."""
    ids = [str(uuid4()) for _ in aggregates]
    bodies = [json.dumps({"number": i}) if payload == "{}" else payload for i in range(len(ids))]
    sql.execute(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)"
        " SELECT id, 'thing', aggregate, %s, body::jsonb"
        " FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS event (id, aggregate, body)",
        [EVENT_TYPE, ids, list(aggregates), bodies],
    )
    return ids


def statuses(sql: Sql) -> list[str]:
    """Return the status of every event, in their order."""
    rows = sql.execute("SELECT status FROM outbox ORDER BY position").fetchall()
    return [status for (status,) in rows]
