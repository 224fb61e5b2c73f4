"""Server processes on free ports: what all embedded servers have in common."""

import signal
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 20


class NoServerBinary(RuntimeError):
    """There is neither a server on this machine nor one in the development dependencies."""


@contextmanager
def running(
    command: Sequence[str | Path],
    port: int,
    directory: Path,
    *,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Generator[None]:
    """Run a server in `directory`, which keeps its log, until the block ends; then send `stop`.

    The block starts once somebody listens on `port`.
    """
    with (directory / "server.log").open("ab") as log:
        server = subprocess.Popen(  # noqa: S603 - the server's own binary
            command, stdout=log, stderr=log, user=user, start_new_session=True, cwd=directory
        )
    try:
        _wait_for_listener(port, server)
        yield
    finally:
        server.send_signal(stop)
        try:
            server.wait(timeout=STOP_SECONDS)
        finally:
            server.kill()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_listener(port: int, server: "subprocess.Popen[bytes]") -> None:
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
