"""How long to wait before the next attempt."""

from datetime import timedelta


def pause(attempts: int, first: timedelta, limit: timedelta) -> timedelta:
    """Return the pause after the `attempts`-th failure: it doubles from `first` up to `limit`."""
    doublings = min(attempts - 1, 32)
    return min(first * 2**doublings, limit)
