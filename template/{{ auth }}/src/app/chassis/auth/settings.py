"""What authentication reads from the environment: lifetimes, keys, costs and limits."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.settings import MOST, CommaSeparated, Duration, Settings

LONGEST_ACCESS = timedelta(minutes=15)
LONGEST_LEEWAY = timedelta(seconds=60)
SHORTEST = timedelta(seconds=1)


class AuthSettings(Settings):
    """Whose tokens are accepted, how long they live and how guessing is slowed down.

    With `AUTH_ISSUER_URL` the service is a resource server: it accepts the access tokens of that
    OpenID provider and issues none of its own.
    """

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    issuer: str | None = None
    audience: Annotated[str, Field(min_length=1)] = about.SLUG
    signing_keys: SecretStr | None = None
    access_token_ttl: Annotated[Duration, Field(ge=SHORTEST, le=LONGEST_ACCESS)] = LONGEST_ACCESS
    refresh_token_ttl: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(days=7)
    refresh_token_idle_ttl: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(days=2)
    leeway: Annotated[Duration, Field(le=LONGEST_LEEWAY)] = timedelta(seconds=30)
    revocation_delay: Annotated[Duration, Field(le=LONGEST_LEEWAY)] = timedelta(seconds=1)
    purge_interval: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(minutes=10)

    argon2_memory_kib: int = Field(default=19_456, ge=19_456, le=1_048_576)
    argon2_time_cost: int = Field(default=2, ge=2, le=20)
    argon2_parallelism: int = Field(default=1, ge=1, le=16)
    hashing_concurrency: int = Field(default=2, ge=1, le=64)

    attempts_per_account: int = Field(default=10, ge=1, le=MOST)
    attempts_per_address: int = Field(default=50, ge=1, le=MOST)
    attempts_window: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(minutes=5)

    issuer_url: str | None = None
    issuer_token_types: Annotated[CommaSeparated, Field(min_length=1)] = ("at+jwt",)
    issuer_timeout: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(seconds=3)
    issuer_cooldown: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(seconds=30)
    issuer_keys_ttl: Annotated[Duration, Field(ge=SHORTEST)] = timedelta(minutes=10)

    @field_validator("issuer_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url and not _is_issuer(url):
            raise ValueError("must be like https://issuer.domain")
        return url


def _is_issuer(url: str) -> bool:
    """Whether it can be the `iss` of a token, and fetched from as it is written (RFC 8414, 2)."""
    try:
        parts = TypeAdapter(HttpUrl).validate_python(url)
    except ValidationError:
        return False
    is_plain = url.startswith(("https://", "http://")) and bool(urlsplit(url).hostname)
    return is_plain and not (parts.username or parts.query or parts.fragment)
