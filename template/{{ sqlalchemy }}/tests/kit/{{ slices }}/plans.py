"""A filled database, the statements that the service really sends, and PostgreSQL's plans."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import event

from app.chassis.database import Database
from tests.kit.servers import migrated_database

FILL = """
INSERT INTO customers (id, name, email, version)
SELECT md5(n::text)::uuid, 'name', 'c' || n || '@example.com', 1 FROM generate_series(0, 1999) n;
INSERT INTO orders (id, customer_id, status, currency, total_amount, version, created_at)
SELECT gen_random_uuid(), md5((n % 50)::text)::uuid,
    CASE WHEN n / 50 % 10 = 0 THEN 'pending' ELSE 'confirmed' END, 'EUR', n % 500, 1,
    now() - n * interval '1 minute' FROM generate_series(1, 5000) n;
INSERT INTO order_items SELECT id, 0, 'A', 1, 1 FROM orders;
"""


@contextmanager
def filled_database(server: str, *more: str) -> Generator[str]:
    """Create a database with 5,000 orders, change it by `more`, and yield its URL."""
    with migrated_database(server) as url:
        # VACUUM marks as visible to all only what is known to be on disk.
        options = "-c synchronous_commit=on"
        with psycopg.connect(url, autocommit=True, options=options) as connection:
            for statement in (FILL, *more, "VACUUM ANALYZE"):
                connection.execute(statement.encode())
        yield url


@dataclass(frozen=True)
class Sent:
    """A statement with its parameters, as they went to the server."""

    sql: str
    parameters: Mapping[str, Any]

    def plan(self, url: str) -> str:
        """Ask the server how it would run it on a fast disk, where these small tables are large."""
        with psycopg.connect(url, options="-c random_page_cost=1.1") as connection:
            rows = connection.execute(f"EXPLAIN {self.sql}".encode(), self.parameters)
            return "\n".join(str(line) for (line,) in rows)


@contextmanager
def statements(database: Database) -> Generator[list[Sent]]:
    """Collect what is sent."""
    sent: list[Sent] = []

    def collect(_conn: object, _cursor: object, sql: str, parameters: Any, *_rest: object) -> None:
        sent.append(Sent(sql, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", collect)
    yield sent
    event.remove(database.engine.sync_engine, "before_cursor_execute", collect)
