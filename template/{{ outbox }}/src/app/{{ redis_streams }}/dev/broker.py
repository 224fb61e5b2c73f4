"""A server for Redis Streams for development and tests, without a container engine."""

from contextlib import AbstractContextManager
from pathlib import Path

from app.dev.valkey import start_valkey, temporary_valkey


def start_broker(directory: Path, port: int = 0) -> AbstractContextManager[str]:
    """Run a server on `port`, or a free one, with its streams in `directory`; yields its URL."""
    return start_valkey(directory, port, durable=True)


def temporary_broker() -> AbstractContextManager[str]:
    """Run a server whose streams are gone afterwards."""
    return temporary_valkey(durable=True)
