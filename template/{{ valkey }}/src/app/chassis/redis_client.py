"""The client of Redis, as everything here wants it."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig


def redis_client(
    url: str, *, connect_timeout: float, timeout: float, name: str | None = None
) -> Redis:
    """Make a client that fails at once instead of trying again; the times are in seconds."""
    return Redis.from_url(
        url,
        client_name=name,
        socket_connect_timeout=connect_timeout,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        # With it the client does not look whether a connection has a late reply to read.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
