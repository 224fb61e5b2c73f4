"""Queries of orders; items always come along, in one query for the whole list."""

from uuid import UUID

from sqlalchemy import Select, Text, literal, select
from sqlalchemy.orm import selectinload

from app.chassis.database import Database
from app.chassis.database.keyset import KeysetPage, fetch_page
from app.chassis.listing.cursor import Cursor
from app.chassis.listing.sorting import SortKey
from app.orders.errors import OrderNotFound
from app.orders.model import Order
from app.orders.schemas import OrderQuery

COLUMNS = {"created_at": Order.created_at, "total_amount": Order.total_amount}


class OrderRepository:
    """Finds orders in the current unit of work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, order_id: UUID, *, locked: bool = False) -> Order:
        """Look an order up, and lock its row for a change; raises `OrderNotFound`."""
        items = selectinload(Order.items)
        async with self._database.reading() as session:
            order = await session.get(Order, order_id, options=[items], with_for_update=locked)
        if order is None:
            raise OrderNotFound
        return order

    async def page(
        self, query: OrderQuery, sort: tuple[SortKey, ...], cursor: Cursor | None
    ) -> KeysetPage[Order]:
        """The orders that `query` asks for, from `cursor` on."""
        statement = _filtered(query).options(selectinload(Order.items))
        columns = [(COLUMNS[key.name], key.descending) for key in sort]
        async with self._database.reading() as session:
            return await fetch_page(
                session, statement, columns, Order.id, cursor=cursor, limit=query.limit
            )


def _filtered(query: OrderQuery) -> Select[Order]:
    statement = select(Order)
    if query.status is not None:
        # Written into the statement: a plan for any status could not use the partial index.
        status = literal(query.status.value, Text(), literal_execute=True)
        statement = statement.where(Order.status == status)
    if query.customer_id is not None:
        statement = statement.where(Order.customer_id == query.customer_id)
    if query.created_after is not None:
        statement = statement.where(Order.created_at > query.created_after)
    if query.created_before is not None:
        statement = statement.where(Order.created_at < query.created_before)
    return statement
