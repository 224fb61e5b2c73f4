"""Wires the orders slice."""

from app.chassis.database import Database
from app.chassis.events import Events
from app.chassis.listing.cursor import CursorCodec
from app.chassis.problems import ProblemRenderer
from app.chassis.service import Service
from app.orders.batch import OrderBatches
from app.orders.service import Orders


def add_orders(service: Service) -> None:
    """Provide `Orders` and `OrderBatches`."""
    orders = Orders(service.get(Database), service.get(Events), service.get(CursorCodec))
    service.provide(orders)
    service.provide(OrderBatches(orders, service.get(ProblemRenderer)))
