"""Keyset pagination: a page starts after a row, not after a number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.chassis.listing.cursor import Cursor

T = TypeVar("T")
Column = InstrumentedAttribute[Any]
Order = tuple[Column, bool]
"""A column, and whether it descends."""


@dataclass(frozen=True)
class KeysetPage(Generic[T]):
    """One page, and the places where its neighbours start."""

    rows: Sequence[T]
    next: Cursor | None
    prev: Cursor | None


async def fetch_page(
    session: AsyncSession,
    statement: Select[T],
    order: Sequence[Order],
    unique: Column,
    *,
    cursor: Cursor | None,
    limit: int,
) -> KeysetPage[T]:
    """Fetch `limit` rows after `cursor`, or before it, in `order` with `unique` as the last word.

    Rows that come and go meanwhile neither shift nor repeat the others.
    """
    columns = [*order, (unique, order[-1][1])]
    backwards = cursor is not None and cursor.backwards
    directed = [(column, descending != backwards) for column, descending in columns]
    if cursor is not None:
        values = [
            _parse(column, text) for (column, _), text in zip(columns, cursor.values, strict=True)
        ]
        statement = statement.where(_after(directed, values))
    statement = statement.order_by(
        *(c.desc() if descending else c.asc() for c, descending in directed)
    )
    found = list(await session.scalars(statement.limit(limit + 1)))
    more, rows = len(found) > limit, found[:limit]
    if backwards:
        rows.reverse()
    has_next, has_prev = (True, more) if backwards else (more, cursor is not None)
    return KeysetPage(
        rows,
        next=_place(rows[-1], columns, backwards=False) if rows and has_next else None,
        prev=_place(rows[0], columns, backwards=True) if rows and has_prev else None,
    )


def _after(columns: Sequence[Order], values: Sequence[object]) -> ColumnElement[bool]:
    """The rows after `values`: one comparison of tuples where all columns run the same way."""
    if len({descending for _, descending in columns}) == 1:
        left = tuple_(*(column for column, _ in columns))
        return left < tuple_(*values) if columns[0][1] else left > tuple_(*values)
    alternatives = [
        and_(
            *(column == value for (column, _), value in zip(columns[:i], values[:i], strict=True)),
            columns[i][0] < values[i] if columns[i][1] else columns[i][0] > values[i],
        )
        for i in range(len(columns))
    ]
    (first, descending), bound = columns[0], values[0]
    # Implied by the rest, but this is the condition that an index range can start from.
    return and_(first <= bound if descending else first >= bound, or_(*alternatives))


def _place(row: object, columns: Sequence[Order], *, backwards: bool) -> Cursor:
    values = (getattr(row, column.key) for column, _ in columns)
    texts = tuple(v.isoformat() if isinstance(v, datetime) else str(v) for v in values)
    return Cursor(texts, backwards)


def _parse(column: Column, text: str) -> object:
    kind = column.type.python_type
    if kind is datetime:
        return datetime.fromisoformat(text)
    return kind(text) if kind in (Decimal, UUID, int) else text
