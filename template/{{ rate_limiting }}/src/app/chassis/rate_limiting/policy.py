"""What is promised to a caller, and what the caller has left of it."""

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol


class FailurePolicy(StrEnum):
    """What a policy does while Redis is away; being unlimited is no choice."""

    LOCAL = "local"
    """Each process grants a quota by itself."""
    REFUSE = "refuse"
    """Every request is answered with 503."""


@dataclass(frozen=True)
class Policy:
    """At most `quota` requests of one caller in any `window`. `name` is public: a header has it."""

    name: str
    quota: int
    window: timedelta
    on_failure: FailurePolicy


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one request; `quota` is that of the limiter that was asked.

    In `wait` seconds more quota is available than now.
    """

    policy: Policy
    quota: int
    admitted: bool
    remaining: int
    wait: float

    @property
    def whole_seconds(self) -> int:
        """`wait` as headers have it: whoever waits so long is not too early."""
        return max(1, math.ceil(self.wait))


class Limiter(Protocol):
    """Keeps count of the requests of every caller."""

    async def take(self, policy: Policy, key: bytes) -> Verdict:
        """Count a request, unless the quota is used up; `key` tells callers and policies apart."""
        ...
