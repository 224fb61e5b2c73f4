"""Lists cost the same number of statements however long they are, and indexes serve them."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import event

from app.chassis.database import Database, DatabaseSettings
from app.chassis.database.engine import create_engine
from app.chassis.events import Events
from app.chassis.listing.cursor import CursorCodec
from app.chassis.listing.pages import PageLinks
from app.orders.schemas import OrderQuery
from app.orders.service import Orders
from tests.kit.servers import migrated_database

LINKS = PageLinks("http://localhost/v1/orders", {})
FILL = """
INSERT INTO customers (id, name, email, version)
SELECT gen_random_uuid(), 'name', 'c' || n || '@example.com', 1 FROM generate_series(1, 50) n;
INSERT INTO orders (id, customer_id, status, currency, total_amount, version, created_at)
SELECT gen_random_uuid(), (SELECT id FROM customers WHERE email LIKE 'c' || 1 + n % 50 || '@%'),
    CASE WHEN n % 20 = 0 THEN 'pending' ELSE 'confirmed' END, 'EUR', n % 500, 1,
    now() - n * interval '1 minute' FROM generate_series(1, 5000) n;
INSERT INTO order_items SELECT id, 0, 'A', 1, 1 FROM orders;
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled_url(postgres_url: str) -> Generator[str]:
    """A database with 5,000 orders."""
    with migrated_database(postgres_url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)
        yield url


@pytest.fixture
async def database(filled_url: str) -> AsyncGenerator[Database]:
    engine = create_engine(DatabaseSettings.model_validate({"url": filled_url}), "tests")
    yield Database(engine, attempts=1)
    await engine.dispose()


@contextmanager
def statements(database: Database) -> Generator[list[str]]:
    """Collect the SQL that is sent."""
    sent: list[str] = []

    def collect(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", collect)
    yield sent
    event.remove(database.engine.sync_engine, "before_cursor_execute", collect)


async def test_a_list_costs_two_statements_however_long_it_is(database: Database) -> None:
    orders = Orders(database, Events(), CursorCodec(b"key"))
    for limit in (1, 100):
        with statements(database) as sent:
            page = await orders.page(OrderQuery(limit=limit), LINKS)
        assert len(page.items) == limit
        assert all(order.items for order in page.items)
        assert len(sent) == 2


@pytest.mark.parametrize(
    ("condition", "order", "index"),
    [
        ("true", "created_at DESC, id DESC", "ix_orders_created_at_id"),
        (
            "(created_at, id) < (now(), gen_random_uuid())",
            "created_at DESC, id DESC",
            "ix_orders_created_at_id",
        ),
        ("true", "total_amount, id", "ix_orders_total_amount_id"),
        ("status = 'pending'", "created_at, id", "ix_orders_status_created_at_id"),
        (
            "customer_id = (SELECT id FROM customers LIMIT 1)",
            "created_at, id",
            "ix_orders_customer_id_created_at_id",
        ),
    ],
)
def test_each_filter_and_order_has_its_index(
    filled_url: str, condition: str, order: str, index: str
) -> None:
    query = f"EXPLAIN SELECT * FROM orders WHERE {condition} ORDER BY {order} LIMIT 20"
    with psycopg.connect(filled_url) as connection:
        plan = "\n".join(str(row[0]) for row in connection.execute(query.encode()))
    assert f"using {index}" in plan
    assert "Sort" not in plan


def test_every_foreign_key_has_an_index(filled_url: str) -> None:
    query = """
        SELECT conrelid::regclass, conname FROM pg_constraint c WHERE contype = 'f'
        AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid
            AND (i.indkey::int2[])[0:cardinality(conkey) - 1] = conkey)
    """
    with psycopg.connect(filled_url) as connection:
        assert connection.execute(query).fetchall() == []
