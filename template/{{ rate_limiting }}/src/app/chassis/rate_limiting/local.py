"""Counts in this process alone: in development without Redis, and while Redis is away."""

import time
from collections.abc import Callable

from app.chassis.rate_limiting.policy import Policy, Verdict

MOST_CALLERS = 10_000


class LocalLimiter:
    """Fixed windows, each of which begins with a caller's first request.

    Around the end of a window a caller may get up to twice the quota. `share` is the part of the
    quota that this process grants. Beyond `MOST_CALLERS` the oldest windows are forgotten.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._windows: dict[bytes, tuple[float, int]] = {}

    async def take(self, policy: Policy, key: bytes) -> Verdict:
        """Count a request, unless the quota is used up."""
        quota = max(1, int(policy.quota * self._share))
        now = self._clock()
        ends, used = self._windows.get(key, (0.0, 0))
        if ends <= now:
            ends, used = now + policy.window.total_seconds(), 0
            self._open(key)
        admitted = used < quota
        used += admitted
        self._windows[key] = (ends, used)
        return Verdict(policy, quota, admitted, quota - used, ends - now)

    def _open(self, key: bytes) -> None:
        """Make room for a window at the end: the dictionary is in the order of their start."""
        self._windows.pop(key, None)
        if len(self._windows) >= MOST_CALLERS:
            del self._windows[next(iter(self._windows))]
