"""Redis for tests: the one behind `REDIS_URL`, else an embedded one; and ways to harm it."""

# The client is annotated in part.
# pyright: reportUnknownMemberType=false

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

from redis import Redis

from app.dev.valkey import temporary_valkey


@contextmanager
def redis_server() -> Generator[str]:
    """Yield the URL of a server; what tests write there expires by itself."""
    if url := os.environ.get("REDIS_URL"):
        yield url
    else:
        with temporary_valkey() as url:
            yield url


@contextmanager
def hung(url: str) -> Generator[None]:
    """Let a server of the test's own accept connections and answer nothing."""
    with Redis.from_url(url) as client:
        process = int(client.info("server")["process_id"])
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
