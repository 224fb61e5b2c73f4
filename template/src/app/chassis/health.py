"""Health checks: is the process alive, has it started, can it serve?"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog
from pydantic_settings import SettingsConfigDict

from app.chassis.asgi import Scope
from app.chassis.settings import Duration, PositiveDuration, Settings

Check = Callable[[], Awaitable[None]]
Outcome = Literal["ok", "failing"]

PROBES = frozenset({"/health/live", "/health/ready", "/health/startup"})

# What the service can do without must not make the answer itself too late for the balancer.
SOFT_SHARE = 2

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def is_probe(scope: Scope) -> bool:
    """Whether an orchestrator asks: often, by the instance's own address and without a token."""
    return scope["raw_path"].decode("latin-1") in PROBES


class HealthSettings(Settings):
    """How patient the readiness checks are, and how long their answer is good for."""

    model_config = SettingsConfigDict(env_prefix="HEALTH_")

    check_timeout: PositiveDuration = timedelta(seconds=1)
    cache_ttl: Duration = timedelta(seconds=1)


@dataclass(frozen=True)
class Readiness:
    """Whether the service can serve. Names and outcomes only: no host, version or exception."""

    status: Literal["ready", "degraded", "not_ready"]
    checks: dict[str, Outcome]

    @property
    def http_status(self) -> int:
        """503 takes the instance out of the balancer; degraded stays in."""
        return 503 if self.status == "not_ready" else 200


@dataclass(frozen=True)
class _Dependency:
    name: str
    check: Check
    hard: bool


class HealthChecks:
    """The checks that components registered, run together, each under a timeout.

    The answer is kept for `cache_ttl`, so probes put no load on what they check.
    """

    def __init__(self) -> None:
        self.settings = HealthSettings.model_construct()
        self.started = False
        self.draining = False
        self._dependencies: list[_Dependency] = []
        self._running = asyncio.Lock()
        self._abandoned: set[asyncio.Future[None]] = set()
        self._cached: tuple[float, dict[str, Outcome]] | None = None

    def add(self, name: str, check: Check, *, hard: bool) -> None:
        """Register a check, which raises when its dependency cannot be used.

        Without a hard dependency the service cannot serve; without a soft one it does less.
        """
        self._dependencies.append(_Dependency(name, check, hard))

    async def readiness(self) -> Readiness:
        """Answer for the balancer: not ready while draining, or without a hard dependency."""
        outcomes = await self._outcomes()
        if self.draining:
            return Readiness("not_ready", {**outcomes, "shutdown": "failing"})
        failing = [item for item in self._dependencies if outcomes[item.name] == "failing"]
        if any(item.hard for item in failing):
            return Readiness("not_ready", outcomes)
        return Readiness("degraded" if failing else "ready", outcomes)

    async def _outcomes(self) -> dict[str, Outcome]:
        async with self._running:
            now = time.monotonic()
            if self._cached and now - self._cached[0] < self.settings.cache_ttl.total_seconds():
                return self._cached[1]
            results = await asyncio.gather(*(self._run(item) for item in self._dependencies))
            names = (item.name for item in self._dependencies)
            outcomes: dict[str, Outcome] = dict(zip(names, results, strict=True))
            self._cached = (time.monotonic(), outcomes)
            return outcomes

    async def _run(self, dependency: _Dependency) -> Outcome:
        running = asyncio.ensure_future(dependency.check())
        patience = self.settings.check_timeout / (1 if dependency.hard else SOFT_SHARE)
        await asyncio.wait((running,), timeout=patience.total_seconds())
        if not running.done():
            self._abandon(running)
            error: BaseException | None = TimeoutError()
        else:
            error = running.exception()
        if error is None:
            return "ok"
        log.warning("health_check_failed", check=dependency.name, error=type(error).__name__)
        return "failing"

    def _abandon(self, running: asyncio.Future[None]) -> None:
        """Do not wait for a check to notice that it is cancelled: a client may take its time."""
        self._abandoned.add(running)
        running.add_done_callback(self._abandoned.discard)
        running.cancel()
