"""Wires the consumer of order events."""

from app.chassis.database import Database
from app.chassis.outbox import Consumers
from app.chassis.service import Service
from app.order_statistics.consumer import OrderStatistics


def add_order_statistics(service: Service) -> None:
    """Let the worker keep the statistics."""
    statistics = OrderStatistics(service.get(Database))
    service.get(Consumers).add("order-statistics", statistics.handlers)
