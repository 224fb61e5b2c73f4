"""The knobs of rate limiting."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app import about
from app.chassis.rate_limiting.policy import FailurePolicy, Policy
from app.chassis.settings import MOST, Duration, PositiveDuration, Settings

Window = Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=1))]


class RateLimitSettings(Settings):
    """How much a caller may ask for, and what happens while Redis is away."""

    model_config = SettingsConfigDict(env_prefix="RATE_LIMIT_")

    quota: int = Field(default=1000, ge=1, le=MOST)
    window: Window = timedelta(minutes=1)
    failure_policy: FailurePolicy = FailurePolicy.LOCAL
    local_share: float = Field(default=1, gt=0, le=1)
    timeout: PositiveDuration = timedelta(seconds=0.04)
    retry_interval: PositiveDuration = timedelta(seconds=1)
    prefix: str = Field(default=about.SLUG, min_length=1)

    @property
    def policy(self) -> Policy:
        """The policy of every route that has none of its own."""
        return Policy("default", self.quota, self.window, self.failure_policy)
