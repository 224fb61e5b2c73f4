"""Brokers for tests: the one behind `BROKER_URL`, else an embedded one."""

import os
from collections.abc import Generator
from contextlib import contextmanager

from app.dev.nats import temporary_nats


@contextmanager
def broker() -> Generator[str]:
    """Yield the URL of a broker."""
    if url := os.environ.get("BROKER_URL"):
        yield url
    else:
        with temporary_nats() as url:
            yield url
