"""Lists cost the same number of statements however long they are, and indexes serve them."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import psycopg
import pytest

from app.chassis.database import Database, DatabaseSettings
from app.chassis.database.engine import create_engine
from app.chassis.events import Events
from app.chassis.listing.cursor import Cursor, CursorCodec
from app.chassis.listing.pages import PageLinks
from app.chassis.listing.sorting import parse_sort
from app.orders.repository import OrderRepository
from app.orders.schemas import SORTABLE, OrderQuery
from app.orders.service import NEWEST_FIRST, Orders
from tests.kit.plans import filled_database, statements

LINKS = PageLinks("http://localhost/v1/orders", {})
DEEP = {
    "-created_at": "SELECT created_at::text, id::text FROM orders ORDER BY 1 LIMIT 1 OFFSET 1000",
    "total_amount": "SELECT total_amount::text, id::text FROM orders WHERE total_amount = 450",
}


@pytest.fixture(scope="module")
def filled_url(postgres_url: str) -> Generator[str]:
    """A database with 5,000 orders."""
    with filled_database(postgres_url) as url:
        yield url


@pytest.fixture
async def database(filled_url: str) -> AsyncGenerator[Database]:
    engine = create_engine(DatabaseSettings.model_validate({"url": filled_url}), "tests")
    yield Database(engine, attempts=1)
    await engine.dispose()


async def test_a_list_costs_two_statements_however_long_it_is(database: Database) -> None:
    orders = Orders(database, Events(), CursorCodec(b"key"))
    for limit in (1, 100):
        with statements(database) as sent:
            page = await orders.page(OrderQuery(limit=limit), LINKS)
        assert len(page.items) == limit
        assert all(order.items for order in page.items)
        assert len(sent) == 2


async def plans(database: Database, url: str, cursor: Cursor | None, **query: Any) -> list[str]:
    """The plans of the two statements that a list sends."""
    asked = OrderQuery.model_validate(query)
    sort = parse_sort(asked.sort or NEWEST_FIRST, SORTABLE)
    with statements(database) as sent:
        await OrderRepository(database).page(asked, sort, cursor)
    return [statement.plan(url) for statement in sent]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "ix_orders_created_at_id"),
        ({"sort": "total_amount"}, "ix_orders_total_amount_id"),
        ({"status": "pending"}, "ix_orders_status_created_at_id"),
        ({"status": "pending", "sort": "-total_amount"}, "ix_orders_pending_total_amount_id"),
        ({"customer": True}, "ix_orders_customer_id_created_at_id"),
        ({"created_before": "2020-01-01T00:00:00Z"}, "ix_orders_created_at_id"),
    ],
)
async def test_each_filter_and_order_has_its_index(
    database: Database, filled_url: str, query: dict[str, Any], index: str
) -> None:
    if query.pop("customer", None):
        with psycopg.connect(filled_url) as connection:
            found = connection.execute("SELECT customer_id FROM orders LIMIT 1").fetchone()
        query["customer_id"] = str(found and found[0])
    rows, *_ = await plans(database, filled_url, None, **query)
    assert f"using {index}" in rows
    assert "Sort" not in rows


async def test_a_plan_that_is_kept_for_a_status_is_for_that_one(database: Database) -> None:
    query = OrderQuery.model_validate({"status": "pending"})
    with statements(database) as sent:
        await OrderRepository(database).page(query, parse_sort(NEWEST_FIRST, SORTABLE), None)
    assert "pending" not in sent[0].parameters.values()
    assert "'pending'" in sent[0].sql


@pytest.mark.parametrize("sort", DEEP)
async def test_a_page_deep_in_the_list_is_a_range_of_its_index(
    database: Database, filled_url: str, sort: str
) -> None:
    with psycopg.connect(filled_url) as connection:
        place = connection.execute(DEEP[sort].encode()).fetchone()
    cursor = Cursor(tuple(str(value) for value in place or ()), backwards=False)
    rows, _ = await plans(database, filled_url, cursor, sort=sort)
    column = sort.lstrip("-")
    assert f"using ix_orders_{column}_id" in rows
    assert f"Index Cond: (ROW({column}, id)" in rows
    assert "Sort" not in rows


async def test_the_items_of_a_list_come_from_their_index_alone(
    database: Database, filled_url: str
) -> None:
    _, items = await plans(database, filled_url, None)
    assert "Index Only Scan using pk_order_items" in items


def test_every_foreign_key_has_an_index(filled_url: str) -> None:
    query = """
        SELECT conrelid::regclass, conname FROM pg_constraint c WHERE contype = 'f'
        AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid
            AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(conkey) - 1] = conkey)
    """
    with psycopg.connect(filled_url) as connection:
        assert connection.execute(query).fetchall() == []


def test_no_index_is_invalid_or_the_beginning_of_another(filled_url: str) -> None:
    query = """
        WITH keys AS (
            SELECT indexrelid, indrelid, indisunique, indisvalid, pg_get_expr(indpred, indrelid) p,
                ARRAY(SELECT pg_get_indexdef(indexrelid, n, true) FROM
                    generate_series(1, indnkeyatts) n) columns
            FROM pg_index JOIN pg_class c ON c.oid = indrelid
            WHERE c.relnamespace = 'public'::regnamespace
        )
        SELECT a.indexrelid::regclass, b.indexrelid::regclass FROM keys a LEFT JOIN keys b
            ON a.indrelid = b.indrelid AND a.indexrelid <> b.indexrelid
            AND a.p IS NOT DISTINCT FROM b.p
            AND a.columns = b.columns[1:cardinality(a.columns)]
            AND (NOT a.indisunique OR a.columns = b.columns)
        WHERE NOT a.indisvalid OR b.indexrelid IS NOT NULL
    """
    with psycopg.connect(filled_url) as connection:
        assert connection.execute(query).fetchall() == []
