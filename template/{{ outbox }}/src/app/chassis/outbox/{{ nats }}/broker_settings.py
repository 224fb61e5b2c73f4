"""Where the broker is."""

from datetime import timedelta

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.outbox.addresses import names_a_server
from app.chassis.settings import ConfigurationError, Duration, PositiveDuration, Settings

SCHEMES = ("nats://", "tls://")


class BrokerSettings(Settings):
    """The broker's address, and the stream that the service's events go to.

    `topic` is the stream's name and the first word of its subjects; `retention` is how long a
    stream that the service makes itself keeps messages, so for how long they can be redelivered.
    `ack_wait` is when the broker takes a message for lost that no worker has settled.
    """

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    url: SecretStr | None = None
    topic: str = Field(about.SLUG, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    retention: Duration = Field(default=timedelta(days=7), ge=timedelta(seconds=1))
    connect_timeout: PositiveDuration = timedelta(seconds=2)
    ack_wait: PositiveDuration = timedelta(minutes=1)

    @field_validator("url")
    @classmethod
    def _is_nats(cls, url: SecretStr | None) -> SecretStr | None:
        servers = url.get_secret_value().split(",") if url else []
        if not all(names_a_server(server, SCHEMES) for server in servers):
            raise ValueError("must be like nats://user:password@host:4222")
        return url

    @property
    def servers(self) -> list[str]:
        """The servers of the cluster; only the relay and the worker need them.

        Raises:
            ConfigurationError: no address is configured.
        """
        if self.url is None:
            raise ConfigurationError({"BROKER_URL": "Field required"})
        return self.url.get_secret_value().split(",")
