"""Counts what happens to the orders of each customer."""

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from app.analytics.model import CustomerOrders
from app.chassis.database import Database
from app.chassis.outbox import ReceivedEvent
from app.chassis.outbox.consumers import Handler


class OrderFacts(BaseModel):
    """The little that this consumer reads of an order; everything else may change."""

    customer_id: UUID


class OrderStatistics:
    """Keeps the counts. Adding one is right in any order, and the inbox sees to it being once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.handlers: dict[str, Handler] = {
            "order.created": self._counting(CustomerOrders.created),
            "order.confirmed": self._counting(CustomerOrders.confirmed),
            "order.cancelled": self._counting(CustomerOrders.cancelled),
            "order.rejected": self._counting(CustomerOrders.rejected),
        }

    def _counting(self, column: InstrumentedAttribute[int]) -> Handler:
        async def count(event: ReceivedEvent) -> None:
            customer = event.data_as(OrderFacts).customer_id
            row = insert(CustomerOrders).values({"customer_id": customer, column.key: 1})
            await self._database.session.execute(
                row.on_conflict_do_update(
                    index_elements=[CustomerOrders.customer_id], set_={column.key: column + 1}
                )
            )

        return count
