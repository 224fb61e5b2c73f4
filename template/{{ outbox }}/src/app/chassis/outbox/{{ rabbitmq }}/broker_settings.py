"""Where the broker is."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.outbox.addresses import names_a_server
from app.chassis.settings import ConfigurationError, Duration, PositiveDuration, Settings

SCHEMES = ("amqp://", "amqps://")
# What RabbitMQ takes as a time to live: milliseconds in 32 bits.
LONGEST_RETENTION = timedelta(days=49)


class BrokerSettings(Settings):
    """The broker's address, and the exchange that the service's events go to.

    `topic` is the name of the exchange, of the stream behind it, and the first word of the
    consumers' queues; `retention` is how long those that the service makes itself keep messages.
    """

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    url: SecretStr | None = None
    topic: str = Field(about.SLUG, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    retention: Annotated[Duration, Field(ge=timedelta(seconds=1), le=LONGEST_RETENTION)] = (
        timedelta(days=7)
    )
    connect_timeout: PositiveDuration = timedelta(seconds=2)

    @field_validator("url")
    @classmethod
    def _is_amqp(cls, url: SecretStr | None) -> SecretStr | None:
        servers = url.get_secret_value().split(",") if url else []
        if not all(names_a_server(server, SCHEMES) for server in servers):
            raise ValueError("must be like amqp://user:password@host:5672/")
        return url

    @property
    def servers(self) -> list[str]:
        """The nodes of the cluster; only the relay and the worker need them.

        Raises:
            ConfigurationError: no address is configured.
        """
        if self.url is None:
            raise ConfigurationError({"BROKER_URL": "Field required"})
        return self.url.get_secret_value().split(",")
