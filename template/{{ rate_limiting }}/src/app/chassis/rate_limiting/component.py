"""Wires rate limiting: shared where there is a Redis, else within this process."""

from redis.asyncio import Redis

from app.chassis.rate_limiting.callers import Callers
from app.chassis.rate_limiting.failover import FailoverLimiter
from app.chassis.rate_limiting.headers import NAMES
from app.chassis.rate_limiting.local import LocalLimiter
from app.chassis.rate_limiting.middleware import RateLimiting
from app.chassis.rate_limiting.policy import Limiter
from app.chassis.rate_limiting.settings import RateLimitSettings
from app.chassis.rate_limiting.shared import SharedLimiter
from app.chassis.redis import RedisSettings
from app.chassis.service import Service

WHOLE = 1.0


def add_rate_limiting(service: Service) -> None:
    """Count the requests of every caller. Stands after what recognises the caller."""
    settings = service.load(RateLimitSettings)
    callers = Callers(service)
    limiter = _limiter(service, settings)
    service.add_middleware(lambda app: RateLimiting(app, limiter, callers))
    service.response_headers |= NAMES


def _limiter(service: Service, settings: RateLimitSettings) -> Limiter:
    if service.get(RedisSettings).url is None:
        return LocalLimiter(WHOLE)
    shared = SharedLimiter(service.get(Redis), settings.prefix, settings.timeout)
    limiter = FailoverLimiter(shared, LocalLimiter(settings.local_share), settings.retry_interval)
    service.add_lifespan(limiter.running)
    return limiter
