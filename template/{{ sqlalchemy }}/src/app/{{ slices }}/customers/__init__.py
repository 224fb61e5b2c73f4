"""Example slice: customers."""

from app.customers.component import add_customers

__all__ = ["add_customers"]
