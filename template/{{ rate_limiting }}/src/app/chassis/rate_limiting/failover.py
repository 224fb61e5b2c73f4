"""Asks the shared limiter while it answers, and the failure policy while it does not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from datetime import timedelta

import structlog

from app.chassis.errors import Unavailable
from app.chassis.rate_limiting.local import LocalLimiter
from app.chassis.rate_limiting.policy import FailurePolicy, Policy, Verdict
from app.chassis.rate_limiting.shared import SharedLimiter, Unreachable

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("app.rate_limiting")


class FailoverLimiter:
    """Decides about every request, also while Redis is down or hangs.

    The first failure begins an outage: until a trial in the background has succeeded no request
    asks Redis. So only the requests on their way at that moment waited for it, and no longer than
    `RATE_LIMIT_TIMEOUT`. An outage is one warning in the log, its end one more line.
    """

    def __init__(
        self, shared: SharedLimiter, local: LocalLimiter, retry_interval: timedelta
    ) -> None:
        self._shared = shared
        self._local = local
        self._retry_interval = retry_interval.total_seconds()
        self._outage: asyncio.Task[None] | None = None

    async def take(self, policy: Policy, key: bytes) -> Verdict:
        """Count a request, unless the quota is used up.

        Raises:
            Unavailable: Redis is away, and the policy refuses every request then.
        """
        if self._outage is None:
            try:
                return await self._shared.take(policy, key)
            except Unreachable as error:
                self._begin_outage(error)
        if policy.on_failure is FailurePolicy.REFUSE:
            raise Unavailable("Requests cannot be counted at the moment.")
        return await self._local.take(policy, key)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Connect before the first request does, and end what runs in the background."""
        try:
            await self._shared.try_out()
        except Unreachable as error:
            self._begin_outage(error)
        yield
        if self._outage is not None:
            self._outage.cancel()
            with suppress(asyncio.CancelledError):
                await self._outage

    def _begin_outage(self, error: Unreachable) -> None:
        if self._outage is None:
            log.warning("rate_limits_not_shared", reason=str(error))
            # In nobody's context: it goes on when the request that has begun it is over.
            self._outage = asyncio.create_task(self._recover(), context=Context())

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(self._retry_interval)
            with suppress(Unreachable):
                await self._shared.try_out()
                break
        log.info("rate_limits_shared_again")
        self._outage = None
