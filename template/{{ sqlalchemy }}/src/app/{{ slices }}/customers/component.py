"""Wires the customers slice."""

from app.chassis.database import Database
from app.chassis.service import Service
from app.customers.service import Customers


def add_customers(service: Service) -> None:
    """Provide `Customers`."""
    service.provide(Customers(service.get(Database)))
