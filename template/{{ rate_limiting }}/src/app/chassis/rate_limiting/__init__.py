"""Rate limiting: a quota for each caller, shared by all replicas."""

from app.chassis.rate_limiting.component import add_rate_limiting

__all__ = ["add_rate_limiting"]
