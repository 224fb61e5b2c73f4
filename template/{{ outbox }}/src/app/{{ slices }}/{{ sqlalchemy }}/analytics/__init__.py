"""Example consumer: how the orders of each customer fare."""

from app.analytics.component import add_analytics

__all__ = ["add_analytics"]
