"""Ownership holds for every session, whatever is asked of it."""

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import aliased, selectinload

from app.chassis.auth.ownership import OwnershipViolated, unconfined
from app.chassis.auth.principal import Principal, acting_for
from app.chassis.database import Database, DatabaseSettings
from app.chassis.database.engine import create_engine
from app.customers.model import Customer
from app.orders.model import Order, OrderItem

pytestmark = pytest.mark.anyio


@pytest.fixture
def confinement() -> None:
    """These tests say themselves for whom they act."""


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    engine = create_engine(DatabaseSettings.model_validate({"url": database_url}), "tests")
    yield Database(engine, attempts=1)
    await engine.dispose()


def someone(*roles: str) -> Principal:
    return Principal(f"user-{uuid4()}", frozenset(), frozenset(roles))


def customer() -> Customer:
    return Customer(name="Ada", email=f"{uuid4().hex}@example.com")


async def stored(database: Database, owner: Principal) -> UUID:
    """A customer of the owner, with an order."""
    with acting_for(owner):
        async with database.transaction() as session:
            row = customer()
            session.add(row)
            await session.flush()
            order = Order(customer_id=row.id, currency="EUR", total_amount=1)
            order.items = [OrderItem(position=0, sku="A", quantity=1, unit_price=1)]
            session.add(order)
            await session.flush()
            assert row.owner_id == order.owner_id == owner.subject
            return row.id


@pytest.mark.parametrize("caller", ["peer", "nobody"])
async def test_every_way_to_read_is_confined(database: Database, caller: str) -> None:
    owner = someone()
    key = await stored(database, owner)
    alias = aliased(Customer)
    queries = [
        select(Customer.id).where(Customer.id == key),
        select(func.count(Customer.id)).where(Customer.id == key).having(func.count() > 0),
        select(func.count())
        .select_from(Customer)
        .where(Customer.id == key)
        .having(func.count() > 0),
        select(alias.id).where(alias.id == key),
        select(Customer.id).where(Customer.id.in_(select(Order.customer_id))),
        select(Order.id).join(Customer, Customer.id == Order.customer_id).where(Customer.id == key),
        select(Customer.id).union(select(Order.id)),
    ]
    for acting, visible in ((owner, True), (someone() if caller == "peer" else None, False)):
        with acting_for(acting):
            async with database.reading() as session:
                assert (await session.get(Customer, key) is not None) is visible
            for query in queries:
                async with database.reading() as session:
                    assert ((await session.execute(query)).first() is not None) is visible, query


async def test_every_way_to_write_in_bulk_is_confined(database: Database) -> None:
    key = await stored(database, someone())
    mine = Customer.id == key
    with acting_for(someone()):
        async with database.transaction() as session:
            changed = update(Customer).where(mine).values(name="Eve").returning(Customer.id)
            assert (await session.execute(changed)).all() == []
            gone = delete(Order).where(Order.customer_id == key).returning(Order.id)
            assert (await session.execute(gone)).all() == []
    with unconfined():
        async with database.reading() as session:
            row = await session.get_one(Customer, key)
            assert row.name == "Ada"


async def test_alternating_callers_never_see_each_others_rows(database: Database) -> None:
    users = [someone(), someone()]
    for user in users:
        await stored(database, user)
    for user in users * 3:
        with acting_for(user):
            async with database.reading() as session:
                found = await session.scalars(select(Customer))
                assert {row.owner_id for row in found} == {user.subject}
                orders = select(Order).options(selectinload(Order.items))
                assert {row.owner_id for row in await session.scalars(orders)} == {user.subject}


async def test_admins_and_the_service_itself_see_everything(database: Database) -> None:
    key = await stored(database, someone())
    for principal, context in ((someone("admin"), nullcontext()), (None, unconfined())):
        with acting_for(principal), context:
            async with database.reading() as session:
                assert await session.get(Customer, key) is not None


async def test_a_row_cannot_be_made_for_somebody_else(database: Database) -> None:
    async with database.reading() as session:
        row = customer()
        row.owner_id = "somebody-else"
        session.add(row)
        with acting_for(someone()), pytest.raises(OwnershipViolated):
            await session.flush()


async def test_nobody_makes_no_rows(database: Database) -> None:
    async with database.reading() as session:
        session.add(customer())
        with pytest.raises(OwnershipViolated):
            await session.flush()


async def test_a_row_cannot_be_given_away(database: Database) -> None:
    owner = someone()
    key = await stored(database, owner)
    with acting_for(owner):
        async with database.reading() as session:
            row = await session.get_one(Customer, key)
            row.owner_id = "somebody-else"
            with pytest.raises(OwnershipViolated):
                await session.flush()


async def test_a_row_of_somebody_else_cannot_be_written(database: Database) -> None:
    key = await stored(database, someone())
    async with database.reading() as session:
        with unconfined():
            row = await session.get_one(Customer, key)
        row.name = "Eve"
        with acting_for(someone()), pytest.raises(OwnershipViolated):
            await session.flush()


async def test_a_bulk_insert_is_refused_where_an_owner_would_be_missing(database: Database) -> None:
    values = {"id": uuid4(), "name": "Ada", "email": "a@example.com", "version": 1}
    async with database.reading() as session:
        with acting_for(someone()), pytest.raises(OwnershipViolated):
            await session.execute(insert(Customer).values(**values))
