"""A user's own lists are ranges of indexes too, however many rows the others have."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import psycopg
import pytest

from app.chassis.auth.principal import Principal, acting_for
from app.chassis.database import Database, DatabaseSettings
from app.chassis.database.engine import create_engine
from app.chassis.events import Events
from app.chassis.listing.cursor import CursorCodec
from app.chassis.listing.pages import OffsetQuery, PageLinks
from app.customers.service import Customers
from app.orders.schemas import OrderQuery
from app.orders.service import Orders
from tests.kit.plans import filled_database, statements

pytestmark = pytest.mark.anyio

LINKS = PageLinks("http://localhost/v1/orders", {})
ADA = Principal("user-1", frozenset(), frozenset())
# Each customer that has orders has an owner, with orders of every status all over the list.
OWNED = """
UPDATE customers SET owner_id = 'user-' || substring(email FROM '[0-9]+')::int % 50;
UPDATE orders SET owner_id = c.owner_id FROM customers c WHERE c.id = customer_id;
"""


@pytest.fixture
def confinement() -> None:
    """These tests act for a user."""


@pytest.fixture(scope="module")
def owned_url(postgres_url: str) -> Generator[str]:
    """A database with 5,000 orders of fifty owners."""
    with filled_database(postgres_url, OWNED) as url:
        yield url


@pytest.fixture
async def database(owned_url: str) -> AsyncGenerator[Database]:
    engine = create_engine(DatabaseSettings.model_validate({"url": owned_url}), "tests")
    yield Database(engine, attempts=1)
    await engine.dispose()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "ix_orders_owner_id_created_at_id"),
        ({"sort": "-total_amount"}, "ix_orders_owner_id_total_amount_id"),
        ({"status": "pending"}, "ix_orders_owner_id_status_created_at_id"),
        ({"customer": True}, "ix_orders_owner_id_customer_id_created_at_id"),
    ],
)
async def test_a_users_list_has_its_index(
    database: Database, owned_url: str, query: dict[str, Any], index: str
) -> None:
    if query.pop("customer", None):
        with psycopg.connect(owned_url) as connection:
            own = "SELECT customer_id FROM orders WHERE owner_id = 'user-1' LIMIT 1"
            query["customer_id"] = str((connection.execute(own).fetchone() or ("none",))[0])
    orders = Orders(database, Events(), CursorCodec(b"key"))
    with acting_for(ADA), statements(database) as sent:
        first = await orders.page(OrderQuery.model_validate({**query, "limit": 5}), LINKS)
        deep = OrderQuery.model_validate({**query, "limit": 5, "cursor": first.cursors.next})
        await orders.page(deep, LINKS)
    for statement in sent[::2]:
        plan = statement.plan(owned_url)
        assert f"using {index}" in plan
        assert "Sort" not in plan


async def test_a_users_customers_have_their_index(database: Database, owned_url: str) -> None:
    with acting_for(ADA), statements(database) as sent:
        await Customers(database).page(OffsetQuery(), LINKS, count=False)
    assert "using ix_customers_owner_id_created_at_id" in sent[0].plan(owned_url)
