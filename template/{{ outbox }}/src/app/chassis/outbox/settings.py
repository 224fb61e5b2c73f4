"""The knobs of the outbox and of the inbox, and of the processes that they need."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from app.chassis.settings import (
    MOST,
    SHORT,
    ConfigurationError,
    Duration,
    PositiveDuration,
    Settings,
)


class OutboxSettings(Settings):
    """How the relay takes events from the table to the broker."""

    model_config = SettingsConfigDict(env_prefix="OUTBOX_")

    poll_interval: PositiveDuration = timedelta(seconds=1)
    batch_size: int = Field(default=500, ge=1, le=10_000)
    publish_timeout: Duration = Field(default=timedelta(seconds=5), ge=timedelta(milliseconds=100))
    lease: Duration = timedelta(seconds=30)
    max_event_bytes: int = Field(default=1_000_000, ge=1, le=MOST)
    max_attempts: int = Field(default=10, ge=1, le=1000)
    backoff: Duration = timedelta(seconds=1)
    backoff_limit: Duration = timedelta(minutes=1)
    retention: Duration = timedelta(days=7)
    purge_interval: PositiveDuration = timedelta(minutes=1)

    @field_validator("lease")
    @classmethod
    def _outlasts_publishing(cls, lease: timedelta, info: ValidationInfo) -> timedelta:
        if lease < 3 * info.data.get("publish_timeout", timedelta(0)):
            raise ValueError("must be at least three times OUTBOX_PUBLISH_TIMEOUT")
        return lease


class InboxSettings(Settings):
    """How the worker handles what the broker brings."""

    model_config = SettingsConfigDict(env_prefix="INBOX_")

    poll_interval: PositiveDuration = timedelta(seconds=1)
    batch_size: int = Field(default=50, ge=1, le=1000)
    concurrency: int = Field(default=8, ge=1, le=100)
    handler_timeout: Annotated[PositiveDuration, SHORT] = timedelta(seconds=15)
    max_attempts: int = Field(default=5, ge=1, le=1000)
    backoff: Duration = timedelta(seconds=1)
    backoff_limit: Duration = timedelta(minutes=1)
    retention: Duration = timedelta(days=14)
    purge_interval: PositiveDuration = timedelta(minutes=1)


class HeartbeatSettings(Settings):
    """Where the relay or the worker shows that it is alive, and for how long that is good."""

    model_config = SettingsConfigDict(env_prefix="HEARTBEAT_")

    file: Path | None = None
    timeout: PositiveDuration = timedelta(seconds=30)

    def check(self) -> None:
        """Raise `ConfigurationError` if this process cannot write the file."""
        if self.file is None:
            return
        is_writable = os.access(self.file if self.file.exists() else self.file.parent, os.W_OK)
        if self.file.is_dir() or not is_writable:
            reason = "must be a file that the process can write"
            raise ConfigurationError({"HEARTBEAT_FILE": reason})
