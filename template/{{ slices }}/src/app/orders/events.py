"""What happens to orders, as others are told of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order; `snapshot` is the order after it, as clients see it."""

    type: ClassVar[str]
    aggregate_type: ClassVar[str] = "order"

    aggregate_id: UUID
    occurred_at: datetime
    snapshot: dict[str, object]

    def data(self) -> dict[str, object]:
        """The event's JSON body."""
        return self.snapshot


class OrderCreated(OrderEvent):
    """A client placed an order."""

    type = "order.created"


class OrderConfirmed(OrderEvent):
    """The order will be fulfilled."""

    type = "order.confirmed"


class OrderCancelled(OrderEvent):
    """The client no longer wants the order."""

    type = "order.cancelled"


class OrderRejected(OrderEvent):
    """The order cannot be fulfilled."""

    type = "order.rejected"
