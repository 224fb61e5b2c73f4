"""Where the broker is."""

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.settings import ConfigurationError, Duration, PositiveDuration, Settings

SCHEMES = ("redis://", "rediss://", "unix://")


class BrokerSettings(Settings):
    """The broker's address, and the stream that the service's events go to.

    `topic` is the stream's key; `retention` is how long the stream keeps messages, so for how long
    they can be redelivered; `ack_wait` is when a message that no worker has settled is another's.
    """

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    url: SecretStr | None = None
    topic: str = Field(about.SLUG, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    retention: Duration = timedelta(days=7)
    connect_timeout: PositiveDuration = timedelta(seconds=2)
    ack_wait: PositiveDuration = timedelta(minutes=1)

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not _can_be_used(url.get_secret_value()):
            raise ValueError("must be like redis://user:password@host:6379/1")
        return url

    @property
    def servers(self) -> list[str]:
        """The server; only the relay and the worker need it.

        Raises:
            ConfigurationError: no address is configured.
        """
        if self.url is None:
            raise ConfigurationError({"BROKER_URL": "Field required"})
        return [self.url.get_secret_value()]


def _can_be_used(url: str) -> bool:
    """Whether the client takes it, and as it is meant: a database that is no number is none."""
    try:
        parts = urlsplit(url)
        is_whole = parts.port is None or parts.port > 0
    except ValueError:
        return False
    database = parts.path.strip("/")
    is_numbered = parts.scheme == "unix" or not database or database.isdecimal()
    return is_whole and is_numbered and url.startswith(SCHEMES)
