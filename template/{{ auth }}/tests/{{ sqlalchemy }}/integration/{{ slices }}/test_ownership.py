"""Ownership holds for every session, whatever is asked of it."""

from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Executable, Table, delete, func, insert, select, true, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import aliased, make_transient_to_detached, selectinload

from app.chassis.auth.ownership import OwnershipViolated, unconfined
from app.chassis.auth.principal import Principal, acting_for
from app.chassis.database import Database, DatabaseSettings
from app.chassis.database.engine import create_engine
from app.customers.model import Customer
from app.orders.model import Order, OrderItem

pytestmark = pytest.mark.anyio

TABLE = cast("Table", Customer.__table__)


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
        select(Customer).from_statement(select(Customer).where(Customer.id == key)),
        select(
            update(Customer)
            .where(Customer.id == key)
            .values(name="Ada")
            .returning(Customer.id)
            .cte()
        ),
        select(aliased(Customer, select(TABLE).subquery()).id),
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


NAMING_TABLES: list[Executable] = [
    select(TABLE),
    select(TABLE.c.id),
    select(TABLE.alias().c.id),
    select(func.count()).select_from(TABLE),
    select(Order.id, TABLE.c.name),
    select(Order.id).select_from(TABLE),
    select(Order.id).join(TABLE, true()),
    select(Order.id).where(Order.customer_id.in_(select(TABLE.c.id))),
    select(Customer).from_statement(select(TABLE)),
    update(TABLE).values(name="Eve"),
    delete(TABLE),
    insert(TABLE).values(name="Ada"),
    insert(OrderItem).from_select(["sku"], select(TABLE.c.name)),
]


@pytest.mark.parametrize("statement", NAMING_TABLES, ids=range(len(NAMING_TABLES)))
async def test_a_statement_that_names_the_table_is_refused(
    database: Database, statement: Executable
) -> None:
    async with database.reading() as session:
        with acting_for(someone()), pytest.raises(OwnershipViolated):
            await session.execute(statement)


async def test_the_service_itself_and_admins_may_name_tables(database: Database) -> None:
    key = await stored(database, someone())
    for principal, context in ((someone("admin"), nullcontext()), (None, unconfined())):
        with acting_for(principal), context:
            async with database.reading() as session:
                assert await session.scalar(select(TABLE.c.name).where(TABLE.c.id == key)) == "Ada"


async def test_what_is_loaded_later_is_confined_as_well(database: Database) -> None:
    owner = someone()
    key = await stored(database, owner)
    with unconfined():
        async with database.transaction() as session:
            nobodys = customer()
            session.add(nobodys)
    cases = [(key, owner, True), (key, someone(), False), (nobodys.id, None, False)]
    for id_, caller, is_visible in cases:
        made_up = Customer(id=id_)
        make_transient_to_detached(made_up)
        async with database.reading() as session:
            session.add(made_up)
            expected: Any = nullcontext() if is_visible else pytest.raises(InvalidRequestError)
            with acting_for(caller), expected:
                await session.refresh(made_up)


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
