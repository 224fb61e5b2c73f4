"""Where the broker is."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.redis_url import is_usable
from app.chassis.settings import ConfigurationError, Duration, PositiveDuration, Settings


class BrokerSettings(Settings):
    """The broker's address, and the stream that the service's events go to.

    `topic` is the stream's key; `retention` is how long the stream keeps messages, so for how long
    they can be redelivered; `ack_wait` is when a message that no worker has settled is another's.
    """

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    url: SecretStr | None = None
    topic: str = Field(about.SLUG, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    retention: Duration = Field(default=timedelta(days=7), ge=timedelta(seconds=1))
    connect_timeout: PositiveDuration = timedelta(seconds=2)
    ack_wait: PositiveDuration = timedelta(minutes=1)

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not is_usable(url.get_secret_value()):
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
