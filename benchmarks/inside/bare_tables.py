"""The tables and schemas of the bare applications: those of the example slices, and no more."""

import os
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, ForeignKey, Select, make_url, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload


class Table(DeclarativeBase):
    """A row."""


class Order(Table):
    """An order."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID]
    status: Mapped[str]
    currency: Mapped[str]
    total_amount: Mapped[Decimal]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    items: Mapped[list["Item"]] = relationship(order_by="Item.position")


class Item(Table):
    """One line of an order."""

    __tablename__ = "order_items"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal]


class ItemView(BaseModel):
    """One line of an order as a client sees it."""

    model_config = ConfigDict(from_attributes=True)

    sku: str
    quantity: int
    unit_price: Decimal


class OrderView(BaseModel):
    """An order as a client sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    customer_id: UUID
    status: str
    currency: str
    total_amount: Decimal
    items: list[ItemView]
    created_at: datetime
    updated_at: datetime


engine = create_async_engine(
    make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


def newest(limit: int) -> Select[Order]:
    """The query of the benchmark; one row more tells whether there is another page."""
    newest_first = select(Order).order_by(Order.created_at.desc(), Order.id.desc())
    return newest_first.options(selectinload(Order.items)).limit(limit + 1)
