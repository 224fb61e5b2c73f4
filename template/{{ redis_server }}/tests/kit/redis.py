"""Redis for tests: the one behind `REDIS_URL`, else an embedded one."""

import os
from collections.abc import Generator
from contextlib import contextmanager

from app.dev.valkey import temporary_valkey


@contextmanager
def redis_server() -> Generator[str]:
    """Yield the URL of a server; what tests write there expires by itself."""
    if url := os.environ.get("REDIS_URL"):
        yield url
    else:
        with temporary_valkey() as url:
            yield url
