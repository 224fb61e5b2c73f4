"""The table that the consumer keeps."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from app.chassis.database import Model


class CustomerOrders(Model):
    """How many orders of a customer came that far."""

    __tablename__ = "customer_orders"

    customer_id: Mapped[UUID] = mapped_column(primary_key=True)
    created: Mapped[int] = mapped_column(server_default=text("0"))
    confirmed: Mapped[int] = mapped_column(server_default=text("0"))
    cancelled: Mapped[int] = mapped_column(server_default=text("0"))
    rejected: Mapped[int] = mapped_column(server_default=text("0"))
