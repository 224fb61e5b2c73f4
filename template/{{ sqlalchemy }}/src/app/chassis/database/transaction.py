"""`@transactional`: a use case that runs in one transaction, run again when it lost a race."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import structlog

from app.chassis.database.engine import Database, Isolation
from app.chassis.database.failures import is_retryable
from app.chassis.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

FIRST_PAUSE_SECONDS = 0.02

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class UsesDatabase(Protocol):
    """An object whose methods are use cases."""

    @property
    def database(self) -> Database: ...


Owner = TypeVar("Owner", bound=UsesDatabase)
UseCase = Callable[Concatenate[Owner, P], Awaitable[R]]


def transactional(
    isolation: Isolation | None = None,
) -> Callable[[UseCase[Owner, P, R]], UseCase[Owner, P, R]]:
    """Run the method in a transaction of `isolation` (default: READ COMMITTED).

    A transaction that fails for concurrency alone is run again, `DATABASE_TRANSACTION_ATTEMPTS`
    times in all; so the method must have no effect outside the database. Called inside a
    transaction, it joins that one and leaves the running again to it; that must be of the same
    isolation, or a stricter one.
    """

    def decorate(use_case: UseCase[Owner, P, R]) -> UseCase[Owner, P, R]:
        @functools.wraps(use_case)
        async def run(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
            joins = self.database.in_transaction
            attempt = 1
            while True:
                try:
                    async with self.database.transaction(isolation):
                        return await use_case(self, *args, **kwargs)
                except Exception as error:
                    if joins or not is_retryable(error):
                        raise
                    if attempt == self.database.attempts:
                        message = "Too many requests changed the same data at once."
                        raise Unavailable(message) from error
                log.info("transaction_retried", attempt=attempt, use_case=use_case.__qualname__)
                # Full jitter: whoever lost the race together should not meet again.
                await asyncio.sleep(random.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
                attempt += 1

        return run

    return decorate
