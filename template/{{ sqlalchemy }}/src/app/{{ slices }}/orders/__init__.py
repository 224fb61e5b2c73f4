"""Example slice: orders."""

from app.orders.component import add_orders

__all__ = ["add_orders"]
