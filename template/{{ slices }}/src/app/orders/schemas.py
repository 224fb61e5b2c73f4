"""What clients send and receive about orders."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from app.chassis.identifiers import Id
from app.chassis.listing.fields import parse_fields
from app.chassis.listing.pages import DEFAULT_LIMIT, Limit
from app.chassis.listing.sorting import parse_sort
from app.chassis.text import Code
from app.orders.status import OrderStatus

MAXIMUM_ITEMS = 100
MAXIMUM_BATCH = 100

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
CENT = Decimal("0.01")
NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"
LOST_PLUS = re.compile(r":[0-9.]+ [0-9]{2}:?[0-9]{2}$")
LARGEST_TOTAL = Decimal("999999999999.99")


def _in_cents(value: Decimal) -> Decimal:
    """Write an amount as it is stored: `1E+2` and `-0` come back as `100.00` and `0.00`."""
    return abs(value).quantize(CENT)


def _number(value: object) -> object:
    """Refuse what Python would take for a number, and JSON does not: `true`, `1_000`."""
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(NUMBER, value)):
        raise ValueError("must be a number")
    return value


def _no_text(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")  # noqa: TRY004 - a TypeError would be no violation
    return value


Quantity = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_no_text)]
Amount = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, max_digits=10, decimal_places=2),
    AfterValidator(_in_cents),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": NUMBER}]}
    ),
]


def _with_time_zone(value: datetime) -> datetime:
    """Times without a zone are UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _as_written(value: object) -> object:
    """Refuse a number of seconds, and a `+` that the decoding of the query made a space."""
    if isinstance(value, str) and value.replace(".", "", 1).lstrip("+-").isdigit():
        raise ValueError("must be a date or a time, such as 2027-01-31T09:00:00Z")
    if isinstance(value, str) and LOST_PLUS.search(value):
        raise ValueError("has a space where a zone begins: a + is written %2B in a query")
    return value


Timestamp = Annotated[datetime, BeforeValidator(_as_written), AfterValidator(_with_time_zone)]


class ItemBody(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(extra="forbid")

    sku: Code
    quantity: Quantity
    unit_price: Amount


def _with_a_total(items: list[ItemBody]) -> list[ItemBody]:
    """Refuse what adds up to more than an order can be stored with."""
    if sum(item.quantity * item.unit_price for item in items) > LARGEST_TOTAL:
        raise ValueError(f"must not add up to more than {LARGEST_TOTAL}")
    return items


class PlaceOrder(BaseModel):
    """An order as a client places one; its status, total and times are the service's to set."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Id
    currency: Currency
    items: Annotated[
        list[ItemBody],
        Field(min_length=1, max_length=MAXIMUM_ITEMS),
        AfterValidator(_with_a_total),
    ]


class PlaceOrders(BaseModel):
    """Up to 100 orders; each is placed, or refused, on its own."""

    model_config = ConfigDict(extra="forbid")

    orders: list[Any] = Field(
        min_length=1,
        max_length=MAXIMUM_BATCH,
        json_schema_extra={"items": {"description": "A `PlaceOrder`."}},
    )


class OrderPatch(BaseModel):
    """A merge patch (RFC 7396) of the one thing about an order that clients may change."""

    model_config = ConfigDict(extra="forbid")

    status: OrderStatus = Field(default_factory=lambda: OrderStatus.PENDING)


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
    status: OrderStatus
    currency: str
    total_amount: Decimal
    items: list[ItemView]
    created_at: datetime
    updated_at: datetime


def _require_nothing(schema: dict[str, Any]) -> None:
    del schema["required"]


class OrderExcerpt(OrderView):
    """An order in a list: all of it, or the `fields` that were asked for."""

    model_config = ConfigDict(json_schema_extra=_require_nothing)


SORTABLE = ("created_at", "total_amount")
SORT = r"^[+-]?(created_at(,[+-]?total_amount)?|total_amount(,[+-]?created_at)?)$"
FIELDS = "^({0})(,({0}))*$".format("|".join(OrderView.model_fields))


def _sortable(text: str) -> str:
    parse_sort(text, SORTABLE)
    return text


def _selectable(text: str) -> str:
    parse_fields(text, OrderView)
    return text


class OrderQuery(BaseModel):
    """Which orders, in which order, and how much of them."""

    model_config = ConfigDict(extra="forbid")

    status: OrderStatus | None = None
    customer_id: Id | None = None
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    sort: Annotated[str, AfterValidator(_sortable)] | None = Field(
        default=None,
        description="`created_at`, `total_amount`; each with + or -.",
        json_schema_extra={"pattern": SORT},
    )
    fields: Annotated[str, AfterValidator(_selectable)] | None = Field(
        default=None,
        description="Fields of the items to return, by comma.",
        json_schema_extra={"pattern": FIELDS},
    )
    cursor: str | None = None
    limit: Limit = DEFAULT_LIMIT


class BatchResult(BaseModel):
    """What became of one order of a batch; `id` and `order` where it was placed, else `problem`."""

    index: int
    status: int
    id: UUID | None = None
    order: OrderView | None = None
    problem: dict[str, Any] | None = Field(
        default=None, description="Its pointers start at the order."
    )


class BatchResults(BaseModel):
    """One result for each order of a batch, in the order in which they were sent."""

    items: list[BatchResult]
