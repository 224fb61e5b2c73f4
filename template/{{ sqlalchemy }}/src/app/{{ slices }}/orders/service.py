"""Use cases of orders."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.chassis.conditional import Precondition
from app.chassis.database import Database, transactional
from app.chassis.events import Events
from app.chassis.listing.cursor import CursorCodec
from app.chassis.listing.pages import CursorPage, PageLinks
from app.chassis.listing.sorting import parse_sort
from app.customers.model import Customer
from app.orders.errors import UnknownCustomer
from app.orders.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderRejected,
)
from app.orders.model import Order, OrderItem
from app.orders.repository import OrderRepository
from app.orders.schemas import SORTABLE, OrderPatch, OrderQuery, OrderView, PlaceOrder
from app.orders.status import OrderStatus

NEWEST_FIRST = "-created_at"
CHANGES: dict[OrderStatus, type[OrderEvent]] = {
    OrderStatus.CONFIRMED: OrderConfirmed,
    OrderStatus.CANCELLED: OrderCancelled,
    OrderStatus.REJECTED: OrderRejected,
}


class Orders:
    """Everything that can be done with orders."""

    def __init__(self, database: Database, events: Events, cursors: CursorCodec) -> None:
        self.database = database
        self._events = events
        self._cursors = cursors
        self._orders = OrderRepository(database)

    @transactional()
    async def place(self, body: PlaceOrder) -> Order:
        """Place an order; raises `UnknownCustomer`."""
        session = self.database.session
        if await session.get(Customer, body.customer_id) is None:
            raise UnknownCustomer
        order = Order(
            customer_id=body.customer_id,
            currency=body.currency,
            total_amount=sum((item.quantity * item.unit_price for item in body.items), Decimal(0)),
            items=[
                OrderItem(position=position, **item.model_dump())
                for position, item in enumerate(body.items)
            ],
        )
        session.add(order)
        await session.flush()
        await self._tell(OrderCreated, order)
        return order

    async def get(self, order_id: UUID) -> Order:
        """Look an order up; raises `OrderNotFound`."""
        return await self._orders.get(order_id)

    async def page(self, query: OrderQuery, links: PageLinks) -> CursorPage[OrderView]:
        """List orders, newest first unless `query` says otherwise; raises `InvalidCursor`."""
        sort = parse_sort(query.sort or NEWEST_FIRST, SORTABLE)
        listing = query.model_dump(
            include={"status", "customer_id", "created_after", "created_before"}
        )
        listing["sort"] = [str(key) for key in sort]
        cursor = self._cursors.decode(query.cursor, listing) if query.cursor is not None else None
        page = await self._orders.page(query, sort, cursor)
        return CursorPage[OrderView].of(
            [order.view for order in page.rows],
            links,
            after=page.next and self._cursors.encode(page.next, listing),
            before=page.prev and self._cursors.encode(page.prev, listing),
        )

    @transactional()
    async def change(self, order_id: UUID, patch: OrderPatch, precondition: Precondition) -> Order:
        """Take an order to another status; raises `OrderTransitionNotAllowed`."""
        order = await self._based_on(order_id, precondition)
        if "status" in patch.model_fields_set and patch.status != order.status:
            order.become(patch.status)
            await self.database.session.flush()
            await self._tell(CHANGES[patch.status], order)
        return order

    @transactional()
    async def delete(self, order_id: UUID, precondition: Precondition) -> None:
        """Delete an order and its items."""
        order = await self._based_on(order_id, precondition)
        await self.database.session.delete(order)
        await self.database.session.flush()

    async def _based_on(self, order_id: UUID, precondition: Precondition) -> Order:
        order = await self._orders.get(order_id, locked=True)
        precondition.check(order.version)
        return order

    async def _tell(self, kind: type[OrderEvent], order: Order) -> None:
        snapshot = order.view.model_dump(mode="json")
        await self._events.publish(kind(order.id, datetime.now(UTC), snapshot))
