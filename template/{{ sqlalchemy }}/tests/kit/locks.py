"""Requests that take as long as a test wants: they wait for a lock in the database."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

Sql = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def locked(database_url: str, table: LiteralString) -> Generator[None]:
    """Let everything that wants to use `table` wait."""
    with psycopg.connect(database_url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def waiting_for_locks(sql: Sql) -> int:
    """How many connections to this database wait for a lock."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """
    (count,) = sql.execute(query).fetchone() or (0,)
    return count
