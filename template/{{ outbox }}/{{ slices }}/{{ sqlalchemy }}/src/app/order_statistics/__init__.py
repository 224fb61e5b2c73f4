"""Example consumer: how the orders of each customer fare."""

from app.order_statistics.component import add_order_statistics

__all__ = ["add_order_statistics"]
