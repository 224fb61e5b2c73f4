"""Wires the consumer of order events."""

from app.analytics.consumer import OrderStatistics
from app.chassis.database import Database
from app.chassis.outbox import Consumers
from app.chassis.service import Service


def add_analytics(service: Service) -> None:
    """Let the worker keep the statistics."""
    statistics = OrderStatistics(service.get(Database))
    service.get(Consumers).add("order-statistics", statistics.handlers)
