"""Redis (or Valkey): what replicas share for a while and may lose."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict
from redis.asyncio import Redis

from app.chassis.http import ServerSettings
from app.chassis.redis_client import redis_client
from app.chassis.redis_url import is_usable
from app.chassis.service import Service
from app.chassis.settings import ConfigurationError, PositiveDuration, Settings


class RedisSettings(Settings):
    """Where the server is. Its URL may carry a password, so it is a secret."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    url: SecretStr | None = None
    timeout: PositiveDuration = timedelta(seconds=1)

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_usable(url.get_secret_value()):
            raise ValueError("must be like redis://user:password@host:6379/0")
        return url


def add_redis(service: Service) -> None:
    """Provide the client, where there is a server; without one the service does less.

    Raises:
        ConfigurationError: processes would have to share without a server to share through.
    """
    settings = service.load(RedisSettings)
    if settings.url is None:
        _refuse_to_share_nothing(service)
        return
    client = connect(settings)
    service.provide(client)
    service.checks.add("redis", lambda: _answers(client), hard=False)
    service.add_lifespan(lambda: _closing(client))


def connect(settings: RedisSettings) -> Redis:
    """Make a client that fails at once instead of trying again: its users have a plan B."""
    assert settings.url is not None
    seconds = settings.timeout.total_seconds()
    return redis_client(settings.url.get_secret_value(), connect_timeout=seconds, timeout=seconds)


def _refuse_to_share_nothing(service: Service) -> None:
    if service.core.in_production:
        raise ConfigurationError({"REDIS_URL": "is required in production"})
    if service.get(ServerSettings).workers > 1:
        raise ConfigurationError({"REDIS_URL": "is required with more than one worker"})


async def _answers(client: Redis) -> None:
    await client.echo("ready")


@asynccontextmanager
async def _closing(client: Redis) -> AsyncGenerator[None]:
    yield
    await client.aclose()
