"""Configuration from the environment, and from files mounted as secrets."""

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import about

PLACEHOLDER_WORDS = ("change", "example", "placeholder", "secret", "password", "insecure", "todo")
MINIMUM_SECRET_LENGTH = 32


def _seconds(value: object) -> object:
    """Read a bare number as seconds; everything else is left to Pydantic (ISO 8601, `PT1.5S`)."""
    if isinstance(value, str):
        try:
            return timedelta(seconds=float(value))
        except (ValueError, OverflowError):
            return value
    return value


def _comma_separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Duration = Annotated[
    timedelta, BeforeValidator(_seconds), Field(ge=timedelta(0), le=timedelta(days=3650))
]
"""A length of time: seconds (`1.5`) or ISO 8601 (`PT1.5S`), from none to ten years."""

PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
"""A length of time that is not zero either."""

MOST = 1_000_000_000
"""For numbers that need some bound: beyond that, one or the other component cannot count."""

SHORT = Field(le=timedelta(days=1))
"""For durations that a server or a client counts in milliseconds of 32 bits."""

CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_separated)]
"""A list written `a,b,c`."""


class Settings(BaseSettings):
    """What a component reads from the environment.

    A variable may also be a file of that name in `SECRETS_DIR` (default `/run/secrets`); the
    environment wins. Empty means unset.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    def __init__(self, **values: Any) -> None:
        secrets = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
        super().__init__(_secrets_dir=secrets if secrets.is_dir() else None, **values)


class CoreSettings(Settings):
    """What every process of the service needs to know about itself."""

    service_name: str = about.SLUG
    environment: Literal["development", "production"] = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def presumed(cls) -> "CoreSettings":
        """What the other components are checked for while the service's own settings are bad."""
        environment = os.environ.get("ENVIRONMENT", "development")
        return cls.model_construct(environment=environment)  # pyright: ignore[reportArgumentType] - any text

    @property
    def in_production(self) -> bool:
        """Whether secrets are mandatory and the documentation routes are hidden."""
        return self.environment == "production"


class ConfigurationError(Exception):
    """The environment cannot be used; names every bad variable and shows no value."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self.reasons = reasons
        super().__init__("\n".join(f"{name}: {why}" for name, why in sorted(reasons.items())))

    @classmethod
    def of(cls, settings: type[Settings], error: ValidationError) -> "ConfigurationError":
        """Name the variables behind Pydantic's complaints about `settings`."""
        prefix = settings.model_config.get("env_prefix", "")
        reasons: dict[str, str] = {}
        for entry in error.errors(include_input=False, include_url=False):
            field = str(entry["loc"][0]) if entry["loc"] else ""
            reasons[f"{prefix}{field}".upper() or settings.__name__] = entry["msg"].removeprefix(
                "Value error, "
            )
        return cls(reasons)

    @classmethod
    def merged(cls, errors: Iterable["ConfigurationError"]) -> "ConfigurationError":
        """Put all that is wrong into one error."""
        return cls({name: why for error in errors for name, why in error.reasons.items()})


def check_secret(variable: str, secret: SecretStr | None) -> str:
    """Return the secret's value.

    Raises:
        ConfigurationError: it is missing, short or looks like a placeholder (RFC 8725, 3.5).
    """
    value = secret.get_secret_value() if secret else ""
    if not value:
        raise ConfigurationError({variable: "is required in production"})
    if len(value) < MINIMUM_SECRET_LENGTH:
        raise ConfigurationError({variable: f"needs at least {MINIMUM_SECRET_LENGTH} characters"})
    if any(word in value.lower() for word in PLACEHOLDER_WORDS) or len(set(value)) < 8:
        raise ConfigurationError({variable: "looks like a placeholder; generate a random value"})
    return value
