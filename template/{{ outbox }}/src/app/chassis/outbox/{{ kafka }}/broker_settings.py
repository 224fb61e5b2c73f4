"""Where the broker is, and what a topic is like that the service makes itself."""

import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FilePath, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.outbox.addresses import names_a_server
from app.chassis.settings import (
    SHORT,
    ConfigurationError,
    Duration,
    PositiveDuration,
    Settings,
)

_ADDRESS = re.compile(
    r"kafka(?P<tls>\+ssl)?://"
    r"(?:(?P<user>[^:@/,]+):(?P<password>[^@/,]+)@)?"
    r"(?P<servers>[^@/,]+(?:,[^@/,]+)*)"
)


class BrokerSettings(Settings):
    """The cluster's address, and the topic that the service's events go to.

    `retention` is how long a topic that the service makes itself keeps messages, so for how long
    they can be redelivered; `partitions` is into how many parts it is split, so how many workers
    can share it.
    """

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    url: SecretStr | None = None
    topic: str = Field(about.SLUG, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    retention: Duration = Field(default=timedelta(days=7), ge=timedelta(seconds=1))
    partitions: int = Field(default=12, ge=1, le=1000)
    connect_timeout: Annotated[PositiveDuration, SHORT] = timedelta(seconds=2)
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    ca_file: FilePath | None = None

    @field_validator("url")
    @classmethod
    def _is_kafka(cls, url: SecretStr | None) -> SecretStr | None:
        found = _ADDRESS.fullmatch(url.get_secret_value()) if url else None
        servers = found["servers"].split(",") if found else []
        are_servers = (names_a_server(f"kafka://{one.strip()}", ("kafka://",)) for one in servers)
        if url and not (servers and all(are_servers)):
            raise ValueError(
                "must be like kafka://host:9092 or kafka+ssl://user:password@host:9093"
            )
        return url

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, file: Path | None) -> Path | None:
        if file:
            try:
                ssl.create_default_context(cafile=file)
            except OSError as error:
                raise ValueError(f"must be a file of certificates in PEM ({error})") from error
        return file

    @property
    def address(self) -> "re.Match[str]":
        """The parts of the address; only the relay and the worker need it.

        Raises:
            ConfigurationError: no address is configured.
        """
        found = _ADDRESS.fullmatch(self.url.get_secret_value()) if self.url else None
        if found is None:
            raise ConfigurationError({"BROKER_URL": "Field required"})
        return found

    @property
    def servers(self) -> list[str]:
        """The brokers to begin with, as `host:port`; raises as `address` does."""
        return self.address["servers"].split(",")
